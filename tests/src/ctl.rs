//! `warrenctl`, also under the names of RabbitMQ's tools, for scripts that were written for those.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::node::beside;

/// The names under which `warrenctl` is one of RabbitMQ's tools.
const NAMES: [&str; 5] = [
    "rabbitmqctl",
    "rabbitmq-diagnostics",
    "rabbitmq-queues",
    "rabbitmq-plugins",
    "rabbitmq-upgrade",
];

/// The tools, in a directory of their own.
#[derive(Debug)]
pub struct Ctl {
    dir: TempDir,
}

impl Ctl {
    /// Installs them.
    ///
    /// # Panics
    /// When there is no `warrenctl` beside the test program or in `WARRENCTL_BIN`, or no place.
    #[must_use]
    pub fn install() -> Self {
        let named = env::var_os("WARRENCTL_BIN").map(PathBuf::from);
        let program = named.or_else(|| beside("warrenctl"));
        let program = program.expect("there is a warrenctl, or WARRENCTL_BIN names one");
        let program = fs::canonicalize(program).expect("it is there");
        let dir = tempfile::Builder::new().prefix("warren-ctl-").tempdir().expect("there is room");
        for name in NAMES.into_iter().chain(["warrenctl"]) {
            symlink(&program, dir.path().join(name)).expect("the directory is fresh");
        }
        Self { dir }
    }

    /// One of them, for the node whose data is in `data_dir`.
    #[must_use]
    pub fn tool(&self, name: &str, data_dir: &Path) -> Command {
        let mut command = Command::new(self.dir.path().join(name));
        self.lead(&mut command, data_dir);
        command
    }

    /// Runs a shell script that finds them on its path, for the node whose data is in `data_dir`.
    ///
    /// # Panics
    /// When the script does not end with 0; what it said is shown.
    pub fn run(&self, script: &Path, data_dir: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("sh");
        command.arg("-eu").arg(script).args(arguments);
        self.lead(&mut command, data_dir);
        let Output { status, stdout, stderr } = command.output().expect("there is a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&stdout), text(&stderr));
        assert!(status.success(), "{}: {status}\n{stdout}\n{stderr}", script.display());
        stdout
    }

    fn lead(&self, command: &mut Command, data_dir: &Path) {
        let before = env::var_os("PATH").unwrap_or_default();
        let folders = [self.dir.path().to_owned()].into_iter().chain(env::split_paths(&before));
        command.env("PATH", env::join_paths(folders).expect("they were joined before"));
        command.env("WARREN_DATA_DIR", data_dir).env_remove("WARREN_URL");
    }
}
