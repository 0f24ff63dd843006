//! What can go wrong with a disk, sorted by what is known afterwards.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use warren_types::{GroupId, LogIndex};

use crate::EngineError;

/// Why something was not, or perhaps not, kept or read.
///
/// Apart from [`StorageError::Closed`] each of these fails the whole store for good.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// Writing or syncing failed: it may be on the disk or not, and no later sync can tell.
    #[error("write or sync failed, whether it reached the disk is unknown")]
    Write {
        /// The engine's words.
        #[source]
        source: Arc<EngineError>,
    },
    /// Reading failed.
    #[error("read failed")]
    Read {
        /// The engine's words.
        #[source]
        source: Arc<EngineError>,
    },
    /// What was read is not what was written.
    #[error("{what} is damaged: {how}")]
    Damaged {
        /// Which record.
        what: String,
        /// What does not fit.
        how: String,
    },
    /// A row that must be there is not.
    #[error("the log of group {group} lacks row {index}")]
    Hole {
        /// Whose log.
        group: GroupId,
        /// The missing row.
        index: LogIndex,
    },
    /// The store had failed before: nothing was done.
    #[error("storage failed before, nothing was done")]
    Failed {
        /// What it failed of.
        #[source]
        first: Arc<StorageError>,
    },
    /// The store is closed: nothing was done.
    #[error("storage is closed, nothing was done")]
    Closed,
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the directory.
    #[error("{} is used by another process{}", dir.display(), pid.map(|pid| format!(", {pid}")).unwrap_or_default())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The other process, if it left its number.
        pid: Option<u32>,
    },
    /// The directory cannot be made or used.
    #[error("cannot use the directory {}", dir.display())]
    Directory {
        /// The data directory.
        dir: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The engine does not open what is there.
    #[error("cannot open the database in {}", dir.display())]
    Engine {
        /// The data directory.
        dir: PathBuf,
        /// The engine's words.
        #[source]
        source: EngineError,
    },
    /// No thread could be started.
    #[error("cannot start the writer thread")]
    Thread(#[source] io::Error),
}
