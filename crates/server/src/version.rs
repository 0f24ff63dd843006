//! Which program this is.

/// The version, as released.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, or `unknown`.
pub const COMMIT: &str = env!("WARREN_BUILD_COMMIT");

/// The version and the commit, as `warren --version` says them.
pub const LONG: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("WARREN_BUILD_COMMIT"), ")");
