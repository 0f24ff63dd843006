//! The time of a simulation: it begins at the same moment in every run.
//!
//! tokio's clock stands still until all wait, and then jumps. Libraries ask the operating system for the
//! time as well, through `clock_gettime`: on the thread of a run, [`clock_gettime`] answers in its
//! place, with tokio's time. The wall's clock can be put forward and back ([`jump`]), for all nodes at once:
//! a shard sees but one clock at a time, its leader's.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::mem::transmute;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

/// What the wall's clock shows when a run begins.
const WALL: Duration = Duration::from_secs(1_700_000_000);

/// What the other clocks show when a run begins.
const BEGIN: Duration = Duration::from_secs(1_000_000);

/// The wall's clock, as the C library calls it.
const REALTIME: c_int = 0;

/// What this process has had of the processors, as the C library calls it.
const PROCESS: c_int = 2;

/// To look for a function behind the one of this name here.
const NEXT: *mut c_void = std::ptr::without_provenance_mut(usize::MAX);

thread_local! {
    static TIME: Cell<Time> = const { Cell::new(Time::Real) };
    /// By how many milliseconds the wall's clock has been put forward or back.
    static JUMPED: Cell<i64> = const { Cell::new(0) };
}

#[derive(Clone, Copy)]
enum Time {
    /// It is no thread of a run.
    Real,
    /// The clock of the run is not there yet, or being asked.
    Still,
    Running(Instant),
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

type ClockGettime = unsafe extern "C" fn(c_int, *mut Timespec) -> c_int;

#[expect(unsafe_code, reason = "it finds functions of the C library")]
unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// This thread is one of a run; its clock stands still.
pub(super) fn bind_system() {
    TIME.set(Time::Still);
}

/// A run begins on this thread.
pub(super) fn begin() {
    TIME.set(Time::Running(Instant::now()));
}

/// How long the run of this thread has been going on.
pub(super) fn elapsed() -> Duration {
    let time = TIME.try_with(Cell::get).unwrap_or(Time::Real);
    let Time::Running(began) = time else { return Duration::ZERO };
    if Handle::try_current().is_err() {
        return Duration::ZERO;
    }
    // Whoever is asked for the time may ask for it in turn.
    TIME.set(Time::Still);
    let elapsed = began.elapsed();
    TIME.set(time);
    elapsed
}

/// Puts the wall's clock of this thread's run forward or back.
pub(super) fn jump(millis: i64) {
    JUMPED.set(JUMPED.get() + millis);
}

/// What this process has had of the processors so far.
pub(super) fn spent() -> Duration {
    let mut time = Timespec { seconds: 0, nanos: 0 };
    #[expect(unsafe_code, reason = "it is a function of the C library")]
    // SAFETY: `time` is a place for the answer.
    let _always_known = unsafe { real()(PROCESS, &raw mut time) };
    let seconds = Duration::from_secs(u64::try_from(time.seconds).unwrap_or_default());
    seconds + Duration::from_nanos(u64::try_from(time.nanos).unwrap_or_default())
}

/// Stands before the C library's function of this name.
///
/// # Safety
/// `time` points to a place for the answer.
#[expect(unsafe_code, reason = "the C library's function of this name has this shape")]
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    if matches!(TIME.try_with(Cell::get), Err(_) | Ok(Time::Real)) {
        // SAFETY: it is the C library's function, called as the caller promises.
        return unsafe { real()(clock, time) };
    }
    let now = elapsed() + if clock == REALTIME { wall() } else { BEGIN };
    let seconds = i64::try_from(now.as_secs()).expect("runs are short");
    // SAFETY: as the caller promises.
    unsafe { time.write(Timespec { seconds, nanos: i64::from(now.subsec_nanos()) }) };
    0
}

/// What the wall's clock would show, had the run just begun.
fn wall() -> Duration {
    let jumped = JUMPED.try_with(Cell::get).unwrap_or(0);
    let by = Duration::from_millis(jumped.unsigned_abs());
    if jumped < 0 { WALL - by } else { WALL + by }
}

/// The C library's own.
fn real() -> ClockGettime {
    static REAL: OnceLock<ClockGettime> = OnceLock::new();
    #[expect(unsafe_code, reason = "a function found by its name has no type")]
    *REAL.get_or_init(|| {
        // SAFETY: the name ends with a zero, and what is found under it has this type.
        unsafe { transmute::<*mut c_void, ClockGettime>(dlsym(NEXT, c"clock_gettime".as_ptr())) }
    })
}
