//! Breaks this node on purpose, so that those who run warren can rehearse.
//!
//! Off unless the configuration allows it. A fault begins a moment after it was asked for, so that whoever
//! asked hears of it, and ends by itself after its time, or when the node stops. There is one at a time.
//!
//! **Not here:** what clients feel of it. `warrenctl chaos` looks at that from outside.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, getppid, kill_process};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warren_management::{Fault, Spared};
use warren_rpc::Gate;
use warren_storage::Store;

/// How long a fault waits for the answer to whoever asked for it.
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// What can be done to this node.
pub struct Chaos {
    gate: Gate,
    store: Store,
    turn: Arc<Semaphore>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Chaos {
    /// For a node with that `store`, whose connections to other nodes lead through `gate`. Faults are run
    /// by `tasks` and end early when the node is `closing`.
    #[must_use]
    pub fn new(gate: Gate, store: Store, tasks: TaskTracker, closing: CancellationToken) -> Self {
        Self { gate, store, turn: Arc::new(Semaphore::new(1)), tasks, closing }
    }

    /// Has the fault begin in a moment.
    ///
    /// # Errors
    /// When another one is not over, or it cannot be.
    pub fn cause(&self, fault: Fault, time: Duration) -> Result<(), Spared> {
        let turn = Arc::clone(&self.turn).try_acquire_owned().map_err(|_| Spared::Busy)?;
        tracing::warn!(?fault, ?time, "the node breaks itself, as it was asked to");
        match fault {
            Fault::Kill => self.run(turn, async {
                sleep(ANSWER_TIME).await;
                kill();
            }),
            Fault::Pause => self.pause(turn, time)?,
            Fault::Isolate => {
                let gate = self.gate.clone();
                self.run(turn, async move {
                    sleep(ANSWER_TIME).await;
                    let _open = Undo(|| gate.open());
                    gate.close();
                    sleep(time).await;
                });
            }
            Fault::Slow(delay) => {
                let store = self.store.clone();
                self.run(turn, async move {
                    sleep(ANSWER_TIME).await;
                    let _fast = Undo(|| store.slow_down(Duration::ZERO));
                    store.slow_down(delay);
                    sleep(time).await;
                });
            }
        }
        Ok(())
    }

    fn run(&self, turn: OwnedSemaphorePermit, fault: impl Future<Output = ()> + Send + 'static) {
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            let whole = closing.run_until_cancelled(fault).await.is_some();
            tracing::warn!(whole, "the node is not broken any more");
            drop(turn);
        });
    }

    /// A stopped process cannot wake itself, so a child of it does both.
    fn pause(&self, turn: OwnedSemaphorePermit, time: Duration) -> Result<(), Spared> {
        let impossible = |why: String| Spared::Impossible(format!("it cannot be paused: {why}"));
        if getpid() == Pid::INIT {
            let why = "the first process of a container cannot be stopped from within; start the container with an init of its own";
            return Err(impossible(why.to_owned()));
        }
        let program = std::env::current_exe().map_err(|error| impossible(error.to_string()))?;
        let mut child = tokio::process::Command::new(program)
            .arg(PAUSE_PARENT)
            .arg(time.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| impossible(error.to_string()))?;
        self.run(turn, async move { told(child.wait().await) });
        Ok(())
    }
}

fn told(outcome: io::Result<ExitStatus>) {
    match outcome {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::error!(%status, "the process that pauses this one has failed"),
        Err(error) => tracing::error!(%error, "the process that pauses this one is lost"),
    }
}

/// Ends this process as a crash does.
fn kill() {
    let _killed = kill_process(getpid(), Signal::KILL);
    // The first process of a container is not killed by its own signals.
    std::process::abort();
}

/// Does something when it is dropped.
struct Undo<F: Fn()>(F);

impl<F: Fn()> Drop for Undo<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What the program is told in order to be the child that pauses its parent.
pub const PAUSE_PARENT: &str = "pause-parent";

/// Stops the process that has started this one, and lets it go on after `time`.
///
/// # Errors
/// When it cannot be signalled, as when it is gone.
pub fn pause_parent(time: Duration) -> io::Result<()> {
    let parent = getppid().ok_or(io::ErrorKind::NotFound)?;
    std::thread::sleep(ANSWER_TIME);
    // Who has lost its parent has another one.
    if getppid() != Some(parent) {
        return Err(io::ErrorKind::NotFound.into());
    }
    kill_process(parent, Signal::STOP)?;
    std::thread::sleep(time);
    Ok(kill_process(parent, Signal::CONT)?)
}
