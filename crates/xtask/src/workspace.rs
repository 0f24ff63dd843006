//! Where things lie: the clone, the build directory, a built program.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The clone's top directory.
///
/// Asked at run time: a build directory may serve several clones, so a path fixed when this
/// program was compiled could name another clone.
pub(crate) fn root() -> Result<PathBuf, String> {
    let start = match env::var_os("CARGO_MANIFEST_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => env::current_dir().map_err(|error| format!("no current directory: {error}"))?,
    };
    start
        .ancestors()
        .find(|folder| is_workspace(folder))
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} is not inside the repository", start.display()))
}

fn is_workspace(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|manifest| manifest.lines().any(|line| line.trim() == "[workspace]"))
}

/// The folder that cargo puts programs into; this program lies there itself.
pub(crate) fn programs() -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|error| format!("no path to xtask: {error}"))?;
    program
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} lies in no folder", program.display()))
}

/// A built program.
pub(crate) fn program(name: &str) -> Result<PathBuf, String> {
    let path = programs()?.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    if path.is_file() { Ok(path) } else { Err(format!("the build made no {}", path.display())) }
}

/// The first of the folders on PATH that has an executable `name`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
