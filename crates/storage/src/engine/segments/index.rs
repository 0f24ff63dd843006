//! Where every record is, in memory.
//!
//! Small records, of which each group has one of a kind, are here themselves: no segment is kept for
//! their sake. Of all others the index knows the place, and of each segment how much of it is in use.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use warren_types::{GroupId, LogIndex};

use super::file::SegmentId;
use super::rows::{Rows, Run};
use crate::Key;

/// What a record takes in its segment beside its value, about.
const RECORD_BYTES: u64 = 20;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: SegmentId,
    pub(super) offset: u32,
    pub(super) length: u32,
}

impl Place {
    /// How much of the segment the record takes.
    fn bytes(&self) -> u64 {
        u64::from(self.length).saturating_add(RECORD_BYTES)
    }
}

/// What one change means for the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The record is there.
    Put { key: Key, place: Place },
    /// The record is this.
    Keep { key: Key, value: Bytes },
    /// There are no records from one key to another of its kind, both included.
    Remove { from: Key, to: Key },
}

/// Where every record is. A clone shares what is large.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    small: BTreeMap<Key, Bytes>,
    rows: BTreeMap<GroupId, Rows>,
    /// Snapshot pages and adopted rows.
    others: BTreeMap<Key, Place>,
    /// How many bytes of each segment are in use. None of a segment that is not here.
    used: BTreeMap<SegmentId, u64>,
}

/// A record, as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// It is in a segment.
    At(Place),
    /// It is this.
    Is(Bytes),
}

impl Index {
    /// Does what one step of a batch says.
    pub(super) fn perform(&mut self, step: &Step) {
        match step {
            Step::Put { key, place } => self.put(*key, *place),
            Step::Keep { key, value } => {
                self.small.insert(*key, value.clone());
            }
            Step::Remove { from, to } => self.remove(from, to),
        }
    }

    fn put(&mut self, key: Key, place: Place) {
        let before = match key {
            Key::Row(group, index) => self.rows.entry(group).or_default().put(index, place),
            other => self.others.insert(other, place),
        };
        take(&mut self.used, &place);
        if let Some(before) = before {
            release(&mut self.used, &before);
        }
    }

    fn remove(&mut self, from: &Key, to: &Key) {
        if from > to {
            return;
        }
        if let (Key::Row(group, first), Key::Row(_, last)) = (from, to) {
            let Some(rows) = self.rows.get_mut(group) else { return };
            let used = &mut self.used;
            rows.remove(*first, *last, |place| release(used, &place));
            if rows.is_empty() {
                self.rows.remove(group);
            }
            return;
        }
        for (_, place) in self.others.extract_if(*from..=*to, |_, _| true) {
            release(&mut self.used, &place);
        }
        self.small.extract_if(*from..=*to, |_, _| true).for_each(drop);
    }

    /// The record under `key` has moved `to` another place, unless it is another one by then.
    pub(super) fn moved(&mut self, key: Key, from: Place, to: Place) {
        let current = match self.get(&key) {
            Some(Record::At(place)) => Some(place),
            Some(Record::Is(_)) | None => None,
        };
        if current == Some(from) {
            self.put(key, to);
        }
    }

    /// Takes over a run of a stored index. None if it is not behind all others of its group.
    pub(super) fn push_run(&mut self, group: GroupId, first: LogIndex, run: Run) -> Option<()> {
        for (offset, length) in &run.spans {
            let place = Place { segment: run.segment, offset: *offset, length: *length };
            take(&mut self.used, &place);
        }
        self.rows.entry(group).or_default().push(first, run)
    }

    /// The record under `key`.
    pub(super) fn get(&self, key: &Key) -> Option<Record> {
        if let Key::Row(group, index) = key {
            return self.rows.get(group)?.get(*index).map(Record::At);
        }
        let place = self.others.get(key).map(|place| Record::At(*place));
        place.or_else(|| self.small.get(key).map(|value| Record::Is(value.clone())))
    }

    /// The first records from one key to another of its kind, `limit` at most.
    pub(super) fn range(&self, from: &Key, to: &Key, limit: usize) -> Vec<(Key, Record)> {
        if from > to {
            return Vec::new();
        }
        if let (Key::Row(group, first), Key::Row(_, last)) = (from, to) {
            let Some(rows) = self.rows.get(group) else { return Vec::new() };
            let rows = rows.range(*first, *last, limit).into_iter();
            return rows.map(|(index, at)| (Key::Row(*group, index), Record::At(at))).collect();
        }
        let places = self.others.range(*from..=*to).map(|(key, at)| (*key, Record::At(*at)));
        let small = self.small.range(*from..=*to);
        let small = small.map(|(key, value)| (*key, Record::Is(value.clone())));
        places.chain(small).take(limit).collect()
    }

    /// All records that are in one of `segments`, by key.
    pub(super) fn records_in(&self, segments: &BTreeSet<SegmentId>) -> Vec<(Key, Place)> {
        let mut found = Vec::new();
        for (group, first, run) in self.runs().filter(|(.., run)| segments.contains(&run.segment)) {
            for (index, (offset, length)) in (first.0..).zip(&run.spans) {
                let place = Place { segment: run.segment, offset: *offset, length: *length };
                found.push((Key::Row(group, LogIndex(index)), place));
            }
        }
        let others = self.others.iter().filter(|(_, place)| segments.contains(&place.segment));
        found.extend(others.map(|(key, place)| (*key, *place)));
        found
    }

    /// All runs of rows, by group and first row.
    pub(super) fn runs(&self) -> impl Iterator<Item = (GroupId, LogIndex, &Run)> {
        let of = |(group, rows): (&GroupId, _)| (*group, rows);
        let groups = self.rows.iter().map(of);
        groups.flat_map(|(group, rows): (GroupId, &Rows)| {
            rows.runs().map(move |(first, run)| (group, first, run))
        })
    }

    /// All other records with a place.
    pub(super) fn others(&self) -> impl ExactSizeIterator<Item = (&Key, &Place)> {
        self.others.iter()
    }

    /// All records that are kept here.
    pub(super) fn small(&self) -> impl ExactSizeIterator<Item = (&Key, &Bytes)> {
        self.small.iter()
    }

    /// How many bytes of `segment` are in use.
    pub(super) fn used(&self, segment: SegmentId) -> u64 {
        self.used.get(&segment).copied().unwrap_or(0)
    }

    /// The segments of which something is in use.
    pub(super) fn segments(&self) -> impl Iterator<Item = SegmentId> {
        self.used.keys().copied()
    }
}

/// The key behind `key`, of the same kind.
pub(super) fn behind(key: &Key) -> Option<Key> {
    match *key {
        Key::Row(group, index) => Some(Key::Row(group, LogIndex(index.0.checked_add(1)?))),
        Key::Adopted(group, index) => Some(Key::Adopted(group, LogIndex(index.0.checked_add(1)?))),
        Key::Page(group, number, page) => Some(match page.checked_add(1) {
            Some(page) => Key::Page(group, number, page),
            None => Key::Page(group, number.checked_add(1)?, 0),
        }),
        // There is one of each kind in a group, and nobody asks for a range of groups.
        Key::Identity
        | Key::Vote(_)
        | Key::Committed(_)
        | Key::Origin(_)
        | Key::Bottom(_)
        | Key::Head(_) => None,
    }
}

fn take(used: &mut BTreeMap<SegmentId, u64>, place: &Place) {
    let bytes = used.entry(place.segment).or_default();
    *bytes = bytes.saturating_add(place.bytes());
}

fn release(used: &mut BTreeMap<SegmentId, u64>, place: &Place) {
    if let Some(bytes) = used.get_mut(&place.segment) {
        *bytes = bytes.saturating_sub(place.bytes());
        if *bytes == 0 {
            used.remove(&place.segment);
        }
    }
}
