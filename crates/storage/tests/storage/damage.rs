//! Files that are not what was written: a node that finds it stops, and stays stopped. Never is
//! less, or something else, taken for what was kept.
//!
//! Each file of a directory in turn is damaged in each way: a bit is flipped, the end is cut off,
//! the file is gone, or is an older copy of itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use warren_storage::{Config, LogEngine, OpenError, RocksConfig, Row, Snapshot, Store};
use warren_types::GroupId;

use crate::kit::{all, append, id, index, row, synced};

const GROUPS: u32 = 3;

const ENGINES: [LogEngine; 2] = [LogEngine::Rocksdb, LogEngine::Segments];

/// Flips and cuts per file; the variable asks for more.
fn tries() -> u64 {
    std::env::var("WARREN_TEST_DAMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// Everything that one group's part of a directory gives back.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    rows: Vec<Row>,
    bodies: Vec<Option<Row>>,
    vote: Option<Bytes>,
    snapshot: Option<Snapshot>,
}

/// Everything that a directory gives back.
#[derive(Debug, PartialEq, Eq)]
struct Contents {
    identity: Option<Bytes>,
    groups: Vec<Group>,
}

fn config(dir: &Path) -> Config {
    // Small logs, so that there are tables, and several of each.
    let rocksdb = RocksConfig { write_buffer_bytes: 64 << 10, ..RocksConfig::default() };
    Config { rocksdb, segment_bytes: 64 << 10, ..Config::new(dir) }
}

fn payload(group: u32, number: u64) -> Bytes {
    let seed = u64::from(group) * 7 + number;
    (0..3_000_u64).map(|at| u8::try_from((seed * at) % 251).unwrap()).collect::<Vec<u8>>().into()
}

fn write_rows(store: &Store, from: u64, to: u64) {
    for group in 0..GROUPS {
        let handle = store.group(GroupId(group)).unwrap();
        append(&handle, (from..=to).map(|at| row(at, 1, payload(group, at))).collect());
        synced(|done| handle.save_vote(Bytes::from(format!("vote {to}")), done));
    }
}

/// Writes what is to be damaged, and keeps a copy of how it was on the way.
fn make(original: &Path, older: &Path, log_engine: LogEngine) {
    let store = Store::open(Config { log_engine, ..config(original) }).unwrap();
    store.save_identity(Bytes::from_static(b"node 1, start 1")).unwrap();
    write_rows(&store, 1, 40);
    for group in 0..GROUPS {
        let handle = store.group(GroupId(group)).unwrap();
        let pages = (0..5).map(|page| payload(group, page)).collect();
        let snapshot = Snapshot { meta: Bytes::from_static(b"upto 20"), pages };
        synced(|done| handle.save_snapshot(snapshot, done));
        synced(|done| handle.purge(id(20, 1), done));
    }
    // Nobody works on the files while they are copied.
    drop(store);
    copy(original, older);
    let store = Store::open(config(original)).unwrap();
    store.compact().unwrap();
    store.save_identity(Bytes::from_static(b"node 1, start 2")).unwrap();
    write_rows(&store, 41, 60);
}

/// All of it, or why not.
fn read(dir: &Path) -> Result<Contents, String> {
    let store = Store::open(config(dir)).map_err(|error| error.to_string())?;
    let failed = |error: warren_storage::StorageError| format!("{error:?}");
    let mut groups = Vec::new();
    let identity = store.identity().map_err(failed)?;
    for group in 0..GROUPS {
        let handle = store.group(GroupId(group)).map_err(failed)?;
        let rows = handle.read(index(0)..=index(u64::MAX), usize::MAX).map_err(failed)?;
        let bodies = (1..=20).map(|number| handle.row(index(number)));
        let bodies = bodies.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let (vote, snapshot) = (handle.vote().map_err(failed)?, handle.snapshot().map_err(failed)?);
        groups.push(Group { rows, bodies, vote, snapshot });
    }
    Ok(Contents { identity, groups })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The files of a directory, by what they are for, with their paths in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, &'static str> {
    let mut found = BTreeMap::from([(PathBuf::from("db.synced"), "mark")]);
    for entry in fs::read_dir(dir.join("db")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let class = match &*name {
            name if name.ends_with(".log") => "WAL",
            name if name.ends_with(".sst") => "SST",
            name if name.starts_with("MANIFEST") => "MANIFEST",
            name if name.starts_with("OPTIONS") => "OPTIONS",
            "CURRENT" => "CURRENT",
            "IDENTITY" => "IDENTITY",
            name if name.ends_with(".segment") => "segment",
            "checkpoint" => "checkpoint",
            "engine" => "engine",
            _ => continue,
        };
        found.insert(Path::new("db").join(name), class);
    }
    found
}

struct Damaged {
    class: &'static str,
    how: String,
    noticed: bool,
}

/// Damages `file` of a copy of `original` and looks whether it is noticed.
///
/// # Panics
/// When what is read is not what was written.
fn attempt(
    original: &Path,
    expected: &Contents,
    (file, class): (&Path, &'static str),
    how: &str,
    damage: impl FnOnce(&Path),
) -> Damaged {
    let dir = tempfile::tempdir().unwrap();
    copy(original, dir.path());
    damage(&dir.path().join(file));

    let first = read(dir.path());
    // Whatever was found must not be forgotten by starting again.
    let second = read(dir.path());

    let what = format!("{} ({class}): {how}", file.display());
    for contents in [&first, &second].into_iter().flatten() {
        let (first, second) = (first.is_ok(), second.is_ok());
        assert!(contents == expected, "{what}: taken for sound ({first}, {second})");
    }
    assert!(first.is_ok() || second.is_err(), "{what}: found, and forgotten: {first:?}");
    Damaged { class, how: how.to_owned(), noticed: first.is_err() }
}

/// Damages every file in every way. Where it cannot fail to matter, which `sure` lists, it must have
/// been noticed at least once.
fn damage_each(log_engine: LogEngine, sure: &[(&str, &str)]) {
    let (home, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let original = home.path().join("original");
    let store_home = home.path().join("live");
    make(&store_home, older.path(), log_engine);
    copy(&store_home, &original);
    let expected = read(&store_home).unwrap();

    let mut seen = Vec::new();
    for (file, class) in files(&original) {
        let length = fs::metadata(original.join(&file)).unwrap().len();
        let mut attempt = |how: &str, damage: &dyn Fn(&Path)| {
            seen.push(attempt(&original, &expected, (&file, class), how, damage));
        };
        for nth in 0..tries() {
            let at = length * (2 * nth + 1) / (2 * tries());
            attempt("bit flip", &|path| flip(path, at));
            attempt("cut off", &|path| cut(path, at));
        }
        let before = older.path().join(&file);
        if before.exists() && fs::read(&before).unwrap() != fs::read(original.join(&file)).unwrap()
        {
            attempt("older copy", &|path| assert!(fs::copy(&before, path).is_ok()));
        }
        if class != "mark" {
            attempt("gone", &|path| fs::remove_file(path).unwrap());
        }
    }

    for (class, how) in sure {
        let noticed = seen.iter().any(|one| one.class == *class && one.how == *how && one.noticed);
        assert!(noticed, "{class}: {how} was never noticed");
    }
}

#[test]
fn a_damaged_file_of_rocksdb_is_noticed_or_does_not_matter() {
    let sure = [
        ("WAL", "bit flip"),
        ("WAL", "cut off"),
        ("SST", "bit flip"),
        ("SST", "cut off"),
        ("SST", "gone"),
        ("MANIFEST", "bit flip"),
        ("MANIFEST", "cut off"),
        ("MANIFEST", "gone"),
        ("CURRENT", "gone"),
        ("CURRENT", "bit flip"),
    ];
    damage_each(LogEngine::Rocksdb, &sure);
}

#[test]
fn a_damaged_file_of_segments_is_noticed_or_does_not_matter() {
    let sure = [
        ("segment", "bit flip"),
        ("segment", "cut off"),
        ("segment", "gone"),
        ("segment", "older copy"),
        ("checkpoint", "bit flip"),
        ("checkpoint", "cut off"),
        ("checkpoint", "gone"),
        ("engine", "bit flip"),
        ("engine", "cut off"),
        ("engine", "gone"),
    ];
    damage_each(LogEngine::Segments, &sure);
}

#[test]
fn a_database_that_is_an_older_copy_of_itself_is_refused() {
    for log_engine in ENGINES {
        let (home, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(home.path(), older.path(), log_engine);
        fs::remove_dir_all(home.path().join("db")).unwrap();
        copy(&older.path().join("db"), &home.path().join("db"));

        let refused = Store::open(config(home.path())).map(drop).unwrap_err();

        let text = refused.to_string();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{text}");
        assert!(text.contains("on the disk already"), "{text}");
        assert!(text.contains("warrenctl forget_cluster_node"), "{text}");
    }
}

#[test]
fn an_operator_may_go_on_with_what_is_left() {
    for log_engine in ENGINES {
        let (home, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(home.path(), older.path(), log_engine);
        fs::remove_dir_all(home.path().join("db")).unwrap();
        copy(&older.path().join("db"), &home.path().join("db"));
        Store::open(config(home.path())).map(drop).unwrap_err();

        fs::remove_file(home.path().join("damaged")).unwrap();
        let left = read(home.path()).unwrap();

        assert_eq!(left.identity, Some(Bytes::from_static(b"node 1, start 1")));
        let last = left.groups[0].rows.last().unwrap().index.0;
        assert_eq!(last, 40);
    }
}

#[test]
fn what_is_found_while_running_keeps_the_directory_closed() {
    for (log_engine, class) in [(LogEngine::Rocksdb, "SST"), (LogEngine::Segments, "segment")] {
        let (home, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(home.path(), older.path(), log_engine);
        let chosen = files(home.path()).into_iter().filter(|(_, one)| *one == class);
        for (path, _) in chosen {
            let path = home.path().join(path);
            let length = fs::metadata(&path).unwrap().len();
            for nth in 0..16 {
                flip(&path, length * nth / 32);
            }
        }

        let first = read(home.path()).unwrap_err();
        let second = Store::open(config(home.path())).map(drop).unwrap_err();

        assert!(matches!(second, OpenError::Damaged { .. }), "{first}, then {second}");
    }
}

#[test]
fn all_rows_are_there_when_nothing_is_damaged() {
    for log_engine in ENGINES {
        let (home, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(home.path(), older.path(), log_engine);

        let store = Store::open(config(home.path())).unwrap();

        let rows = all(&store.group(GroupId(0)).unwrap());
        let (first, last) = (rows.first().unwrap().index, rows.last().unwrap().index);
        assert_eq!((first, last), (index(21), index(60)));
    }
}

#[test]
fn a_directory_stays_with_the_engine_that_made_it() {
    for (made, asked) in
        [(LogEngine::Rocksdb, LogEngine::Segments), (LogEngine::Segments, LogEngine::Rocksdb)]
    {
        let home = tempfile::tempdir().unwrap();
        let open = |log_engine| Store::open(Config { log_engine, ..config(home.path()) }).unwrap();
        append(&open(made).group(GroupId(0)).unwrap(), vec![row(1, 1, "body")]);

        let rows = all(&open(asked).group(GroupId(0)).unwrap());

        assert_eq!(rows, [row(1, 1, "body")]);
        assert_eq!(home.path().join("db/CURRENT").exists(), made == LogEngine::Rocksdb);
    }
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    let at = usize::try_from(at).unwrap();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x10;
    }
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, at: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(at).unwrap();
}
