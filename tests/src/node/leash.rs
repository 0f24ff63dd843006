//! Ends a node whose test program is gone.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Waits for the end of its input, which is the end of the test program, then kills and cleans up.
const SCRIPT: &str =
    r#"trap "" INT TERM HUP; cat >/dev/null; kill -9 "$1" 2>/dev/null; rm -rf -- "$2""#;

/// A shell that holds a node on behalf of this program.
#[derive(Debug)]
pub struct Leash {
    shell: Child,
}

impl Leash {
    /// Ties the process and its directory to the life of this program.
    pub fn tie(pid: u32, dir: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("leash").arg(pid.to_string()).arg(dir);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = command.spawn().context("cannot start a shell")?;
        Ok(Self { shell })
    }

    /// Lets the process go: it has been reaped, and its id may be given to another.
    pub fn cut(mut self) {
        drop((self.shell.kill(), self.shell.wait()));
    }

    /// Closes the pipe, as the end of this program would.
    #[cfg(test)]
    pub fn let_go(mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}
