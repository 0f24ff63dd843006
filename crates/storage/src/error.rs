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
    /// What is there is not all that was kept, or not what was kept.
    #[error(
        "{how}\nThe data in {dir} are damaged and must not be used: this node would forget what it has \
         promised.\nIf the other nodes of the cluster run, they have it all: move {dir} away, start \
         the node with an empty directory, which joins as a new one, and have the old one forgotten \
         with `warrenctl forget_cluster_node`.\nIf there are no others, or too many of them are \
         damaged, restore a backup, or go on with what is left by removing {note}",
        dir = dir.display(), note = note.display()
    )]
    Damaged {
        /// The data directory.
        dir: PathBuf,
        /// What was found.
        how: String,
        /// The file that keeps the directory closed.
        note: PathBuf,
    },
    /// No thread could be started.
    #[error("cannot start the writer thread")]
    Thread(#[source] io::Error),
}

impl OpenError {
    /// Whether there is no room on the disk, which may change.
    #[must_use]
    pub fn is_lack_of_room(&self) -> bool {
        match self {
            Self::Directory { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Engine { source, .. } => source.is_lack_of_room(),
            Self::Locked { .. } | Self::Damaged { .. } | Self::Thread(_) => false,
        }
    }
}
