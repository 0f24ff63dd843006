//! Lines that hang together, and whether they do.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What stands in front of a line's hash.
const HASH_KEY: &str = ",\"hash\":\"";

/// What stands behind it.
const LINE_END: &str = "\"}";

/// The hash before the first line of all.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Begins the names of files.
const PREFIX: &str = "audit-";

/// Ends the names of files.
const SUFFIX: &str = ".jsonl";

/// Why a record cannot be kept, or is broken.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The files cannot be read or written.
    #[error("the record of who did what in {path} cannot be used")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The files are not what was written.
    #[error("the record is broken in line {line} of {path}: {reason}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl AuditError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), source }
    }
}

/// The end of an unbroken chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of its first line.
    pub first: u64,
    /// Lines that there are.
    pub lines: u64,
    /// The hash of the last one.
    pub hash: String,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, lines, hash } = self;
        write!(f, "unbroken: {lines} lines from number {first} on, the last one with hash {hash}")
    }
}

/// The file whose first line has that number.
pub(super) fn file_name(first: u64) -> String {
    format!("{PREFIX}{first:020}{SUFFIX}")
}

/// The files of a record, oldest first.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(AuditError::io(dir))? {
        let path = entry.map_err(AuditError::io(dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A line from what it says, without its last brace; and its hash.
pub(super) fn sealed(said: &str) -> (String, String) {
    let hash = hash(said);
    (format!("{said}{HASH_KEY}{hash}{LINE_END}\n"), hash)
}

fn hash(said: &str) -> String {
    Sha256::digest(said.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number of a line, the hash before it and its own.
pub(super) fn opened(line: &str) -> Result<(u64, String, String), &'static str> {
    let (said, rest) = line.rsplit_once(HASH_KEY).ok_or("it has no hash")?;
    let given = rest.strip_suffix(LINE_END).ok_or("it does not end with its hash")?;
    if hash(said) != given {
        return Err("it is not what was written");
    }
    let said: Value =
        serde_json::from_str(&format!("{said}}}")).map_err(|_| "it is no JSON object")?;
    let number = said.get("sequence").and_then(Value::as_u64).ok_or("it has no number")?;
    let before = said.get("before").and_then(Value::as_str).ok_or("it names none before it")?;
    Ok((number, before.to_owned(), given.to_owned()))
}

/// Finds out whether the record in `dir` is unbroken. Older files may be gone, so the first line
/// that there is may follow any other.
///
/// # Errors
/// The first line that is not what was written, or that does not follow the one before it.
pub fn verify(dir: &Path) -> Result<Verified, AuditError> {
    let mut verified = Verified { first: 0, lines: 0, hash: NOTHING.to_owned() };
    for path in files(dir)? {
        let file = File::open(&path).map_err(AuditError::io(&path))?;
        for (at, line) in (1..).zip(BufReader::new(file).lines()) {
            let line = line.map_err(AuditError::io(&path))?;
            let broken = |reason| AuditError::Broken { path: path.clone(), line: at, reason };
            let (number, before, hash) = opened(&line).map_err(broken)?;
            if verified.lines == 0 {
                verified.first = number;
            } else if number != verified.first.saturating_add(verified.lines) {
                return Err(broken("its number does not follow the one before it"));
            } else if before != verified.hash {
                return Err(broken("it does not follow the line before it"));
            }
            verified.lines = verified.lines.saturating_add(1);
            verified.hash = hash;
        }
    }
    Ok(verified)
}
