//! Power cuts at any point: what was acknowledged is there, and what is there is a prefix of
//! what was asked for.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use warren_storage::{MemoryEngine, Store};
use warren_types::GroupId;

use crate::histories::cases;
use crate::kit::{Disk, Memory, eventually};
use crate::model::{Model, Step, step};

const GROUPS: [GroupId; 2] = [GroupId(1), GroupId(2)];

#[derive(Clone, Debug)]
struct History {
    steps: Vec<(usize, Step)>,
    /// How large a batch may be.
    batch_bytes: usize,
    /// How many batches are written before the power is cut.
    batches: usize,
    /// How many unsynced batches happen to survive.
    keep: usize,
}

fn history() -> impl Strategy<Value = History> {
    let steps = proptest::collection::vec((0..2_usize, step()), 1..60);
    // One request each, a few, all that waits.
    let batch_bytes = prop_oneof![Just(1), Just(1_000), Just(1 << 20)];
    (steps, batch_bytes, 0..40_usize, 0..4_usize).prop_map(|(steps, batch_bytes, batches, keep)| {
        History { steps, batch_bytes, batches, keep }
    })
}

fn check(history: &History, lie: bool) -> Result<(), TestCaseError> {
    let disk = Memory::fresh();
    disk.engine.lie_about_syncs(lie);
    let store = disk.open_with(|config| {
        config.recent_bytes = 500;
        config.write_batch_bytes = history.batch_bytes;
    });
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let states = write(history, &disk, &store, &acknowledged);

    eventually("the disk stops or has written all", || {
        disk.engine.writes_left() == Some(0) || store.statistics().backlog_bytes == 0
    });
    // Whoever was told before the cut may rely on it.
    let told = acknowledged.lock().unwrap().clone();
    let after = disk.engine.crash_keeping(history.keep);
    drop(store);

    prop_assert!(told.is_sorted(), "acknowledged out of order: {:?}", told);
    let promised = promised(&history.steps, &states, told.last().map_or(0, |step| step + 1));
    let store = Store::with_engine(Box::new(after), warren_storage::Config::default()).unwrap();
    let found = GROUPS.map(|id| store.group(id).unwrap());
    let difference = |models: &[Model; 2]| {
        models.iter().zip(&found).find_map(|(model, group)| model.differs(group))
    };
    let differences: Vec<_> = states.iter().skip(promised).map(difference).collect();
    prop_assert!(
        differences.iter().any(Option::is_none),
        "{} steps were acknowledged; what is there differs from all states since: {:#?}",
        promised,
        differences
    );
    for group in &found {
        let hint = group
            .committed()
            .unwrap()
            .map_or(0, |hint| u64::from_be_bytes(hint.as_ref().try_into().unwrap()));
        let last = group.bounds().last.map_or(0, |last| last.index.0);
        prop_assert!(hint <= last, "committed {} of {}", hint, last);
    }
    Ok(())
}

/// How many of the `told` steps must have survived: sweeps and replacements promise nothing, and
/// who asked for what was so already, right behind them, was told at once.
fn promised(steps: &[(usize, Step)], states: &[[Model; 2]], told: usize) -> usize {
    let mut promised = told;
    while let Some(before) = promised.checked_sub(1) {
        let weak = match &steps[before].1 {
            Step::Retain { .. } | Step::Replace { .. } | Step::Committed => true,
            Step::Append { .. }
            | Step::Truncate { .. }
            | Step::Purge { .. }
            | Step::PurgeBeyond { .. }
            | Step::Adopt { .. }
            | Step::Vote
            | Step::Snapshot { .. }
            | Step::Erase => {
                let [now, then] = [promised, before].map(|number| &states[number]);
                now.iter().zip(then).all(|(now, then)| now.looks_like(then))
            }
        };
        if !weak {
            break;
        }
        promised = before;
    }
    promised
}

/// Does all steps; returns the state after each, the empty one first.
fn write(
    history: &History,
    disk: &Memory,
    store: &Store,
    acknowledged: &Arc<Mutex<Vec<usize>>>,
) -> Vec<[Model; 2]> {
    let groups = GROUPS.map(|id| store.group(id).unwrap());
    let mut models = [Model::default(), Model::default()];
    let mut states = vec![models.clone()];
    // The first half waits together, the second comes while the disk is at work.
    disk.engine.hold();
    for (number, (at, step)) in history.steps.iter().enumerate() {
        if number == history.steps.len() / 2 {
            disk.engine.pass(history.batches);
        }
        let acknowledged = Arc::clone(acknowledged);
        let done = move |outcome: crate::kit::Outcome| {
            if outcome.is_ok() {
                acknowledged.lock().unwrap().push(number);
            }
        };
        models[*at].perform(step, &groups[*at], Box::new(done));
        states.push(models.clone());
    }
    states
}

fn run(histories: u32, lie: bool) -> Result<(), TestError<History>> {
    let config = Config { cases: cases(histories), failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&history(), |history| check(&history, lie))
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_and_nothing_is_reordered() {
    run(400, false).unwrap();
}

#[test]
fn the_check_catches_a_disk_that_lies_about_syncs() {
    assert!(run(400, true).is_err());
}

#[test]
fn a_committed_hint_never_overtakes_its_rows() {
    let disk = Memory::fresh();
    let store = disk.open_with(|config| config.write_batch_bytes = 1);
    let group = store.group(GROUPS[0]).unwrap();
    disk.engine.hold();
    for number in 1..=5 {
        group.append(crate::kit::rows(number, number, 1), crate::kit::nobody());
    }
    group.save_committed(bytes::Bytes::from_static(b"5"));

    disk.engine.pass(3);
    eventually("three batches are written", || disk.engine.writes_left() == Some(0));
    let after = disk.engine.crash();

    let config = warren_storage::Config::default();
    let group = Store::with_engine(Box::new(after), config).unwrap().group(GROUPS[0]).unwrap();
    assert_eq!(group.bounds().last, Some(crate::kit::id(3, 1)));
    assert_eq!(group.committed().unwrap(), None);
}

#[test]
fn an_unfinished_snapshot_leaves_the_old_one_and_is_cleaned_up() {
    let disk = Memory::fresh();
    let store = disk.open();
    let group = store.group(GROUPS[0]).unwrap();
    let snapshot = |name: &'static str| warren_storage::Snapshot {
        meta: bytes::Bytes::from_static(name.as_bytes()),
        pages: vec![bytes::Bytes::from_static(b"page"); 5],
    };
    crate::kit::synced(|done| group.save_snapshot(snapshot("old"), done));
    let pages = |engine: &MemoryEngine| {
        let keys = engine.keys();
        keys.iter().filter(|key| matches!(key, warren_storage::Key::Page(..))).count()
    };
    // All pages reach the disk, the head does not.
    let torn = {
        disk.engine.hold();
        group.save_snapshot(snapshot("new"), crate::kit::nobody());
        disk.engine.crash()
    };
    for page in 0..3 {
        let key = warren_storage::Key::Page(GROUPS[0], 2, page);
        let value = bytes::Bytes::from_static(b"leftover");
        let change = warren_storage::Change::Put { key, value };
        warren_storage::Engine::write(&torn, &[change], true).unwrap();
    }

    let store = Store::with_engine(Box::new(torn.clone()), warren_storage::Config::default());
    let store = store.unwrap();
    let group = store.group(GROUPS[0]).unwrap();

    assert_eq!(group.snapshot().unwrap(), Some(snapshot("old")));
    crate::kit::synced(|done| group.append(vec![], done));
    assert_eq!(pages(&torn), 5);
    crate::kit::synced(|done| group.save_snapshot(snapshot("newer"), done));
    assert_eq!(group.snapshot().unwrap(), Some(snapshot("newer")));
}
