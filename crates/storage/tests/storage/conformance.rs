//! What every engine must do: the same tests on each of them.

use bytes::Bytes;
use warren_storage::{Bounds, Snapshot};
use warren_types::GroupId;

use crate::kit::{
    Disk, Inline, Memory, Rocks, Segments, all, append, completion, existing, id, index, nobody,
    row, rows, synced,
};

const GROUP: GroupId = GroupId(7);
const OTHER: GroupId = GroupId(8);

macro_rules! on_every_engine {
    ($($name:ident)+) => {
        mod memory { $(#[test] fn $name() { super::$name(&super::Memory::fresh()); })+ use super::Disk; }
        mod inline { $(#[test] fn $name() { super::$name(&super::Inline::fresh()); })+ use super::Disk; }
        mod rocks { $(#[test] fn $name() { super::$name(&super::Rocks::fresh()); })+ use super::Disk; }
        mod segments { $(#[test] fn $name() { super::$name(&super::Segments::fresh()); })+ use super::Disk; }
    };
}

on_every_engine! {
    rows_can_be_read_at_once_and_after_opening_again
    rows_that_are_not_in_memory_come_from_the_disk
    a_read_stays_within_its_limit_but_gives_one_row
    truncated_rows_are_gone_and_others_take_their_place
    a_log_that_was_truncated_to_nothing_begins_anywhere
    a_truncation_reaches_rows_that_are_not_in_memory
    a_purge_hides_rows_and_keeps_their_bodies
    a_purge_beyond_the_end_moves_the_log_on
    a_repeated_or_lower_purge_changes_nothing
    a_sweep_removes_all_but_what_lives
    a_sweep_of_many_rows_leaves_the_rest_of_the_log_alone
    giving_room_back_changes_nothing_that_can_be_read
    a_thinned_row_takes_the_place_of_the_fat_one
    a_row_that_was_swept_does_not_come_back_thinned
    adopted_rows_are_found_beside_the_log_and_swept_like_others
    an_adopted_row_goes_before_a_row_of_another_term
    a_log_that_begins_again_below_its_adopted_rows_is_whole
    a_log_that_is_emptied_and_then_purged_lower_is_whole
    the_last_vote_is_kept
    the_committed_hint_goes_with_what_is_written_next
    the_committed_hint_is_written_on_closing
    a_snapshot_takes_the_place_of_the_one_before
    groups_do_not_see_each_other
    an_erased_group_is_empty_and_can_be_used_again
    the_identity_is_kept
    completions_come_in_order
    a_closed_store_refuses_writes
    all_handles_of_a_group_see_the_same
}

fn rows_can_be_read_at_once_and_after_opening_again(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    let (done, synced) = completion();

    group.append(rows(1, 5, 1), done);
    let at_once = all(&group);
    synced.recv().unwrap().unwrap();
    drop((store, group));
    let store = disk.open();
    let group = store.group(GROUP).unwrap();

    assert_eq!(at_once, rows(1, 5, 1));
    assert_eq!(all(&group), rows(1, 5, 1));
    assert_eq!(group.row(index(3)).unwrap(), rows(3, 3, 1).pop());
    assert_eq!(group.recent(index(3)), None);
    assert_eq!(group.bounds(), Bounds { floor: None, last: Some(id(5, 1)) });
}

fn rows_that_are_not_in_memory_come_from_the_disk(disk: &impl Disk) {
    let store = disk.open_with(|config| config.recent_bytes = 300);
    let group = store.group(GROUP).unwrap();
    for number in 1..=20 {
        append(&group, rows(number, number, 1));
    }
    // The writer looks after its memory once a completion has returned.
    append(&group, vec![]);

    let from_both = all(&group);

    assert_eq!(from_both, rows(1, 20, 1));
    assert_eq!(group.recent(index(1)), None);
    assert_eq!(group.recent(index(20)), rows(20, 20, 1).pop());
    assert_eq!(group.read(index(3)..=index(4), usize::MAX).unwrap(), rows(3, 4, 1));
    assert_eq!(group.read(index(20)..=index(30), usize::MAX).unwrap(), rows(20, 20, 1));
    assert!(store.statistics().recent_bytes <= 300);
}

fn a_read_stays_within_its_limit_but_gives_one_row(disk: &impl Disk) {
    for recent_bytes in [0, usize::MAX] {
        let store = disk.open_with(|config| config.recent_bytes = recent_bytes);
        let group = store.group(GroupId(u32::from(recent_bytes == 0))).unwrap();
        append(&group, (1..=5).map(|number| row(number, 1, vec![0; 100])).collect());
        append(&group, vec![]);
        let read = |limit| group.read(index(2)..=index(5), limit).unwrap().len();

        assert_eq!(
            [read(0), read(99), read(199), read(200), read(399), read(400)],
            [1, 1, 1, 2, 3, 4]
        );
    }
}

fn truncated_rows_are_gone_and_others_take_their_place(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 10, 1));

    group.truncate_after(index(6), nobody());
    let bounds = group.bounds();
    group.append(rows(7, 8, 2), nobody());
    let expected: Vec<_> = rows(1, 6, 1).into_iter().chain(rows(7, 8, 2)).collect();

    assert_eq!(bounds.last, Some(id(6, 1)));
    assert_eq!(all(&group), expected);
    assert_eq!(group.row(index(9)).unwrap(), None);
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(all(&group), expected);
    assert_eq!(group.bounds().last, Some(id(8, 2)));
}

fn a_log_that_was_truncated_to_nothing_begins_anywhere(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(5, 8, 1));

    synced(|done| group.truncate_after(None, done));
    let bounds = group.bounds();
    append(&group, rows(0, 2, 2));

    assert_eq!(bounds, Bounds::default());
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(all(&group), rows(0, 2, 2));
    synced(|done| group.purge(id(2, 2), done));
    group.retain(&[]);
    assert_eq!(existing(&group, 10), Vec::<u64>::new());
}

fn a_truncation_reaches_rows_that_are_not_in_memory(disk: &impl Disk) {
    let store = disk.open_with(|config| config.recent_bytes = 0);
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 10, 1));

    synced(|done| group.truncate_after(index(4), done));

    assert_eq!(group.bounds().last, Some(id(4, 1)));
    assert_eq!(all(&group), rows(1, 4, 1));
}

fn a_purge_hides_rows_and_keeps_their_bodies(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 10, 1));

    synced(|done| group.purge(id(6, 1), done));

    let check = |group: &warren_storage::GroupStore| {
        assert_eq!(group.bounds(), Bounds { floor: Some(id(6, 1)), last: Some(id(10, 1)) });
        assert_eq!(all(group), rows(7, 10, 1));
        assert_eq!(group.row(index(2)).unwrap(), rows(2, 2, 1).pop());
        assert_eq!(existing(group, 12), (1..=10).collect::<Vec<_>>());
    };
    check(&group);
    drop((store, group));
    check(&disk.open().group(GROUP).unwrap());
}

fn a_purge_beyond_the_end_moves_the_log_on(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 3, 1));

    synced(|done| group.purge(id(10, 2), done));
    let bounds = group.bounds();
    append(&group, rows(11, 12, 3));

    assert_eq!(bounds, Bounds { floor: Some(id(10, 2)), last: Some(id(10, 2)) });
    assert_eq!(all(&group), rows(11, 12, 3));
    assert_eq!(existing(&group, 20), [1, 2, 3, 11, 12]);
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(all(&group), rows(11, 12, 3));
    assert_eq!(group.bounds().floor, Some(id(10, 2)));
}

fn a_repeated_or_lower_purge_changes_nothing(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 10, 1));
    synced(|done| group.purge(id(6, 1), done));

    synced(|done| group.purge(id(6, 1), done));
    synced(|done| group.purge(id(2, 1), done));

    assert_eq!(group.bounds().floor, Some(id(6, 1)));
}

fn a_sweep_removes_all_but_what_lives(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 20, 1));
    synced(|done| group.purge(id(10, 1), done));

    group.retain(&[index(2), index(5), index(6), index(15)]);
    let first = existing(&group, 30);
    synced(|done| group.purge(id(15, 1), done));
    group.retain(&[index(5), index(12)]);

    assert_eq!(first, [2, 5, 6, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    assert_eq!(existing(&group, 30), [5, 12, 16, 17, 18, 19, 20]);
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(existing(&group, 30), [5, 12, 16, 17, 18, 19, 20]);
    assert_eq!(all(&group), rows(16, 20, 1));
    group.retain(&[index(12)]);
    assert_eq!(existing(&group, 30), [12, 16, 17, 18, 19, 20]);
}

fn a_sweep_of_many_rows_leaves_the_rest_of_the_log_alone(disk: &impl Disk) {
    let store = disk.open_with(|config| {
        config.recent_bytes = 0;
        // Small tables, so that whole files are there to be dropped.
        config.rocksdb.write_buffer_bytes = 256 << 10;
    });
    let group = store.group(GROUP).unwrap();
    for first in (1..=20_000).step_by(500) {
        append(&group, (first..first + 500).map(|number| row(number, 1, vec![1; 200])).collect());
    }
    synced(|done| group.purge(id(19_990, 1), done));

    group.retain(&[index(3), index(12_345)]);
    synced(|done| group.save_vote(Bytes::from_static(b"vote"), done));

    assert_eq!(existing(&group, 12_400), [3, 12_345]);
    assert_eq!(all(&group).len(), 10);
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(existing(&group, 12_400), [3, 12_345]);
    assert_eq!(all(&group).len(), 10);
}

fn giving_room_back_changes_nothing_that_can_be_read(disk: &impl Disk) {
    let store = disk.open();
    let (group, other) = (store.group(GROUP).unwrap(), store.group(OTHER).unwrap());
    append(&group, rows(1, 200, 1));
    append(&other, rows(1, 200, 1));
    synced(|done| group.purge(id(150, 1), done));
    group.retain(&[index(7), index(90)]);
    synced(|done| other.save_vote(Bytes::from_static(b"vote"), done));
    assert!(store.garbage_bytes() > 0);

    store.compact().unwrap();

    assert_eq!(store.garbage_bytes(), 0);
    let left: Vec<u64> = [7, 90].into_iter().chain(151..=200).collect();
    assert_eq!(existing(&group, 300), left);
    assert_eq!(all(&other), rows(1, 200, 1));
    drop((group, other, store));
    let store = disk.open();
    assert_eq!(existing(&store.group(GROUP).unwrap(), 300), left);
    assert_eq!(store.group(OTHER).unwrap().vote().unwrap().unwrap(), b"vote".as_slice());
}

fn a_thinned_row_takes_the_place_of_the_fat_one(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 10, 1));
    synced(|done| group.purge(id(10, 1), done));

    group.replace(row(4, 1, "thin"));

    assert_eq!(group.row(index(4)).unwrap(), Some(row(4, 1, "thin")));
    assert_eq!(group.recent(index(4)), Some(row(4, 1, "thin")));
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(group.row(index(4)).unwrap(), Some(row(4, 1, "thin")));
}

fn a_row_that_was_swept_does_not_come_back_thinned(disk: &impl Disk) {
    let store = disk.open_with(|config| config.recent_bytes = 0);
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 10, 1));
    synced(|done| group.purge(id(10, 1), done));
    group.retain(&[index(9)]);

    group.replace(row(4, 1, "thin"));

    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(existing(&group, 10), [9]);
}

fn adopted_rows_are_found_beside_the_log_and_swept_like_others(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(5, 9, 1));
    let shipped = [3, 7, 20, 25].map(|number| row(number, 1, format!("shipped {number}")));

    synced(|done| group.adopt(shipped.to_vec(), done));
    let before = (all(&group), group.bounds().last);
    synced(|done| group.purge(id(30, 4), done));
    let after = group.row(index(20)).unwrap();
    group.retain(&[index(3), index(20)]);

    assert_eq!(before, (rows(5, 9, 1), Some(id(9, 1))));
    assert_eq!(after.as_ref(), shipped.get(2));
    assert_eq!(existing(&group, 40), [3, 20]);
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(existing(&group, 40), [3, 20]);
    group.replace(row(20, 1, "thin"));
    group.retain(&[index(20)]);
    drop(group);
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(existing(&group, 40), [20]);
    assert_eq!(group.row(index(20)).unwrap(), Some(row(20, 1, "thin")));
}

fn an_adopted_row_goes_before_a_row_of_another_term(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 5, 1));

    synced(|done| group.adopt(vec![row(4, 1, "same"), row(5, 2, "shipped")], done));

    assert_eq!(group.row(index(4)).unwrap(), rows(4, 4, 1).pop());
    assert_eq!(group.row(index(5)).unwrap(), Some(row(5, 2, "shipped")));
    assert_eq!(group.recent(index(5)), None);
    assert_eq!(all(&group), rows(1, 5, 1));
}

fn a_log_that_begins_again_below_its_adopted_rows_is_whole(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(5, 6, 1));
    synced(|done| group.truncate_after(None, done));
    synced(|done| group.adopt(vec![row(0, 1, "shipped")], done));

    append(&group, rows(0, 3, 2));
    synced(|done| group.purge(id(3, 2), done));

    assert_eq!(existing(&group, 10), [0, 1, 2, 3]);
    group.retain(&[]);
    drop((store, group));
    assert_eq!(existing(&disk.open().group(GROUP).unwrap(), 10), Vec::<u64>::new());
}

fn a_log_that_is_emptied_and_then_purged_lower_is_whole(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(5, 6, 1));
    synced(|done| group.truncate_after(None, done));
    synced(|done| group.purge(id(1, 1), done));

    append(&group, rows(2, 3, 2));
    synced(|done| group.purge(id(3, 2), done));

    assert_eq!(existing(&group, 10), [2, 3]);
    group.retain(&[index(3)]);
    drop((store, group));
    assert_eq!(existing(&disk.open().group(GROUP).unwrap(), 10), [3]);
}

fn the_last_vote_is_kept(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    let none = group.vote().unwrap();

    group.save_vote(Bytes::from_static(b"first"), nobody());
    synced(|done| group.save_vote(Bytes::from_static(b"second"), done));

    assert_eq!(none, None);
    assert_eq!(group.vote().unwrap().as_deref(), Some(&b"second"[..]));
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(group.vote().unwrap().as_deref(), Some(&b"second"[..]));
}

fn the_committed_hint_goes_with_what_is_written_next(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    append(&group, rows(1, 1, 1));
    let batches = store.statistics().batches;

    group.save_committed(Bytes::from_static(b"1"));
    group.save_committed(Bytes::from_static(b"2"));
    let alone = store.statistics().batches;
    append(&group, rows(2, 2, 1));

    assert_eq!(alone, batches);
    assert_eq!(store.statistics().batches, batches + 1);
    assert_eq!(group.committed().unwrap().as_deref(), Some(&b"2"[..]));
}

fn the_committed_hint_is_written_on_closing(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();

    group.save_committed(Bytes::from_static(b"1"));
    store.close();

    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(group.committed().unwrap().as_deref(), Some(&b"1"[..]));
}

fn a_snapshot_takes_the_place_of_the_one_before(disk: &impl Disk) {
    let snapshot = |name: &str, pages: usize| Snapshot {
        meta: Bytes::from(name.to_owned()),
        pages: (0..pages).map(|page| Bytes::from(format!("{name} page {page}"))).collect(),
    };
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    let none = group.snapshot().unwrap();

    synced(|done| group.save_snapshot(snapshot("first", 300), done));
    let first = group.snapshot().unwrap();
    synced(|done| group.save_snapshot(snapshot("second", 2), done));
    synced(|done| group.save_snapshot(snapshot("third", 0), done));
    synced(|done| group.save_snapshot(snapshot("fourth", 3), done));

    assert_eq!(none, None);
    assert_eq!(first, Some(snapshot("first", 300)));
    assert_eq!(group.snapshot().unwrap(), Some(snapshot("fourth", 3)));
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(group.snapshot().unwrap(), Some(snapshot("fourth", 3)));
}

fn groups_do_not_see_each_other(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    let other = store.group(OTHER).unwrap();

    append(&group, rows(1, 5, 1));
    append(&other, rows(1, 3, 2));
    synced(|done| group.truncate_after(index(2), done));
    synced(|done| other.purge(id(2, 2), done));
    other.retain(&[]);

    assert_eq!(all(&group), rows(1, 2, 1));
    assert_eq!(all(&other), rows(3, 3, 2));
    assert_eq!(existing(&group, 5), [1, 2]);
}

fn an_erased_group_is_empty_and_can_be_used_again(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    let other = store.group(OTHER).unwrap();
    let pages = vec![Bytes::from_static(b"page")];
    let snapshot = Snapshot { meta: Bytes::from_static(b"meta"), pages };
    for group in [&group, &other] {
        append(group, rows(1, 5, 1));
        group.save_committed(Bytes::from_static(b"1"));
        synced(|done| group.save_vote(Bytes::from_static(b"vote"), done));
        synced(|done| group.save_snapshot(snapshot.clone(), done));
        synced(|done| group.adopt(vec![row(9, 1, "shipped")], done));
        synced(|done| group.purge(id(2, 1), done));
    }

    group.save_committed(Bytes::from_static(b"2"));
    synced(|done| group.erase(done));

    let empty = |group: &warren_storage::GroupStore| {
        assert_eq!(group.bounds(), Bounds::default());
        assert_eq!(existing(group, 10), Vec::<u64>::new());
        assert_eq!(group.vote().unwrap(), None);
        assert_eq!(group.committed().unwrap(), None);
        assert_eq!(group.snapshot().unwrap(), None);
    };
    empty(&group);
    drop((store, group, other));
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    let other = store.group(OTHER).unwrap();
    empty(&group);
    append(&group, rows(3, 4, 2));
    assert_eq!(all(&group), rows(3, 4, 2));
    assert_eq!(all(&other), rows(3, 5, 1));
    assert_eq!(other.snapshot().unwrap(), Some(snapshot));
    assert_eq!(other.vote().unwrap().as_deref(), Some(&b"vote"[..]));
}

fn the_identity_is_kept(disk: &impl Disk) {
    let store = disk.open();
    let none = store.identity().unwrap();

    store.save_identity(Bytes::from_static(b"node 1")).unwrap();

    assert_eq!(none, None);
    drop(store);
    assert_eq!(disk.open().identity().unwrap().as_deref(), Some(&b"node 1"[..]));
}

fn completions_come_in_order(disk: &impl Disk) {
    let store = disk.open();
    let groups = [store.group(GROUP).unwrap(), store.group(OTHER).unwrap()];
    let (heard, order) = std::sync::mpsc::channel();

    for number in 1..=200_u64 {
        for (at, group) in groups.iter().enumerate() {
            let heard = heard.clone();
            let done = move |outcome: crate::kit::Outcome| {
                outcome.unwrap();
                heard.send((number, at)).unwrap();
            };
            group.append(rows(number, number, 1), Box::new(done));
        }
    }

    for number in 1..=200 {
        for at in 0..groups.len() {
            assert_eq!(order.recv_timeout(crate::kit::DEADLINE), Ok((number, at)));
        }
    }
}

fn a_closed_store_refuses_writes(disk: &impl Disk) {
    let store = disk.open();
    let group = store.group(GROUP).unwrap();
    group.append(rows(1, 3, 1), nobody());
    store.close();

    let outcome = crate::kit::outcome_of(|done| group.append(rows(4, 4, 1), done));

    assert!(matches!(outcome, Err(warren_storage::StorageError::Closed)));
    assert_eq!(all(&group), rows(1, 3, 1));
    drop((store, group));
    let group = disk.open().group(GROUP).unwrap();
    assert_eq!(all(&group), rows(1, 3, 1));
}

fn all_handles_of_a_group_see_the_same(disk: &impl Disk) {
    let store = disk.open();
    let first = store.group(GROUP).unwrap();
    let second = store.clone().group(GROUP).unwrap();

    first.append(rows(1, 3, 1), nobody());

    assert_eq!(all(&second), rows(1, 3, 1));
}

#[test]
#[should_panic(expected = "group 7 was given row 5 where its log needs row 4")]
fn a_hole_is_refused() {
    let group = Memory::fresh().open().group(GROUP).unwrap();
    group.append(rows(1, 3, 1), nobody());

    group.append(rows(5, 5, 1), nobody());
}

#[test]
#[should_panic(expected = "group 7 was asked to truncate its log below its floor 3")]
fn what_was_purged_is_never_truncated() {
    let group = Memory::fresh().open().group(GROUP).unwrap();
    group.append(rows(1, 5, 1), nobody());
    group.purge(id(3, 1), nobody());

    group.truncate_after(index(2), nobody());
}

#[test]
fn a_directory_in_use_is_not_opened() {
    let disk = Rocks::fresh();
    let store = disk.open();
    let config = warren_storage::Config::new(disk.dir.path().join("data"));

    let refused = warren_storage::Store::open(config).err().unwrap();

    let owner = std::process::id();
    assert!(
        matches!(refused, warren_storage::OpenError::Locked { pid: Some(pid), .. } if pid == owner)
    );
    drop(store);
    disk.open();
}
