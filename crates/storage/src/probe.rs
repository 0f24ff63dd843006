//! Stored bytes that may be anything, for those who look for bytes that cannot be borne.
//!
//! Checksums keep nearly all such bytes from the decoders behind them, so each decoder is also shown
//! what it would see if the checksum fitted. What it can read must read the same once more.

pub use crate::engine::probe_segments as segments;
pub use crate::format::probe_records as records;
