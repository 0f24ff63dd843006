//! One voter: what it was told, it knows, whatever happens to its process.

use warren_storage::MemoryEngine;
use warren_types::{LogIndex, NodeId};

use super::kit::{
    Do, Effect, GROUP, Replica, body, config, eventually, identity, leads, memory_store,
    rocks_store,
};
use crate::{Config, ProposeError};

/// Any free port.
const ANY: &str = "127.0.0.1:0";

async fn alone(store: warren_storage::Store, boot: u64, config: Config) -> Replica {
    let replica = Replica::start(identity(1, boot), store, config, ANY).await;
    let voters = [(NodeId(1), replica.address.clone())];
    replica.run(|group| async move { group.bootstrap(&voters).await }).await.expect("bootstrap");
    leads(&replica).await;
    replica
}

#[tokio::test]
async fn a_proposal_is_applied_and_its_reply_comes_back() {
    let replica = alone(memory_store(&MemoryEngine::new()), 1, config()).await;

    let (first, one) = replica.propose(Do::Keep(b"a")).await.expect("committed");
    let (second, two) = replica.propose(Do::Keep(b"b")).await.expect("committed");

    assert_eq!((one, two), (1, 2));
    assert_eq!(second, first.next());
    assert_eq!(replica.group.applied(), second);
    assert_eq!(replica.group.inspect(super::kit::Ledger::live), [first, second]);
    replica.stop().await;
}

#[tokio::test]
async fn bootstrapping_again_changes_nothing() {
    let replica = alone(memory_store(&MemoryEngine::new()), 1, config()).await;

    let voters = [(NodeId(1), "elsewhere:1".to_owned())];
    let again = replica.run(|group| async move { group.bootstrap(&voters).await }).await;

    assert_eq!(again, Ok(()));
    assert_eq!(replica.group.status().voters, [(NodeId(1), replica.address.clone())]);
    replica.stop().await;
}

#[tokio::test]
async fn what_is_submitted_in_order_stands_in_the_log_in_that_order() {
    let replica = alone(memory_store(&MemoryEngine::new()), 1, config()).await;

    let submitted: Vec<_> =
        (0..2000).map(|_| replica.group.submit(Do::Keep(b"x").bytes())).collect();
    let mut outcomes = Vec::new();
    for outcome in submitted {
        outcomes.push(outcome.await.expect("committed"));
    }

    let first = outcomes[0].0;
    for (count, (index, reply)) in (0_u64..).zip(&outcomes) {
        assert_eq!((*index, *reply), (first.plus(count), count + 1));
    }
    replica.stop().await;
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_refused() {
    let config = Config { max_entry_bytes: 10, ..config() };
    let replica = alone(memory_store(&MemoryEngine::new()), 1, config).await;

    let outcome = replica.propose(Do::Keep(&[0; 10])).await;

    assert_eq!(outcome, Err(ProposeError::TooLarge { bytes: 11, limit_bytes: 10 }));
    replica.stop().await;
}

#[tokio::test]
async fn after_a_stop_nothing_is_accepted() {
    let replica = alone(memory_store(&MemoryEngine::new()), 1, config()).await;
    let group = replica.group.clone();
    replica.stop().await;

    let outcome = group.propose(Do::Keep(b"late").bytes()).await;

    assert_eq!(outcome, Err(ProposeError::Stopped));
    assert!(group.read_barrier().await.is_err());
}

#[tokio::test]
async fn a_restart_replays_the_log() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = rocks_store(dir.path());
    let replica = alone(store.clone(), 1, config()).await;
    for count in 0..100_u32 {
        replica.propose(Do::Keep(&count.to_be_bytes())).await.expect("committed");
    }
    let live = replica.group.inspect(super::kit::Ledger::live);
    replica.stop().await;
    store.close();
    drop(store);

    let replica = alone(rocks_store(dir.path()), 2, config()).await;
    replica.run(|group| async move { group.read_barrier().await }).await.expect("leads");

    assert_eq!(replica.group.inspect(super::kit::Ledger::live), live);
    let last = replica.group.rows().read(live[99]).await.expect("readable").expect("there");
    assert_eq!(body(&last), 99_u32.to_be_bytes().as_slice());
    replica.stop().await;
}

#[tokio::test]
async fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let mut engine = MemoryEngine::new();
    let mut acknowledged = 0;
    for boot in 1..=5_u64 {
        let store = memory_store(&engine);
        let replica = alone(store, boot, config()).await;
        replica.run(|group| async move { group.read_barrier().await }).await.expect("leads");
        let known = replica.group.inspect(super::kit::Ledger::count);
        assert!(known >= acknowledged, "{known} of {acknowledged} are left");
        // Some are acknowledged, some are in flight when the power goes.
        let submitted: Vec<_> =
            (0..200).map(|_| replica.group.submit(Do::Keep(b"x").bytes())).collect();
        for outcome in submitted.into_iter().take(100) {
            (_, acknowledged) = outcome.await.expect("committed");
        }
        engine = engine.crash();
        replica.kill();
    }
}

#[tokio::test]
async fn effects_come_after_one_take_over_and_not_from_a_former_life() {
    let engine = MemoryEngine::new();
    let store = memory_store(&engine);
    let replica = alone(store.clone(), 1, config()).await;
    let (index, _) = replica.propose(Do::Keep(b"a")).await.expect("committed");
    eventually("both effects are there", async || (replica.effects().len() == 2).then_some(()))
        .await;
    let [first, second] = &replica.effects()[..] else { panic!("two effects") };
    assert!(first.take_over && first.payload.is_empty());
    assert_eq!(first.effects, [Effect::TookOver(0)]);
    assert!(!second.take_over);
    assert_eq!((second.index, &second.effects[..]), (index, &[Effect::Kept(1)][..]));
    assert_eq!(second.payload, Do::Keep(b"a").bytes());
    let term = second.term;
    replica.stop().await;

    let replica = alone(store, 2, config()).await;
    let (index, _) = replica.propose(Do::Keep(b"b")).await.expect("committed");
    eventually("both effects are there", async || (replica.effects().len() == 2).then_some(()))
        .await;

    let [first, second] = &replica.effects()[..] else { panic!("two effects") };
    assert_eq!((first.take_over, &first.effects[..]), (true, &[Effect::TookOver(1)][..]));
    assert_eq!((second.index, &second.effects[..]), (index, &[Effect::Kept(2)][..]));
    assert!(second.term > term, "a restarted leader is elected anew");
    replica.stop().await;
}

/// Snapshots and purges as soon as it can.
fn eager() -> Config {
    Config { snapshot_after_entries: 50, keep_entries: 10, ..config() }
}

#[tokio::test]
async fn a_live_row_outlives_snapshot_purge_and_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = rocks_store(dir.path());
    let replica = alone(store.clone(), 1, eager()).await;
    let (kept, _) = replica.propose(Do::Keep(b"precious")).await.expect("committed");
    let (forgotten, _) = replica.propose(Do::Keep(b"worthless")).await.expect("committed");
    replica.propose(Do::Forget(forgotten)).await.expect("committed");
    for _ in 0..300 {
        let (index, _) = replica.propose(Do::Keep(b"passing")).await.expect("committed");
        replica.propose(Do::Forget(index)).await.expect("committed");
    }
    let purged = |replica: &Replica| (replica.group.status().purged > forgotten).then_some(());
    eventually("the log is purged", async || purged(&replica)).await;
    let rows = replica.group.rows();
    let gone = async || rows.read(forgotten).await.expect("readable").is_none().then_some(());
    eventually("the forgotten row is swept", gone).await;
    let row = rows.read(kept).await.expect("readable").expect("live rows stay");
    assert_eq!(body(&row), b"precious".as_slice());
    let count = replica.group.inspect(super::kit::Ledger::count);
    drop(rows);
    replica.stop().await;
    store.close();
    drop(store);

    let replica = alone(rocks_store(dir.path()), 2, eager()).await;
    replica.run(|group| async move { group.read_barrier().await }).await.expect("leads");

    assert_eq!(replica.group.inspect(super::kit::Ledger::count), count);
    assert_eq!(replica.group.inspect(super::kit::Ledger::live), [kept]);
    let row = replica.group.rows().read(kept).await.expect("readable").expect("live rows stay");
    assert_eq!(body(&row), b"precious".as_slice());
    assert!(replica.group.status().snapshot > LogIndex(300), "restored from the snapshot");
    replica.stop().await;
}

#[tokio::test]
async fn a_sparse_row_is_rewritten_below_the_floor() {
    let engine = MemoryEngine::new();
    let replica = alone(memory_store(&engine), 1, eager()).await;
    let large = [7_u8; 1000];
    let (row, _) = replica.propose(Do::Keep(&large)).await.expect("committed");
    replica.propose(Do::Shrink(row, 101)).await.expect("committed");
    for _ in 0..100 {
        replica.propose(Do::Keep(b"passing")).await.expect("committed");
    }

    let rows = replica.group.rows();
    let length = async || rows.read(row).await.expect("readable").expect("live").len();
    eventually("the row is thin", async || (length().await == 101).then_some(())).await;

    replica.stop().await;
}

#[tokio::test]
async fn a_quiet_group_takes_a_snapshot_all_the_same() {
    let config = Config { snapshot_idle_ms: 200, keep_entries: 0, ..config() };
    let replica = alone(memory_store(&MemoryEngine::new()), 1, config).await;

    let (last, _) = replica.propose(Do::Keep(b"only one")).await.expect("committed");

    let purged = async || (replica.group.status().purged == last).then_some(());
    eventually("everything is covered by a snapshot and purged", purged).await;
    let row = replica.group.rows().read(last).await.expect("readable").expect("live");
    assert_eq!(body(&row), b"only one".as_slice());
    replica.stop().await;
}

#[tokio::test]
async fn a_panic_in_the_machine_rings_the_alarm() {
    let replica = alone(memory_store(&MemoryEngine::new()), 1, config()).await;

    drop(replica.group.submit(Do::Panic.bytes()));

    let rung = async || replica.fatalities().into_iter().next();
    let fatality = eventually("the alarm rings", rung).await;
    assert_eq!(fatality.group, Some(GROUP));
    replica.kill();
}

#[tokio::test]
async fn a_failed_sync_rings_the_alarm_and_nothing_is_acknowledged() {
    let engine = MemoryEngine::new();
    let replica = alone(memory_store(&engine), 1, config()).await;
    engine.fail_next_sync();

    let payload = Do::Keep(b"lost").bytes();
    let outcome = replica.run(|group| async move { group.propose(payload).await }).await;

    assert_eq!(outcome, Err(ProposeError::MaybeDone));
    eventually("the alarm rings", async || replica.fatalities().into_iter().next()).await;
    replica.kill();
}
