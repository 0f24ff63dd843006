//! A data directory that is known to be damaged is not used again.
//!
//! What is damaged may be read rarely, and a node that starts over and over to fall over the same
//! message each time serves nobody. So the first finding is written down in the directory, where
//! an operator sees it, and keeps the directory closed until somebody has decided.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::lock::sync_directory;
use crate::{EngineError, OpenError, StorageError};

/// The file that says what is damaged.
const FILE: &str = "damaged";

/// Refuses a directory in which something was found to be damaged.
pub(crate) fn check(dir: &Path) -> Result<(), OpenError> {
    let path = file_in(dir);
    match fs::read_to_string(&path) {
        Ok(how) => Err(refusal(dir, how.trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(OpenError::Directory { dir: dir.to_path_buf(), source }),
    }
}

/// Writes down what is damaged in `dir`. On the disk on return.
pub(crate) fn note(dir: &Path, how: &str) -> io::Result<()> {
    let mut file = File::create(file_in(dir))?;
    writeln!(file, "{how}")?;
    file.sync_all()?;
    sync_directory(dir)
}

/// What whoever wants to use `dir` is told.
pub(crate) fn refusal(dir: &Path, how: &str) -> OpenError {
    OpenError::Damaged { dir: dir.to_path_buf(), how: how.to_owned(), note: file_in(dir) }
}

fn file_in(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

impl StorageError {
    /// Whether something that was kept is gone or is not what it was. A disk that refuses to
    /// work is another matter: what is on it may be sound.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Hole { .. } => true,
            Self::Write { source } | Self::Read { source } => source.is_damage(),
            Self::Failed { first } => first.is_damage(),
            Self::Closed => false,
        }
    }
}

impl EngineError {
    /// See [`StorageError::is_damage`].
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Rocks(error) => error.kind() == rocksdb::ErrorKind::Corruption,
            Self::UnknownKey
            | Self::Lost { .. }
            | Self::Shortened { .. }
            | Self::Mark
            | Self::SegmentEnds { .. }
            | Self::SegmentMissing { .. }
            | Self::SegmentTwice { .. }
            | Self::Checkpoint(_)
            | Self::UnknownEngine => true,
            Self::Family { .. }
            | Self::Segment(_)
            | Self::Watermark(_)
            | Self::Planted(_)
            | Self::WriterPanicked
            | Self::Crashed => false,
        }
    }

    /// Whether there is no room on the disk.
    pub(crate) fn is_lack_of_room(&self) -> bool {
        match self {
            // RocksDB tells the reason in words alone.
            Self::Rocks(error) => error.as_ref().contains("No space left on device"),
            Self::Watermark(error) | Self::Segment(error) => {
                error.kind() == io::ErrorKind::StorageFull
            }
            Self::UnknownKey
            | Self::Lost { .. }
            | Self::Shortened { .. }
            | Self::Mark
            | Self::SegmentEnds { .. }
            | Self::SegmentMissing { .. }
            | Self::SegmentTwice { .. }
            | Self::Checkpoint(_)
            | Self::UnknownEngine
            | Self::Family { .. }
            | Self::Planted(_)
            | Self::WriterPanicked
            | Self::Crashed => false,
        }
    }
}
