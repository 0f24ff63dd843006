//! Programs that some tests need and that not every machine has: Go, Chromium, nftables.
//!
//! `cargo xtask test` installs what the build needs and leaves it at that: nobody wants a browser
//! because he tries a broker. So where such a program is missing, its test says so on stderr and
//! passes, unless `WARREN_REQUIRE_TOOLS` is set, as `.ci/run` does after it has installed them:
//! then it fails.

use std::env;
use std::path::PathBuf;

/// Set to anything but nothing, no test may go without what it needs.
pub const REQUIRE: &str = "WARREN_REQUIRE_TOOLS";

/// Where all of `programs` are, in their order; none of them, said on stderr, if one is missing.
///
/// # Panics
/// When one is missing and [`REQUIRE`] is set.
#[must_use]
pub fn find(programs: &[&str]) -> Option<Vec<PathBuf>> {
    let missing: Vec<&str> =
        programs.iter().copied().filter(|program| on_path(program).is_none()).collect();
    if missing.is_empty() {
        return programs.iter().map(|program| on_path(program)).collect();
    }
    without(&format!("not on this machine: {}", missing.join(", ")));
    None
}

/// Says that a test cannot do its work here, and why.
///
/// # Panics
/// When [`REQUIRE`] is set.
pub fn without(reason: &str) {
    let required = env::var_os(REQUIRE).is_some_and(|value| !value.is_empty());
    assert!(!required, "{reason}, and {REQUIRE} is set");
    eprintln!("NOT TESTED: {reason}");
}

fn on_path(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}
