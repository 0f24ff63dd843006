//! One segment file: a header of its own page, then records.
//!
//! A segment's identity is in its header, not in its file's name: a file that is used again for
//! another segment is neither made, filled nor renamed, only written over, which is the steadiest
//! sync there is. The header is on the disk before anything is written behind it, so that no
//! number is ever given twice and what an earlier use has left never passes for this one's.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::EngineError;
use crate::lock::sync_directory;

/// What segment files are called, behind their numbers.
const EXTENSION: &str = "segment";

/// Room for the header, so that records never share a sector with it.
pub(super) const HEADER_BYTES: u32 = 4096;

/// Magic 8, version 1, kind 1, segment 4, batch 8, checksum 4.
const HEADER_USED: usize = 26;

const MAGIC: &[u8; 8] = b"warren\0S";
const VERSION: u8 = 1;

/// Files are filled in pieces of this size.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A segment's number; none is given twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentId(pub(super) u32);

impl SegmentId {
    pub(super) fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("2^32 segments outlast every disk"))
    }
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Batches in the order in which they were written.
    Log,
    /// Records that outlived their segments.
    Kept,
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: SegmentId,
    pub(super) kind: Kind,
    /// The first batch in it, of a log segment.
    pub(super) first_batch: u64,
}

/// A file that is no segment, but may become one.
#[derive(Debug)]
pub(super) struct Blank {
    file: File,
    path: PathBuf,
    capacity: u32,
}

/// A file that is a segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: SegmentId,
    blank: Blank,
}

impl Blank {
    /// Makes file `number` in `dir`, filled with zeros. On the disk on return; gone on failure.
    pub(super) fn filled(dir: &Path, number: u64, capacity: u32) -> io::Result<Self> {
        let blank = Self::bare(dir, number, capacity)?;
        match blank.fill().and_then(|()| sync_directory(dir)) {
            Ok(()) => Ok(blank),
            Err(error) => {
                blank.remove();
                Err(error)
            }
        }
    }

    /// Makes file `number` in `dir`, empty, for one who fills it himself.
    pub(super) fn bare(dir: &Path, number: u64, capacity: u32) -> io::Result<Self> {
        let path = dir.join(format!("{number:08}.{EXTENSION}"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Self { file, path, capacity })
    }

    fn fill(&self) -> io::Result<()> {
        let mut at = 0_u64;
        while at < u64::from(self.capacity) {
            self.file.write_all_at(&ZEROS, at)?;
            at = at.saturating_add(u64::try_from(ZEROS.len()).unwrap_or(u64::MAX));
        }
        self.file.sync_all()
    }

    /// How many bytes a segment in it may have, header included.
    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Makes it a segment. On the disk on return.
    pub(super) fn begin(self, header: &Header) -> Result<Segment, EngineError> {
        let written = self.file.write_all_at(&encode(header), 0);
        match written.and_then(|()| self.file.sync_data()) {
            Ok(()) => Ok(Segment { id: header.id, blank: self }),
            Err(error) => Err(EngineError::Segment(error)),
        }
    }

    /// Gives its room back. A file that stays behind is found, and used, at the next opening.
    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a file stays behind");
        }
    }
}

impl Segment {
    /// How many bytes it may have, header included.
    pub(super) fn capacity(&self) -> u32 {
        self.blank.capacity
    }

    /// The file it is in.
    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.blank.path
    }

    pub(super) fn write(&self, bytes: &[u8], at: u32) -> Result<(), EngineError> {
        self.blank.file.write_all_at(bytes, u64::from(at)).map_err(EngineError::Segment)
    }

    pub(super) fn sync(&self) -> Result<(), EngineError> {
        self.blank.file.sync_data().map_err(EngineError::Segment)
    }

    /// Ends a segment that was written into a bare file, at `end`. On the disk on return.
    pub(super) fn seal(&mut self, end: u32) -> Result<(), EngineError> {
        self.blank.capacity = end;
        let synced = self.blank.file.set_len(u64::from(end));
        let synced = synced.and_then(|()| self.blank.file.sync_all());
        let named = synced.and_then(|()| match self.blank.path.parent() {
            Some(dir) => sync_directory(dir),
            None => Ok(()),
        });
        named.map_err(EngineError::Segment)
    }

    /// Gives back the room behind `end`, if the system lets us.
    pub(super) fn cut_off(&mut self, end: u32) {
        match self.blank.file.set_len(u64::from(end)) {
            Ok(()) => self.blank.capacity = end,
            Err(error) => {
                let path = self.blank.path.display();
                tracing::warn!(%path, %error, "a file stays longer than it must be");
            }
        }
    }

    /// The `length` bytes at `at`.
    pub(super) fn read(&self, at: u32, length: u32) -> Result<Bytes, EngineError> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        match self.blank.file.read_exact_at(&mut bytes, u64::from(at)) {
            Ok(()) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(EngineError::SegmentEnds { segment: self.id.0 })
            }
            Err(error) => Err(EngineError::Segment(error)),
        }
    }

    /// All of it.
    pub(super) fn contents(&self) -> Result<Bytes, EngineError> {
        self.read(0, self.capacity())
    }

    /// Takes back what nobody needs. None while somebody still reads it; then its file is gone as
    /// soon as nobody does.
    pub(super) fn retire(segment: Arc<Self>) -> Option<Blank> {
        match Arc::try_unwrap(segment) {
            Ok(segment) => Some(segment.blank),
            Err(read) => {
                if let Err(error) = fs::remove_file(&read.blank.path) {
                    let path = read.blank.path.display();
                    tracing::warn!(%path, %error, "a file stays behind");
                }
                None
            }
        }
    }

    /// For one who gives up making it.
    pub(super) fn abandon(self) {
        self.blank.remove();
    }
}

/// A segment file as it is found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) header: Option<Header>,
    pub(super) blank: Blank,
}

impl Found {
    /// The segment that its header says it is.
    pub(super) fn into_segment(self, id: SegmentId) -> Segment {
        Segment { id, blank: self.blank }
    }
}

/// All segment files in `dir`.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let Some(number) = number else { continue };
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let capacity = u32::try_from(file.metadata()?.len()).unwrap_or(u32::MAX);
        let mut bytes = [0; HEADER_USED];
        let header = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        found.push(Found { number, header, blank: Blank { file, path, capacity } });
    }
    Ok(found)
}

pub(super) fn encode(header: &Header) -> Vec<u8> {
    let kind = match header.kind {
        Kind::Log => 0,
        Kind::Kept => 1,
    };
    let mut bytes = Vec::with_capacity(HEADER_USED);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[VERSION, kind]);
    bytes.extend_from_slice(&header.id.0.to_be_bytes());
    bytes.extend_from_slice(&header.first_batch.to_be_bytes());
    seal(bytes)
}

/// A header's fields with their checksum behind them.
pub(super) fn seal(mut fields: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&fields);
    fields.extend_from_slice(&sum.to_be_bytes());
    fields
}

pub(super) fn decode(bytes: &[u8]) -> Option<Header> {
    let (fields, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(fields).to_be_bytes() != *sum {
        return None;
    }
    let fields = fields.strip_prefix(MAGIC)?;
    let ([VERSION, kind], rest) = fields.split_first_chunk::<2>()? else { return None };
    let kind = match kind {
        0 => Kind::Log,
        1 => Kind::Kept,
        _ => return None,
    };
    let (id, batch) = rest.split_first_chunk::<4>()?;
    let id = SegmentId(u32::from_be_bytes(*id));
    Some(Header { id, kind, first_batch: u64::from_be_bytes(batch.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_stays_as_it_is() {
        let header = Header { id: SegmentId(7), kind: Kind::Kept, first_batch: 9 };

        let bytes = encode(&header);

        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "77617272656e00530101000000070000000000000009206370db");
        assert_eq!(decode(&bytes), Some(header));
        assert_eq!(decode(&[0; HEADER_USED]), None);
    }

    #[test]
    fn a_file_that_is_read_when_its_segment_goes_is_not_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let blank = Blank::filled(dir.path(), 1, 128 << 10).unwrap();
        let header = Header { id: SegmentId(1), kind: Kind::Log, first_batch: 1 };
        let segment = Arc::new(blank.begin(&header).unwrap());
        segment.write(b"body", HEADER_BYTES).unwrap();
        let reader = Arc::clone(&segment);

        let again = Segment::retire(segment);

        assert!(again.is_none());
        assert_eq!(reader.read(HEADER_BYTES, 4).unwrap(), b"body".as_slice());
        assert!(list(dir.path()).unwrap().is_empty());
    }
}
