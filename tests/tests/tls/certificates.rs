//! Certificates, and a node that shows one.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use warren_tests::ctl::Ctl;
use warren_tests::node::Node;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A directory with an authority, and what it has signed.
pub(crate) struct Certificates {
    dir: TempDir,
    ctl: Ctl,
}

impl Certificates {
    /// An authority, a node `node`, and a client `ann`.
    pub(crate) fn new() -> Self {
        let (dir, ctl) = (tempfile::tempdir().unwrap(), Ctl::install());
        let certificates = Self { dir, ctl };
        certificates.generate(&["--clients", "ann"]);
        certificates
    }

    /// Makes others of the same authority; those of the same names are replaced.
    pub(crate) fn generate(&self, arguments: &[&str]) {
        let dir = self.path("");
        let output = self.ctl(&[&["generate_certs", &dir], arguments].concat());
        assert!(output.status.success(), "{output:?}");
    }

    /// `warrenctl`, which knows of no node unless it is told.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Output {
        let mut command = self.ctl.tool("warrenctl", self.dir.path());
        command.args(arguments).output().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Writes a file, whole or not at all.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        let draft = path.with_extension("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, &path).unwrap();
        path
    }

    /// The file of a certificate and its key.
    pub(crate) fn pair(&self, name: &str) -> (String, String) {
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}-key.pem")))
    }

    /// A configuration with TLS for clients, and `more` in that section.
    pub(crate) fn config(&self, more: &str) -> String {
        let (certificate, key) = self.pair("node");
        let authority = self.path("ca.pem");
        format!(
            "amqps = '127.0.0.1:0'\nhttps = '127.0.0.1:0'\nmetrics_https = '127.0.0.1:0'\n\
             [ssl_options]\ncertfile = '{certificate}'\nkeyfile = '{key}'\n\
             cacertfile = '{authority}'\n{more}\n"
        )
    }

    /// A node with that configuration.
    pub(crate) fn node(&self, more: &str) -> Node {
        let config = self.write("warren.toml", &self.config(more));
        Node::start_with(&["--config", config.to_str().unwrap()])
    }
}

/// Where a node listens, by the key of its configuration.
pub(crate) fn listens(data_dir: &Path, key: &str) -> SocketAddr {
    let lines = fs::read_to_string(data_dir.join("management.addresses")).unwrap();
    let address = lines.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
    address.unwrap_or_else(|| panic!("no {key} in {lines}")).parse().unwrap()
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(mut holds: impl FnMut() -> bool, shown: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}\n{}", shown());
        std::thread::sleep(Duration::from_millis(20));
    }
}
