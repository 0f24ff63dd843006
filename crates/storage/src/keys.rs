//! The key of every stored record. Big-endian, so that a group's records stand together and
//! its rows in log order.
//!
//! | Space | Key | Record |
//! | --- | --- | --- |
//! | log | group u32, index u64 | a row |
//! | meta | 0 | the node's identity |
//! | meta | 1, group u32, item u8 | a group's vote (1), committed hint (2), origin (3), bottom (4), snapshot head (5) |
//! | snapshot | 1, group u32, number u64, page u32 | a snapshot's page |
//! | snapshot | 2, group u32, index u64 | an adopted row |

use std::fmt;

use warren_types::{GroupId, LogIndex};

/// Length of a row's key.
pub(crate) const ROW_KEY_BYTES: usize = 12;

/// The longest key: a snapshot page's.
const MAX_KEY_BYTES: usize = 17;

/// Names one stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A row of the log.
    Row(GroupId, LogIndex),
    /// The node's identity.
    Identity,
    /// A group's vote.
    Vote(GroupId),
    /// How far a group is known to be committed.
    Committed(GroupId),
    /// Where a group's log begins.
    Origin(GroupId),
    /// The lowest row that may exist.
    Bottom(GroupId),
    /// Which pages make the group's snapshot.
    Head(GroupId),
    /// One page of one snapshot.
    Page(GroupId, u64, u32),
    /// A row that another replica shipped with its snapshot.
    Adopted(GroupId, LogIndex),
}

/// A family of records with like habits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Space {
    /// Rows: written once, read rarely, removed in stretches.
    Log,
    /// Small records, written again and again.
    Meta,
    /// Large records that come and go as a whole.
    Snapshot,
}

impl Key {
    /// Where the record is kept.
    pub(crate) fn space(&self) -> Space {
        match self {
            Self::Row(..) => Space::Log,
            Self::Identity
            | Self::Vote(_)
            | Self::Committed(_)
            | Self::Origin(_)
            | Self::Bottom(_)
            | Self::Head(_) => Space::Meta,
            Self::Page(..) | Self::Adopted(..) => Space::Snapshot,
        }
    }

    /// A key of each kind, of a group where it has one.
    pub(crate) const fn samples(group: GroupId) -> [Self; 9] {
        [
            Self::Row(group, LogIndex(7)),
            Self::Identity,
            Self::Vote(group),
            Self::Committed(group),
            Self::Origin(group),
            Self::Bottom(group),
            Self::Head(group),
            Self::Page(group, 9, 1),
            Self::Adopted(group, LogIndex(7)),
        ]
    }

    /// The key's bytes. Those of keys of one kind sort as the keys do.
    pub(crate) fn bytes(&self) -> KeyBytes {
        let mut key = KeyBytes::default();
        match *self {
            Self::Row(group, index) => key.put(&row_key(group, index)),
            Self::Identity => key.put(&[0]),
            Self::Vote(group) => key.item(group, 1),
            Self::Committed(group) => key.item(group, 2),
            Self::Origin(group) => key.item(group, 3),
            Self::Bottom(group) => key.item(group, 4),
            Self::Head(group) => key.item(group, 5),
            Self::Page(group, number, page) => {
                key.put(&[1]);
                key.put(&group.0.to_be_bytes());
                key.put(&number.to_be_bytes());
                key.put(&page.to_be_bytes());
            }
            Self::Adopted(group, index) => {
                key.put(&[2]);
                key.put(&row_key(group, index));
            }
        }
        key
    }

    /// The key that `bytes` of `space` stand for.
    pub(crate) fn parse(space: Space, bytes: &[u8]) -> Option<Self> {
        match (space, bytes) {
            (Space::Log, _) => parse_row(bytes).map(|(group, index)| Self::Row(group, index)),
            (Space::Meta, [0]) => Some(Self::Identity),
            (Space::Meta, [1, rest @ ..]) => {
                let (group, item) = rest.split_first_chunk::<4>()?;
                let group = GroupId(u32::from_be_bytes(*group));
                match item {
                    [1] => Some(Self::Vote(group)),
                    [2] => Some(Self::Committed(group)),
                    [3] => Some(Self::Origin(group)),
                    [4] => Some(Self::Bottom(group)),
                    [5] => Some(Self::Head(group)),
                    _ => None,
                }
            }
            (Space::Snapshot, [1, rest @ ..]) => {
                let (group, rest) = rest.split_first_chunk::<4>()?;
                let (number, rest) = rest.split_first_chunk::<8>()?;
                let page: [u8; 4] = rest.try_into().ok()?;
                let group = GroupId(u32::from_be_bytes(*group));
                Some(Self::Page(group, u64::from_be_bytes(*number), u32::from_be_bytes(page)))
            }
            (Space::Snapshot, [2, rest @ ..]) => {
                parse_row(rest).map(|(group, index)| Self::Adopted(group, index))
            }
            (Space::Meta | Space::Snapshot, _) => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(group, index) => write!(f, "row {index} of group {group}"),
            Self::Identity => write!(f, "the node's identity"),
            Self::Vote(group) => write!(f, "the vote of group {group}"),
            Self::Committed(group) => write!(f, "the committed hint of group {group}"),
            Self::Origin(group) => write!(f, "the origin of group {group}"),
            Self::Bottom(group) => write!(f, "the bottom of group {group}"),
            Self::Head(group) => write!(f, "the snapshot head of group {group}"),
            Self::Page(group, number, page) => {
                write!(f, "page {page} of snapshot {number} of group {group}")
            }
            Self::Adopted(group, index) => write!(f, "adopted row {index} of group {group}"),
        }
    }
}

/// A key's bytes, without an allocation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyBytes {
    bytes: [u8; MAX_KEY_BYTES],
    used: usize,
}

impl KeyBytes {
    fn item(&mut self, group: GroupId, item: u8) {
        self.put(&[1]);
        self.put(&group.0.to_be_bytes());
        self.put(&[item]);
    }

    fn put(&mut self, part: &[u8]) {
        let end = self.used.saturating_add(part.len());
        let room = self.bytes.get_mut(self.used..end).expect("MAX_KEY_BYTES holds every key");
        room.copy_from_slice(part);
        self.used = end;
    }
}

impl AsRef<[u8]> for KeyBytes {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.used).expect("put grows used within the array")
    }
}

/// A row's key: group, then index.
pub(crate) fn row_key(group: GroupId, index: LogIndex) -> [u8; ROW_KEY_BYTES] {
    let mut key = [0; ROW_KEY_BYTES];
    let (high, low) = key.split_at_mut(4);
    high.copy_from_slice(&group.0.to_be_bytes());
    low.copy_from_slice(&index.0.to_be_bytes());
    key
}

fn parse_row(bytes: &[u8]) -> Option<(GroupId, LogIndex)> {
    let (group, rest) = bytes.split_first_chunk::<4>()?;
    let index: [u8; 8] = rest.try_into().ok()?;
    Some((GroupId(u32::from_be_bytes(*group)), LogIndex(u64::from_be_bytes(index))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(0x0102_0304);

    #[test]
    fn every_key_is_read_back() {
        for key in Key::samples(GROUP) {
            assert_eq!(Key::parse(key.space(), key.bytes().as_ref()), Some(key));
        }
    }

    #[test]
    fn no_two_keys_of_a_space_are_the_same() {
        let mut seen = std::collections::BTreeSet::new();

        for key in Key::samples(GROUP) {
            assert!(seen.insert((key.space(), key.bytes().as_ref().to_vec())), "{key}");
        }
    }

    #[test]
    fn rows_sort_by_group_and_then_by_index() {
        let keys = [
            row_key(GroupId(1), LogIndex(u64::MAX)),
            row_key(GroupId(2), LogIndex(0)),
            row_key(GroupId(2), LogIndex(255)),
            row_key(GroupId(2), LogIndex(256)),
        ];

        assert!(keys.is_sorted());
    }

    #[test]
    fn keys_stay_as_they_are_on_existing_disks() {
        let text = |key: Key| {
            key.bytes().as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };

        assert_eq!(text(Key::Row(GROUP, LogIndex(7))), "010203040000000000000007");
        assert_eq!(text(Key::Identity), "00");
        assert_eq!(text(Key::Vote(GROUP)), "010102030401");
        assert_eq!(text(Key::Head(GROUP)), "010102030405");
        assert_eq!(text(Key::Page(GROUP, 9, 10)), "010102030400000000000000090000000a");
        assert_eq!(text(Key::Adopted(GROUP, LogIndex(7))), "02010203040000000000000007");
    }
}
