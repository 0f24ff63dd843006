//! Disks that fail: the store stops, says why, and tries nothing again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use warren_storage::{Key, StorageError, Store};
use warren_types::GroupId;

use crate::kit::{
    Disk, Memory, append, completion, id, index, nobody, outcome_of, row, rows, synced,
};

const GROUP: GroupId = GroupId(3);

fn count_failures(store: &Store) -> Arc<AtomicU32> {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    store.on_failure(Box::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    count
}

#[test]
fn a_failed_sync_fails_everything_after_it_and_is_not_tried_again() {
    let disk = Memory::fresh();
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 3, 1));
    let failures = count_failures(&store);
    let syncs = disk.engine.syncs();
    disk.engine.fail_next_sync();

    let first = outcome_of(|done| group.append(rows(4, 4, 1), done));
    let second = outcome_of(|done| group.append(rows(5, 5, 1), done));

    assert!(matches!(first, Err(StorageError::Write { .. })), "{first:?}");
    assert!(matches!(second, Err(StorageError::Failed { .. })), "{second:?}");
    assert!(matches!(store.failure().as_deref(), Some(StorageError::Write { .. })));
    for outcome in [
        outcome_of(|done| group.truncate_after(index(1), done)),
        outcome_of(|done| group.purge(id(1, 1), done)),
        outcome_of(|done| group.adopt(rows(9, 9, 1), done)),
        outcome_of(|done| group.save_vote(Bytes::new(), done)),
        outcome_of(|done| group.save_snapshot(Default::default(), done)),
        outcome_of(|done| group.erase(done)),
        store.save_identity(Bytes::new()),
        store.identity().map(drop),
        store.group(GroupId(9)).map(drop),
        group.read(index(1)..=index(2), 9).map(drop),
        group.row(index(1)).map(drop),
        group.vote().map(drop),
        group.committed().map(drop),
        group.snapshot().map(drop),
    ] {
        assert!(matches!(outcome, Err(StorageError::Failed { .. })), "{outcome:?}");
    }
    group.retain(&[]);
    group.replace(row(1, 1, "thin"));
    group.save_committed(Bytes::new());
    assert_eq!(group.recent(index(1)), None);
    drop((store, group));
    assert_eq!(disk.engine.syncs(), syncs);
    assert_eq!(failures.load(Ordering::SeqCst), 1);
}

#[test]
fn what_a_failed_sync_lost_is_not_there_after_the_restart_and_nobody_was_told_so() {
    let disk = Memory::fresh();
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 3, 1));
    disk.engine.fail_next_sync();
    let lost = outcome_of(|done| group.append(rows(4, 4, 1), done));

    let after = disk.engine.crash();
    let store = Store::with_engine(Box::new(after), Default::default()).unwrap();

    assert!(lost.is_err());
    assert_eq!(store.group(GROUP).unwrap().bounds().last, Some(id(3, 1)));
}

#[test]
fn a_failed_write_fails_all_that_waited_with_it() {
    let disk = Memory::fresh();
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    disk.engine.hold();
    let outcomes: Vec<_> = (1..=5)
        .map(|number| {
            let (done, outcome) = completion();
            group.append(rows(number, number, 1), done);
            outcome
        })
        .collect();
    disk.engine.fail_next_write();

    disk.engine.release();

    for outcome in outcomes {
        assert!(outcome.recv_timeout(crate::kit::DEADLINE).unwrap().is_err());
    }
}

#[test]
fn what_waited_behind_a_failed_sync_is_never_written() {
    let disk = Memory::fresh();
    // One request per batch.
    let store = disk.open_with(|config| config.write_batch_bytes = 1);
    let group = store.group(GROUP).unwrap();
    disk.engine.hold();
    let outcomes: Vec<_> = (1..=3)
        .map(|number| {
            let (done, outcome) = completion();
            group.append(rows(number, number, 1), done);
            outcome
        })
        .collect();
    disk.engine.fail_next_sync();

    disk.engine.release();

    let ends = outcomes.iter().map(|outcome| outcome.recv_timeout(crate::kit::DEADLINE).unwrap());
    let ends: Vec<_> = ends.collect();
    assert!(matches!(ends[0], Err(StorageError::Write { .. })), "{ends:?}");
    assert!(matches!(ends[1], Err(StorageError::Failed { .. })), "{ends:?}");
    assert!(matches!(ends[2], Err(StorageError::Failed { .. })), "{ends:?}");
    let written = disk.engine.keys();
    assert!(!written.contains(&Key::Row(GROUP, index(2))), "{written:?}");
    assert_eq!(disk.engine.syncs(), 0);
}

#[test]
fn a_hook_that_comes_late_is_called_at_once() {
    let disk = Memory::fresh();
    let store = disk.open();
    disk.engine.fail_next_write();
    store.save_identity(Bytes::new()).unwrap_err();

    let failures = count_failures(&store);

    assert_eq!(failures.load(Ordering::SeqCst), 1);
}

#[test]
fn a_damaged_row_is_found_when_it_is_read() {
    let disk = Memory::fresh();
    let store = disk.open_with(|config| config.recent_bytes = 0);
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 3, 1));
    append(&group, vec![]);
    assert!(disk.engine.damage(&Key::Row(GROUP, index(2))));

    let read = group.read(index(1)..=index(3), usize::MAX);

    assert!(matches!(read, Err(StorageError::Damaged { .. })), "{read:?}");
    assert!(matches!(group.row(index(1)), Err(StorageError::Failed { .. })));
}

#[test]
fn a_lost_row_is_found_when_it_is_read() {
    let disk = Memory::fresh();
    let store = disk.open_with(|config| config.recent_bytes = 0);
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 3, 1));
    append(&group, vec![]);
    assert!(disk.engine.lose(&Key::Row(GROUP, index(3))));

    let read = group.read(index(1)..=index(3), usize::MAX);

    assert!(matches!(read, Err(StorageError::Hole { .. })), "{read:?}");
}

#[test]
fn opening_a_group_finds_what_is_damaged_or_missing() {
    let spoil: [fn(&Memory) -> bool; 9] = [
        |disk| disk.engine.damage(&Key::Row(GROUP, index(5))),
        |disk| disk.engine.lose(&Key::Row(GROUP, index(4))),
        |disk| disk.engine.lose(&Key::Row(GROUP, index(5))),
        |disk| disk.engine.damage(&Key::Vote(GROUP)),
        |disk| disk.engine.damage(&Key::Committed(GROUP)),
        |disk| disk.engine.damage(&Key::Origin(GROUP)),
        |disk| disk.engine.lose(&Key::Origin(GROUP)),
        |disk| disk.engine.damage(&Key::Bottom(GROUP)),
        |disk| disk.engine.damage(&Key::Head(GROUP)),
    ];
    for (number, spoil) in spoil.into_iter().enumerate() {
        let disk = Memory::fresh();
        let store = disk.open();
        let group = store.group(GROUP).unwrap();
        group.append(rows(1, 6, 1), nobody());
        group.purge(id(3, 1), nobody());
        group.save_committed(Bytes::from_static(b"3"));
        group.save_vote(Bytes::from_static(b"vote"), nobody());
        synced(|done| group.save_snapshot(Default::default(), done));
        drop((store, group));
        assert!(spoil(&disk), "fault {number}");

        let store = disk.open();
        let opened = store.group(GROUP);

        let error = opened.err().unwrap_or_else(|| panic!("fault {number} is not found"));
        assert!(
            matches!(error, StorageError::Damaged { .. } | StorageError::Hole { .. }),
            "{error:?}"
        );
        assert!(store.failure().is_some());
    }
}

#[test]
fn a_damaged_or_missing_snapshot_page_is_found() {
    for lose in [false, true] {
        let disk = Memory::fresh();
        let store = disk.open();
        let group = store.group(GROUP).unwrap();
        let pages = vec![Bytes::from_static(b"page"); 3];
        let snapshot = warren_storage::Snapshot { meta: Bytes::new(), pages };
        synced(|done| group.save_snapshot(snapshot, done));
        let page = disk.engine.keys().into_iter().rfind(|key| matches!(key, Key::Page(..)));
        let page = page.unwrap();
        if lose {
            assert!(disk.engine.lose(&page));
        } else {
            assert!(disk.engine.damage(&page));
        }

        let read = group.snapshot();

        assert!(matches!(read, Err(StorageError::Damaged { .. })), "{read:?}");
    }
}

#[test]
fn a_failed_read_fails_the_store() {
    let disk = Memory::fresh();
    let store = disk.open_with(|config| config.recent_bytes = 0);
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 3, 1));
    append(&group, vec![]);
    disk.engine.fail_next_read();

    let read = group.row(index(2));

    assert!(matches!(read, Err(StorageError::Read { .. })), "{read:?}");
    assert!(store.failure().is_some());
}

#[test]
fn a_completion_that_panics_fails_the_store_instead_of_stopping_it_silently() {
    let disk = Memory::fresh();
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    let (failed, heard) = std::sync::mpsc::channel();
    store.on_failure(Box::new(move |error| failed.send(error).unwrap()));

    group.append(rows(1, 1, 1), Box::new(|_| panic!("planted")));

    assert!(heard.recv_timeout(crate::kit::DEADLINE).is_ok());
    let later = outcome_of(|done| group.append(rows(2, 2, 1), done));
    assert!(later.is_err());
}
