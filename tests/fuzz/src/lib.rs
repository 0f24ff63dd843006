//! Decoders of what comes from outside or from the disk, each as a function of any bytes.
//!
//! Whatever the bytes are, a target returns: it neither panics, nor hangs, nor takes memory for what
//! is only announced ([`bound_memory`]). `corpus/` has, by target, inputs that led somewhere; the tests
//! go through them, and `cargo xtask fuzz` looks for others, guided by what each one reaches in the code.
//!
//! **Not here:** decoders behind the walls of other crates, which show themselves in a module `probe`.

mod client;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use warren_amqp::header::Properties;
use warren_catalog::{Catalog, Definition, Pattern, PolicyLayer, reply};
use warren_machine::{Entry, Machine};
use warren_queue::entry::{chunk, message, thin};
use warren_queue::{FragmentReply, Shard, wire};
use warren_server::config::Config;
use warren_server::identity::Record;
use warren_types::{LogIndex, Table, Term, check_table};

/// Bytes of one piece where an input stands for several.
const PIECE_BYTES: usize = 4;

/// Addresses that a program may use in which targets run. Threads and libraries take a part of it at
/// once, inputs are a few KiB long: who takes memory for a length that is only announced fails.
const ADDRESS_BYTES: u64 = 2 << 30;

/// A decoder.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called: the folder of its corpus.
    pub name: &'static str,
    /// Shows it some bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 23] = [
    Target { name: "frames", run: client::strange },
    Target { name: "session", run: client::known },
    Target { name: "tables", run: tables },
    Target { name: "headers", run: |bytes| drop(Properties::decode(bytes)) },
    Target { name: "definitions", run: definitions },
    Target { name: "messages", run: messages },
    Target { name: "rows", run: rows },
    Target { name: "catalog-log", run: |bytes| apply(Catalog::new(), bytes, Catalog::check) },
    Target { name: "shard-log", run: |bytes| apply(Shard::new(), bytes, Shard::check) },
    Target { name: "catalog-snapshot", run: restore::<Catalog> },
    Target { name: "shard-snapshot", run: restore::<Shard> },
    Target { name: "records", run: warren_storage::probe::records },
    Target { name: "segments", run: warren_storage::probe::segments },
    Target { name: "votes", run: votes },
    Target { name: "peers", run: warren_rpc::probe::messages },
    Target { name: "surveys", run: warren_broker::probe::surveys },
    Target { name: "bodies", run: warren_management::probe::bodies },
    Target { name: "documents", run: warren_management::probe::definitions },
    Target { name: "config", run: config },
    Target { name: "tokens", run: warren_auth::probe::tokens },
    Target { name: "keys", run: warren_auth::probe::keys },
    Target { name: "patterns", run: warren_auth::probe::patterns },
    Target { name: "certificates", run: warren_tls::probe::certificates },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// From here on, who takes far more memory than an input has bytes fails, where the system can see to
/// that.
pub fn bound_memory() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::As).maximum;
        let current = Some(ADDRESS_BYTES);
        setrlimit(Resource::As, Rlimit { current, maximum }).expect("less is always allowed");
    }
}

impl Target {
    /// The folder with its inputs. A test program may run in a clone that it was not built in.
    #[must_use]
    pub fn corpus(&self) -> PathBuf {
        let package = std::env::var("CARGO_MANIFEST_DIR");
        let package = package.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR"));
        Path::new(package).join("corpus").join(self.name)
    }

    /// Its inputs, by the names of their files.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn inputs(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let files = fs::read_dir(self.corpus())?;
        let read = |file: io::Result<fs::DirEntry>| {
            let path = file?.path();
            Ok((path.display().to_string(), fs::read(&path)?))
        };
        let mut inputs: Vec<_> = files.map(read).collect::<io::Result<_>>()?;
        inputs.sort();
        Ok(inputs)
    }
}

/// What can be read can be written, and reads the same.
fn tables(bytes: &[u8]) {
    let decoded = Table::decode(bytes);
    assert_eq!(check_table(bytes).is_ok(), decoded.is_ok(), "checking and reading differ");
    let Ok(table) = decoded else { return };
    let mut written = BytesMut::new();
    table.encode(&mut written);
    let mut again = BytesMut::new();
    Table::decode(&written).expect("what was written").encode(&mut again);
    // Not the tables: a number that is none equals nothing.
    assert_eq!(written, again);
}

/// Texts that operators send: policies, and patterns of permissions.
fn definitions(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for layer in [PolicyLayer::User, PolicyLayer::Operator] {
        drop(Definition::parse(&text.into(), layer));
    }
    drop(Pattern::new(text.into()));
}

/// What nodes say to each other, but for the protocol buffers around it.
fn messages(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    drop(wire::Notice::decode(bytes.clone()));
    drop(FragmentReply::decode(bytes.clone()));
    drop(reply::decode(bytes));
}

/// Rows of a shard's log, from which messages are read at places that others name: the first bytes.
fn rows(bytes: &[u8]) {
    let Some((place, row)) = bytes.split_first_chunk::<PIECE_BYTES>() else { return };
    let (place, row) = (u32::from_le_bytes(*place), Bytes::copy_from_slice(row));
    let near = place % u32::try_from(row.len() + 1).expect("inputs are short");
    for place in [place, near] {
        drop((message(&row, place), chunk(&row, place)));
        let thinned = thin(&row, &[place]);
        drop(message(&thinned, place));
    }
}

/// Snapshots of one page and of two. What one says that makes sense as far as it goes is believed: sums
/// keep the others out.
fn restore<M: Machine>(bytes: &[u8]) {
    let page = Bytes::copy_from_slice(bytes);
    let (first, second) = (page.slice(..page.len() / 2), page.slice(page.len() / 2..));
    for pages in [vec![page], vec![first, second]] {
        let Ok(restored) = M::restore(&pages) else { continue };
        let again = M::restore(&restored.snapshot()).expect("what was written");
        assert_eq!(again.digest(), restored.digest());
    }
}

/// Who a node is, and what its groups have promised.
fn votes(bytes: &[u8]) {
    warren_consensus::probe::records(bytes);
    if let Ok(record) = Record::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(Record::decode(record.encode()).expect("what was written"), record);
    }
}

/// A configuration file.
fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(config) = Config::parse(text) {
        drop(config.keys());
    }
}

/// An input is an entry of the log, for a machine that is empty.
fn apply<M: Machine>(mut machine: M, bytes: &[u8], check: fn(&M)) {
    let payload = Bytes::copy_from_slice(bytes);
    for index in [1, 2] {
        let (index, payload) = (LogIndex(index), payload.clone());
        drop(machine.apply(&Entry { index, term: Term(1), payload }));
        check(&machine);
    }
    drop(machine.take_over());
    let again = M::restore(&machine.snapshot()).expect("what was written");
    assert_eq!(again.digest(), machine.digest());
}
