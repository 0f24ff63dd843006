//! Looks for inputs that a target cannot bear, for as long as the arguments say, which are libFuzzer's.
//! The target's name stands in `WARREN_FUZZ_TARGET`. `cargo xtask fuzz` builds and starts it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use warren_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    warren_fuzz::bound_memory();
    let name = std::env::var("WARREN_FUZZ_TARGET").unwrap_or_default();
    let names = TARGETS.map(|target| target.name).join(", ");
    warren_fuzz::target(&name).unwrap_or_else(|| panic!("no target '{name}'; there are {names}"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
