//! The files of the record, written.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use warren_broker::Deed;
use warren_management::to_json;

use super::chain::{AuditError, NOTHING, file_name, files, opened, sealed};
use crate::config::AuditSection;

/// The event that tells of what was not written down.
const MISSED: &str = "audit.missed";

/// A record that goes on.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    node: String,
    file: File,
    path: PathBuf,
    bytes: u64,
    file_bytes: u64,
    files: usize,
    /// The number of the next line.
    next: u64,
    /// The hash of the last one.
    before: String,
}

impl Ledger {
    /// Goes on with the record that is there, or begins one. What a crash left half written is cut
    /// off.
    ///
    /// # Errors
    /// When the files cannot be used, or the last line is not what was written.
    pub fn open(config: &AuditSection, node: &str) -> Result<Self, AuditError> {
        let dir = PathBuf::from(&config.dir);
        std::fs::create_dir_all(&dir).map_err(AuditError::io(&dir))?;
        let (mut next, mut before) = (1, NOTHING.to_owned());
        let known = files(&dir)?;
        // The last file may be one that a crash left empty.
        for path in known.iter().rev() {
            if let Some((number, hash)) = end_of(path)? {
                (next, before) = (number.saturating_add(1), hash);
                break;
            }
        }
        let path = known.last().cloned().unwrap_or_else(|| dir.join(file_name(next)));
        let file = append_to(&path)?;
        let bytes = file.metadata().map_err(AuditError::io(&path))?.len();
        let (file_bytes, files) = (config.file_bytes, config.files);
        let node = node.to_owned();
        Ok(Self { dir, node, file, path, bytes, file_bytes, files, next, before })
    }

    /// Writes down `deeds`, and that `missed` others were not, and syncs.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&mut self, deeds: &[Deed], missed: u64) -> Result<(), AuditError> {
        let mut lines = String::new();
        for deed in deeds {
            let from = deed.from.map(|from| from.to_string());
            let said = to_json(&deed.said);
            lines.push_str(&self.line(deed.time_ms, deed.event, &deed.user, from, said));
        }
        if missed > 0 {
            let time_ms = deeds.last().map_or(0, |deed| deed.time_ms);
            let said = json!({ "count": missed });
            lines.push_str(&self.line(time_ms, MISSED, &self.node.clone(), None, said));
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.file.write_all(lines.as_bytes()).map_err(AuditError::io(&self.path))?;
        self.file.sync_data().map_err(AuditError::io(&self.path))?;
        let bytes = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= self.file_bytes { self.turn_the_page() } else { Ok(()) }
    }

    fn line(
        &mut self,
        time_ms: u64,
        event: &str,
        user: &str,
        from: Option<String>,
        said: Value,
    ) -> String {
        let mut line = Map::new();
        line.insert("sequence".to_owned(), self.next.into());
        line.insert("time_ms".to_owned(), time_ms.into());
        line.insert("node".to_owned(), self.node.as_str().into());
        line.insert("event".to_owned(), event.into());
        line.insert("user".to_owned(), user.into());
        line.insert("from".to_owned(), from.into());
        line.insert("said".to_owned(), said);
        line.insert("before".to_owned(), self.before.as_str().into());
        let whole = Value::Object(line).to_string();
        let open = whole.strip_suffix('}').expect("an object ends with a brace");
        let (line, hash) = sealed(open);
        self.next = self.next.saturating_add(1);
        self.before = hash;
        line
    }

    /// Begins another file, and deletes the oldest if there are too many.
    fn turn_the_page(&mut self) -> Result<(), AuditError> {
        tracing::info!(file = %self.path.display(), hash = self.before, "a file of the record is full");
        self.path = self.dir.join(file_name(self.next));
        self.file = append_to(&self.path)?;
        self.bytes = 0;
        let known = files(&self.dir)?;
        let too_many = known.len().saturating_sub(self.files);
        for path in known.iter().take(too_many) {
            std::fs::remove_file(path).map_err(AuditError::io(path))?;
        }
        Ok(())
    }
}

fn append_to(path: &Path) -> Result<File, AuditError> {
    OpenOptions::new().create(true).append(true).open(path).map_err(AuditError::io(path))
}

/// The number and hash of a file's last line, behind which anything else is cut off.
fn end_of(path: &Path) -> Result<Option<(u64, String)>, AuditError> {
    let mut file =
        OpenOptions::new().read(true).write(true).open(path).map_err(AuditError::io(path))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(AuditError::io(path))?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    if whole < bytes.len() {
        tracing::warn!(file = %path.display(), "a line that was half written is cut off");
        let length = u64::try_from(whole).unwrap_or(u64::MAX);
        file.set_len(length).map_err(AuditError::io(path))?;
        file.seek(SeekFrom::End(0)).map_err(AuditError::io(path))?;
        file.sync_data().map_err(AuditError::io(path))?;
    }
    let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default()).into_owned();
    let Some(last) = text.lines().next_back() else { return Ok(None) };
    let line = u64::try_from(text.lines().count()).unwrap_or(u64::MAX);
    let broken = |reason| AuditError::Broken { path: path.to_owned(), line, reason };
    let (number, _, hash) = opened(last).map_err(broken)?;
    Ok(Some((number, hash)))
}

#[cfg(test)]
mod tests;
