//! What the image gives the program: a root that holds nothing but the program and what Kubernetes
//! mounts there, that cannot be written to, and that it has no rights in. Mounted are the name server's
//! address and two Secrets with certificates, as `deploy/kubernetes/components/tls` has them.
//!
//! No container engine is needed: a mount namespace, `chroot` and another user id do the same. The
//! programs are those that `cargo xtask image` builds.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use warren_chaos::rig::switch::Switch;
use warren_chaos::tools as rig;
use warren_tests::node::binary;
use warren_tests::tools;

/// Whom the image's user stands for.
const USER: u32 = 10_001;

/// Where programs look for the name server.
const RESOLVER: &str = "etc/resolv.conf";

/// Where Secrets with certificates are mounted, and the section of the configuration that each is for.
const SECRETS: [(&str, &str); 2] =
    [("etc/warren-tls", "SSL_OPTIONS"), ("etc/warren-peers-tls", "PEERS")];

/// What is in such a Secret, the key of the configuration that it is for, and what `warrenctl
/// generate_certs` calls it.
const FILES: [(&str, &str, &str); 3] = [
    ("tls.crt", "CERTFILE", "node.pem"),
    ("tls.key", "KEYFILE", "node-key.pem"),
    ("ca.crt", "CACERTFILE", "ca.pem"),
];

/// What is done with them below takes these.
const NEEDED: [&str; 5] = ["unshare", "mount", "setpriv", "chroot", "nsenter"];

/// Mounts the folder on itself, closed but for one place for data, becomes somebody without rights
/// in there, and starts the program. Every step keeps the process id.
const SCRIPT: &str = r#"
set -e
PATH=$PATH:/usr/sbin:/sbin
root=$1; data=$2; user=$3; shift 3
mount --bind "$root" "$root"
mount --bind "$data" "$root$data"
mount -o remount,bind,noexec,nosuid,nodev "$root$data"
mount -o remount,bind,ro,nosuid,nodev "$root"
cd "$root"
exec setpriv --no-new-privs --inh-caps=-all --ambient-caps=-all \
    chroot --userspec="$user:$user" --groups= . /warren "$@"
"#;

/// The programs of the image; none, said on stderr, where they were not built or cannot be caged.
pub(crate) fn programs() -> Option<[PathBuf; 2]> {
    tools::find(&NEEDED)?;
    let folder = binary().expect("it was built").with_file_name("image");
    let programs = ["warren", "warrenctl"].map(|name| folder.join(name));
    if programs.iter().all(|program| program.is_file()) {
        return Some(programs);
    }
    tools::without("the programs of the image were not built: cargo xtask image");
    None
}

/// A root for programs.
#[derive(Debug)]
pub(crate) struct Cage {
    root: PathBuf,
}

impl Cage {
    /// A root in an empty folder, with these programs, with certificates for hosts of these names,
    /// and with the name server that this world's programs ask.
    pub(crate) fn furnish(root: PathBuf, programs: &[PathBuf; 2], hosts: &str) -> Self {
        fs::create_dir_all(root.join("etc")).expect("there is room");
        for program in programs {
            let name = program.file_name().expect("a program has a name");
            fs::copy(program, root.join(name)).expect("there is room");
        }
        fs::copy(Path::new("/").join(RESOLVER), root.join(RESOLVER)).expect("there is room");
        let [_, warrenctl] = programs;
        let made = root.with_extension("certificates");
        let mut generate = Command::new(warrenctl);
        generate.arg("generate_certs").arg(&made).args(["--hosts", hosts]);
        rig::finish(generate, "warrenctl generate_certs").expect("it can make certificates");
        for (folder, _) in SECRETS {
            fs::create_dir(root.join(folder)).expect("there is room");
            for (name, _, file) in FILES {
                let place = root.join(folder).join(name);
                fs::copy(made.join(file), &place).expect("there is room");
                // As with defaultMode: 0440 and fsGroup.
                fs::set_permissions(&place, Permissions::from_mode(0o440)).expect("root may");
                chown(&place, None, Some(USER)).expect("root may");
            }
        }
        Self { root }
    }

    /// The program on a host, with data there; the process becomes the program.
    pub(crate) fn command(&self, switch: &Switch, host: usize, data: &Path) -> Command {
        fs::create_dir_all(data).expect("there is room");
        fs::create_dir_all(self.inside(data)).expect("there is room");
        chown(data, Some(USER), Some(USER)).expect("root may");
        let user = USER.to_string();
        let paths = [&self.root, data].map(|path| path.to_str().expect("paths are text"));
        let words = ["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"];
        let words = [&words[..], &paths, &[&user]].concat();
        let mut command = switch.command(host, "unshare", &words).expect("there is nsenter");
        for (folder, section) in SECRETS {
            for (name, key, _) in FILES {
                command.env(format!("WARREN_{section}_{key}"), format!("/{folder}/{name}"));
            }
        }
        command
    }

    /// Files that anybody wrote, beside those that were put here.
    pub(crate) fn strays(&self) -> Vec<PathBuf> {
        let ours = ["warren", "warrenctl", RESOLVER].map(|name| self.root.join(name));
        let secrets = SECRETS.map(|(folder, _)| self.root.join(folder));
        let mut found = files(&self.root);
        found.retain(|path| !ours.contains(path));
        found.retain(|path| !secrets.iter().any(|folder| path.starts_with(folder)));
        found
    }

    fn inside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").expect("it is absolute"))
    }
}

/// What another program says that is started beside a caged one, as `kubectl exec` does.
pub(crate) fn exec(pid: u32, words: &[&str]) -> String {
    let mut command = Command::new(rig::find("nsenter").expect("it was looked for"));
    command
        .args(["--target", &pid.to_string(), "--net", "--mount", "--root", "--wd"])
        .args(["--setuid", &USER.to_string(), "--setgid", &USER.to_string()])
        .args(words)
        .env_clear();
    rig::finish(command, &words.join(" ")).expect("it succeeds")
}

/// Checks that a program has no rights, and that it is alone.
#[track_caller]
pub(crate) fn expect_caged(pid: u32, data: &Path) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("the system knows").trim()
    };
    for ids in ["Uid", "Gid"] {
        assert_eq!(field(ids), [USER.to_string().as_str(); 4].join("\t"), "{ids}");
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("Groups"), "");
    assert_eq!(field("NoNewPrivs"), "1");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    let mapped = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let libraries: Vec<&str> = mapped.filter(|path| path.contains(".so")).collect();
    assert_eq!(libraries, Vec::<&str>::new(), "it was linked with libraries");
    assert!(fs::metadata(data).expect("there is data").uid() == USER && !files(data).is_empty());
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
