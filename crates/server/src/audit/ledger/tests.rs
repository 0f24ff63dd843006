//! Tests of `ledger` and `chain`.

use tempfile::TempDir;
use warren_types::Value as Argument;

use super::super::verify;
use super::*;

fn config(dir: &TempDir, file_bytes: u64) -> AuditSection {
    let dir = dir.path().to_str().expect("text").to_owned();
    AuditSection { dir, file_bytes, files: 3 }
}

fn deeds(users: &[&str]) -> Vec<Deed> {
    let deed = |user: &&str| {
        let mut said = warren_types::Table::new();
        said.insert("name", Argument::text("q\"1\",\"hash\":\""));
        let (user, from) = ((*user).to_owned(), Some([10, 0, 0, 1].into()));
        Deed { time_ms: 5, event: "queue.created", user, from, said }
    };
    users.iter().map(deed).collect()
}

fn write(dir: &TempDir, file_bytes: u64, users: &[&str]) {
    let mut ledger = Ledger::open(&config(dir, file_bytes), "warren@a").expect("it goes on");
    ledger.write(&deeds(users), 0).expect("the disk takes it");
}

fn only_file(dir: &TempDir) -> PathBuf {
    files(dir.path()).expect("they are there").remove(0)
}

#[test]
fn a_record_goes_on_where_it_ended_and_is_unbroken() {
    let dir = TempDir::new().expect("a directory");

    write(&dir, 1 << 20, &["ann", "bob"]);
    write(&dir, 1 << 20, &["eve"]);

    let verified = verify(dir.path()).expect("it is unbroken");
    assert_eq!((verified.first, verified.lines), (1, 3));
}

#[test]
fn a_line_that_was_changed_removed_or_moved_is_found() {
    let spoils: [fn(&mut Vec<&str>); 3] = [
        |lines| {
            lines.remove(1);
        },
        |lines| lines.swap(1, 2),
        |lines| lines.insert(1, "{}"),
    ];
    for spoil in spoils {
        let dir = TempDir::new().expect("a directory");
        write(&dir, 1 << 20, &["ann", "bob", "eve"]);
        let path = only_file(&dir);
        let text = std::fs::read_to_string(&path).expect("it is there");
        let mut lines: Vec<&str> = text.lines().collect();
        spoil(&mut lines);
        std::fs::write(&path, format!("{}\n", lines.join("\n"))).expect("it can be spoiled");

        let broken = verify(dir.path());

        assert!(matches!(broken, Err(AuditError::Broken { line: 2, .. })), "{broken:?}");
    }
    let dir = TempDir::new().expect("a directory");
    write(&dir, 1 << 20, &["ann", "bob"]);
    let path = only_file(&dir);
    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(&path, text.replace("ann", "eve")).expect("it can be spoiled");
    let broken = verify(dir.path());
    assert!(matches!(broken, Err(AuditError::Broken { line: 1, .. })), "{broken:?}");
}

#[test]
fn what_a_crash_left_half_written_is_cut_off() {
    let dir = TempDir::new().expect("a directory");
    write(&dir, 1 << 20, &["ann", "bob"]);
    let path = only_file(&dir);
    let text = std::fs::read_to_string(&path).expect("it is there");
    std::fs::write(&path, &text.as_bytes()[..text.len() - 10]).expect("it can be cut");

    write(&dir, 1 << 20, &["eve"]);

    let verified = verify(dir.path()).expect("it is unbroken");
    assert_eq!(verified.lines, 2);
    let text = std::fs::read_to_string(&path).expect("it is there");
    assert!(text.contains("eve") && !text.contains("bob"), "{text}");
}

#[test]
fn full_files_are_followed_by_others_and_the_oldest_go() {
    let dir = TempDir::new().expect("a directory");

    for _ in 0..6 {
        write(&dir, 1, &["ann"]);
    }

    let verified = verify(dir.path()).expect("what is left is unbroken");
    let kept = files(dir.path()).expect("they are there").len();
    // The last one has only been begun.
    assert_eq!((kept, verified.first, verified.lines), (3, 5, 2));
}

#[test]
fn what_was_missed_is_written_down() {
    let dir = TempDir::new().expect("a directory");
    let mut ledger = Ledger::open(&config(&dir, 1 << 20), "warren@a").expect("it begins");

    ledger.write(&deeds(&["ann"]), 7).expect("the disk takes it");

    let text = std::fs::read_to_string(only_file(&dir)).expect("it is there");
    assert!(text.contains(r#""event":"audit.missed""#) && text.contains(r#""count":7"#), "{text}");
    assert_eq!(verify(dir.path()).expect("it is unbroken").lines, 2);
}
