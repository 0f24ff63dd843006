//! The Debian package holds what a machine with systemd needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use warren_tests::node::binary;
use warren_tests::tools;

use crate::objects::deploy;

#[test]
fn the_package_holds_programs_names_unit_and_a_configuration_that_is_accepted() {
    let Some(package) = Package::made() else { return };

    for file in ["usr/bin/warren", "usr/bin/warrenctl"] {
        assert!(package.path(file).is_file(), "{file}");
    }
    for name in ["ctl", "-diagnostics", "-plugins", "-queues", "-server", "-upgrade"] {
        let link = fs::read_link(package.path(&format!("usr/bin/rabbitmq{name}")));
        assert_eq!(link.expect("it is a link"), Path::new("warrenctl"), "{name}");
    }
    let configuration = package.path("etc/warren/warren.toml");
    let text = fs::read_to_string(&configuration).expect("it is text");
    let set: Vec<&str> =
        text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).collect();
    assert_eq!(set, Vec::<&str>::new(), "defaults are shown, not set");
    answer(Command::new(package.path("usr/bin/warren")).arg("check-config").arg(configuration));
}

#[test]
fn the_package_knows_its_libraries_and_keeps_what_was_configured() {
    let Some(package) = Package::made() else { return };

    let about = answer(Command::new("dpkg-deb").arg("--info").arg(package.file()));
    let control = answer(Command::new("dpkg-deb").arg("--ctrl-tarfile").arg(package.file()));

    assert!(about.contains("Depends: libc6 (>= "), "{about}");
    assert!(about.contains(" Version: 0."), "{about}");
    for file in ["conffiles", "postinst", "prerm", "postrm"] {
        assert!(control.contains(file), "{file}");
    }
    assert!(control.contains("/etc/warren/warren.toml"));
}

#[test]
fn systemd_finds_no_fault_in_the_unit() {
    let Some(package) = Package::made() else { return };
    if tools::find(&["systemd-analyze"]).is_none() {
        return;
    }
    let unit = package.path("usr/lib/systemd/system/warren.service");
    let text = fs::read_to_string(unit).expect("it is text");
    assert!(text.contains("ExecStart=/usr/bin/warren server"), "{text}");
    // The programs are elsewhere as long as nothing is installed.
    let programs = package.path("usr/bin");
    let text = text.replace("/usr/bin/", &format!("{}/", programs.display()));
    let unit = package.path("warren.service");
    fs::write(&unit, text).expect("there is room");

    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(unit)
        .output()
        .expect("it can be started");

    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_packages_scripts_are_scripts() {
    for script in ["package.sh", "debian/postinst", "debian/prerm", "debian/postrm"] {
        answer(Command::new("sh").arg("-n").arg(deploy().join("systemd").join(script)));
    }
}

/// A package that was made and unpacked.
#[derive(Debug)]
struct Package(TempDir);

impl Package {
    fn made() -> Option<Self> {
        tools::find(&["dpkg-deb", "dpkg-shlibdeps", "strip"])?;
        let folder = tempfile::tempdir().expect("there is room");
        let programs = binary().expect("it was built");
        let package = Self(folder);
        answer(
            Command::new(deploy().join("systemd/package.sh"))
                .arg(programs.parent().expect("it is in a directory"))
                .arg(package.file()),
        );
        answer(Command::new("dpkg-deb").arg("-x").arg(package.file()).arg(package.path("")));
        Some(package)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("warren.deb")
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join("tree").join(inside)
    }
}

/// What a program prints; it must succeed.
fn answer(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
