//! libclang, looked for where RocksDB's build script will look for it.
//!
//! The script loads the newest libclang that it finds. The library brings a compiler without
//! the headers that belong to a compiler (`stddef.h` and its like); where those are not
//! installed, the ones of gcc do as well.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that the build script does not search by itself.
const FURTHER_FOLDERS: [&str; 2] = ["/opt/homebrew/opt/llvm/lib", "/usr/local/opt/llvm/lib"];

/// Folders of macOS that the build script searches.
const MACOS_FOLDERS: [&str; 2] = [
    "/Library/Developer/CommandLineTools/usr/lib",
    "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib",
];

/// A libclang on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Libclang {
    /// The library's file.
    file: PathBuf,
    /// Whether the build script must be told where it is.
    hidden: bool,
}

/// The libclang that the build will use.
pub(super) fn find() -> Option<Libclang> {
    if let Some(given) = env::var_os("LIBCLANG_PATH") {
        // Where the variable is set, the build script looks nowhere else.
        return newest(&given_folder(Path::new(&given)))
            .map(|file| Libclang { file, hidden: false });
    }
    let known = newest(&known_folders(Path::new("/")));
    let further = || newest(&FURTHER_FOLDERS.map(PathBuf::from));
    known
        .map(|file| Libclang { file, hidden: false })
        .or_else(|| further().map(|file| Libclang { file, hidden: true }))
}

impl Libclang {
    /// What the build script must be told; nothing on most machines.
    ///
    /// Nothing is set without need: the script runs again, and RocksDB is compiled again,
    /// whenever one of these variables changes.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut environment = Vec::new();
        if let (true, Some(folder)) = (self.hidden, self.file.parent()) {
            environment.push(("LIBCLANG_PATH", folder.into()));
        }
        if env::var_os("BINDGEN_EXTRA_CLANG_ARGS").is_none()
            && !self.has_headers(Path::new("/"))
            && let Some(folder) = headers_of_gcc()
        {
            let mut argument = OsString::from("-isystem");
            argument.push(folder);
            environment.push(("BINDGEN_EXTRA_CLANG_ARGS", argument));
        }
        environment
    }

    /// Whether the headers that belong to this library are there.
    fn has_headers(&self, root: &Path) -> bool {
        let file = fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone());
        let version = version(&file).first().copied();
        let mut folders = vec![root.join("usr/lib/clang")];
        if let Some(version) = version {
            folders.push(root.join(format!("usr/lib/llvm-{version}/lib/clang")));
        }
        if let Some(own) = file.parent() {
            folders.push(own.join("clang"));
            folders.push(own.join("../lib/clang"));
        }
        let fits = |folder: &PathBuf| match version {
            Some(version) => leading_number(&file_name(folder)) == Some(version),
            None => true,
        };
        folders
            .iter()
            .flat_map(|folder| children(folder))
            .any(|folder| fits(&folder) && folder.join("include/stddef.h").is_file())
    }
}

fn given_folder(given: &Path) -> Vec<PathBuf> {
    let folder = if given.is_file() { given.parent().unwrap_or(given) } else { given };
    vec![folder.to_path_buf()]
}

/// The folders in which the build script looks of its own accord.
fn known_folders(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = MACOS_FOLDERS.iter().map(PathBuf::from).collect();
    if let Some(prefix) = llvm_prefix() {
        folders.push(prefix.join("lib"));
        folders.push(prefix.join("lib64"));
    }
    if let Some(path) = env::var_os("LD_LIBRARY_PATH") {
        folders.extend(env::split_paths(&path));
    }
    // /usr/lib* and /usr/local/lib*, each two levels deep.
    for base in ["usr", "usr/local"] {
        let tops = children(&root.join(base)).into_iter();
        for top in tops.filter(|folder| file_name(folder).starts_with("lib")) {
            for middle in children(&top) {
                folders.extend(children(&middle));
                folders.push(middle);
            }
            folders.push(top);
        }
    }
    folders
}

fn llvm_prefix() -> Option<PathBuf> {
    let output = Command::new("llvm-config").arg("--prefix").output().ok()?;
    let prefix = String::from_utf8(output.stdout).ok()?;
    (!prefix.trim().is_empty()).then(|| PathBuf::from(prefix.trim()))
}

fn newest(folders: &[PathBuf]) -> Option<PathBuf> {
    folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(Result::ok))
        .map(|entry| entry.path())
        // A dangling link is no library.
        .filter(|file| is_library(&file_name(file)) && file.is_file())
        .max_by_key(|file| version(file))
}

/// libclang.so, libclang-14.so.1, libclang.so.17, libclang.dylib; not libclang-cpp.so.14.
fn is_library(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else { return false };
    let shared = rest.contains(".so") || rest.ends_with(".dylib");
    shared && rest.starts_with(['.', '-']) && !rest.starts_with("-cpp")
}

/// The numbers of a library's name: 14, 14, 0, 6 for `libclang-14.so.14.0.6`.
fn version(file: &Path) -> Vec<u32> {
    file_name(file)
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn leading_number(name: &str) -> Option<u32> {
    name.split('.').next()?.parse().ok()
}

fn headers_of_gcc() -> Option<PathBuf> {
    let output = Command::new("gcc").arg("-print-file-name=include").output().ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    folder.join("stddef.h").is_file().then_some(folder)
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
