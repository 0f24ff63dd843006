//! `warren cluster`: several nodes on this machine, for whoever wants to see a cluster.
//!
//! Each node is a process of its own, the same program as `warren server`, with its data, its log
//! and its process id in a directory of its own. They listen on the loopback interface alone.
//!
//! Nodes are there to be killed: one that ends is reported, and the others go on. A signal stops
//! them one after the other, so that each hands its leaderships to those that remain.

mod child;
mod look;
mod plan;

use std::future::poll_fn;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::flags::ClusterFlags;
use crate::signals::Signals;

use child::Child;
use plan::{Plan, PlanError};

/// Between two looks at nodes that start.
const GLANCE: Duration = Duration::from_millis(100);

/// After how long without success it is said what is waited for, and how often then.
const PROGRESS: Duration = Duration::from_secs(10);

/// How long a node may take to stop: what it gives its clients and its parts, and some more.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How long a node that ended stays down before it is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Why there is no cluster, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// It cannot be as it was asked for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Something with files, processes or signals went wrong.
    #[error("{what}")]
    System {
        /// What was tried.
        what: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A node ended before the cluster was complete.
    #[error("{node} ended with {status} before the cluster was complete; see {}\n{tail}", log.display())]
    Ended {
        /// The node.
        node: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// No node is left.
    #[error("no node is left")]
    Deserted,
    /// A second signal came while the nodes stopped.
    #[error("stopped at once by a second signal")]
    Hurried,
}

/// Runs a cluster until a signal asks it to end.
///
/// # Errors
/// When it does not come up, or ends by itself, or is not allowed to end in order.
pub async fn run(flags: &ClusterFlags) -> Result<(), ClusterError> {
    let plans = plan::plan(flags)?;
    plan::check_ports(&plans)?;
    let mut signals = Signals::catch().map_err(system("signals cannot be caught"))?;
    let mut nodes = Nodes::start(plans)?;
    let outcome = tokio::select! {
        outcome = nodes.serve(flags.restart) => outcome,
        _ = signals.next() => Ok(()),
    };
    tokio::select! {
        () = nodes.stop() => outcome,
        _ = signals.next() => Err(ClusterError::Hurried),
    }
}

/// The nodes. Those that still run when this is dropped are killed.
struct Nodes {
    children: Vec<Child>,
}

impl Nodes {
    fn start(plans: Vec<Plan>) -> Result<Self, ClusterError> {
        let mut children = Vec::new();
        for plan in plans {
            children.push(Child::start(plan)?);
        }
        Ok(Self { children })
    }

    /// Sees the cluster come together, says so, and watches over it for as long as a node lives.
    async fn serve(&mut self, restart: bool) -> Result<(), ClusterError> {
        self.gather().await?;
        for child in &self.children {
            say(&child.line());
        }
        loop {
            let (number, status) = self.any_end().await;
            let Some(child) = self.children.get_mut(number) else { continue };
            let name = child.plan().name.clone();
            if restart {
                complain(&format!("{name} ended with {status} and is started again"));
                sleep(RESTART_AFTER).await;
                child.start_again()?;
                continue;
            }
            let command = child.plan().command_line();
            complain(&format!("{name} ended with {status}; the others go on"));
            complain(&format!("it is started again with: {command}"));
            if self.children.iter().all(|child| !child.runs()) {
                return Err(ClusterError::Deserted);
            }
        }
    }

    /// Waits until every node is ready, knows all others to run, and misses no replica: from then on
    /// the cluster bears the loss of a node.
    async fn gather(&mut self) -> Result<(), ClusterError> {
        let mut next_progress = Instant::now() + PROGRESS;
        loop {
            let ended = tokio::select! {
                biased;
                ended = self.any_end() => Some(ended),
                () = std::future::ready(()) => None,
            };
            if let Some((number, status)) = ended {
                return Err(self.ended(number, status));
            }
            let Some(obstacle) = self.obstacle().await else { return Ok(()) };
            if Instant::now() >= next_progress {
                complain(&obstacle);
                next_progress = Instant::now() + PROGRESS;
            }
            sleep(GLANCE).await;
        }
    }

    /// What the first node that is not there yet says about it.
    async fn obstacle(&self) -> Option<String> {
        for child in &self.children {
            let plan = child.plan();
            if let Some(reason) = look::not_ready(plan.http).await {
                return Some(format!("{}: {reason}", plan.name));
            }
            if let Some(reason) = look::incomplete(plan.metrics, self.children.len()).await {
                return Some(format!("{}: {reason}", plan.name));
            }
        }
        None
    }

    fn ended(&self, number: usize, status: ExitStatus) -> ClusterError {
        let plan = self.children.get(number).expect("a node that ended is one of them").plan();
        let log = plan.log();
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let tail = text.lines().last().unwrap_or_default().to_owned();
        ClusterError::Ended { node: plan.name.clone(), status, log, tail }
    }

    /// Waits until a node ends.
    async fn any_end(&mut self) -> (usize, ExitStatus) {
        poll_fn(|context| {
            for (number, child) in self.children.iter_mut().enumerate() {
                if let Poll::Ready(status) = child.poll_end(context) {
                    return Poll::Ready((number, status));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Stops them all, one after the other; whoever does not leave is killed.
    async fn stop(&mut self) {
        for child in &mut self.children {
            if let Some(status) = child.stop(STOP_LIMIT).await
                && !status.success()
            {
                complain(&format!("{} ended with {status}", child.plan().name));
            }
        }
    }
}

/// Says something to whoever started the cluster.
#[expect(clippy::print_stderr, reason = "a program's own words")]
fn complain(text: &str) {
    eprintln!("warren cluster: {text}");
}

/// Tells whoever waits for the cluster about it.
fn say(line: &str) {
    let mut stdout = io::stdout();
    // Nobody has to listen.
    let _said = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// What could not be done, of an error that the system gave.
fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> ClusterError {
    let what = what.into();
    move |source| ClusterError::System { what, source }
}
