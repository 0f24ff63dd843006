//! Every way to be refused, as tables: reply code, level, class and method, text.
//!
//! Client libraries and their users match on these texts, so they are compared whole. In a text
//! `{n}` stands for the name that the row's action works with, and `*` at the end for anything:
//! there RabbitMQ prints Erlang terms.

mod channel;
mod connection;
mod declare;
mod handshake;

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use warren_tests::node::unique;
use warren_tests::wire::{Close, Heard, MethodId, Wire, id};

use crate::support::{assert_serves, broker, is_elsewhere};

/// One way to be refused.
struct Row {
    /// What the client does, for the report.
    what: &'static str,
    code: u16,
    method: MethodId,
    text: &'static str,
    act: fn(&mut Case) -> Result<()>,
}

/// What an action works with.
struct Case {
    address: SocketAddr,
    /// A connection with channel 1 open.
    wire: Wire,
    /// A name of its own.
    name: String,
    /// Connections that must live until the close has been seen.
    others: Vec<Wire>,
}

impl Case {
    fn send(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.wire.send(&bytes)
    }

    /// Sends a method and waits for its answer, on channel 1.
    fn call(&mut self, bytes: Vec<u8>, answer: MethodId) -> Result<()> {
        self.wire.call(1, bytes, answer)?;
        Ok(())
    }
}

/// Runs every row on a connection of its own and reports all that differ at once.
fn check(rows: &[Row], level: fn(&Close) -> Result<()>, after: fn(Wire) -> Result<()>) {
    let address = broker();
    let faults: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            run(address, row, level, after).err().map(|fault| format!("{}: {fault:#}", row.what))
        })
        .collect();

    assert_serves(address, "all rows of the table");
    assert!(
        faults.is_empty(),
        "{} of {} rows differ:\n{}",
        faults.len(),
        rows.len(),
        faults.join("\n")
    );
}

/// As [`check`]; of another broker it is only asked that the connection ends and others are served.
fn check_unless_elsewhere(
    rows: &[Row],
    level: fn(&Close) -> Result<()>,
    after: fn(Wire) -> Result<()>,
) {
    if !is_elsewhere() {
        return check(rows, level, after);
    }
    for row in rows {
        let address = broker();
        let mut case = Case {
            address,
            wire: Wire::open_channel(address).unwrap(),
            name: unique("err"),
            others: Vec::new(),
        };
        (row.act)(&mut case).unwrap();
        case.wire.expect_end().unwrap();
        assert_serves(address, row.what);
    }
}

fn run(
    address: SocketAddr,
    row: &Row,
    level: fn(&Close) -> Result<()>,
    after: fn(Wire) -> Result<()>,
) -> Result<()> {
    let mut case = Case {
        address,
        wire: Wire::open_channel(address)?,
        name: unique("err"),
        others: Vec::new(),
    };
    (row.act)(&mut case).context("before the fault")?;
    let close = case.wire.expect_close()?;
    let text = row.text.replace("{n}", &case.name);
    ensure!(
        (close.code, close.method) == (row.code, row.method) && says(&close.text, &text),
        "\n  expected {} {:?} {text}\n  but got  {} {:?} {}",
        row.code,
        row.method,
        close.code,
        close.method,
        close.text
    );
    level(&close)?;
    after(case.wire)
}

/// Whether a text is as expected.
fn says(text: &str, expected: &str) -> bool {
    match expected.strip_suffix('*') {
        Some(begin) => text.starts_with(begin),
        None => text == expected,
    }
}

/// The close was for channel 1.
fn of_channel(close: &Close) -> Result<()> {
    ensure!(close.channel == 1, "channel {} was closed, not channel 1", close.channel);
    Ok(())
}

/// The close was for the connection.
fn of_connection(close: &Close) -> Result<()> {
    ensure!(close.channel == 0, "channel {} was closed, not the connection", close.channel);
    Ok(())
}

/// After a channel was closed, its number can be opened again on the same connection.
fn channel_can_be_opened_again(mut wire: Wire) -> Result<()> {
    wire.channel(1).context("channel 1 cannot be opened again")?;
    wire.close()
}

/// After the connection was closed, and that was answered, the socket ends.
fn socket_ends(mut wire: Wire) -> Result<()> {
    match wire.hear()? {
        Heard::End => Ok(()),
        Heard::Frame(frame) if frame.method() == Some(id::CLOSE) => {
            bail!("a second connection.close")
        }
        Heard::Frame(frame) => bail!("{frame:?} after connection.close"),
    }
}
