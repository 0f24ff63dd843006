//! What takes the place of the dynamic linker in a program that has none (`cargo xtask image`).
//!
//! Where random numbers come from is asked of the dynamic linker by name (the crate getrandom does, for
//! systems older than the call). In a static program glibc's finds nothing, and they would be read
//! from `/dev/urandom`, which need not be there.

use std::ffi::{CStr, c_char, c_uint, c_void};
use std::ptr;

/// The name that is asked for.
const GETRANDOM: &CStr = c"getrandom";

#[expect(unsafe_code, reason = "glibc says that it has this function")]
unsafe extern "C" {
    safe fn getrandom(buffer: *mut c_void, bytes: usize, flags: c_uint) -> isize;
}

/// Called for `dlsym`, by the linker's `--wrap`: the one symbol that it is worth asking for.
#[expect(unsafe_code, reason = "the linker finds it by this name, and callers give C's texts")]
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_dlsym(_library: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: dlsym's callers give a text that ends with a zero byte.
    let name = unsafe { CStr::from_ptr(name) };
    if name != GETRANDOM {
        return ptr::null_mut();
    }
    let found: extern "C" fn(*mut c_void, usize, c_uint) -> isize = getrandom;
    #[expect(clippy::as_conversions, reason = "a function's address has no other way to a pointer")]
    let address = found as *mut c_void;
    address
}
