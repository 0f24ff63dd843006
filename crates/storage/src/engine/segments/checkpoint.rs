//! The index as it was between two log segments, on the disk.
//!
//! What a checkpoint says holds without the log before it: whatever it does not refer to may go, and
//! opening reads the log from there on. A checkpoint takes the place of the one before as a whole, by
//! a rename.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use warren_types::{DecodeError, GroupId, LogIndex, Reader, Writer};

use super::file::SegmentId;
use super::index::{Index, Place, Step};
use super::rows::Run;
use crate::keys::Space;
use crate::lock::sync_directory;
use crate::{EngineError, Key};

const FILE: &str = "checkpoint";
const UNFINISHED: &str = "checkpoint.new";

const VERSION: u8 = 1;

/// The index after all batches before `next_batch`.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) next_batch: u64,
    /// The log segment in which that batch is, or will be.
    pub(super) start: SegmentId,
    pub(super) index: Index,
}

impl Default for Checkpoint {
    /// Before the first batch.
    fn default() -> Self {
        Self { next_batch: 1, start: SegmentId(1), index: Index::default() }
    }
}

impl Checkpoint {
    /// The one in `dir`, if there is one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, EngineError> {
        let bytes = match fs::read(dir.join(FILE)) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(EngineError::Segment(error)),
        };
        match decode(bytes) {
            Ok(Some(checkpoint)) => Ok(Some(checkpoint)),
            Ok(None) => Err(EngineError::Checkpoint(String::from("its checksum does not fit"))),
            Err(error) => Err(EngineError::Checkpoint(error.to_string())),
        }
    }

    /// Puts it into `dir` in the place of the one there. On the disk on return, or all is as it was.
    /// Says how long it is.
    pub(super) fn write(&self, dir: &Path) -> io::Result<u64> {
        let bytes = encode(self);
        let unfinished = dir.join(UNFINISHED);
        let written = File::create(&unfinished).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        if let Err(error) = written {
            // Whatever is left of it is written over by the next one.
            drop(fs::remove_file(&unfinished));
            return Err(error);
        }
        fs::rename(&unfinished, dir.join(FILE))?;
        sync_directory(dir)?;
        Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }
}

/// Version, checksum, next batch, start; then small records, groups of runs, other records.
pub(super) fn encode(checkpoint: &Checkpoint) -> Bytes {
    let mut body = Writer::new();
    body.u64(checkpoint.next_batch);
    body.u32(checkpoint.start.0);
    let index = &checkpoint.index;
    body.list(index.small(), |body, (key, value)| {
        body.short_bytes(key.bytes().as_ref());
        body.bytes(value);
    });
    let runs: Vec<_> = index.runs().collect();
    body.list(runs, |body, (group, first, run)| {
        body.u32(group.0);
        body.u64(first.0);
        body.u32(run.segment.0);
        body.list(&run.spans, |body, (offset, length)| {
            body.u32(*offset);
            body.u32(*length);
        });
    });
    body.list(index.others(), |body, (key, place)| {
        body.short_bytes(key.bytes().as_ref());
        body.u32(place.segment.0);
        body.u32(place.offset);
        body.u32(place.length);
    });
    seal(VERSION, &body.finish())
}

/// A body of `version` with its checksum before it.
pub(super) fn seal(version: u8, body: &[u8]) -> Bytes {
    let mut record = Writer::with_capacity(body.len().saturating_add(5));
    record.u8(version);
    record.u32(checksum(version, body));
    record.raw(body);
    record.finish()
}

/// What [`encode`] wrote; none if it is not what was written.
pub(super) fn decode(bytes: Bytes) -> Result<Option<Checkpoint>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.u8("version")?;
    let sum = reader.u32("checksum")?;
    if checksum(version, reader.rest()) != sum {
        return Ok(None);
    }
    if version != VERSION {
        return Err(DecodeError::Unknown { what: "version", value: u64::from(version) });
    }
    let next_batch = reader.u64("batch")?;
    let start = SegmentId(reader.u32("segment")?);
    let mut index = Index::default();
    let small = reader.list("small records", |reader| {
        let key = read_key(reader, Space::Meta)?;
        Ok((key, Bytes::copy_from_slice(&reader.bytes("value")?)))
    })?;
    for (key, value) in small {
        index.perform(&Step::Keep { key, value });
    }
    let runs = reader.list("runs", |reader| {
        let (group, first) = (GroupId(reader.u32("group")?), LogIndex(reader.u64("first")?));
        let segment = SegmentId(reader.u32("segment")?);
        let span = |reader: &mut Reader| Ok((reader.u32("offset")?, reader.u32("length")?));
        Ok((group, first, Run { segment, spans: reader.list("rows", span)? }))
    })?;
    for (group, first, run) in runs {
        let misplaced = DecodeError::Unknown { what: "first", value: first.0 };
        index.push_run(group, first, run).ok_or(misplaced)?;
    }
    let others = reader.list("other records", |reader| {
        let key = read_key(reader, Space::Snapshot)?;
        let segment = SegmentId(reader.u32("segment")?);
        let (offset, length) = (reader.u32("offset")?, reader.u32("length")?);
        Ok(Step::Put { key, place: Place { segment, offset, length } })
    })?;
    others.iter().for_each(|step| index.perform(step));
    reader.finish()?;
    Ok(Some(Checkpoint { next_batch, start, index }))
}

fn read_key(reader: &mut Reader, space: Space) -> Result<Key, DecodeError> {
    let bytes = reader.short_bytes("key")?;
    Key::parse(space, &bytes).ok_or(DecodeError::Unknown { what: "key", value: 0 })
}

fn checksum(version: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[version]);
    hasher.update(body);
    hasher.finalize()
}
