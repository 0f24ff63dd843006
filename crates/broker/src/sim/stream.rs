//! Clients that read a stream, from any node and from wherever they like.
//!
//! A reader goes on where it was, begins again, or waits for what comes; what it acknowledges only makes
//! room for more. What a stream must be is judged in `history/streams`: the same for everybody, for ever.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use tokio::time::sleep;

use super::client::{Client, declare, message};
use super::history::Reading;
use super::kinds::STREAM;
use super::wire::{self, Ended, Method, Said, Wire};

/// The header of a delivery that says where in the stream the message stands, as a signed long.
const OFFSET: &[u8] = b"\x0fx-stream-offsetl";

/// Where a reader begins.
enum Start {
    First,
    Next,
    At(u64),
}

/// A client that reads the stream until it is told to stop.
pub(super) async fn reader(mut client: Client) {
    // Where it goes on.
    let mut next = 0;
    while !client.stop.is_cancelled() {
        let (mut wire, _) = client.connect().await;
        let start = match client.chance.number(0..10) {
            0..2 => Start::First,
            2 if !client.calm.is_cancelled() => Start::Next,
            _ => Start::At(next),
        };
        drop(read(&mut client, &mut wire, start, &mut next).await);
    }
}

async fn read(
    client: &mut Client,
    wire: &mut Wire,
    start: Start,
    next: &mut u64,
) -> Result<(), Ended> {
    declare(wire, STREAM).await?;
    let prefetch = client.chance.number(1..20);
    wire.send(Method::new(60, 10).u32(0).u16(u16::try_from(prefetch).unwrap()).u8(0))?;
    wire.expect(wire::QOS_OK).await?;
    let (from, table) = match start {
        Start::First => (Some(0), offset_argument(b'S', &[&[0, 0, 0, 5], &b"first"[..]].concat())),
        Start::Next => (None, offset_argument(b'S', &[&[0, 0, 0, 4], &b"next"[..]].concat())),
        Start::At(offset) => (Some(offset), offset_argument(b'l', &offset.to_be_bytes())),
    };
    wire.send(Method::new(60, 20).u16(0).short(STREAM).short("s").u8(0).long(&table))?;
    wire.expect(wire::CONSUME_OK).await?;
    let mut reading = client.history.reading(STREAM, from);
    let mut held = VecDeque::new();
    let stop = client.stop.clone();
    loop {
        let most = if client.calm.is_cancelled() { 30 } else { 250 };
        let pause = client.chance.millis(1..most);
        tokio::select! {
            biased;
            said = wire.hear() => {
                let (tag, offset) = heard(client, &mut reading, said?);
                held.push_back(tag);
                // What came before a reader that waits for the next is still to be read.
                if offset == *next {
                    *next += 1;
                }
                if u64::try_from(held.len()).unwrap() > prefetch {
                    client.history.fault(format!("I7: a reader holds {} of {prefetch}", held.len()));
                }
            }
            () = stop.cancelled() => return Ok(()),
            () = sleep(pause) => {
                let is_calm = client.calm.is_cancelled();
                if (is_calm && from.is_none()) || (!is_calm && client.chance.percent(3)) {
                    return Ok(());
                }
                let count = client.chance.index(held.len() + 1);
                settle(client, wire, held.drain(..count).collect())?;
            }
        }
    }
}

fn offset_argument(kind: u8, value: &[u8]) -> Vec<u8> {
    [OFFSET.split_last().expect("it has a type").1, &[kind], value].concat()
}

/// Takes a delivery; returns its tag and its offset.
fn heard(client: &Client, reading: &mut Reading, said: Said) -> (u64, u64) {
    assert_eq!(said.method, wire::DELIVER, "{said:?}");
    let mut arguments = said.arguments;
    let _tag_of_consumer = wire::short(&mut arguments);
    let (tag, flagged) = (arguments.get_u64(), arguments.get_u8() == 1);
    if flagged {
        client.history.fault("I3: a stream's message is flagged".to_owned());
    }
    let offset = offset_of(&said.header);
    client.history.read(reading, offset, message(said.body));
    (tag, offset)
}

fn offset_of(header: &Bytes) -> u64 {
    let at = header.windows(OFFSET.len()).position(|bytes| bytes == OFFSET);
    let mut rest = header.slice(at.expect("a delivery has its offset") + OFFSET.len()..);
    u64::try_from(rest.get_i64()).expect("offsets begin with zero")
}

/// All that ends a delivery is alike: ack, nack or reject, one by one or together.
fn settle(client: &mut Client, wire: &Wire, tags: Vec<u64>) -> Result<(), Ended> {
    let Some(last) = tags.last() else { return Ok(()) };
    match client.chance.number(0..4) {
        0 => wire.send(Method::new(60, 80).u64(*last).u8(1)),
        1 => wire.send(Method::new(60, 120).u64(*last).u8(1 | 2)),
        2 => tags.iter().try_for_each(|tag| wire.send(Method::new(60, 90).u64(*tag).u8(1))),
        _ => tags.iter().try_for_each(|tag| wire.send(Method::new(60, 80).u64(*tag).u8(0))),
    }
}
