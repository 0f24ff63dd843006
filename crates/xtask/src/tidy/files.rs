//! The files that are checked, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Folders that hold crates.
const FOLDERS: [&str; 2] = ["crates", "tests"];

/// Path from the clone's top, with forward slashes, and content.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<String, String>);

impl Files {
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let mut files = Self::default();
        for folder in FOLDERS {
            files.read_folder(root, &root.join(folder))?;
        }
        Ok(files)
    }

    fn read_folder(&mut self, root: &Path, folder: &Path) -> Result<(), String> {
        let fail = |error| format!("cannot read {}: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "target" || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                self.read_folder(root, &path)?;
            } else if name == "Cargo.toml" || name.ends_with(".rs") {
                let content = fs::read_to_string(&path)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                let short = path.strip_prefix(root).unwrap_or(&path);
                let parts: Vec<_> = short.iter().map(|part| part.to_string_lossy()).collect();
                self.0.insert(parts.join("/"), content);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let owned = |(path, content): &(&str, &str)| ((*path).to_owned(), (*content).to_owned());
        Self(files.iter().map(owned).collect())
    }

    pub(super) fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending_with("Cargo.toml")
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending_with(".rs")
    }

    fn ending_with(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter().map(|(path, content)| (path.as_str(), content.as_str()));
        pairs.filter(move |(path, _)| path.ends_with(end))
    }
}

/// The crate that a file belongs to, named by its folder.
pub(super) fn crate_of(path: &str) -> &str {
    let mut parts = path.split('/');
    match (parts.next(), parts.next()) {
        (Some("crates"), Some(folder)) => folder,
        (Some(folder), _) => folder,
        (None, _) => "",
    }
}
