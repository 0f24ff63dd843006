//! One node of a cluster on this machine, as a process.

use std::fs::{self, File, OpenOptions};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child as Process, Command};

use super::plan::Plan;
use super::{ClusterError, complain, system};

/// A node, running or not. Dropping it kills the process.
pub(super) struct Child {
    plan: Plan,
    process: Option<Process>,
}

impl Child {
    /// Starts the node.
    pub(super) fn start(plan: Plan) -> Result<Self, ClusterError> {
        let mut child = Self { plan, process: None };
        child.start_again()?;
        Ok(child)
    }

    /// Starts the node once more, after its process has ended.
    pub(super) fn start_again(&mut self) -> Result<(), ClusterError> {
        let plan = &self.plan;
        let dir = plan.dir();
        let failed = |what: &str| system(format!("{what} {}", dir.display()));
        fs::create_dir_all(dir).map_err(failed("cannot make"))?;
        let log = open_log(plan).map_err(failed("cannot write the log in"))?;
        let errors = log.try_clone().map_err(failed("cannot write the log in"))?;
        let program = std::env::current_exe().map_err(system("this program has no path"))?;
        let mut command = Command::new(program);
        command
            .args(plan.arguments())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Ctrl-C in a terminal reaches the whole group, and the nodes are to stop in turn.
            .process_group(0)
            .kill_on_drop(true);
        let process = command.spawn().map_err(system(format!("cannot start {}", plan.name)))?;
        let pid = process.id().expect("a process that was not waited for has an id");
        fs::write(plan.pid_file(), format!("{pid}\n")).map_err(failed("cannot write in"))?;
        self.process = Some(process);
        Ok(())
    }

    /// Ready when the process ends; never when none runs.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<ExitStatus> {
        let Some(process) = &mut self.process else { return Poll::Pending };
        let ended = pin!(process.wait()).poll(context);
        ended.map(|status| {
            self.gone();
            status.expect("our own child can be waited for")
        })
    }

    /// Asks the process to leave, and kills it when it does not within `limit`.
    pub(super) async fn stop(&mut self, limit: Duration) -> Option<ExitStatus> {
        let process = self.process.as_mut()?;
        let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        // Without an id it has ended already, and is only waited for.
        if let Some(pid) = pid {
            let _gone = kill_process(pid, Signal::TERM);
        }
        let status = match tokio::time::timeout(limit, process.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                complain(&format!("{} did not leave within {limit:?}", self.plan.name));
                let _gone = process.kill().await;
                process.wait().await.ok()
            }
        };
        self.gone();
        status
    }

    /// Where and what it is.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether its process was not seen to end.
    pub(super) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// The node in one line, for people.
    pub(super) fn line(&self) -> String {
        let Plan { name, amqp, http, metrics, .. } = &self.plan;
        let pid = self.process.as_ref().and_then(Process::id);
        let pid = pid.map(|pid| format!(" pid={pid}")).unwrap_or_default();
        format!("{name} ready amqp={amqp} http={http} metrics={metrics}{pid}")
    }

    fn gone(&mut self) {
        self.process = None;
        // The id may be given to another process.
        let _absent = fs::remove_file(self.plan.pid_file());
    }
}

fn open_log(plan: &Plan) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(plan.log())
}
