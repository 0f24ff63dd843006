//! Generated histories against the model, with orderly restarts anywhere.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use warren_types::GroupId;

use crate::kit::{Disk, Inline, Memory, Rocks, Segments, nobody, synced};
use crate::model::{Model, Step, step};

#[derive(Clone, Debug)]
enum Act {
    Do(usize, Step),
    Check,
    Reopen { recent_bytes: usize },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0..2_usize, step()).prop_map(|(group, step)| Act::Do(group, step)),
        2 => Just(Act::Check),
        1 => prop_oneof![Just(0), Just(1_000), Just(1 << 20)]
            .prop_map(|recent_bytes| Act::Reopen { recent_bytes }),
    ]
}

/// How many histories: `WARREN_HISTORIES` times as many as usual.
pub(crate) fn cases(usual: u32) -> u32 {
    let times = std::env::var("WARREN_HISTORIES").ok().and_then(|text| text.parse().ok());
    usual * times.unwrap_or(1)
}

fn run<D: Disk>(histories: u32) {
    let config = Config { cases: cases(histories), failure_persistence: None, ..Config::default() };
    let acts = proptest::collection::vec(act(), 1..80);
    TestRunner::new(config).run(&acts, |acts| follow::<D>(&acts)).unwrap();
}

fn follow<D: Disk>(acts: &[Act]) -> Result<(), TestCaseError> {
    let disk = D::fresh();
    let mut store = disk.open_with(|config| config.recent_bytes = 2_000);
    let mut models = [Model::default(), Model::default()];
    let ids = [GroupId(0), GroupId(u32::MAX)];
    let mut groups = ids.map(|id| store.group(id).unwrap());
    for act in acts.iter().chain([&Act::Check, &Act::Reopen { recent_bytes: 0 }, &Act::Check]) {
        match act {
            Act::Do(at, step) => models[*at].perform(step, &groups[*at], nobody()),
            Act::Check => {
                for (model, group) in models.iter().zip(&groups) {
                    // Snapshots and adopted rows are there once their completions were called.
                    synced(|done| group.append(vec![], done));
                    if let Some(difference) = model.differs(group) {
                        return Err(TestCaseError::fail(difference));
                    }
                }
            }
            Act::Reopen { recent_bytes } => {
                drop((groups, store));
                store = disk.open_with(|config| config.recent_bytes = *recent_bytes);
                groups = ids.map(|id| store.group(id).unwrap());
            }
        }
    }
    Ok(())
}

#[test]
fn the_store_behaves_as_the_model_in_memory() {
    run::<Memory>(150);
}

#[test]
fn the_store_behaves_as_the_model_without_a_thread() {
    run::<Inline>(300);
}

#[test]
fn the_store_behaves_as_the_model_on_rocksdb() {
    run::<Rocks>(12);
}

#[test]
fn the_store_behaves_as_the_model_on_segments() {
    run::<Segments>(40);
}
