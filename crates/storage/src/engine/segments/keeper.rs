//! What happens to segments behind the writer's back: files made ahead of their use, checkpoints
//! written, survivors moved, empty segments taken back.
//!
//! **Survivors.** Most of a segment is gone by the time a checkpoint comes. What outlives it by far
//! is moved to a segment of such records, sorted by group and place in the log, once too much room is
//! taken by what is gone. Nothing is written into the log for it: until the next checkpoint the
//! records are in both places, and after a crash they are where the last checkpoint says.
//!
//! **A full disk** keeps none of this from being tried again later. Any other failure fails the
//! store before the next segment begins.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, PoisonError};

use super::file::{Blank, HEADER_BYTES, Header, Kind, Segment, SegmentId};
use super::frame;
use super::index::Place;
use super::yard::{Contents, Yard};
use crate::{EngineError, Key};

/// Records are gathered to pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// Which segments are worth being cleaned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thrift {
    /// Those of which less than half is in use, while all together take more than twice what is.
    Usual,
    /// Those of which more than an eighth is not in use.
    Strict,
}

/// The keeper's life.
pub(super) fn run(yard: &Yard) {
    loop {
        let idle = yard.supply();
        let supply = yard
            .asked
            .wait_while(idle, |supply| {
                !supply.closed && !supply.blank_wanted && supply.cut.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        if supply.closed {
            return;
        }
        drop(supply);
        let outcome = yard.prepare_blank().and_then(|()| {
            let _work = yard.work();
            match write_checkpoint(yard)? {
                Some(start) => clean(yard, start, Thrift::Usual).map(drop),
                None => Ok(()),
            }
        });
        if let Err(error) = outcome {
            if error.is_lack_of_room() {
                tracing::warn!(%error, "the log's segments are looked after once there is room");
            } else {
                yard.supply().failed = Some(error);
            }
        }
    }
}

/// Writes the checkpoint that waits, if one does, and takes back what it makes free. Says with
/// which segment the log begins after it. The caller holds the work.
pub(super) fn write_checkpoint(yard: &Yard) -> Result<Option<SegmentId>, EngineError> {
    let Some(cut) = yard.supply().cut.take() else { return Ok(None) };
    let bytes = cut.write(&yard.dir).map_err(EngineError::Segment)?;
    #[cfg(feature = "failpoints")]
    fail::fail_point!("storage.checkpoint.written");
    yard.supply().checkpoint_bytes = bytes;
    yard.free(cut.start, &cut.index);
    Ok(Some(cut.start))
}

/// Moves the survivors out of the segments before `start` that are worth it, as much as one segment
/// holds. Says whether there were any. The caller holds the work.
pub(super) fn clean(yard: &Yard, start: SegmentId, thrift: Thrift) -> Result<bool, EngineError> {
    let records = {
        let contents = yard.read();
        let victims = choose(&contents, start, yard.segment_bytes, thrift);
        contents.index.records_in(&victims)
    };
    if records.is_empty() {
        return Ok(false);
    }
    let (number, id) = {
        let mut supply = yard.supply();
        (supply.number_file(), supply.number_segment())
    };
    let blank = Blank::bare(&yard.dir, number, 0).map_err(EngineError::Segment)?;
    let mut kept = blank.begin(&Header { id, kind: Kind::Kept, first_batch: 0 })?;
    let moved = match copy(yard, &records, &mut kept) {
        Ok(moved) => moved,
        Err(error) => {
            kept.abandon();
            return Err(error);
        }
    };
    let mut contents = yard.write();
    contents.segments.insert(id, Arc::new(kept));
    for ((key, from), to) in records.into_iter().zip(moved) {
        contents.index.moved(key, from, to);
    }
    Ok(true)
}

/// The emptiest segments, with survivors for one segment at most.
fn choose(
    contents: &Contents,
    start: SegmentId,
    segment_bytes: u32,
    thrift: Thrift,
) -> BTreeSet<SegmentId> {
    let aged = contents.segments.range(..start).map(|(id, segment)| {
        let all = segment.capacity().saturating_sub(HEADER_BYTES);
        (contents.index.used(*id), u64::from(all), *id)
    });
    let mut aged: Vec<(u64, u64, SegmentId)> = aged.filter(|(used, ..)| *used > 0).collect();
    let sum = |of: fn(&(u64, u64, SegmentId)) -> u64| {
        aged.iter().map(of).fold(0_u64, u64::saturating_add)
    };
    let (used, all) = (sum(|one| one.0), sum(|one| one.1));
    let slack = u64::from(segment_bytes).saturating_mul(2);
    let is_worth = |used: u64, all: u64| match thrift {
        Thrift::Usual => used < all / 2,
        Thrift::Strict => used < all.saturating_sub(all / 8),
    };
    match thrift {
        Thrift::Usual if all <= used.saturating_mul(2).saturating_add(slack) => {
            return BTreeSet::new();
        }
        Thrift::Usual | Thrift::Strict => {}
    }
    aged.retain(|(used, all, _)| is_worth(*used, *all));
    aged.sort_by_key(|(used, all, _)| used.saturating_mul(1024) / (*all).max(1));
    let mut room = u64::from(segment_bytes);
    let fits = aged.into_iter().filter(|(used, ..)| match room.checked_sub(*used) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    });
    fits.map(|(.., id)| id).collect()
}

/// Copies `records` into `kept`, which is on the disk on return; says where each of them is.
fn copy(
    yard: &Yard,
    records: &[(Key, Place)],
    kept: &mut Segment,
) -> Result<Vec<Place>, EngineError> {
    let mut moved = Vec::with_capacity(records.len());
    let mut piece = Vec::new();
    let mut at = HEADER_BYTES;
    for (key, from) in records {
        let segment = yard.read().segments.get(&from.segment).cloned();
        let segment = segment.ok_or(EngineError::SegmentMissing { segment: from.segment.0 })?;
        let value = segment.read(from.offset, from.length)?;
        frame::put(&mut piece, key, value.len(), |piece| piece.extend_from_slice(&value));
        let end = at.checked_add(frame::number(piece.len())).ok_or_else(too_long)?;
        let offset = end.saturating_sub(from.length);
        moved.push(Place { segment: kept.id, offset, length: from.length });
        if piece.len() >= PIECE_BYTES {
            kept.write(&piece, at)?;
            piece.clear();
            at = end;
        }
    }
    kept.write(&piece, at)?;
    kept.seal(at.checked_add(frame::number(piece.len())).ok_or_else(too_long)?)?;
    Ok(moved)
}

fn too_long() -> EngineError {
    EngineError::Segment(io::Error::from(io::ErrorKind::FileTooLarge))
}
