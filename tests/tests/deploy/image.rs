//! The program in what the image gives it: a root that holds it and the libraries it was linked
//! with, that cannot be written to, and that it has no rights in.
//!
//! No container engine is needed: a mount namespace, `chroot` and another user id do the same. It
//! takes root; without it the test says so.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use warren_tests::node::binary;
use warren_tests::tools;
use warren_tests::wire::{Flags, Wire};

/// Whom the image's user stands for.
const USER: u32 = 10_001;

/// Mounts the folder on itself, closed but for one place for data, becomes somebody without rights
/// in there, and starts the program. Every step keeps the process id.
const SCRIPT: &str = r#"
set -e
root=$1; user=$2; shift 2
mount --bind "$root" "$root"
mount --bind "$root/var/lib/warren" "$root/var/lib/warren"
mount -o remount,bind,ro,nosuid,nodev "$root"
cd "$root"
exec setpriv --no-new-privs chroot --userspec="$user:$user" --groups= . /warren "$@"
"#;

#[test]
fn the_program_runs_without_rights_on_a_root_that_holds_nothing_else() {
    if tools::find(&["unshare", "mount", "setpriv", "chroot", "ldd"]).is_none() {
        return;
    }
    if !geteuid().is_root() {
        tools::without("not root");
        return;
    }
    let root = tempfile::tempdir().expect("there is room");
    furnish(root.path());

    let mut node = Caged::start(root.path());
    let amqp = node.ready();
    let mut client = Wire::open_channel(amqp).expect("it serves clients");
    client.declare(1, "caged", Flags::DURABLE, &[]).expect("it keeps what is durable");

    assert_eq!(node.status("Uid"), format!("{USER}\t{USER}\t{USER}\t{USER}"));
    assert_eq!(node.status("CapEff"), "0000000000000000");
    assert_eq!(node.status("NoNewPrivs"), "1");
    let written = files(root.path());
    let data = root.path().join("var/lib/warren");
    let strays: Vec<&PathBuf> = written.iter().filter(|path| !path.starts_with(&data)).collect();
    assert_eq!(strays.len(), furniture().len() + 1, "{strays:?}");
    assert!(written.len() > strays.len(), "data was written");
    assert!(node.stop().success());
}

/// The libraries that the program was linked with, its loader among them.
fn furniture() -> Vec<PathBuf> {
    let program = binary().expect("it was built");
    let output = Command::new("ldd").arg(program).output().expect("ldd can be started");
    let text = String::from_utf8(output.stdout).expect("it writes text");
    let paths = text.lines().filter_map(|line| {
        line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
    });
    paths.collect()
}

/// Puts the program and what it is linked with into a folder, and makes a place for data.
fn furnish(root: &Path) {
    let place = |from: &Path, to: &Path| {
        let to = root.join(to.strip_prefix("/").expect("it is absolute"));
        fs::create_dir_all(to.parent().expect("it is below the root")).expect("there is room");
        fs::copy(from, to).expect("there is room");
    };
    place(&binary().expect("it was built"), Path::new("/warren"));
    for library in furniture() {
        place(&library, &library);
    }
    let data = root.join("var/lib/warren");
    fs::create_dir_all(&data).expect("there is room");
    chown(&data, Some(USER), Some(USER)).expect("root may");
    // The folder of a test is closed to others, which the program's user is.
    let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(root, open).expect("root may");
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it can be listed").flatten();
    let below = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() { files(&path) } else { vec![path] }
    });
    below.collect()
}

/// The program behind its walls. Dropping it kills it.
#[derive(Debug)]
struct Caged {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Caged {
    fn start(root: &Path) -> Self {
        let mut process = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"])
            .arg(root)
            .arg(USER.to_string())
            .args(["server", "--data-dir", "/var/lib/warren", "--amqp", "127.0.0.1:0"])
            .args(["--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--peer", "127.0.0.1:0"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, output }
    }

    /// Where it serves AMQP, once it says so.
    fn ready(&mut self) -> SocketAddr {
        let mut line = String::new();
        while !line.starts_with("ready ") {
            line.clear();
            let bytes = self.output.read_line(&mut line).expect("it writes text");
            assert_ne!(bytes, 0, "it left before it was ready");
        }
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("amqp="));
        address.and_then(|address| address.parse().ok()).expect("it says where it serves")
    }

    /// A line of what the system knows of it.
    fn status(&self, field: &str) -> String {
        let path = format!("/proc/{}/status", self.process.id());
        let text = fs::read_to_string(path).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.expect("the system knows").trim().to_owned()
    }

    fn stop(&mut self) -> ExitStatus {
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("it has an id"), Signal::TERM).expect("it runs");
        self.process.wait().expect("it is a child")
    }
}

impl Drop for Caged {
    fn drop(&mut self) {
        drop((self.process.kill(), self.process.wait()));
    }
}
