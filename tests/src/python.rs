//! pika in several versions, Celery, and the programs that use them.
//!
//! Each is installed once, with pip and by name and version, into a directory of its own under the
//! user's cache (`$XDG_CACHE_HOME/warren/python`), and found there the next time.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::packages;

/// How long a program may take to say something, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// One version of a library and the programs that fit it.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// The directory under the cache.
    pub name: &'static str,
    /// What pip is asked for.
    pub requirements: &'static [&'static str],
    /// The package that is there when it is installed.
    pub package: &'static str,
    /// The directory under `tests/python`.
    pub programs: &'static str,
    /// Whether a module of pika must be hidden that is no valid Python any more.
    pub without_libev: bool,
}

/// The pika of today.
pub const LATEST: Library = pika("pika-1", &["pika>=1.3,<2"], "new");

/// The last one before 1.0.
pub const OLD: Library = pika("pika-0.13.1", &["pika==0.13.1"], "old");

/// What many an old program still uses.
pub const OLDEST: Library =
    Library { without_libev: true, ..pika("pika-0.10.0", &["pika==0.10.0"], "old") };

/// Celery, and what it speaks AMQP with.
pub const CELERY: Library = Library {
    name: "celery-5.7.0",
    requirements: &["celery==5.7.0", "kombu==5.7.0", "amqp==5.4.2", "billiard==4.3.2"],
    package: "celery",
    programs: "celery",
    without_libev: false,
};

const fn pika(
    name: &'static str,
    requirements: &'static [&'static str],
    programs: &'static str,
) -> Library {
    Library { name, requirements, package: "pika", programs, without_libev: false }
}

impl Library {
    /// The directory that holds it; installed if need be.
    pub fn installed(&self) -> Result<PathBuf> {
        let install = |dir: &Path| {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            pip.args(["--no-input", "--target"]).arg(dir).args(self.requirements);
            packages::said(&mut pip)
        };
        packages::installed("python", self.name, self.package, install)
    }

    /// Starts a program against a broker.
    ///
    /// # Panics
    ///
    /// If the library cannot be installed or the program cannot be started.
    pub fn start(&self, broker: SocketAddr, program: &str, arguments: &[&str]) -> Program {
        self.start_with(broker, program, arguments, None)
    }

    /// As [`Library::start`], a program that stays for as long as the file `marker` is there.
    ///
    /// # Panics
    ///
    /// As [`Library::start`] does.
    pub fn start_staying(
        &self,
        broker: SocketAddr,
        program: &str,
        arguments: &[&str],
        marker: &Path,
    ) -> Program {
        self.start_with(broker, program, arguments, Some(marker))
    }

    fn start_with(
        &self,
        broker: SocketAddr,
        program: &str,
        arguments: &[&str],
        marker: Option<&Path>,
    ) -> Program {
        let library = self.installed().expect("the library can be installed");
        // Asked when the test runs: a binary may have been built from another clone.
        let package = env::var("CARGO_MANIFEST_DIR");
        let package = package.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR"));
        let programs = Path::new(package).join("python");
        let paths = [programs.join(self.programs), programs.clone(), library];
        let mut command = Command::new("python3");
        command
            .arg("-B")
            .arg(programs.join(self.programs).join(program).with_extension("py"))
            .args(arguments);
        command.env("PYTHONPATH", env::join_paths(paths).expect("no path holds a colon"));
        command.env("PYTHONIOENCODING", "utf-8").env("PYTHONUNBUFFERED", "1");
        command
            .env("BROKER_HOST", broker.ip().to_string())
            .env("BROKER_PORT", broker.port().to_string());
        command.envs(marker.map(|marker| ("STAY_WHILE", marker)));
        if self.without_libev {
            command.env("PIKA_WITHOUT_LIBEV", "1");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("python3 can be started");
        let output = Arc::new(Output::default());
        let readers = [
            listen(child.stdout.take().expect("it is piped"), &output, false),
            listen(child.stderr.take().expect("it is piped"), &output, true),
        ];
        Program {
            name: format!("{} with {}", program, self.name),
            child,
            output,
            readers: Vec::from(readers),
        }
    }

    /// Runs a program to its end and gives its lines.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn run(&self, broker: SocketAddr, program: &str, arguments: &[&str]) -> Vec<String> {
        self.start(broker, program, arguments).finish()
    }
}

/// The lines of a program so far.
#[derive(Debug, Default)]
struct Output {
    lines: Mutex<(Vec<String>, Vec<String>)>,
    more: Condvar,
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Waits until so many lines begin with this, and gives them without it.
    ///
    /// # Panics
    ///
    /// If that takes too long; what it said is shown.
    pub fn wait_for(&self, begin: &str, count: usize) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.output.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let found: Vec<String> = lines
                .0
                .iter()
                .filter_map(|line| line.strip_prefix(begin))
                .map(|rest| rest.trim().to_owned())
                .collect();
            if found.len() >= count {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{}: {count} times '{begin}' not within {PATIENCE:?}, but {lines:?}",
                self.name
            );
            lines = self
                .output
                .more
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The lines so far that begin with this, without it.
    pub fn said(&self, begin: &str) -> Vec<String> {
        self.wait_for(begin, 0)
    }

    /// Kills it as `kill -9` does.
    pub fn kill9(&mut self) {
        drop((self.child.kill(), self.child.wait()));
    }

    /// Waits for its end and gives its lines.
    ///
    /// # Panics
    ///
    /// If it does not end, or not with success.
    pub fn finish(mut self) -> Vec<String> {
        let status = self.wait();
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
        let lines = self.output.lines.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            status.success(),
            "{}: {status}\n{}\n{}",
            self.name,
            lines.0.join("\n"),
            lines.1.join("\n")
        );
        lines.0.clone()
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < until, "{} does not end: {:?}", self.name, self.output.lines);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn listen(
    stream: impl Read + Send + 'static,
    output: &Arc<Output>,
    is_error: bool,
) -> JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut lines = output.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if is_error {
                lines.1.push(line)
            } else {
                lines.0.push(line)
            }
            output.more.notify_all();
        }
    })
}
