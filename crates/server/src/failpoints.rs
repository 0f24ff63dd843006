//! Places where a test rig breaks the program on purpose. In a build of its own only.
//!
//! Each place has a name, and does nothing until it is given actions, in the words of the crate
//! `fail`: `panic` ends the process there, `return` makes the step fail or be left out,
//! `sleep(ms)` and `pause` hold it up, `off` disarms; `1%panic`, `3*off->panic` and the like say how
//! often and when.
//!
//! They are given at the start in the variable `FAILPOINTS`, as `name=actions;name=actions`, and
//! at any time in the file that the variable `FAILPOINTS_FILE` names, one `name=actions` per line.
//! The file is looked at ten times a second and need not exist. What it does not name any more
//! is disarmed.
//!
//! | Place | |
//! | --- | --- |
//! | `consensus.append.before`, `consensus.append.after` | rows are handed to the log |
//! | `storage.read` | something is read; `return` fails it |
//! | `storage.write` | a batch is written; `return` fails it |
//! | `storage.sync.before`, `storage.sync.after` | around the sync of a written batch |
//! | `storage.sync` | `return` fails the sync |
//! | `storage.checkpoint.written` | the segments' checkpoint is on the disk, and nothing was taken back for it |
//! | `sync.skip` | `return` leaves the sync out and says that it was done |
//! | `consensus.vote.saved` | a vote is on the disk, and nobody was told |
//! | `consensus.snapshot.copied` | a snapshot is taken, and nothing of it written |
//! | `storage.snapshot.page`, `storage.snapshot.head` | before each page of a snapshot, and before what makes it one |
//! | `consensus.install.adopted`, `consensus.install.saved`, `consensus.install.purged` | a snapshot of another replica: its bodies are kept, its state is kept, the log begins behind it |
//! | `consensus.apply.after` | an entry is applied, and does not count as applied yet |
//! | `consensus.committed.before` | how far the group is committed is about to be noted |
//! | `broker.confirm.before` | a confirm is decided, and not written |
//! | `broker.deliver.before` | a delivery is committed, and has not left for its consumer |
//! | `broker.delete.half` | a shard has let go of a queue, and the catalog has not; `return` leaves the other half out |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, thread};

/// The variable with what is armed from the start.
const AT_START: &str = "FAILPOINTS";

/// The variable that names the file with what is armed later.
const FILE: &str = "FAILPOINTS_FILE";

/// Between two looks at the file.
const GLANCE: Duration = Duration::from_millis(100);

/// Arms what the environment says, and follows the file that it names.
///
/// # Errors
/// When what is said makes no sense, or no thread can be started.
pub fn start() -> Result<(), String> {
    arm(&read(&env::var(AT_START).unwrap_or_default(), ';')?)?;
    let Some(file) = env::var_os(FILE).map(PathBuf::from) else { return Ok(()) };
    let following = thread::Builder::new().name("failpoints".to_owned());
    let started = following.spawn(move || follow(&file));
    started.map(drop).map_err(|error| format!("no thread can be started: {error}"))
}

/// Arms what `file` says, for as long as the process lives.
fn follow(file: &Path) {
    let mut armed = BTreeMap::new();
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        match read(&text, '\n') {
            Ok(said) if said != armed => {
                for name in armed.keys().filter(|name| !said.contains_key(*name)) {
                    fail::remove(name);
                }
                // What stays as it was goes on counting.
                let differs =
                    |(name, actions): &(&String, &String)| armed.get(*name) != Some(*actions);
                let anew = said.iter().filter(differs);
                match arm(anew) {
                    Ok(()) => tracing::warn!(?said, "failpoints are armed"),
                    Err(error) => tracing::error!(error, "failpoints"),
                }
                armed = said;
            }
            Ok(_) => {}
            // Whoever writes the file may not be done yet.
            Err(error) => tracing::debug!(error, "failpoints"),
        }
        thread::sleep(GLANCE);
    }
}

fn arm<'a>(said: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<(), String> {
    for (name, actions) in said {
        fail::cfg(name, actions).map_err(|error| format!("failpoint {name}: {error}"))?;
    }
    Ok(())
}

/// Names and actions in `text`, each pair ended by `separator`.
fn read(text: &str, separator: char) -> Result<BTreeMap<String, String>, String> {
    let pairs = text.split(separator).map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, actions) =
                pair.split_once('=').ok_or_else(|| format!("'{pair}' is no name=actions"))?;
            Ok((name.trim().to_owned(), actions.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_blanks_do_not_matter() {
        let said = read(" a.b = panic ;; c=1*off->return ;", ';').expect("it makes sense");

        let pairs: Vec<(&str, &str)> =
            said.iter().map(|(name, actions)| (name.as_str(), actions.as_str())).collect();
        assert_eq!(pairs, [("a.b", "panic"), ("c", "1*off->return")]);
    }

    #[test]
    fn what_is_no_pair_is_named() {
        assert_eq!(read("a.b", ';'), Err("'a.b' is no name=actions".to_owned()));
    }
}
