//! tokio, as openraft uses it, with timers that go off together.
//!
//! Each group has a timer of its own, and what an idle node costs is being woken by them. Waiting
//! that is long anyway is stretched to the next point of a raster that all groups share, so that
//! they wake a node once. Their signs of life then leave in one burst, too, and wake the other
//! nodes once.

use std::cell::OnceCell;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use openraft::Instant as _;
use openraft::OptionalSend;
use openraft::async_runtime::AsyncRuntime;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Sleep;

type Tokio = openraft::impls::TokioRuntime;
type Instant = <Tokio as AsyncRuntime>::Instant;

/// The raster. Ticks come every 100 ms with the usual times, so it costs them at most half of that.
const RASTER: Duration = Duration::from_millis(50);

/// Waiting of at most this length is none: it is what openraft waits for more of the disk's answers,
/// and tokio's timers would make a millisecond of it. The loop of a tick that is nearer than that
/// goes round until it is due.
const INSTANT: Duration = Duration::from_micros(1);

/// Long enough ago that tokio, which rounds up, is late already.
const PAST: Duration = Duration::from_millis(2);

/// See the head.
#[derive(Debug)]
pub(crate) struct Runtime(Tokio);

/// How much longer waiting for `wait` from `now` on takes, so that it ends on the raster.
pub(crate) fn on_raster(now: Instant, wait: Duration) -> Duration {
    if wait < RASTER {
        return wait;
    }
    let began = began(now);
    let end = (now + wait).saturating_duration_since(began).as_micros();
    let over = end.checked_rem(RASTER.as_micros()).unwrap_or(0);
    let Ok(over) = u64::try_from(over) else { return wait };
    if over == 0 { wait } else { wait + RASTER.saturating_sub(Duration::from_micros(over)) }
}

/// Where the raster begins: where the process first asked. A runtime of one thread has a raster of
/// its own, so that what a simulation does hangs on nothing before it.
fn began(now: Instant) -> Instant {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    thread_local! {
        static BEGAN_HERE: OnceCell<Instant> = const { OnceCell::new() };
    }
    if is_single_threaded() {
        return BEGAN_HERE.with(|began| *began.get_or_init(|| now));
    }
    *BEGAN.get_or_init(|| now)
}

/// Whether waiting for so long is none. A simulation's clock stands still while anybody is at work, so
/// there a tick that is nearly due is waited for, or its loop would go round for ever; and what
/// is waited for the disk there is [`INSTANT`] to the nanosecond.
fn is_instant(wait: Duration) -> bool {
    if is_single_threaded() {
        return wait.is_zero() || wait == INSTANT;
    }
    wait <= INSTANT
}

/// Whether the runtime has one thread, as simulations have.
fn is_single_threaded() -> bool {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    matches!(flavor, Ok(RuntimeFlavor::CurrentThread))
}

impl AsyncRuntime for Runtime {
    type JoinError = <Tokio as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = Instant;
    type TimeoutError = <Tokio as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <Tokio as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <Tokio as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <Tokio as AsyncRuntime>::Mpsc;
    type Watch = <Tokio as AsyncRuntime>::Watch;
    type Oneshot = <Tokio as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::Mutex<T>;

    #[track_caller]
    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        Tokio::spawn(future)
    }

    fn sleep(duration: Duration) -> Sleep {
        Tokio::sleep(duration)
    }

    /// What openraft waits for like this is ticks, and a moment in which the disk may say more.
    fn sleep_until(deadline: Instant) -> Sleep {
        let now = Instant::now();
        let wait = deadline.saturating_duration_since(now);
        if is_instant(wait) {
            return Tokio::sleep_until(now - PAST);
        }
        Tokio::sleep(on_raster(now, wait))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        Tokio::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        Tokio::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        Tokio::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        Tokio::thread_rng()
    }

    fn new(threads: usize) -> Self {
        Self(Tokio::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_that_begin_at_different_times_end_together() {
        let now = Instant::now();
        let ends = [0, 7, 21].map(|ms| {
            let start = now + Duration::from_millis(ms);
            start + on_raster(start, Duration::from_millis(100) - Duration::from_millis(ms / 2))
        });

        assert!(ends.iter().all(|end| *end >= now + Duration::from_millis(100)));
        assert!(ends.iter().all(|end| *end < now + Duration::from_millis(200)));
        let spread = *ends.iter().max().unwrap() - *ends.iter().min().unwrap();
        assert!(spread == Duration::ZERO || spread == RASTER, "{spread:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_that_is_nearly_due_is_waited_for() {
        for wait in [50_000, 999, 1] {
            let due = Instant::now() + Duration::from_nanos(wait);

            <Runtime as AsyncRuntime>::sleep_until(due).await;

            assert!(Instant::now() >= due, "{wait} ns");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_openraft_waits_for_the_disk_is_none() {
        let now = Instant::now();

        <Runtime as AsyncRuntime>::sleep_until(now + INSTANT).await;

        assert_eq!(Instant::now(), now);
    }

    #[test]
    fn a_short_wait_is_not_stretched() {
        assert_eq!(on_raster(Instant::now(), Duration::from_millis(20)), Duration::from_millis(20));
    }
}
