//! How much of each log row is still needed.
//!
//! Every reference counts: a message in two queues refers twice to the row it stands in. While an
//! entry is being applied, changes to the row it becomes, and to the row that was released last,
//! are gathered, so that neighbours cost one look-up; [`Rows::close`] enters them.
//!
//! **Invariant** between entries: a row is listed exactly as long as something refers to it.

mod table;

use warren_types::LogIndex;

use crate::run::{Parts, Run};
use table::Table;

/// A row is sparse when less than one in so many of its bytes is needed.
const SPARSE_SHARE: u64 = 4;

/// What is known of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// References to records in it.
    pub(crate) references: u64,
    /// What the records referred to weigh, each as often as it is referred to.
    pub(crate) weight: u64,
    /// Bytes of the whole row.
    pub(crate) bytes: u64,
}

/// All rows that something refers to.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: Table,
    /// The row of the entry that is being applied.
    open: (LogIndex, Row),
    /// What was given up last, not yet taken off its row.
    given_up: (LogIndex, Row),
}

impl Rows {
    /// Begins with the row of an entry of `bytes` bytes.
    pub(crate) fn open(&mut self, index: LogIndex, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.open = (index, Row { references: 0, weight: 0, bytes });
    }

    /// Counts one more record of the open row.
    #[inline]
    pub(crate) fn hold_open(&mut self, weight: u64) {
        self.open.1.references += 1;
        self.open.1.weight += weight;
    }

    /// Counts another reference to each of `parts`.
    pub(crate) fn hold_parts(&mut self, parts: &Parts) {
        for (index, weight) in parts.weights() {
            self.hold(index, 1, weight);
        }
    }

    /// Counts references to a row that may be any.
    pub(crate) fn hold(&mut self, index: LogIndex, references: u64, weight: u64) {
        self.change(index, |row| {
            row.references += references;
            row.weight += weight;
        });
    }

    /// Takes the references of `run` off, to its parts as well.
    #[inline]
    pub(crate) fn release(&mut self, run: &Run) {
        self.release_record(run.index, u64::from(run.count), run.weight());
        if let Some(parts) = &run.parts {
            self.release_parts(parts);
        }
    }

    /// Takes one reference to each of `parts` off.
    pub(crate) fn release_parts(&mut self, parts: &Parts) {
        for (index, weight) in parts.weights() {
            self.release_record(index, 1, weight);
        }
    }

    /// Takes references to records of one row off.
    #[inline]
    pub(crate) fn release_record(&mut self, index: LogIndex, references: u64, weight: u64) {
        if self.given_up.0 != index {
            self.enter_given_up();
            self.given_up.0 = index;
        }
        self.given_up.1.references += references;
        self.given_up.1.weight += weight;
    }

    /// Ends the entry that [`Rows::open`] began.
    pub(crate) fn close(&mut self) {
        self.enter_given_up();
        let (index, row) = std::mem::take(&mut self.open);
        if row.references > 0 {
            self.rows.change(index, |known| *known = row);
        }
    }

    /// Enters a row as a snapshot has it: without references, which are counted anew.
    pub(crate) fn restore(&mut self, index: LogIndex, bytes: u64) {
        self.rows.change(index, |row| *row = Row { references: 0, weight: 0, bytes });
    }

    /// The rows up to `floor`, ascending.
    pub(crate) fn up_to(&self, floor: LogIndex) -> impl Iterator<Item = (LogIndex, Row)> {
        self.rows.range(LogIndex(0)..=floor)
    }

    /// Those of the rows behind `after` and up to `floor` that are sparse, ascending.
    pub(crate) fn sparse(
        &self,
        after: LogIndex,
        floor: LogIndex,
    ) -> impl Iterator<Item = LogIndex> {
        self.rows
            .range(after.next()..=floor)
            .filter(|(_, row)| row.weight.saturating_mul(SPARSE_SHARE) < row.bytes)
            .map(|(index, _)| index)
    }

    /// How many rows are needed.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What is known of a row; for checks.
    pub(crate) fn row(&self, index: LogIndex) -> Option<Row> {
        self.rows.row(index)
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }

    /// Changes a row, and says what comes of it.
    fn change(&mut self, index: LogIndex, change: impl FnOnce(&mut Row)) -> Row {
        if self.open.0 == index {
            change(&mut self.open.1);
            return self.open.1;
        }
        self.rows.change(index, change)
    }

    fn enter_given_up(&mut self) {
        let (index, given_up) = std::mem::take(&mut self.given_up);
        if given_up.references == 0 {
            return;
        }
        let row = self.change(index, |row| {
            row.references = row.references.saturating_sub(given_up.references);
            row.weight = row.weight.saturating_sub(given_up.weight);
        });
        if row.references == 0 && self.open.0 != index {
            self.rows.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use warren_types::{Location, MessageNumber};

    use super::*;

    fn run(index: u64, count: u32) -> Run {
        let at = Location { index: LogIndex(index), offset: 11 };
        Run { count, stride: 70, ..Run::published(MessageNumber(1), at, 36, None) }
    }

    fn filled(index: u64, records: u64) -> Rows {
        let mut rows = Rows::default();
        rows.open(LogIndex(index), 10 * 100);
        for _ in 0..records {
            rows.hold_open(100);
        }
        rows.close();
        rows
    }

    #[test]
    fn a_row_is_needed_until_its_last_reference_goes() {
        let mut rows = filled(5, 3);

        rows.release(&run(5, 2));
        rows.close();
        assert_eq!(rows.len(), 1);

        rows.release(&run(5, 1));
        rows.close();
        assert_eq!(rows.len(), 0);
    }

    #[test]
    fn what_an_entry_holds_and_gives_up_itself_leaves_no_row() {
        let mut rows = Rows::default();
        rows.open(LogIndex(5), 100);
        rows.hold_open(100);

        rows.release(&run(5, 1));
        rows.close();

        assert_eq!(rows.len(), 0);
    }

    #[test]
    fn a_row_is_sparse_below_a_quarter() {
        let mut rows = filled(5, 10);
        rows.release(&run(5, 7));
        rows.close();
        assert_eq!(rows.sparse(LogIndex(0), LogIndex(9)).count(), 0, "three of ten");

        rows.release(&run(5, 1));
        rows.close();

        let sparse = |after, floor| rows.sparse(LogIndex(after), LogIndex(floor)).count();
        assert_eq!(sparse(0, 9), 1, "two of ten");
        assert_eq!(sparse(5, 9), 0, "behind it");
        assert_eq!(sparse(0, 4), 0, "before it");
    }
}
