//! A process for each run.
//!
//! Libraries count on through the life of a process: tokio, for one, seeds its randomness by such a
//! count. Only the first run of a process follows from its seed alone, so there is no second. And a run
//! that goes round in circles, while its clock stands still, can be ended.
//!
//! The process is this very program, asked for one test; what the run came to it says line by line.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::clock;
use super::history::{History, Outcome};
use super::plan::Plan;
use super::run::run;

/// Tells the process which run it is for.
const PLAN: &str = "WARREN_SIM_PLAN";

/// The test that is asked for.
const TEST: &str = "sim::alone::tests::a_run_follows_from_its_plan";

/// What a run may have of a processor: many times what it should. The clock on the wall does not
/// decide, as tests share their machine.
const LIMIT: Duration = Duration::from_secs(120);

/// How often it is looked at how a run gets on.
const LOOK: Duration = Duration::from_secs(5);

/// A run that has had less than this between two looks stands still.
const STILL: Duration = Duration::from_millis(1);

/// After so many looks at which a run stood still, it does not go on any more.
const STILL_LOOKS: u32 = 36;

/// Events of a run that took too long which are shown.
const LAST: usize = 40;

/// Runs `plan` in a process of its own.
pub(super) fn run_alone(plan: Plan) -> Outcome {
    let program = std::env::current_exe().expect("it runs");
    let mut command = Command::new(program);
    command.args([TEST, "--exact", "--nocapture"]).env(PLAN, plan.to_string());
    let output = command.stdin(Stdio::null()).output().expect("it can be run again");
    let text = String::from_utf8(output.stdout).expect("it writes text");
    let outcome = read(&text);
    outcome.unwrap_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        panic!("{plan} came to no end, {}:\n{complaint}{text}", output.status)
    })
}

/// In the process of its own: runs what was asked for, if anything was, and ends.
fn serve() {
    let Ok(plan) = std::env::var(PLAN) else { return };
    let plan = plan.parse().expect("a plan");
    let history = History::default();
    let (done, finished) = sync_channel::<()>(1);
    let seen = history.clone();
    let watch = move || {
        let (mut before, mut still) = (Duration::ZERO, 0);
        while finished.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            let spent = clock::spent();
            still = if spent - before < STILL { still + 1 } else { 0 };
            before = spent;
            if spent > LIMIT || still > STILL_LOOKS {
                eprintln!("{plan} has had {spent:?}, and is not over; its last events:");
                eprintln!("{}", seen.last(LAST).join("\n"));
                std::process::exit(1);
            }
        }
    };
    let watching = std::thread::spawn(watch);
    let outcome = run(plan, &history);
    done.send(()).expect("it is heard");
    watching.join().expect("it has not panicked");
    write(&outcome);
    std::process::exit(0);
}

fn write(outcome: &Outcome) {
    let mut text = String::from("\n");
    let lines = [("event", &outcome.events), ("fault", &outcome.faults)];
    for (kind, line) in
        lines.into_iter().flat_map(|(kind, all)| all.iter().map(move |one| (kind, one)))
    {
        text.push_str(&format!("{kind} {}\n", line.replace('\n', " | ")));
    }
    text.push_str(&format!("summary {}\nhash {}\n", outcome.summary, outcome.hash));
    std::io::stdout().lock().write_all(text.as_bytes()).expect("it is read");
}

/// What a run came to, if it came to an end.
fn read(text: &str) -> Option<Outcome> {
    let mut outcome = Outcome::default();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("event", event)) => outcome.events.push(event.to_owned()),
            Some(("fault", fault)) => outcome.faults.push(fault.to_owned()),
            Some(("summary", summary)) => summary.clone_into(&mut outcome.summary),
            Some(("hash", hash)) => {
                outcome.hash = hash.parse().ok()?;
                return Some(outcome);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_follows_from_its_plan() {
        serve();
    }
}
