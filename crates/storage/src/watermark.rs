//! How far the database is on the disk, kept outside of it.
//!
//! A database whose log ends early looks like one that a crash has cut off: it opens with what
//! is left, and nobody was told of what is gone. But what was synced was promised. So the number
//! of the last change that was synced stands in a small file beside the database, and a database
//! that ends before it has lost something: by a flipped bit, a shortened file, an older copy.
//!
//! The number is written before anybody hears that the change is on the disk, and synced at most
//! [`INTERVAL`] later, off the writer's thread: however a **process** ends, nothing that it
//! promised can vanish unseen. After a **power cut** the number may be that much too low. What is
//! lost then for other reasons than the cut, and was promised within that time before it, is not
//! noticed here.
//!
//! The list of the database's tables is a log as well, and its end is no less easily lost: then
//! tables are missing, and the number is right all the same. So the list's name and length are
//! written down with the number, once they are on the disk, at most [`INTERVAL`] after it grew.
//!
//! The file has two places that are written in turn, so that a torn one leaves the other.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::lock::sync_directory;

/// The longest time between two syncs of the file while the number rises.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where the two places are: in sectors of their own.
const PLACES: [u64; 2] = [0, 4096];

/// Change, list, length and checksum.
const MARK_BYTES: usize = 28;

/// How far a database is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// The last change that was synced.
    pub(crate) change: u64,
    /// The list of tables.
    pub(crate) list: List,
}

/// The file that lists a database's tables, as it was synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct List {
    /// Its number; later lists have higher ones.
    pub(crate) number: u64,
    /// Its length.
    pub(crate) bytes: u64,
}

/// The number beside one database.
pub(crate) struct Watermark {
    shared: Arc<Shared>,
    syncer: Option<JoinHandle<()>>,
}

struct Shared {
    file: File,
    database: PathBuf,
    state: Mutex<State>,
    raised: Condvar,
}

#[derive(Default)]
struct State {
    mark: Mark,
    /// Which place comes next.
    turn: bool,
    unsynced: bool,
    failed: Option<io::Error>,
    closed: bool,
}

/// What a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is no file.
    Nothing,
    /// Neither place makes sense.
    Damaged,
    /// So far it was synced.
    Mark(Mark),
}

/// The file that says how far the database in `dir` was synced.
pub(crate) fn path_beside(dir: &Path) -> PathBuf {
    dir.with_extension("synced")
}

/// Forgets how far the database in `dir` was synced: what is left of it is all there is.
pub(crate) fn forget(dir: &Path) -> io::Result<()> {
    fs::remove_file(path_beside(dir))
}

/// What the file at `path` says.
pub(crate) fn read(path: &Path) -> io::Result<Found> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let mut highest = None;
    for place in PLACES {
        let mut bytes = [0; MARK_BYTES];
        match file.read_exact_at(&mut bytes, place) {
            Ok(()) => highest = highest.max(decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    Ok(highest.map_or(Found::Damaged, Found::Mark))
}

/// The list of tables of the database in `dir` as it is, and its file. None if there is none.
pub(crate) fn list(dir: &Path) -> io::Result<Option<(List, File)>> {
    let absent = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        _ => Err(error),
    };
    let name = match fs::read_to_string(dir.join("CURRENT")) {
        Ok(name) => name,
        // Not even text: the database itself will say so.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
        Err(error) => return absent(error),
    };
    let name = name.trim();
    let number = name.strip_prefix("MANIFEST-").and_then(|number| number.parse().ok());
    let Some(number) = number else { return Ok(None) };
    match File::open(dir.join(name)) {
        Ok(file) => Ok(Some((List { number, bytes: file.metadata()?.len() }, file))),
        Err(error) => absent(error),
    }
}

impl Watermark {
    /// Begins with `change` in the file at `path`, for the database in `database`. Synced on return.
    pub(crate) fn begin(path: &Path, database: &Path, change: u64) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mark = Mark { change, list: synced_list(database)? };
        for place in PLACES {
            file.write_all_at(&encode(&mark), place)?;
        }
        file.sync_all()?;
        if let Some(dir) = path.parent() {
            sync_directory(dir)?;
        }
        let state = Mutex::new(State { mark, ..State::default() });
        let database = database.to_path_buf();
        let shared = Arc::new(Shared { file, database, state, raised: Condvar::default() });
        let theirs = Arc::clone(&shared);
        let syncer = thread::Builder::new().name(String::from("storage-mark"));
        let syncer = Some(syncer.spawn(move || theirs.keep_synced())?);
        Ok(Self { shared, syncer })
    }

    /// Changes up to `change` are on the disk. To be called before anybody hears of it.
    pub(crate) fn raise(&self, change: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        state.mark.change = change;
        self.shared.write(&mut state)
    }

    /// The list of tables may have grown.
    pub(crate) fn look(&self) {
        let mut state = self.shared.state();
        if !std::mem::replace(&mut state.unsynced, true) {
            self.shared.raised.notify_one();
        }
    }
}

impl Drop for Watermark {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.raised.notify_one();
        if let Some(syncer) = self.syncer.take() {
            // A thread that panicked has nothing to say.
            drop(syncer.join());
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the mark to the place whose turn it is.
    fn write(&self, state: &mut State) -> io::Result<()> {
        let [even, odd] = PLACES;
        state.turn = !state.turn;
        self.file.write_all_at(&encode(&state.mark), if state.turn { odd } else { even })?;
        if !std::mem::replace(&mut state.unsynced, true) {
            self.raised.notify_one();
        }
        Ok(())
    }

    /// Syncs the mark, and the list before it if that has grown.
    fn sync(&self) -> io::Result<()> {
        let list = synced_list(&self.database)?;
        let mut state = self.state();
        if state.mark.list != list {
            state.mark.list = list;
            self.write(&mut state)?;
            state.unsynced = false;
        }
        drop(state);
        self.file.sync_data()
    }

    fn keep_synced(&self) {
        loop {
            let state = self.state();
            let mut state = self
                .raised
                .wait_while(state, |state| !state.unsynced && !state.closed)
                .unwrap_or_else(PoisonError::into_inner);
            if !std::mem::take(&mut state.unsynced) {
                return;
            }
            drop(state);
            let outcome = self.sync();
            let mut state = self.state();
            if let Err(error) = outcome {
                state.failed = Some(error);
                return;
            }
            drop(
                self.raised
                    .wait_timeout_while(state, INTERVAL, |state| !state.closed)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }
}

/// The list of tables, as far as it is on the disk.
fn synced_list(database: &Path) -> io::Result<List> {
    let Some((list, file)) = list(database)? else { return Ok(List::default()) };
    file.sync_data()?;
    Ok(list)
}

fn encode(mark: &Mark) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    let numbers = [mark.change, mark.list.number, mark.list.bytes];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    let (numbers, sum) = bytes.split_at_mut(MARK_BYTES.saturating_sub(4));
    sum.copy_from_slice(&checksum(numbers).to_be_bytes());
    bytes
}

fn decode(bytes: &[u8; MARK_BYTES]) -> Option<Mark> {
    let (numbers, sum) = bytes.split_at(MARK_BYTES.saturating_sub(4));
    if sum != checksum(numbers).to_be_bytes() {
        return None;
    }
    let (numbers, _) = numbers.as_chunks::<8>();
    let [change, number, bytes] = numbers else { return None };
    let list = List { number: u64::from_be_bytes(*number), bytes: u64::from_be_bytes(*bytes) };
    Some(Mark { change: u64::from_be_bytes(*change), list })
}

/// Of the numbers and a word of its own, so that a place full of zeros is none.
fn checksum(numbers: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"synced");
    hasher.update(numbers);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(change: u64) -> Found {
        Found::Mark(Mark { change, ..Mark::default() })
    }

    #[test]
    fn the_last_number_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");

        let mark = Watermark::begin(&path, dir.path(), 7).unwrap();
        let begun = read(&path).unwrap();
        for number in 8..=11 {
            mark.raise(number).unwrap();
        }
        let running = read(&path).unwrap();
        drop(mark);

        assert_eq!((begun, running), (found(7), found(11)));
        assert_eq!(read(&path).unwrap(), found(11));
    }

    #[test]
    fn the_length_of_the_list_follows_the_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        fs::write(dir.path().join("CURRENT"), "MANIFEST-000005\n").unwrap();
        fs::write(dir.path().join("MANIFEST-000005"), "four").unwrap();

        let mark = Watermark::begin(&path, dir.path(), 7).unwrap();
        let begun = read(&path).unwrap();
        fs::write(dir.path().join("MANIFEST-000005"), "four more").unwrap();
        mark.look();
        drop(mark);

        let list = |bytes| List { number: 5, bytes };
        assert_eq!(begun, Found::Mark(Mark { change: 7, list: list(4) }));
        assert_eq!(read(&path).unwrap(), Found::Mark(Mark { change: 7, list: list(9) }));
    }

    #[test]
    fn a_torn_place_leaves_the_number_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        let mark = Watermark::begin(&path, dir.path(), 7).unwrap();
        mark.raise(8).unwrap();
        mark.raise(9).unwrap();
        drop(mark);

        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0xff], PLACES[0]).unwrap();

        assert_eq!(read(&path).unwrap(), found(8));
    }

    #[test]
    fn a_file_without_a_number_is_damaged_and_none_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (none, zeros) = (dir.path().join("none"), dir.path().join("zeros"));
        fs::write(&zeros, [0; 8192]).unwrap();

        assert_eq!(read(&none).unwrap(), Found::Nothing);
        assert_eq!(read(&zeros).unwrap(), Found::Damaged);
    }

    #[test]
    fn the_format_stays_as_it_is() {
        let mark = Mark { change: 1, list: List { number: 2, bytes: 3 } };

        let text: String = encode(&mark).iter().map(|byte| format!("{byte:02x}")).collect();

        assert_eq!(
            text,
            "0000000000000001\
             0000000000000002\
             0000000000000003\
             9e7e02bd"
        );
        assert_eq!(decode(&encode(&mark)), Some(mark));
    }
}
