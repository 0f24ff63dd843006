//! One process per data directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::OpenError;

/// The file that is locked; it holds the number of the process that has it.
const LOCK_FILE: &str = "warren.lock";

/// A data directory that belongs to this process until it is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes `dir` if it is not there, and takes it.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let directory = |source| OpenError::Directory { dir: dir.to_path_buf(), source };
        make_directory(dir).map_err(directory)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(LOCK_FILE))
            .map_err(directory)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked { dir: dir.to_path_buf(), pid: owner(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(directory(source)),
        }
        sign(&mut file).map_err(directory)?;
        sync_directory(dir).map_err(directory)?;
        Ok(Self { _file: file })
    }
}

/// Makes `dir` and what lies above it, each entry synced in the directory that holds it.
pub(crate) fn make_directory(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_directory(parent)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        Err(error) => return Err(error),
    }
    sync_directory(parent.unwrap_or(Path::new(".")))
}

/// Makes sure that the names in `dir` survive a crash.
pub(crate) fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_directory_names_its_owner_and_is_free_again_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("deep").join("down");
        let first = DirectoryLock::take(&data).unwrap();

        let second = DirectoryLock::take(&data).unwrap_err();
        drop(first);
        let third = DirectoryLock::take(&data);

        let owner = std::process::id();
        assert!(matches!(second, OpenError::Locked { pid: Some(pid), .. } if pid == owner));
        assert_eq!(
            second.to_string(),
            format!("{} is used by another process, {owner}", data.display()),
        );
        assert!(third.is_ok());
    }
}
