//! Checks that any machine must pass; for tests.

use bytes::Bytes;

use crate::{Entry, Machine};

/// Applies `entries` to two machines and expects the same state after each.
///
/// # Panics
/// When the two ever differ.
pub fn assert_apply_is_deterministic<M: Machine>(new: impl Fn() -> M, entries: &[Entry]) {
    let (mut one, mut other) = (new(), new());
    for entry in entries {
        one.apply(entry);
        other.apply(entry);
        assert_eq!(one.digest(), other.digest(), "replicas differ after entry {}", entry.index);
    }
}

/// Replaces the machine by its own snapshot after each of `cuts` entries and expects the same
/// end as without.
///
/// # Panics
/// When a snapshot cannot be restored or changes the state.
pub fn assert_snapshot_anywhere_changes_nothing<M: Machine>(
    new: impl Fn() -> M,
    entries: &[Entry],
    cuts: &[usize],
) {
    let mut straight = new();
    let mut cut = new();
    for (count, entry) in entries.iter().enumerate() {
        if cuts.contains(&count) {
            let pages: Vec<Bytes> = cut.snapshot();
            cut = M::restore(&pages).expect("a machine restores its own snapshot");
            assert_eq!(straight.digest(), cut.digest(), "snapshot before entry {}", entry.index);
        }
        straight.apply(entry);
        cut.apply(entry);
        assert_eq!(straight.digest(), cut.digest(), "replicas differ after entry {}", entry.index);
    }
}
