//! What a group must look like: the same operations on plain maps.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use warren_storage::{Bounds, Completion, GroupStore, LogId, Row, Snapshot};
use warren_types::LogIndex;

use crate::kit::row;

/// Something to do with a group. Places are chosen by a number, modulo what there is.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Append { rows: u64, bytes: usize },
    Truncate { place: u64 },
    Purge { place: u64 },
    PurgeBeyond { by: u64 },
    Retain { seed: u64 },
    Replace { place: u64 },
    Adopt { seed: u64 },
    Vote,
    Committed,
    Snapshot { pages: usize },
    Erase,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..6_u64, 0..300_usize).prop_map(|(rows, bytes)| Step::Append { rows, bytes }),
        2 => any::<u64>().prop_map(|place| Step::Truncate { place }),
        2 => any::<u64>().prop_map(|place| Step::Purge { place }),
        1 => (0..5_u64).prop_map(|by| Step::PurgeBeyond { by }),
        2 => any::<u64>().prop_map(|seed| Step::Retain { seed }),
        1 => any::<u64>().prop_map(|place| Step::Replace { place }),
        1 => any::<u64>().prop_map(|seed| Step::Adopt { seed }),
        1 => Just(Step::Vote),
        1 => Just(Step::Committed),
        1 => (0..5_usize).prop_map(|pages| Step::Snapshot { pages }),
        1 => prop_oneof![9 => Just(Step::Vote), 1 => Just(Step::Erase)],
    ]
}

/// A group, as it must be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) first: Option<u64>,
    pub(crate) floor: Option<LogId>,
    pub(crate) last: Option<LogId>,
    pub(crate) rows: BTreeMap<u64, Row>,
    pub(crate) adopted: BTreeMap<u64, Row>,
    pub(crate) vote: Option<Bytes>,
    pub(crate) committed: Option<u64>,
    pub(crate) snapshot: Option<Snapshot>,
    /// Makes everything that is written differ from everything before.
    pub(crate) count: u64,
}

impl Model {
    /// Does `step` here and to `group`. `done` is given to what has a completion, and dropped else.
    pub(crate) fn perform(&mut self, step: &Step, group: &GroupStore, done: Completion) {
        self.count += 1;
        match *step {
            Step::Append { rows, bytes } => self.append(rows, bytes, group, done),
            Step::Truncate { place } => self.truncate(place, group, done),
            Step::Purge { place } => {
                let above: Vec<LogId> = self.log().map(|row| row.id()).collect();
                if let Some(upto) = pick(&above, place) {
                    self.purge(*upto, group, done);
                }
            }
            Step::PurgeBeyond { by } => {
                let last = self.bounds().last.map_or(0, |last| last.index.0);
                self.purge(crate::kit::id(last + by, self.count), group, done);
            }
            Step::Retain { seed } => self.retain(seed, group),
            Step::Replace { place } => self.replace(place, group),
            Step::Adopt { seed } => self.adopt(seed, group, done),
            Step::Vote => {
                let vote = Bytes::from(format!("vote {}", self.count));
                self.vote = Some(vote.clone());
                group.save_vote(vote, done);
            }
            Step::Committed => {
                let last = self.bounds().last.map_or(0, |last| last.index.0);
                self.committed = Some(last);
                group.save_committed(Bytes::copy_from_slice(&last.to_be_bytes()));
            }
            Step::Snapshot { pages } => {
                let text = |page| Bytes::from(format!("page {page} of {}", self.count));
                let meta = Bytes::from(format!("snapshot {}", self.count));
                let snapshot = Snapshot { meta, pages: (0..pages).map(text).collect() };
                self.snapshot = Some(snapshot.clone());
                group.save_snapshot(snapshot, done);
            }
            Step::Erase => {
                *self = Self { count: self.count, ..Self::default() };
                group.erase(done);
            }
        }
    }

    fn append(&mut self, rows: u64, bytes: usize, group: &GroupStore, done: Completion) {
        let next = self.bounds().last.map_or(self.count % 3, |last| last.index.0 + 1);
        let rows: Vec<Row> = (next..next + rows)
            .map(|index| {
                let mut payload = format!("{index} of {} ", self.count).into_bytes();
                payload.resize(payload.len() + bytes, b'.');
                row(index, self.count, payload)
            })
            .collect();
        if self.floor.is_none() && self.first.is_none() {
            self.first = Some(next);
        }
        for row in &rows {
            self.rows.insert(row.index.0, row.clone());
            self.last = Some(row.id());
        }
        group.append(rows, done);
    }

    fn truncate(&mut self, place: u64, group: &GroupStore, done: Completion) {
        // What is committed is never truncated.
        let committed = self.committed;
        let kept: Vec<Option<LogId>> = std::iter::once(self.floor)
            .chain(self.log().map(|row| Some(row.id())))
            .filter(|id| committed.is_none_or(|low| id.is_some_and(|id| id.index.0 >= low)))
            .collect();
        let Some(kept) = pick(&kept, place).copied() else { return };
        let floor = self.floor.map(|floor| floor.index.0);
        self.rows.retain(|index, _| {
            floor.is_some_and(|floor| *index <= floor)
                || kept.is_some_and(|kept| *index <= kept.index.0)
        });
        self.last = kept.filter(|_| kept != self.floor);
        if self.last.is_none() {
            self.first = None;
        }
        group.truncate_after(kept.map(|kept| kept.index), done);
    }

    fn purge(&mut self, upto: LogId, group: &GroupStore, done: Completion) {
        if self.floor.is_none_or(|floor| floor.index < upto.index) {
            self.floor = Some(upto);
            self.last = self.last.filter(|last| last.index > upto.index);
            self.first = None;
        }
        group.purge(upto, done);
    }

    fn retain(&mut self, seed: u64, group: &GroupStore) {
        let floor = self.floor.map(|floor| floor.index.0);
        let lives = |index: u64| (seed >> (index % 64)) & 1 == 1;
        let live: Vec<LogIndex> =
            (0..=floor.unwrap_or(0) + 3).filter(|index| lives(*index)).map(LogIndex).collect();
        if let Some(floor) = floor {
            self.rows.retain(|index, _| *index > floor || lives(*index));
            self.adopted.retain(|index, _| *index > floor || lives(*index));
        }
        group.retain(&live);
    }

    fn replace(&mut self, place: u64, group: &GroupStore) {
        let Some(floor) = self.floor else { return };
        let below: Vec<u64> = (0..=floor.index.0).filter(|at| self.row(*at).is_some()).collect();
        let Some(at) = pick(&below, place) else { return };
        let rows = if self.adopted.contains_key(at) { &mut self.adopted } else { &mut self.rows };
        let row = rows.get_mut(at).unwrap();
        row.payload = Bytes::from(format!("thin {}", self.count));
        group.replace(row.clone());
    }

    fn adopt(&mut self, seed: u64, group: &GroupStore, done: Completion) {
        let top = self.bounds().last.map_or(0, |last| last.index.0) + 6;
        let shipped: Vec<Row> = (0..top)
            .filter(|index| (seed >> (index % 64)) & 7 == 1)
            .map(|index| row(index, self.count, format!("shipped {index} of {}", self.count)))
            .collect();
        for row in &shipped {
            self.adopted.insert(row.index.0, row.clone());
        }
        group.adopt(shipped, done);
    }

    /// Whether nothing can tell this from `other`.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        *self == Self { count: self.count, ..other.clone() }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { floor: self.floor, last: self.last.or(self.floor) }
    }

    fn log(&self) -> impl Iterator<Item = &Row> {
        let first = self.floor.map_or(0, |floor| floor.index.0 + 1);
        let end = self.last.map_or(first, |last| last.index.0 + 1);
        self.rows.range(first..end.max(first)).map(|(_, row)| row)
    }

    fn row(&self, index: u64) -> Option<&Row> {
        self.adopted.get(&index).or_else(|| self.rows.get(&index))
    }

    /// Whether `group` is what it must be.
    pub(crate) fn differs(&self, group: &GroupStore) -> Option<String> {
        let top = self.bounds().last.map_or(0, |last| last.index.0) + 10;
        if group.bounds() != self.bounds() {
            return Some(format!("bounds {:?}, not {:?}", group.bounds(), self.bounds()));
        }
        let log = crate::kit::all(group);
        if !log.iter().eq(self.log()) {
            return Some(format!("log {log:?}"));
        }
        for index in 0..top {
            let row = group.row(LogIndex(index)).unwrap();
            if row.as_ref() != self.row(index) {
                return Some(format!("row {index} {row:?}, not {:?}", self.row(index)));
            }
        }
        if group.vote().unwrap() != self.vote {
            return Some(format!("vote {:?}", group.vote().unwrap()));
        }
        let snapshot = group.snapshot().unwrap();
        (snapshot != self.snapshot).then(|| format!("snapshot {snapshot:?}"))
    }
}

fn pick<T>(from: &[T], place: u64) -> Option<&T> {
    let count = u64::try_from(from.len()).unwrap();
    let place = place.checked_rem(count)?;
    from.get(usize::try_from(place).unwrap())
}
