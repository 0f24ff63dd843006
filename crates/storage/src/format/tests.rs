//! Round trips, damage, and the frozen samples.

use std::path::Path;

use super::head::Head;
use super::origin::Origin;
use super::*;
use crate::{LogId, Row, RowKind};
use warren_types::{GroupId, LogIndex, NodeId, Term};

const GROUP: GroupId = GroupId(3);
const INDEX: LogIndex = LogIndex(0x0102_0304_0506);

fn row(kind: RowKind, payload: &'static [u8]) -> Row {
    let payload = Bytes::from_static(payload);
    Row { index: INDEX, term: Term(5), leader: NodeId(7), kind, payload }
}

fn row_bytes(row: &Row) -> Bytes {
    let mut bytes = Vec::new();
    RowValue::encode(GROUP, row).write(&mut bytes);
    bytes.into()
}

fn floor() -> LogId {
    LogId { index: INDEX, term: Term(5), leader: NodeId(7) }
}

fn snapshot_head() -> Head {
    Head { number: 9, pages: 2, meta: Bytes::from_static(b"meta") }
}

/// Every kind of record, with the name of its frozen sample.
fn records() -> Vec<(&'static str, Bytes)> {
    vec![
        ("row.v1", row_bytes(&row(RowKind::Command, b"payload"))),
        ("row-blank.v1", row_bytes(&row(RowKind::Blank, b""))),
        ("row-membership.v1", row_bytes(&row(RowKind::Membership, b"nodes"))),
        ("identity.v1", opaque::encode(&Key::Identity, b"node 1")),
        ("vote.v1", opaque::encode(&Key::Vote(GROUP), b"vote")),
        ("committed.v1", opaque::encode(&Key::Committed(GROUP), b"12")),
        ("page.v1", opaque::encode(&Key::Page(GROUP, 9, 1), b"page")),
        ("origin-begins.v1", origin::encode(GROUP, &Origin::Begins(LogIndex(1)))),
        ("origin-purged.v1", origin::encode(GROUP, &Origin::Purged(floor()))),
        ("bottom.v1", bottom::encode(GROUP, INDEX)),
        ("head.v1", head::encode(GROUP, &snapshot_head())),
    ]
}

#[test]
fn records_are_written_as_the_frozen_samples_say() {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let folder = Path::new(&package).join("testdata/formats");

    for (name, record) in records() {
        let file = folder.join(name);
        if std::env::var_os("WARREN_WRITE_SAMPLES").is_some() && !file.exists() {
            std::fs::write(&file, &record).unwrap();
        }

        let sample = std::fs::read(&file).unwrap_or_else(|error| panic!("{name}: {error}"));

        assert_eq!(record, sample, "{name}");
    }
}

#[test]
fn rows_of_every_kind_are_read_back() {
    for kind in [RowKind::Blank, RowKind::Command, RowKind::Membership] {
        let row = row(kind, b"payload");

        let read = RowValue::decode(GROUP, INDEX, row_bytes(&row)).unwrap();

        assert_eq!(read, row);
    }
}

#[test]
fn small_records_are_read_back() {
    let begins = Origin::Begins(LogIndex(1));
    let purged = Origin::Purged(floor());

    assert_eq!(origin::decode(GROUP, origin::encode(GROUP, &begins)).unwrap(), begins);
    assert_eq!(origin::decode(GROUP, origin::encode(GROUP, &purged)).unwrap(), purged);
    assert_eq!(bottom::decode(GROUP, bottom::encode(GROUP, INDEX)).unwrap(), INDEX);
    let head = snapshot_head();
    assert_eq!(head::decode(GROUP, head::encode(GROUP, &head)).unwrap(), head);
    let vote = Key::Vote(GROUP);
    assert_eq!(opaque::decode(&vote, opaque::encode(&vote, b"vote")).unwrap(), "vote");
}

#[test]
fn any_flipped_bit_is_found() {
    for (name, record) in records() {
        for bit in 0..record.len() * 8 {
            let mut bytes = record.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);

            assert!(reads(name, bytes.into()).is_err(), "{name}, bit {bit}");
        }
    }
}

#[test]
fn any_cut_is_found() {
    for (name, record) in records() {
        for length in 0..record.len() {
            assert!(reads(name, record.slice(..length)).is_err(), "{name}, {length} bytes");
        }
    }
}

#[test]
fn a_record_under_anothers_key_is_damaged() {
    let row = row_bytes(&row(RowKind::Command, b"payload"));
    let vote = opaque::encode(&Key::Vote(GROUP), b"vote");

    assert!(RowValue::decode(GROUP, INDEX.next(), row.clone()).is_err());
    assert!(RowValue::decode(GroupId(4), INDEX, row).is_err());
    assert!(opaque::decode(&Key::Vote(GroupId(4)), vote.clone()).is_err());
    assert!(opaque::decode(&Key::Committed(GROUP), vote).is_err());
}

fn reads(name: &str, record: Bytes) -> Result<(), StorageError> {
    match name.split(['.', '-']).next().unwrap() {
        "row" => RowValue::decode(GROUP, INDEX, record).map(drop),
        "identity" => opaque::decode(&Key::Identity, record).map(drop),
        "vote" => opaque::decode(&Key::Vote(GROUP), record).map(drop),
        "committed" => opaque::decode(&Key::Committed(GROUP), record).map(drop),
        "page" => opaque::decode(&Key::Page(GROUP, 9, 1), record).map(drop),
        "origin" => origin::decode(GROUP, record).map(drop),
        "bottom" => bottom::decode(GROUP, record).map(drop),
        "head" => head::decode(GROUP, record).map(drop),
        other => panic!("no reader for {other}"),
    }
}
