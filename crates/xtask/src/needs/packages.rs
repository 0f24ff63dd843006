//! The system's package manager.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::cargo::finish;
use crate::{Outcome, workspace};

/// The oldest libclang that RocksDB's bindings are known to be made with.
const OLDEST_LIBCLANG: u32 = 14;

/// Set to `no`, nothing is installed; what is missing is only named.
const SWITCH: &str = "XTASK_INSTALL";

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Compiles RocksDB.
    Compiler,
    /// Reads RocksDB's header.
    Libclang,
    /// Runs the tests with a Python client.
    Python,
    /// Gives nodes networks and disks of their own, to be broken.
    Rig,
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Self::Compiler => "a C++ compiler",
            Self::Libclang => "libclang",
            Self::Python => "python3 with venv and pip",
            Self::Rig => "ip, nft, mkfs.ext4, losetup and unshare",
        }
    }
}

/// A package manager: its program, and how it is asked for packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
    Zypper,
    Apk,
    Pacman,
    Brew,
}

const MANAGERS: [Manager; 6] =
    [Manager::Apt, Manager::Dnf, Manager::Zypper, Manager::Apk, Manager::Pacman, Manager::Brew];

impl Manager {
    fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
            Self::Apk => "apk",
            Self::Pacman => "pacman",
            Self::Brew => "brew",
        }
    }

    /// The words that come before the packages.
    fn words(self) -> &'static [&'static str] {
        match self {
            // Another apt may be at work on a machine that has just started.
            Self::Apt => {
                &["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
            }
            Self::Dnf => &["install", "-y"],
            Self::Zypper => &["--non-interactive", "install"],
            Self::Apk => &["add", "--no-cache"],
            Self::Pacman => &["-Sy", "--needed", "--noconfirm"],
            Self::Brew => &["install"],
        }
    }

    fn packages(self, need: Need) -> Vec<String> {
        let names: &[&str] = match (self, need) {
            (Self::Apt, Need::Libclang) => return libclang_of_debian(&available_libclang()),
            (Self::Apt, Need::Compiler) => &["g++"],
            (Self::Apt, Need::Python) => &["python3", "python3-venv", "python3-pip"],
            (Self::Apt, Need::Rig) => {
                &["iproute2", "nftables", "e2fsprogs", "mount", "util-linux", "faketime"]
            }
            (Self::Dnf | Self::Zypper | Self::Apk | Self::Pacman, Need::Rig) => {
                &["iproute2", "nftables", "e2fsprogs", "util-linux"]
            }
            (Self::Dnf | Self::Zypper, Need::Compiler) => &["gcc-c++"],
            (Self::Dnf | Self::Zypper, Need::Libclang) => &["clang-devel"],
            (Self::Dnf | Self::Zypper, Need::Python) => &["python3", "python3-pip"],
            (Self::Apk, Need::Compiler) => &["g++"],
            (Self::Apk, Need::Libclang) => &["clang-dev"],
            (Self::Apk, Need::Python) => &["python3", "py3-pip"],
            (Self::Pacman, Need::Compiler) => &["gcc"],
            (Self::Pacman, Need::Libclang) => &["clang"],
            (Self::Pacman, Need::Python) => &["python", "python-pip"],
            (Self::Brew, Need::Compiler | Need::Libclang) => &["llvm"],
            (Self::Brew, Need::Python) => &["python3"],
            // There is nothing like namespaces where Homebrew is at home.
            (Self::Brew, Need::Rig) => &[],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// The whole command, as a person would type it.
    fn line(self, packages: &[String]) -> String {
        match self {
            Self::Apt => format!("sudo apt-get install {}", packages.join(" ")),
            Self::Brew => format!("brew install {}", packages.join(" ")),
            Self::Dnf | Self::Zypper | Self::Apk | Self::Pacman => {
                let words = self.words().join(" ");
                format!("sudo {} {words} {}", self.program(), packages.join(" "))
            }
        }
    }
}

/// How a package manager may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Plain,
    Sudo,
    None,
}

/// Installs what is missing, or says in one line what to install.
pub(super) fn install(missing: &[Need]) -> Outcome {
    let found =
        MANAGERS.into_iter().find(|manager| workspace::on_path(manager.program()).is_some());
    let Some(manager) = found else {
        return Err(format!("please install {}", list(missing)));
    };
    let right = right(manager);
    if right == Right::None {
        let packages = packages(manager, missing);
        return Err(format!("please install {}: {}", list(missing), manager.line(&packages)));
    }
    eprintln!("xtask: installing {}", list(missing));
    if manager == Manager::Apt {
        // A fresh machine has no lists; an old one may still be served without fresh ones.
        let updated = start(manager, right, &["update".to_owned()]);
        if let Err(sentence) = updated {
            eprintln!("xtask: {sentence}; trying with the lists as they are");
        }
    }
    let packages = packages(manager, missing);
    let words: Vec<String> =
        manager.words().iter().map(|word| (*word).to_owned()).chain(packages.clone()).collect();
    start(manager, right, &words).map_err(|sentence| {
        format!("{sentence}; please install {}: {}", list(missing), manager.line(&packages))
    })
}

/// The things, as a sentence names them.
pub(super) fn list(needs: &[Need]) -> String {
    needs.iter().map(|need| need.name()).collect::<Vec<_>>().join(" and ")
}

fn packages(manager: Manager, missing: &[Need]) -> Vec<String> {
    let mut packages: Vec<String> =
        missing.iter().flat_map(|need| manager.packages(*need)).collect();
    packages.sort();
    packages.dedup();
    packages
}

fn start(manager: Manager, right: Right, words: &[String]) -> Outcome {
    let mut command = match right {
        Right::Sudo => {
            let mut command = Command::new("sudo");
            command.args(["-n", "env", "DEBIAN_FRONTEND=noninteractive", manager.program()]);
            command
        }
        Right::Plain | Right::None => Command::new(manager.program()),
    };
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr()));
    let verb = words.first().map_or("", String::as_str);
    finish(&mut command, &format!("{} {verb}", manager.program()))
}

fn right(manager: Manager) -> Right {
    if std::env::var_os(SWITCH).as_deref() == Some(OsStr::new("no")) {
        return Right::None;
    }
    let root = answer("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    let sudo = || answer("sudo", &["-n", "true"]).is_some();
    match manager {
        // Homebrew works for its owner and refuses root.
        Manager::Brew if root => Right::None,
        Manager::Brew => Right::Plain,
        _ if root => Right::Plain,
        _ if sudo() => Right::Sudo,
        _ => Right::None,
    }
}

fn available_libclang() -> String {
    answer("apt-cache", &["search", "--names-only", "^libclang1-[0-9]+$"]).unwrap_or_default()
}

/// The library and its headers, of the lowest version that will do: `libclang-dev` would bring
/// the whole of LLVM.
fn libclang_of_debian(search: &str) -> Vec<String> {
    let version = search
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("libclang1-"))
        .filter_map(|version| version.parse::<u32>().ok())
        .filter(|version| *version >= OLDEST_LIBCLANG)
        .min()
        .unwrap_or(OLDEST_LIBCLANG);
    vec![format!("libclang1-{version}"), format!("libclang-common-{version}-dev")]
}

/// What a program prints, if it can be started and succeeds.
fn answer(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).stderr(Stdio::null()).output().ok()?;
    if output.status.success() { String::from_utf8(output.stdout).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_asked_for_the_lowest_libclang_that_will_do() {
        let search = "libclang1-13 - C interface\nlibclang1-16 - C interface\nlibclang1-15 - C";

        let packages = libclang_of_debian(search);

        assert_eq!(packages, ["libclang1-15", "libclang-common-15-dev"]);
    }

    #[test]
    fn debian_without_lists_is_asked_for_the_oldest_known_libclang() {
        assert_eq!(libclang_of_debian(""), ["libclang1-14", "libclang-common-14-dev"]);
    }

    #[test]
    fn the_line_for_a_person_can_be_typed_as_it_stands() {
        let missing = [Need::Compiler, Need::Libclang];

        let line = Manager::Dnf.line(&packages(Manager::Dnf, &missing));

        assert_eq!(list(&missing), "a C++ compiler and libclang");
        assert_eq!(line, "sudo dnf install -y clang-devel gcc-c++");
    }

    #[test]
    fn one_package_that_meets_two_needs_is_named_once() {
        let packages = packages(Manager::Brew, &[Need::Compiler, Need::Libclang]);

        assert_eq!(packages, ["llvm"]);
    }
}
