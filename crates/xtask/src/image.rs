//! `cargo xtask image`: the programs of the container image, which need nothing but a kernel.
//!
//! They are made of the very libraries that the ordinary programs are made of, and differ in how they
//! are linked: what is compiled anew is `warren-server` and the programs themselves, which have a
//! feature `static` for that. Cargo has no flags for single programs, so this program stands in front
//! of the compiler meanwhile (`RUSTC_WRAPPER`) and adds them.
//!
//! glibc and no other C library: RocksDB is C++, for which distributions have no musl. glibc looks
//! names up without further files as long as there is no `/etc/nsswitch.conf` that asks for more.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cargo::{self, Cargo};
use crate::{Outcome, workspace};

/// The programs of the image.
const PROGRAMS: [&str; 2] = ["warren", "warrenctl"];

/// The features by which they are told from the ordinary ones.
const FEATURES: &str = "warren-server/static,warren-cli/static";

/// Where they are put, below the folder of the ordinary ones.
const FOLDER: &str = "image";

/// Set for the compiler's sake: the folder with the libraries of C++ that are linked.
const LIBRARIES: &str = "WARREN_IMAGE_LIBRARIES";

/// The program that answers the calls of `dlsym` in it (`server/src/symbols.rs`), and what the linker
/// is told for that.
const BROKER: &str = "warren";
const WRAP: &str = "link-arg=-Wl,--wrap=dlsym";

/// What RocksDB is linked with under the name of a shared library.
const CPP_LIBRARY: &str = "libstdc++.a";

/// Builds them; says where they are.
pub(crate) fn image(options: &[String]) -> Outcome {
    if let Some(option) = options.first() {
        return Err(format!("image has no options, found '{option}'"));
    }
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return Err("programs for the image are built on Linux, with glibc".to_owned());
    }
    let cargo = Cargo::ready()?;
    let programs = workspace::programs()?;
    let folder = programs.join(FOLDER);
    let libraries = folder.join("libraries");
    fs::create_dir_all(&libraries).map_err(|error| failed(&libraries, &error))?;
    link_library(&libraries)?;
    let ordinary = SetAside::those_of(&programs, &folder)?;
    build(&cargo, &libraries)?;
    for name in PROGRAMS {
        move_over(&programs.join(name), &folder.join(name))?;
    }
    drop(ordinary);
    println!("{}", folder.display());
    Ok(())
}

/// Selects what [`Cargo::build_programs`] selects, so that all libraries are shared.
fn build(cargo: &Cargo, libraries: &Path) -> Outcome {
    let front = env::current_exe().map_err(|error| format!("no path to xtask: {error}"))?;
    let words =
        ["build", "--locked", "--workspace", "--bins", "--examples", "--features", FEATURES];
    let mut command = cargo.command(&words);
    command.env("RUSTC_WRAPPER", front).env(LIBRARIES, libraries);
    command.stdout(std::process::Stdio::from(std::io::stderr()));
    cargo::finish(&mut command, "cargo build")
}

/// Puts the static library of C++ where no shared one is found before it.
fn link_library(libraries: &Path) -> Outcome {
    let compiler = env::var("CXX").ok();
    let compiler = compiler.as_deref().and_then(|cxx| cxx.split_whitespace().last());
    let output = Command::new(compiler.unwrap_or("c++"))
        .arg(format!("-print-file-name={CPP_LIBRARY}"))
        .output()
        .map_err(|error| format!("cannot start c++: {error}"))?;
    let found = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !found.is_absolute() {
        return Err(format!("the C++ compiler has no {CPP_LIBRARY}"));
    }
    let link = libraries.join(CPP_LIBRARY);
    drop(fs::remove_file(&link));
    symlink(&found, &link).map_err(|error| failed(&link, &error))
}

#[cfg(unix)]
fn symlink(to: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(to, link)
}

#[cfg(not(unix))]
fn symlink(to: &Path, link: &Path) -> std::io::Result<()> {
    fs::copy(to, link).map(drop)
}

/// The ordinary programs, out of the way while cargo puts others in their place. They are back when
/// this is dropped.
struct SetAside(Vec<(PathBuf, PathBuf)>);

impl SetAside {
    fn those_of(programs: &Path, folder: &Path) -> Result<Self, String> {
        let mut moved = Self(Vec::new());
        for name in PROGRAMS {
            let (place, aside) = (programs.join(name), folder.join(format!("{name}.ordinary")));
            if place.exists() {
                move_over(&place, &aside)?;
                moved.0.push((place, aside));
            }
        }
        Ok(moved)
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        for (place, aside) in &self.0 {
            // Without them, the next build links them anew.
            drop(fs::rename(aside, place));
        }
    }
}

fn move_over(from: &Path, to: &Path) -> Outcome {
    fs::rename(from, to).map_err(|error| failed(to, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Compiles, if it is cargo that started this program in place of the compiler.
pub(crate) fn as_compiler() -> Option<ExitCode> {
    let libraries = env::var_os(LIBRARIES)?;
    let mut words = env::args().skip(1);
    let compiler = words.next()?;
    let words: Vec<String> = words.collect();
    let mut command = Command::new(compiler);
    command.args(&words);
    if is_for_image(&words) {
        let mut folder = std::ffi::OsString::from("native=");
        folder.push(libraries);
        command.args(["-C", "target-feature=+crt-static", "-L"]).arg(folder);
        if has(&words, "--crate-name", BROKER) {
            command.args(["-C", WRAP]);
        }
    }
    Some(cargo::exit_code(&mut command))
}

/// Whether these words make a program of the image.
fn is_for_image(words: &[String]) -> bool {
    has(words, "--crate-type", "bin") && has(words, "--cfg", "feature=\"static\"")
}

fn has(words: &[String], option: &str, value: &str) -> bool {
    words.windows(2).any(|pair| matches!(pair, [a, b] if a == option && b == value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn programs_with_the_feature_are_linked_for_the_image_and_nothing_else_is() {
        let program = "--crate-name warren main.rs --crate-type bin --cfg feature=\"static\"";
        let library = "--crate-name warren_server --crate-type lib --cfg feature=\"static\"";
        let other = "--crate-name warren_load main.rs --crate-type bin";

        assert!(is_for_image(&words(program)));
        assert!(!is_for_image(&words(library)));
        assert!(!is_for_image(&words(other)));
    }

    #[test]
    fn ordinary_programs_are_back_afterwards() {
        let programs = env::temp_dir().join(format!("xtask-image-{}", std::process::id()));
        let folder = programs.join(FOLDER);
        fs::create_dir_all(&folder).expect("there is room");
        fs::write(programs.join("warren"), "ordinary").expect("there is room");

        let ordinary = SetAside::those_of(&programs, &folder).expect("they can be moved");
        assert!(!programs.join("warren").exists());
        fs::write(programs.join("warren"), "for the image").expect("there is room");
        move_over(&programs.join("warren"), &folder.join("warren")).expect("it can be moved");
        drop(ordinary);

        let text = |path: PathBuf| fs::read_to_string(path).expect("it is there");
        assert_eq!(text(programs.join("warren")), "ordinary");
        assert_eq!(text(folder.join("warren")), "for the image");
        fs::remove_dir_all(programs).expect("it is ours");
    }
}
