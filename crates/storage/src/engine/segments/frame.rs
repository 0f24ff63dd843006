//! One batch as it stands in a log segment: a head, then its changes.
//!
//! | Bytes | |
//! | --- | --- |
//! | 4 | length of the body; 0 where nothing was written |
//! | 4 | checksum of everything else here, and of the segment's number and the place in it |
//! | 8 | the batch's number |
//! | body | changes: tag u8 (1 put, 2 remove, 3 remove range), space u8, key (length u8), and a value (length u32) or the range's last key |
//!
//! The checksum makes a batch whole or none at all, and ties it to its place: what an earlier use
//! of the file has left is no batch.

use bytes::Bytes;
use warren_types::{DecodeError, LogIndex, Reader};

use super::file::SegmentId;
use super::index::{Place, Step};
use crate::engine::Change;
use crate::keys::Space;
use crate::{EngineError, Key};

const HEAD_BYTES: usize = 16;

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const REMOVE_RANGE: u8 = 3;

/// Where a frame stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) segment: SegmentId,
    pub(super) offset: u32,
}

/// A frame that was read.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) batch: u64,
    pub(super) steps: Vec<Step>,
    /// Where the next one begins.
    pub(super) end: u32,
}

/// How many bytes the frame of `changes` takes.
pub(super) fn size(changes: &[Change]) -> usize {
    changes.iter().map(change_size).fold(HEAD_BYTES, usize::saturating_add)
}

fn change_size(change: &Change) -> usize {
    let key = |key: &Key| key.bytes().as_ref().len().saturating_add(2);
    let size = match change {
        Change::PutRow { key: row, value } => {
            key(row).saturating_add(4).saturating_add(value.len())
        }
        Change::Put { key: other, value } => {
            key(other).saturating_add(4).saturating_add(value.len())
        }
        Change::Remove { key: one } => key(one),
        Change::RemoveRange { from, to, for_good: _ } => key(from).saturating_add(key(to)),
    };
    size.saturating_add(1)
}

/// Makes `out` the frame of batch number `batch`, and `steps` what it means for the index.
pub(super) fn encode(
    out: &mut Vec<u8>,
    steps: &mut Vec<Step>,
    at: At,
    batch: u64,
    changes: &[Change],
) {
    out.clear();
    steps.clear();
    out.reserve(size(changes));
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&batch.to_be_bytes());
    for change in changes {
        match change {
            Change::PutRow { key, value } => {
                put(out, key, value.len(), |out| value.write(out));
                steps.push(placed(out, *key, at, value.len()));
            }
            Change::Put { key, value } => {
                put(out, key, value.len(), |out| out.extend_from_slice(value));
                steps.push(match key.space() {
                    Space::Meta => Step::Keep { key: *key, value: value.clone() },
                    Space::Log | Space::Snapshot => placed(out, *key, at, value.len()),
                });
            }
            Change::Remove { key } => {
                out.push(REMOVE);
                name(out, key);
                steps.push(Step::Remove { from: *key, to: *key });
            }
            Change::RemoveRange { from, to, for_good: _ } => {
                out.push(REMOVE_RANGE);
                name(out, from);
                name(out, to);
                steps.push(Step::Remove { from: *from, to: *to });
            }
        }
    }
    finish(out, at);
}

/// Writes length and checksum of what stands behind them in `out`.
fn finish(out: &mut [u8], at: At) {
    let (head, rest) = out.split_at_mut(8);
    let body = rest.get(8..).unwrap_or_default();
    let (length_bytes, sum) = head.split_at_mut(4);
    let length = number(body.len()).to_be_bytes();
    length_bytes.copy_from_slice(&length);
    sum.copy_from_slice(&checksum(at, length, rest).to_be_bytes());
}

/// The frame that stands at `at` and has `rest` behind its checksum.
pub(super) fn seal(at: At, rest: &[u8]) -> Bytes {
    let mut out = [&[0; 8], rest].concat();
    finish(&mut out, at);
    out.into()
}

/// Puts a record behind `out`: also the shape of one that is kept outside the log.
pub(super) fn put(out: &mut Vec<u8>, key: &Key, length: usize, value: impl FnOnce(&mut Vec<u8>)) {
    out.push(PUT);
    name(out, key);
    out.extend_from_slice(&number(length).to_be_bytes());
    value(out);
}

/// The frame that stands in `segment`, all of whose bytes are `bytes`. None where there is none, or
/// not all of it.
pub(super) fn decode(bytes: &Bytes, at: At) -> Result<Option<Frame>, EngineError> {
    let offset = usize::try_from(at.offset).unwrap_or(usize::MAX);
    let Some((head, rest)) = bytes.get(offset..).and_then(<[u8]>::split_first_chunk::<8>) else {
        return Ok(None);
    };
    let [a, b, c, d, sum @ ..] = *head;
    let length = u32::from_be_bytes([a, b, c, d]);
    let tail = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(8);
    let Some(rest) = rest.get(..tail).filter(|_| length > 0) else { return Ok(None) };
    if checksum(at, [a, b, c, d], rest) != u32::from_be_bytes(sum) {
        return Ok(None);
    }
    let mut reader = Reader::new(bytes.slice_ref(rest));
    let end = at.offset.saturating_add(length).saturating_add(number(HEAD_BYTES));
    let read = |mut reader: Reader| -> Result<Vec<Step>, DecodeError> {
        let mut steps = Vec::new();
        while !reader.is_empty() {
            steps.push(step(&mut reader, at.segment, end)?);
        }
        Ok(steps)
    };
    // What has the right checksum and makes no sense was written by something else.
    let batch = reader.u64("batch").map_err(|_| EngineError::UnknownKey)?;
    let steps = read(reader).map_err(|_| EngineError::UnknownKey)?;
    Ok(Some(Frame { batch, steps, end }))
}

fn step(reader: &mut Reader, segment: SegmentId, end: u32) -> Result<Step, DecodeError> {
    match reader.u8("change")? {
        PUT => {
            let key = read_name(reader)?;
            if let Key::Row(_, LogIndex(u64::MAX)) = key {
                // A log that came so far could not go on; the index has no place behind it.
                return Err(DecodeError::Unknown { what: "row", value: u64::MAX });
            }
            let value = reader.bytes("value")?;
            if key.space() == Space::Meta {
                // A copy: the rest of the segment need not stay in memory for it.
                return Ok(Step::Keep { key, value: Bytes::copy_from_slice(&value) });
            }
            let length = number(value.len());
            let behind = number(reader.rest().len());
            let offset = end.saturating_sub(behind).saturating_sub(length);
            Ok(Step::Put { key, place: Place { segment, offset, length } })
        }
        REMOVE => {
            let key = read_name(reader)?;
            Ok(Step::Remove { from: key, to: key })
        }
        REMOVE_RANGE => Ok(Step::Remove { from: read_name(reader)?, to: read_name(reader)? }),
        other => Err(DecodeError::Unknown { what: "change", value: u64::from(other) }),
    }
}

/// What it means that the value at the end of `out` is that of `key`.
fn placed(out: &[u8], key: Key, at: At, length: usize) -> Step {
    let within = number(out.len().saturating_sub(length));
    let offset = at.offset.saturating_add(within);
    Step::Put { key, place: Place { segment: at.segment, offset, length: number(length) } }
}

/// Puts `key` behind `out`.
fn name(out: &mut Vec<u8>, key: &Key) {
    let bytes = key.bytes();
    let bytes = bytes.as_ref();
    let length = u8::try_from(bytes.len()).expect("a key has at most 17 bytes");
    out.extend_from_slice(&[space_number(key.space()), length]);
    out.extend_from_slice(bytes);
}

/// The key that [`name`] wrote.
fn read_name(reader: &mut Reader) -> Result<Key, DecodeError> {
    let space = reader.u8("space")?;
    let unknown = DecodeError::Unknown { what: "space", value: u64::from(space) };
    let space = match space {
        0 => Space::Log,
        1 => Space::Meta,
        2 => Space::Snapshot,
        _ => return Err(unknown),
    };
    let bytes = reader.short_bytes("key")?;
    Key::parse(space, &bytes).ok_or(DecodeError::Unknown { what: "key", value: 0 })
}

fn space_number(space: Space) -> u8 {
    match space {
        Space::Log => 0,
        Space::Meta => 1,
        Space::Snapshot => 2,
    }
}

fn checksum(at: At, length: [u8; 4], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.segment.0.to_be_bytes());
    hasher.update(&at.offset.to_be_bytes());
    hasher.update(&length);
    hasher.update(rest);
    hasher.finalize()
}

/// A length as it is stored.
pub(super) fn number(length: usize) -> u32 {
    u32::try_from(length).expect("a batch is far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use warren_types::{GroupId, NodeId, Term};

    use super::*;
    use crate::{Row, RowKind, RowValue};

    const AT: At = At { segment: SegmentId(3), offset: 5_000 };

    fn changes() -> Vec<Change> {
        let group = GroupId(1);
        let row = Row {
            index: LogIndex(7),
            term: Term(2),
            leader: NodeId(3),
            kind: RowKind::Command,
            payload: Bytes::from_static(b"body"),
        };
        let page = Key::Page(group, 1, 2);
        let range = |for_good| {
            let (from, to) = (Key::Row(group, LogIndex(1)), Key::Row(group, LogIndex(3)));
            Change::RemoveRange { from, to, for_good }
        };
        vec![
            Change::PutRow {
                key: Key::Row(group, row.index),
                value: RowValue::encode(group, &row),
            },
            Change::Put { key: Key::Vote(group), value: Bytes::from_static(b"vote") },
            Change::Put { key: page, value: Bytes::from_static(b"page") },
            Change::Remove { key: Key::Origin(group) },
            range(true),
        ]
    }

    fn framed(at: At) -> (Bytes, Vec<Step>) {
        let (mut out, mut steps) = (Vec::new(), Vec::new());
        encode(&mut out, &mut steps, at, 9, &changes());
        let mut bytes = vec![0; usize::try_from(at.offset).unwrap()];
        bytes.extend_from_slice(&out);
        (bytes.into(), steps)
    }

    #[test]
    fn what_is_read_back_means_the_same() {
        let (bytes, steps) = framed(AT);

        let frame = decode(&bytes, AT).unwrap().unwrap();

        assert_eq!(frame.batch, 9);
        assert_eq!(frame.steps, steps);
        assert_eq!(frame.end, number(bytes.len()));
        assert_eq!(bytes.len() - 5_000, size(&changes()));
        let Step::Put { place, .. } = &steps[2] else { panic!("a page has a place") };
        let at = usize::try_from(place.offset).unwrap();
        assert_eq!(bytes.slice(at..at + 4), b"page".as_slice());
    }

    #[test]
    fn a_frame_that_lacks_or_changed_a_byte_is_none() {
        let (bytes, _) = framed(AT);

        for at in 5_000..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 0x10;
            let cut = bytes.slice(..at);

            assert!(decode(&flipped.into(), AT).unwrap().is_none(), "byte {at} is flipped");
            assert!(decode(&cut, AT).unwrap().is_none(), "cut at {at}");
        }
    }

    #[test]
    fn a_row_behind_which_there_is_no_place_makes_no_sense() {
        let row = |index| {
            let value = Bytes::from_static(b"row");
            let (mut out, mut steps) = (Vec::new(), Vec::new());
            let change = Change::Put { key: Key::Row(GroupId(1), LogIndex(index)), value };
            encode(&mut out, &mut steps, At { offset: 0, ..AT }, 9, &[change]);
            decode(&out.into(), At { offset: 0, ..AT })
        };

        assert!(row(u64::MAX - 1).unwrap().is_some());
        assert!(matches!(row(u64::MAX), Err(EngineError::UnknownKey)));
    }

    #[test]
    fn a_frame_of_another_segment_or_place_is_none() {
        let (bytes, _) = framed(AT);
        let moved = bytes.slice(10..);

        assert!(decode(&bytes, At { segment: SegmentId(4), ..AT }).unwrap().is_none());
        assert!(decode(&moved, At { offset: 4_990, ..AT }).unwrap().is_none());
        assert!(decode(&vec![0; 6_000].into(), AT).unwrap().is_none());
    }

    #[test]
    fn frames_stay_as_they_are_on_existing_disks() {
        let (bytes, _) = framed(AT);

        let text: String = bytes.iter().skip(5_000).map(|byte| format!("{byte:02x}")).collect();

        assert_eq!(
            text,
            "00000080ea4529650000000000000009\
             01000c0000000100000000000000070000001a01610f7f6e010000000000000002000000000000000\
             3626f6479\
             01010601000000010100000004766f7465\
             0102110100000001000000000000000100000002000000047061\
             6765\
             02010601000000010303000c000000010000000000000001000c000000010000000000000003"
        );
    }
}
