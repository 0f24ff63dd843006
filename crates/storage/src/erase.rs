//! Makes a data directory empty again.

use std::fs;
use std::io;
use std::path::Path;

use crate::OpenError;
use crate::lock::{DirectoryLock, sync_directory};
use crate::store::DATABASE;
use crate::watermark;

/// What the database is called while it is being removed.
const ERASED: &str = "db.erased";

/// Removes a node's storage from `data_dir`, which nobody may be using. After a crash in the middle
/// there is either all of it or, once the directory was opened again, nothing.
///
/// # Errors
/// When the directory is in use, or the system refuses.
pub fn erase(data_dir: &Path) -> Result<(), OpenError> {
    let _lock = DirectoryLock::take(data_dir)?;
    let failed = |source| OpenError::Directory { dir: data_dir.to_path_buf(), source };
    finish(data_dir).map_err(failed)?;
    // First, as an empty database would be taken for one that has lost everything.
    match watermark::forget(&data_dir.join(DATABASE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    match fs::rename(data_dir.join(DATABASE), data_dir.join(ERASED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    sync_directory(data_dir).map_err(failed)?;
    finish(data_dir).map_err(failed)
}

/// Removes what an interrupted [`erase`] has left.
pub(crate) fn finish(data_dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(data_dir.join(ERASED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Config, Store};

    #[test]
    fn an_erased_directory_is_as_a_fresh_one_and_one_in_use_is_left_alone() {
        let dir = tempfile::tempdir().expect("there is room");
        let store = Store::open(Config::new(dir.path())).expect("it is ours");
        store.save_identity(Bytes::from_static(b"me")).expect("it is written");

        let in_use = erase(dir.path());
        let kept = store.identity().expect("it is readable");
        store.close();
        drop(store);
        erase(dir.path()).expect("nobody uses it");
        let again = Store::open(Config::new(dir.path())).expect("it is ours");

        assert!(matches!(in_use, Err(OpenError::Locked { .. })));
        assert_eq!(kept, Some(Bytes::from_static(b"me")));
        assert_eq!(again.identity().expect("it is readable"), None);
    }

    #[test]
    fn what_a_crash_left_of_an_erased_database_is_removed_when_the_directory_is_opened() {
        let dir = tempfile::tempdir().expect("there is room");
        fs::create_dir(dir.path().join(ERASED)).expect("it is empty");

        let _store = Store::open(Config::new(dir.path())).expect("it is ours");

        assert!(!dir.path().join(ERASED).exists());
    }
}
