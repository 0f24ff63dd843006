//! Batches, memory and waiting.

use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use bytes::Bytes;
use warren_types::GroupId;

use crate::kit::{
    DEADLINE, Disk, Memory, append, completion, eventually, index, nobody, row, rows, synced,
};

#[test]
fn nobody_hears_of_rows_before_their_sync_but_everybody_can_read_them() {
    let disk = Memory::fresh();
    let store = disk.open();
    let group = store.group(GroupId(1)).unwrap();
    disk.engine.hold();
    let (done, outcome) = completion();

    group.append(rows(1, 3, 1), done);
    let early = outcome.recv_timeout(Duration::from_millis(20));
    let read = crate::kit::all(&group);
    disk.engine.release();

    assert!(early.is_err());
    assert_eq!(read, rows(1, 3, 1));
    assert!(outcome.recv_timeout(DEADLINE).unwrap().is_ok());
}

#[test]
fn what_waits_together_is_synced_together() {
    let disk = Memory::fresh();
    let store = disk.open();
    let groups: Vec<_> = (0..8).map(|id| store.group(GroupId(id)).unwrap()).collect();
    disk.engine.hold();

    for number in 1..=50 {
        for group in &groups {
            group.append(rows(number, number, 1), nobody());
        }
    }
    disk.engine.release();
    append(&groups[0], vec![]);

    // The first request alone, the rest, and perhaps the last one by itself.
    assert!(disk.engine.syncs() <= 3, "{} syncs", disk.engine.syncs());
    assert_eq!(store.statistics().rows_written, 400);
}

#[test]
fn a_store_that_is_slowed_down_takes_that_time_for_every_sync() {
    let more = Duration::from_millis(20);
    let disk = Memory::fresh();
    let store = disk.open();
    let group = store.group(GroupId(1)).unwrap();
    store.slow_down(more);

    append(&group, rows(1, 1, 1));
    let slow = store.statistics();
    store.slow_down(Duration::ZERO);
    append(&group, rows(2, 2, 1));

    assert!(Duration::from_micros(slow.last_sync_us) >= more, "{slow:?}");
    assert_eq!(store.statistics().syncs, slow.syncs + 1);
}

#[test]
fn a_batch_has_a_bounded_size() {
    let disk = Memory::fresh();
    let store = disk.open_with(|config| config.write_batch_bytes = 1_000);
    let group = store.group(GroupId(1)).unwrap();
    disk.engine.hold();

    for number in 1..=40 {
        group.append(vec![row(number, 1, vec![0; 400])], nobody());
    }
    disk.engine.release();
    append(&group, vec![]);

    assert!(store.statistics().batches >= 20, "{:?}", store.statistics());
}

#[test]
fn who_writes_faster_than_the_disk_waits() {
    let disk = Memory::fresh();
    let store = disk.open();
    let group = store.group(GroupId(1)).unwrap();
    disk.engine.hold();
    let (progress, heard) = std::sync::mpsc::channel();

    let writer = std::thread::spawn(move || {
        let payload = Bytes::from(vec![0; 1 << 20]);
        for number in 1..=150 {
            group.append(vec![row(number, 1, payload.clone())], nobody());
            progress.send(number).unwrap();
        }
        synced(|done| group.append(vec![], done));
    });
    let deadline = std::time::Instant::now() + DEADLINE;
    while store.statistics().backlog_bytes < 64 << 20 && std::time::Instant::now() < deadline {
        heard.recv_timeout(DEADLINE).unwrap();
    }
    // Whoever does not wait would go on.
    while heard.recv_timeout(Duration::from_millis(50)).is_ok() {}
    let waiting = store.statistics().backlog_bytes;
    disk.engine.release();
    writer.join().unwrap();

    assert!((64 << 20..70 << 20).contains(&waiting), "{waiting}");
    assert_eq!(store.statistics().backlog_bytes, 0);
}

#[test]
fn the_oldest_rows_leave_memory_first_whoever_they_belong_to() {
    let store = Memory::fresh().open_with(|config| config.recent_bytes = 10_000);
    let [old, middle, new] = [1, 2, 3].map(|id| store.group(GroupId(id)).unwrap());

    for group in [&old, &middle, &new] {
        append(group, vec![row(1, 1, vec![0; 4_500])]);
    }
    append(&new, vec![]);

    assert_eq!(old.recent(index(1)), None);
    assert!(middle.recent(index(1)).is_some());
    assert!(new.recent(index(1)).is_some());
    assert!(store.statistics().recent_bytes <= 10_000);
}

#[test]
fn rows_leave_memory_after_a_while_though_nothing_else_is_written() {
    let disk = Memory::fresh();
    let store = disk.open_with(|config| config.recent_ms = 20);
    let patient = disk.open();
    let (group, kept) = (store.group(GroupId(1)).unwrap(), patient.group(GroupId(2)).unwrap());

    append(&kept, rows(1, 3, 1));
    append(&group, rows(1, 3, 1));
    eventually("memory is given back", || store.statistics().recent_bytes == 0);

    assert_eq!(group.recent(index(3)), None);
    assert_eq!(crate::kit::all(&group), rows(1, 3, 1));
    assert!(kept.recent(index(3)).is_some());
    append(&group, rows(4, 4, 1));
    assert_eq!(crate::kit::all(&group), rows(1, 4, 1));
}

#[test]
fn rows_that_wait_for_the_disk_stay_in_memory_however_long_that_takes() {
    let disk = Memory::fresh();
    let store = disk.open_with(|config| config.recent_ms = 0);
    let group = store.group(GroupId(1)).unwrap();
    append(&group, rows(1, 1, 1));
    eventually("memory is given back", || group.recent(index(1)).is_none());
    disk.engine.hold();

    group.append(rows(2, 3, 1), nobody());
    std::thread::sleep(Duration::from_millis(20));
    let waiting = group.recent(index(2));
    disk.engine.release();

    assert!(waiting.is_some());
    eventually("memory is given back", || store.statistics().recent_bytes == 0);
}

#[test]
fn rows_that_are_not_on_the_disk_yet_stay_when_their_predecessors_leave_memory() {
    let disk = Memory::fresh();
    let store = disk.open_with(|config| {
        config.recent_bytes = 0;
        config.write_batch_bytes = 1;
    });
    let group = store.group(GroupId(1)).unwrap();
    disk.engine.hold();
    let large = row(1, 1, vec![0; 100_000]);

    group.append([vec![large.clone()], rows(2, 3, 1)].concat(), nobody());
    group.truncate_after(index(1), nobody());
    group.append(rows(2, 3, 2), nobody());
    disk.engine.pass(1);
    eventually("the first rows leave memory", || group.recent(index(1)).is_none());

    let all = crate::kit::all(&group);
    let one = group.row(index(2)).unwrap();
    disk.engine.release();

    assert_eq!(all, [vec![large], rows(2, 3, 2)].concat());
    assert_eq!(one, rows(2, 2, 2).pop());
}

#[test]
fn a_read_that_rows_were_taken_from_begins_again() {
    let disk = Memory::fresh();
    let store = disk.open_with(|config| {
        config.recent_bytes = 0;
        config.write_batch_bytes = 1;
    });
    let group = store.group(GroupId(1)).unwrap();
    append(&group, rows(1, 5, 1));
    append(&group, vec![]);
    disk.engine.hold_reads();
    let reading = [group.clone(), group.clone()];
    let [all, one] = reading;
    let all = std::thread::spawn(move || crate::kit::all(&all));
    let one = std::thread::spawn(move || one.row(index(2)).unwrap());
    eventually("both read", || disk.engine.reads_waiting() == 2);

    // The disk has neither the old rows nor the others when the reads get to it.
    disk.engine.pass(1);
    synced(|done| group.truncate_after(None, done));
    group.append(rows(1, 2, 2), nobody());
    disk.engine.release_reads();
    let (all, one) = (all.join(), one.join());
    disk.engine.release();

    assert_eq!(all.unwrap(), rows(1, 2, 2));
    assert_eq!(one.unwrap(), rows(2, 2, 2).pop());
    assert!(store.failure().is_none());
}

#[test]
fn memory_is_given_back_by_truncations_replacements_and_erasures() {
    let store = Memory::fresh().open();
    let group = store.group(GroupId(1)).unwrap();
    append(&group, (1..=10).map(|number| row(number, 1, vec![0; 1_000])).collect());
    let full = store.statistics().recent_bytes;

    synced(|done| group.truncate_after(index(8), done));
    let truncated = store.statistics().recent_bytes;
    synced(|done| group.purge(crate::kit::id(8, 1), done));
    group.replace(row(3, 1, ""));
    let replaced = store.statistics().recent_bytes;
    synced(|done| group.erase(done));

    assert_eq!(full - truncated, full / 5);
    assert_eq!(truncated - replaced, 1_000);
    assert_eq!(store.statistics().recent_bytes, 0);
}

#[test]
fn completions_may_write() {
    let store = Memory::fresh().open();
    let group = store.group(GroupId(1)).unwrap();
    let (done, outcome) = completion();
    let again = group.clone();

    group.append(rows(1, 1, 1), Box::new(move |_| again.append(rows(2, 2, 1), done)));

    assert!(outcome.recv_timeout(DEADLINE).unwrap().is_ok());
    assert_eq!(crate::kit::all(&group), rows(1, 2, 1));
}

#[test]
fn a_store_may_be_dropped_by_its_own_completion() {
    let disk = Memory::fresh();
    let store = disk.open();
    let group = store.group(GroupId(1)).unwrap();
    let (dropped, heard) = std::sync::mpsc::channel();
    disk.engine.hold();
    let last = (store.clone(), group.clone());
    let done = move |_| {
        drop(last);
        dropped.send(()).unwrap();
    };

    group.append(rows(1, 1, 1), Box::new(done));
    drop((store, group));
    disk.engine.release();

    assert_eq!(heard.recv_timeout(DEADLINE), Ok(()));
}

#[test]
fn readers_see_whole_logs_while_writers_truncate_and_sweep() {
    let store = Memory::fresh().open_with(|config| config.recent_bytes = 400);
    let group = store.group(GroupId(1)).unwrap();
    let reader = group.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();

    let reading = std::thread::spawn(move || {
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            let rows = reader.read(index(0)..=index(u64::MAX), 1_000).unwrap();
            assert!(rows.windows(2).all(|pair| pair[0].index.next() == pair[1].index));
            assert!(rows.windows(2).all(|pair| pair[0].term <= pair[1].term));
            if let Some(first) = rows.first() {
                reader.row(first.index).unwrap();
            }
        }
    });
    let mut next = 1;
    for term in 1..=300 {
        group.append(rows(next, next + 9, term), nobody());
        group.truncate_after(index(next + 6), nobody());
        next += 7;
        if term % 5 == 0 {
            let upto = group.row(index(next - 20)).unwrap().unwrap().id();
            synced(|done| group.purge(upto, done));
            group.retain(&[]);
        }
    }
    drop(stop);
    reading.join().unwrap();

    assert!(store.failure().is_none());
}
