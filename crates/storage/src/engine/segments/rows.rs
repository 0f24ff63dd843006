//! Where one group's rows are: runs of neighbours that stand in one segment.
//!
//! A row takes eight bytes, a run about a hundred. Runs are shared with whoever holds a copy of the
//! index and copied only when they change, so that a copy costs next to nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use warren_types::LogIndex;

use super::file::SegmentId;
use super::index::Place;

/// Rows that one run has at most: what is copied when a shared one changes.
const RUN_ROWS: usize = 1024;

/// Consecutive rows in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) segment: SegmentId,
    /// Where each of them begins, and how long it is.
    pub(super) spans: Vec<(u32, u32)>,
}

/// The rows of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    /// By their first row. They do not overlap.
    runs: BTreeMap<LogIndex, Arc<Run>>,
}

impl Run {
    /// The place of the row that many behind the first.
    fn place(&self, at: usize) -> Option<Place> {
        let (offset, length) = *self.spans.get(at)?;
        Some(Place { segment: self.segment, offset, length })
    }

    fn rows(&self) -> u64 {
        u64::try_from(self.spans.len()).unwrap_or(u64::MAX)
    }
}

impl Rows {
    /// Row `index` is at `place`; returns where it was.
    pub(super) fn put(&mut self, index: LogIndex, place: Place) -> Option<Place> {
        let mut before = None;
        // Rows come in order: nearly always there is nothing at or behind `index`.
        if self.end().is_some_and(|end| index < end) {
            self.remove(index, index, |place| before = Some(place));
        }
        let span = (place.offset, place.length);
        if let Some((first, run)) = self.runs.range_mut(..index).next_back()
            && run.segment == place.segment
            && run.spans.len() < RUN_ROWS
            && first.0.checked_add(run.rows()) == Some(index.0)
        {
            Arc::make_mut(run).spans.push(span);
        } else {
            let run = Run { segment: place.segment, spans: vec![span] };
            self.runs.insert(index, Arc::new(run));
        }
        before
    }

    /// Puts a whole run behind all others. None if it does not belong there.
    pub(super) fn push(&mut self, first: LogIndex, run: Run) -> Option<()> {
        let fits = !run.spans.is_empty() && self.end().is_none_or(|end| end <= first);
        first.0.checked_add(run.rows()).filter(|_| fits)?;
        self.runs.insert(first, Arc::new(run));
        Some(())
    }

    /// Forgets the rows from one to another, both included; says where each of them was.
    pub(super) fn remove(&mut self, from: LogIndex, to: LogIndex, mut gone: impl FnMut(Place)) {
        while let Some(first) = self.overlapping(from, to) {
            let Some(run) = self.runs.remove(&first) else { return };
            let within = |index: u64| usize::try_from(index.saturating_sub(first.0)).ok();
            let rows = run.spans.len();
            let start = within(from.0).unwrap_or(rows).min(rows);
            let end = within(to.0).map_or(rows, |last| last.saturating_add(1)).min(rows);
            (start..end).filter_map(|at| run.place(at)).for_each(&mut gone);
            let mut keep = |first: LogIndex, spans: Option<&[(u32, u32)]>| {
                if let Some(spans) = spans.filter(|spans| !spans.is_empty()) {
                    let run = Run { segment: run.segment, spans: spans.to_vec() };
                    self.runs.insert(first, Arc::new(run));
                }
            };
            keep(first, run.spans.get(..start));
            keep(LogIndex(to.0.saturating_add(1)), run.spans.get(end..));
        }
    }

    /// Where row `index` is.
    pub(super) fn get(&self, index: LogIndex) -> Option<Place> {
        let (first, run) = self.runs.range(..=index).next_back()?;
        run.place(usize::try_from(index.0.saturating_sub(first.0)).ok()?)
    }

    /// The first of the rows from one to another, `limit` at most.
    pub(super) fn range(
        &self,
        from: LogIndex,
        to: LogIndex,
        limit: usize,
    ) -> Vec<(LogIndex, Place)> {
        let start = self.overlapping(from, to).unwrap_or(from);
        let mut found = Vec::new();
        for (first, run) in self.runs.range(start.min(to)..=to) {
            let skip = from.0.saturating_sub(first.0);
            let indexes = first.0.saturating_add(skip)..=to.0;
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            for (index, at) in indexes.zip(skip..run.spans.len()) {
                if found.len() == limit {
                    return found;
                }
                found.extend(run.place(at).map(|place| (LogIndex(index), place)));
            }
        }
        found
    }

    /// All runs, in order.
    pub(super) fn runs(&self) -> impl ExactSizeIterator<Item = (LogIndex, &Run)> {
        self.runs.iter().map(|(first, run)| (*first, &**run))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// One behind the last row.
    fn end(&self) -> Option<LogIndex> {
        let (first, run) = self.runs.last_key_value()?;
        Some(LogIndex(first.0.saturating_add(run.rows())))
    }

    /// The first run with a row from one to another.
    fn overlapping(&self, from: LogIndex, to: LogIndex) -> Option<LogIndex> {
        let before = self.runs.range(..from).next_back();
        let before = before.filter(|(first, run)| first.0.saturating_add(run.rows()) > from.0);
        let next = || self.runs.range(from..).next();
        before.or_else(next).map(|(first, _)| *first).filter(|first| *first <= to)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(segment: u32, offset: u32) -> Place {
        Place { segment: SegmentId(segment), offset, length: 10 }
    }

    #[test]
    fn neighbours_in_one_segment_are_one_run() {
        let mut rows = Rows::default();

        for index in 1..=1_000 {
            rows.put(LogIndex(index), place(1, 7));
        }
        rows.put(LogIndex(1_001), place(2, 7));

        assert_eq!(rows.runs().len(), 2);
    }

    #[test]
    fn the_last_row_of_all_can_be_removed() {
        let mut rows = Rows::default();
        rows.put(LogIndex(u64::MAX), place(1, 7));

        rows.remove(LogIndex(0), LogIndex(u64::MAX), |_| {});

        assert!(rows.is_empty());
    }

    proptest! {
        #[test]
        fn rows_behave_as_a_map(
            acts in proptest::collection::vec((0..4_u8, 0..40_u64, 0..8_u64, 0..3_u32), 1..60),
        ) {
            let mut rows = Rows::default();
            let mut map = BTreeMap::new();
            for (number, (act, first, span, segment)) in (0_u32..).zip(acts) {
                if act == 0 {
                    let mut gone = Vec::new();
                    let (from, to) = (LogIndex(first), LogIndex(first + span));
                    rows.remove(from, to, |place| gone.push(place));
                    let expected: Vec<_> = map.extract_if(from..=to, |_, _| true).collect();
                    prop_assert!(gone.iter().eq(expected.iter().map(|(_, place)| place)));
                } else {
                    for index in (first..=first + span).map(LogIndex) {
                        let at = place(segment, number * 100);
                        prop_assert_eq!(rows.put(index, at), map.insert(index, at));
                    }
                }
                let (from, to) = (LogIndex(first / 2), LogIndex(first + 3));
                let expected: Vec<_> = map.range(from..=to).map(|(i, p)| (*i, *p)).collect();
                prop_assert_eq!(rows.range(from, to, usize::MAX), expected);
                for index in (0..50).map(LogIndex) {
                    prop_assert_eq!(rows.get(index), map.get(&index).copied());
                }
            }
        }
    }
}
