//! Power cuts at any step, and files that are not what was written.

use std::collections::BTreeMap;

use proptest::prelude::*;
use warren_types::{GroupId, LogIndex};

use super::*;

const SEGMENT_BYTES: u32 = 16 << 10;
const GROUPS: [GroupId; 2] = [GroupId(0), GroupId(u32::MAX)];

/// What a test does with an engine.
#[derive(Clone, Debug)]
enum Act {
    Write {
        changes: Vec<Change>,
        sync: bool,
    },
    Checkpoint,
    Clean {
        strict: bool,
    },
    Compact,
    /// Of each sector that was not synced, the bits say whether it is on the disk.
    PowerCut {
        survives: u64,
    },
}

fn key() -> impl Strategy<Value = Key> {
    let group = prop_oneof![Just(GROUPS[0]), Just(GROUPS[1])];
    (group, 0..7_u8, 0..60_u64).prop_map(|(group, kind, at)| match kind {
        0 => Key::Vote(group),
        1 => Key::Page(group, at / 8, 0),
        2 => Key::Adopted(group, LogIndex(at)),
        _ => Key::Row(group, LogIndex(at)),
    })
}

fn put() -> impl Strategy<Value = Change> {
    (key(), 0..3_000_usize, any::<u8>()).prop_map(|(key, length, byte)| {
        let value = Bytes::from(vec![byte; length]);
        Change::Put { key, value }
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => put(),
        1 => key().prop_map(|key| Change::Remove { key }),
        1 => (key(), 0..30_u64).prop_map(|(key, span)| {
            let to = match key {
                Key::Row(group, at) => Key::Row(group, LogIndex(at.0 + span)),
                Key::Adopted(group, at) => Key::Adopted(group, LogIndex(at.0 + span)),
                Key::Page(group, at, page) => Key::Page(group, at + span, page),
                other => other,
            };
            Change::RemoveRange { from: key, to, for_good: false }
        }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let changes = proptest::collection::vec(change(), 1..5);
    prop_oneof![
        20 => (changes, any::<bool>()).prop_map(|(changes, sync)| Act::Write { changes, sync }),
        2 => Just(Act::Checkpoint),
        2 => any::<bool>().prop_map(|strict| Act::Clean { strict }),
        1 => Just(Act::Compact),
        1 => any::<u64>().prop_map(|survives| Act::PowerCut { survives }),
    ]
}

type Model = BTreeMap<Key, Bytes>;

fn perform(model: &mut Model, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put { key, value } => drop(model.insert(*key, value.clone())),
            Change::Remove { key } => drop(model.remove(key)),
            Change::RemoveRange { from, to, .. } => {
                model.retain(|key, _| key < from || key > to);
            }
            Change::PutRow { .. } => unreachable!("no test here makes one"),
        }
    }
}

/// All that `engine` holds, by scanning and, each record by itself, by reading.
fn contents(engine: &SegmentEngine) -> Model {
    let mut found = Model::new();
    for group in GROUPS {
        for (from, to) in [
            (Key::Row(group, LogIndex(0)), Key::Row(group, LogIndex(u64::MAX))),
            (Key::Page(group, 0, 0), Key::Page(group, u64::MAX, u32::MAX)),
            (Key::Adopted(group, LogIndex(0)), Key::Adopted(group, LogIndex(u64::MAX))),
        ] {
            let mut visit = |key, value: Bytes| {
                assert_eq!(engine.read(&key).unwrap().as_ref(), Some(&value), "{key}");
                assert!(found.insert(key, value).is_none(), "{key} comes twice");
                ControlFlow::Continue(())
            };
            engine.scan(&from, &to, &mut visit).unwrap();
        }
        let vote = Key::Vote(group);
        found.extend(engine.read(&vote).unwrap().map(|value| (vote, value)));
    }
    found
}

/// An engine, what it may hold after a power cut, and what its last segment held when it was
/// synced.
struct Rig {
    dir: tempfile::TempDir,
    engine: Option<SegmentEngine>,
    /// The state that is on the disk, and each one written after it.
    states: Vec<Model>,
    synced: Vec<u8>,
}

impl Rig {
    fn new() -> Self {
        // In memory where there is such a place: no test here asks what a disk does.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        std::fs::create_dir(dir.path().join("db")).unwrap();
        let mut rig = Self { dir, engine: None, states: vec![Model::new()], synced: Vec::new() };
        rig.open();
        rig
    }

    fn engine(&self) -> &SegmentEngine {
        self.engine.as_ref().unwrap()
    }

    fn open(&mut self) {
        let dir = self.dir.path().join("db");
        self.engine = Some(SegmentEngine::unattended(&dir, SEGMENT_BYTES).unwrap());
        self.synced = self.last_segment();
    }

    fn last_segment(&self) -> Vec<u8> {
        let active = self.engine().active();
        active.segment.contents().unwrap().to_vec()
    }

    fn write(&mut self, changes: &[Change], sync: bool) {
        let before = self.engine().active().segment.id;
        self.engine().write(changes, sync).unwrap();
        let mut state = self.states.last().unwrap().clone();
        perform(&mut state, changes);
        self.states.push(state);
        if self.engine().active().segment.id != before {
            // What was in the segments before is on the disk; of this one, the header.
            self.states.drain(..self.states.len() - 2);
            self.synced = self.last_segment();
            self.synced[usize::try_from(HEADER_BYTES).unwrap()..].fill(0);
        }
        if sync {
            self.states.drain(..self.states.len() - 1);
            self.synced = self.last_segment();
        }
    }

    fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        let yard = Arc::clone(&self.engine().yard);
        match act {
            Act::Write { changes, sync } => self.write(changes, *sync),
            Act::Checkpoint => drop(keeper::write_checkpoint(&yard).unwrap()),
            Act::Clean { strict } => {
                let thrift = if *strict { Thrift::Strict } else { Thrift::Usual };
                let start = Checkpoint::read(&yard.dir).unwrap().unwrap().start;
                keeper::clean(&yard, start, thrift).unwrap();
            }
            Act::Compact => {
                self.engine().compact(&[]).unwrap();
                // Everything written before has gone through a checkpoint.
                self.states.drain(..self.states.len() - 1);
                self.synced = self.last_segment();
            }
            Act::PowerCut { survives } => return self.power_cut(*survives),
        }
        prop_assert_eq!(&contents(self.engine()), self.states.last().unwrap());
        Ok(())
    }

    fn power_cut(&mut self, survives: u64) -> Result<(), TestCaseError> {
        let written = self.last_segment();
        let path = self.engine().active().segment.path().to_path_buf();
        self.engine = None;
        let mut found = self.synced.clone();
        for (sector, (old, new)) in found.chunks_mut(512).zip(written.chunks(512)).enumerate() {
            if (survives >> (sector % 64)) & 1 == 1 {
                old.copy_from_slice(new);
            }
        }
        std::fs::write(path, found).unwrap();
        self.open();
        let found = contents(self.engine());
        let at = self.states.iter().rposition(|state| *state == found);
        prop_assert!(at.is_some(), "what is there was never so, or was synced over");
        self.states = vec![found];
        Ok(())
    }
}

fn cases() -> u32 {
    let times = std::env::var("WARREN_HISTORIES").ok().and_then(|text| text.parse::<u32>().ok());
    80 * times.unwrap_or(1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_a_power_cut_there_is_what_was_synced_and_a_prefix_of_the_rest(
        acts in proptest::collection::vec(act(), 1..80),
    ) {
        let mut rig = Rig::new();
        for act in acts.iter().chain([&Act::PowerCut { survives: 0x5555 }]) {
            rig.act(act)?;
        }
    }
}

/// Rows `from..=to` of the first group, each in a batch of its own.
fn write_rows(rig: &mut Rig, from: u64, to: u64) {
    for at in from..=to {
        let value = Bytes::from(vec![u8::try_from(at % 251).unwrap(); 1_000]);
        let key = Key::Row(GROUPS[0], LogIndex(at));
        rig.write(&[Change::Put { key, value }], true);
    }
}

fn remove_rows(rig: &mut Rig, from: u64, to: u64) {
    let (from, to) = (Key::Row(GROUPS[0], LogIndex(from)), Key::Row(GROUPS[0], LogIndex(to)));
    rig.write(&[Change::RemoveRange { from, to, for_good: true }], true);
}

#[test]
fn a_row_that_outlives_its_segments_pins_one_small_one_and_not_theirs() {
    let mut rig = Rig::new();
    for first in (1..=2_000).step_by(100) {
        write_rows(&mut rig, first, first + 99);
        remove_rows(&mut rig, first + 1, first + 99);
        keeper::write_checkpoint(&rig.engine().yard).unwrap();
    }
    let before = rig.engine().disk_bytes();

    rig.engine().compact(&[]).unwrap();

    let after = rig.engine().disk_bytes();
    assert!(before > 200_000, "{before}");
    assert!(after < 100_000, "20 rows of 1,000 bytes take {after} bytes");
    assert_eq!(&contents(rig.engine()), rig.states.last().unwrap());
}

#[test]
fn files_are_used_again_while_rows_come_and_go() {
    let mut rig = Rig::new();
    for first in (1..=1_500).step_by(10) {
        write_rows(&mut rig, first, first + 9);
        remove_rows(&mut rig, first, first + 9);
        keeper::write_checkpoint(&rig.engine().yard).unwrap();
    }

    let number = rig.engine().yard.supply().number_file();

    assert!(number < 15, "{number} files were made for 100 segments");
}

#[test]
fn lives_that_are_short_do_not_gather_what_is_left_of_each() {
    let mut rig = Rig::new();
    for life in (1..=1_500).step_by(30) {
        write_rows(&mut rig, life, life + 29);
        remove_rows(&mut rig, life + 1, life + 29);
        rig.engine = None;
        rig.open();
    }

    let bytes = rig.engine().disk_bytes();

    assert!(bytes < 250_000, "50 rows of 1,000 bytes take {bytes} bytes");
    assert_eq!(&contents(rig.engine()), rig.states.last().unwrap());
}

#[test]
fn a_reader_keeps_what_it_reads_though_the_segment_is_taken_back() {
    let mut rig = Rig::new();
    write_rows(&mut rig, 1, 3);
    let segment = Arc::clone(&rig.engine().active().segment);
    let place = match rig.engine().yard.read().index.get(&Key::Row(GROUPS[0], LogIndex(2))) {
        Some(Record::At(place)) => place,
        other => panic!("{other:?}"),
    };
    remove_rows(&mut rig, 1, 3);
    rig.engine().compact(&[]).unwrap();
    write_rows(&mut rig, 4, 60);

    let read = segment.read(place.offset, place.length).unwrap();

    assert_eq!(read, vec![2; 1_000]);
    assert!(!rig.engine().yard.read().segments.contains_key(&segment.id));
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_of_its_own() {
    let mut rig = Rig::new();
    let value = Bytes::from(vec![7; 100_000]);
    let key = Key::Row(GROUPS[0], LogIndex(1));

    rig.write(&[Change::Put { key, value }], true);
    write_rows(&mut rig, 2, 20);

    rig.engine = None;
    rig.open();
    assert_eq!(&contents(rig.engine()), rig.states.last().unwrap());
}

#[test]
fn an_end_before_what_was_synced_is_a_loss() {
    let mut rig = Rig::new();
    write_rows(&mut rig, 1, 3);
    let path = rig.engine().active().segment.path().to_path_buf();
    rig.engine = None;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[usize::try_from(HEADER_BYTES).unwrap() + 2_500] ^= 1;
    std::fs::write(path, bytes).unwrap();

    let opened = SegmentEngine::unattended(&rig.dir.path().join("db"), SEGMENT_BYTES);

    let error = opened.err().unwrap();
    assert!(matches!(error, EngineError::Lost { had: 3, has: 2 }), "{error}");
}

#[test]
fn a_segment_that_the_checkpoint_refers_to_is_missed() {
    let mut rig = Rig::new();
    write_rows(&mut rig, 1, 3);
    let (path, id) = {
        let active = rig.engine().active();
        (active.segment.path().to_path_buf(), active.segment.id)
    };
    rig.engine().cut_here().unwrap();
    keeper::write_checkpoint(&rig.engine().yard).unwrap();
    rig.engine = None;
    std::fs::remove_file(path).unwrap();

    let opened = SegmentEngine::unattended(&rig.dir.path().join("db"), SEGMENT_BYTES);

    let error = opened.err().unwrap();
    assert!(matches!(error, EngineError::SegmentMissing { segment } if segment == id.0), "{error}");
}
