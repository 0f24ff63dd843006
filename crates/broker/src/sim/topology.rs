//! A client that declares, binds and deletes on one node and looks from another.
//!
//! **I10** what one node has said to be done is seen on every other. **I9** a queue that is exclusive
//! to a connection is nobody else's, and gone after it; one that deletes itself goes with its last
//! consumer. It does one thing after the other; where it does not know what was done, it goes on
//! with other names.

use std::time::Duration;

use bytes::Buf as _;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::history::Session;
use super::wire::{self, Ended, Method, Wire};
use super::world::PATIENCE;

const EXCHANGE: &str = "topology";

/// queue.declare
const DURABLE: u8 = 2;
const EXCLUSIVE: u8 = 4;
const AUTO_DELETE: u8 = 8;

/// The connection that declares.
struct Home {
    wire: Wire,
    session: Session,
}

/// Runs until the client is to be calm, and removes what it has made.
pub(super) async fn run(mut client: Client) {
    let mut names = 0;
    while !client.calm.is_cancelled() {
        names += 1;
        let name = format!("topology{names}");
        let (one, session) = client.connect().await;
        let mut one = Home { wire: one, session };
        let (mut other, _) = client.connect().await;
        drop(work(&mut client, &mut one, &mut other, &name).await);
    }
    while let Err(Ended) = remove_all(&mut client, names).await {}
}

async fn remove_all(client: &mut Client, names: u32) -> Result<(), Ended> {
    let (mut wire, _) = client.connect().await;
    for name in 1..=names {
        delete(&mut wire, &format!("topology{name}")).await?;
    }
    wire.send(Method::new(40, 20).u16(0).short(EXCHANGE).u8(0))?;
    wire.expect((40, 21)).await?;
    Ok(())
}

async fn work(
    client: &mut Client,
    home: &mut Home,
    other: &mut Wire,
    name: &str,
) -> Result<(), Ended> {
    let one = &mut home.wire;
    one.send(Method::new(40, 10).u16(0).short(EXCHANGE).short("direct").u8(2).u32(0))?;
    one.expect((40, 11)).await?;
    while !client.calm.is_cancelled() {
        match client.chance.number(0..4) {
            0..2 => bound(client, &mut home.wire, other, name).await?,
            2 => exclusive(client, other, name).await?,
            _ => of_its_own_accord(client, home, other, name).await?,
        }
        let pause = client.chance.millis(1..500);
        sleep(pause).await;
    }
    Ok(())
}

/// Declares a queue. A node that was forgotten and does not know it yet refuses.
async fn declared(wire: &mut Wire, name: &str, bits: u8) -> Result<(), Ended> {
    wire.send(Method::new(50, 10).u16(0).short(name).u8(bits).u32(0))?;
    let said = wire.hear().await?;
    if said.method == wire::DECLARE_OK {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&said.arguments).into_owned();
    assert!(said.method == wire::CHANNEL_CLOSE && text.contains("no node"), "{said:?}");
    Err(Ended)
}

/// Declared and bound here, used and removed there, gone here.
async fn bound(
    client: &mut Client,
    one: &mut Wire,
    other: &mut Wire,
    name: &str,
) -> Result<(), Ended> {
    declared(one, name, DURABLE).await?;
    one.send(Method::new(50, 20).u16(0).short(name).short(EXCHANGE).short(name).u8(0).u32(0))?;
    one.expect((50, 21)).await?;
    told(client, other, name, 0, "was declared").await?;
    other.publish_mandatory(EXCHANGE, name)?;
    // What cannot be routed comes back before the answer to anything behind it.
    other.send(Method::new(60, 10).u32(0).u16(1).u8(0))?;
    if other.hear().await?.method == wire::RETURN {
        client.history.fault(format!("I10: {name} was bound, and is not on another node"));
        other.expect(wire::QOS_OK).await?;
    }
    delete(other, name).await?;
    told(client, one, name, 404, "was deleted").await
}

/// Nobody else's, and gone with its owner.
async fn exclusive(client: &mut Client, other: &mut Wire, name: &str) -> Result<(), Ended> {
    let name = format!("{name}-own");
    let (mut owner, session) = client.connect().await;
    declared(&mut owner, &name, EXCLUSIVE).await?;
    let seen = look(other, &name).await?;
    // Its owner may have been lost meanwhile, with its node; which may live, and not know it.
    if seen != 405
        && look(&mut owner, &name).await.is_ok_and(|own| own == 0)
        && !client.history.is_lost(session)
    {
        client.history.fault(format!("I9: {name} is somebody's own, and another hears {seen}"));
    }
    drop(owner);
    gone(client, other, &name).await
}

/// Gone with its last consumer.
async fn of_its_own_accord(
    client: &mut Client,
    home: &mut Home,
    other: &mut Wire,
    name: &str,
) -> Result<(), Ended> {
    let name = format!("{name}-while");
    declared(&mut home.wire, &name, DURABLE | AUTO_DELETE).await?;
    told(client, other, &name, 0, "was declared").await?;
    consume_and_cancel(client, home, &name).await?;
    gone(client, other, &name).await
}

/// A node that was given up loses its consumers, and so their queue: who consumes there hears that it
/// cannot, or is cancelled. That may cross its own basic.cancel.
async fn consume_and_cancel(
    client: &Client,
    Home { wire, session }: &mut Home,
    name: &str,
) -> Result<(), Ended> {
    let ended = |how: &str| {
        if !client.history.is_lost(*session) {
            client.history.fault(format!("I9: the consumer of {name} was {how} for no reason"));
        }
    };
    wire.send(Method::new(60, 20).u16(0).short(name).short("last").u8(0).u32(0))?;
    let said = wire.hear().await?;
    if said.method == wire::CHANNEL_CLOSE {
        ended("refused");
        return Err(Ended);
    }
    assert_eq!(said.method, wire::CONSUME_OK, "{said:?}");
    wire.send(Method::new(60, 30).short("last").u8(0))?;
    let mut said = wire.hear().await?;
    if said.method == wire::CANCEL {
        ended("cancelled");
        said = wire.hear().await?;
    }
    assert_eq!(said.method, wire::CANCEL_OK, "{said:?}");
    Ok(())
}

/// One node has said what is so: another one must say the same.
async fn told(
    client: &Client,
    wire: &mut Wire,
    name: &str,
    wanted: u16,
    what: &str,
) -> Result<(), Ended> {
    let seen = look(wire, name).await?;
    if seen != wanted {
        client.history.fault(format!("I10: {name} {what}, and another node says {seen}"));
    }
    Ok(())
}

/// It goes by itself, soon.
async fn gone(client: &Client, wire: &mut Wire, name: &str) -> Result<(), Ended> {
    let begin = Instant::now();
    while look(wire, name).await? != 404 {
        if begin.elapsed() > PATIENCE {
            client.history.fault(format!("I9: {name} does not go"));
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// What a node says of a queue: nothing to complain of, or a reply code.
async fn look(wire: &mut Wire, name: &str) -> Result<u16, Ended> {
    wire.send(Method::new(50, 10).u16(0).short(name).u8(1).u32(0))?;
    let said = wire.hear().await?;
    if said.method == wire::DECLARE_OK {
        return Ok(0);
    }
    assert_eq!(said.method, wire::CHANNEL_CLOSE, "{said:?}");
    let mut arguments = said.arguments;
    let code = arguments.get_u16();
    wire.send(Method::new(20, 41))?;
    wire.send(Method::new(20, 10).short(""))?;
    wire.expect(wire::CHANNEL_OPEN_OK).await?;
    Ok(code)
}

async fn delete(wire: &mut Wire, name: &str) -> Result<(), Ended> {
    wire.send(Method::new(50, 40).u16(0).short(name).u8(0))?;
    wire.expect(wire::DELETE_OK).await?;
    Ok(())
}
