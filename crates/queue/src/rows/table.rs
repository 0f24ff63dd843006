//! Rows by index, in little memory.
//!
//! Rows come one after the other, and where many are needed most are neighbours. So those of
//! [`BLOCK`] indexes stand together, in a list with room for them and no more.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use warren_types::LogIndex;

use super::Row;

/// Indexes of a block, of which each has a byte to be told apart by.
const BLOCK: u64 = 64;

/// A row in its block.
#[derive(Clone, Copy, Debug)]
struct Slot {
    references: u64,
    weight: u64,
    /// An entry is some megabytes long.
    bytes: u32,
    /// The index within the block.
    place: u8,
}

/// Rows by index.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// None of them is empty; the slots of each ascend.
    blocks: BTreeMap<u64, Vec<Slot>>,
    count: usize,
}

impl Slot {
    fn new(place: u8, row: Row) -> Self {
        let bytes = u32::try_from(row.bytes).unwrap_or(u32::MAX);
        Self { references: row.references, weight: row.weight, bytes, place }
    }

    fn row(&self) -> Row {
        let bytes = u64::from(self.bytes);
        Row { references: self.references, weight: self.weight, bytes }
    }
}

impl Table {
    /// The row at `index`.
    pub(super) fn row(&self, index: LogIndex) -> Option<Row> {
        let (block, place) = split(index);
        let slots = self.blocks.get(&block)?;
        let at = slots.binary_search_by_key(&place, |slot| slot.place).ok()?;
        slots.get(at).map(Slot::row)
    }

    /// Changes the row at `index`, which is there or begins as nothing, and says what comes of it.
    pub(super) fn change(&mut self, index: LogIndex, change: impl FnOnce(&mut Row)) -> Row {
        let (block, place) = split(index);
        let slots = self.blocks.entry(block).or_default();
        let at = slots.binary_search_by_key(&place, |slot| slot.place);
        let mut row = at.ok().and_then(|at| slots.get(at)).map(Slot::row).unwrap_or_default();
        change(&mut row);
        let slot = Slot::new(place, row);
        match at {
            Ok(at) => *slots.get_mut(at).expect("the slot was just found") = slot,
            Err(at) => {
                self.count += 1;
                if slots.len() == slots.capacity() {
                    slots.reserve_exact(slots.len().max(1));
                }
                slots.insert(at, slot);
            }
        }
        row
    }

    /// Removes the row at `index`, if it is there.
    pub(super) fn remove(&mut self, index: LogIndex) {
        let (block, place) = split(index);
        let Some(slots) = self.blocks.get_mut(&block) else { return };
        let Ok(at) = slots.binary_search_by_key(&place, |slot| slot.place) else { return };
        slots.remove(at);
        self.count -= 1;
        if slots.is_empty() {
            self.blocks.remove(&block);
        } else if slots.len() <= slots.capacity() / 4 {
            slots.shrink_to_fit();
        }
    }

    /// The rows at these indexes, ascending.
    pub(super) fn range(
        &self,
        indexes: RangeInclusive<LogIndex>,
    ) -> impl Iterator<Item = (LogIndex, Row)> {
        let (first, last) = (split(*indexes.start()).0, split(*indexes.end()).0);
        // A range that ends before it begins is an empty one.
        let blocks = self.blocks.range(first.min(last)..=last);
        let rows = blocks.flat_map(|(block, slots)| {
            let index = move |slot: &Slot| LogIndex(block * BLOCK + u64::from(slot.place));
            slots.iter().map(move |slot| (index(slot), slot.row()))
        });
        rows.filter(move |(index, _)| indexes.contains(index))
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let slots: usize = self.blocks.values().map(Vec::capacity).sum();
        // A block in a tree of half full nodes.
        slots * size_of::<Slot>() + self.blocks.len() * 64
    }
}

/// The block of an index, and its place there.
fn split(index: LogIndex) -> (u64, u8) {
    let place = u8::try_from(index.0 % BLOCK).expect("a block is shorter than a byte counts");
    (index.0 / BLOCK, place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_is_a_map(
            steps in proptest::collection::vec((0..400_u64, 0..3_u64), 1..200),
            from in 0..400_u64,
            to in 0..400_u64,
        ) {
            let (mut table, mut map) = (Table::default(), BTreeMap::new());
            for (index, references) in steps {
                let index = LogIndex(index);
                if references == 0 {
                    table.remove(index);
                    map.remove(&index);
                    continue;
                }
                let row = table.change(index, |row| row.references += references);
                let known: &mut Row = map.entry(index).or_default();
                known.references += references;
                prop_assert_eq!(row, *known);
            }

            prop_assert_eq!(table.len(), map.len());
            for index in (0..400).map(LogIndex) {
                prop_assert_eq!(table.row(index), map.get(&index).copied());
            }
            let (from, to) = (LogIndex(from), LogIndex(to));
            let found: Vec<(LogIndex, Row)> = table.range(from..=to).collect();
            let expected: Vec<(LogIndex, Row)> = map
                .into_iter()
                .filter(|(index, _)| (from..=to).contains(index))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn neighbours_cost_what_they_are_and_lonely_ones_little_more() {
        let (mut dense, mut sparse) = (Table::default(), Table::default());
        for nth in 0..6400 {
            dense.change(LogIndex(nth), |row| row.references = 1);
            sparse.change(LogIndex(nth), |row| row.references = 1);
        }
        (0..6400).filter(|nth| nth % 64 != 7).for_each(|nth| sparse.remove(LogIndex(nth)));

        assert!(dense.memory_bytes() / 6400 <= 25, "{}", dense.memory_bytes() / 6400);
        assert!(sparse.memory_bytes() / 100 < 128, "{}", sparse.memory_bytes() / 100);
    }
}
