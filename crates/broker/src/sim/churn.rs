//! A client that fills, empties, deletes and declares one queue again and again.
//!
//! It does one thing after the other, so that it knows what must be there: nothing from before a
//! purge or a deletion that was answered, and everything that was confirmed since, in order. A purge or
//! a deletion that was not answered may still be done at any time: there it goes on with another queue.
//! So may a publish, when the node that took it is cut off, given up and comes back: what a lost
//! connection had not heard of may come late, once.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Buf as _;
use tokio::time::sleep;

use super::client::{Client, Unconfirmed, declare, message};
use super::history::{Consumer, Message};
use super::wire::{self, Ended, Method, Wire};

/// What the queue must hold, and what it may.
#[derive(Default)]
struct Known {
    /// Queues that were left.
    left: u32,
    /// Whether a purge or a deletion is under way.
    removing: bool,
    /// Confirmed, and neither taken nor removed.
    there: VecDeque<Message>,
    /// Published and not confirmed.
    unsure: Vec<Message>,
    /// Was that when its connection was lost.
    late: BTreeSet<Message>,
    /// Everything since the queue was declared last.
    all: Vec<Message>,
    /// Everything before.
    buried: BTreeSet<Message>,
}

/// Runs until the client is to be calm.
pub(super) async fn run(mut client: Client) {
    let mut known = Known::default();
    while !client.calm.is_cancelled() {
        let (mut wire, session) = client.connect().await;
        let consumer = client.history.consumer(&known.queue(), session, 0);
        drop(work(&mut client, &mut wire, consumer, &mut known).await);
        client.history.gone(consumer);
        known.late.extend(&known.unsure);
        if known.removing {
            known.leave();
        }
    }
    // What is left is of no interest to the drain.
    client.history.removed(&known.everything());
    while let Err(Ended) = delete_all(&mut client, &mut known).await {}
}

async fn delete_all(client: &mut Client, known: &mut Known) -> Result<(), Ended> {
    let (mut wire, _) = client.connect().await;
    for queue in 0..=known.left {
        delete(&mut wire, &name(queue)).await?;
    }
    Ok(())
}

fn name(queue: u32) -> String {
    format!("churn{queue}")
}

async fn work(
    client: &mut Client,
    wire: &mut Wire,
    consumer: Consumer,
    known: &mut Known,
) -> Result<(), Ended> {
    let queue = known.queue();
    declare(wire, &queue).await?;
    wire.send(Method::new(85, 10).u8(0))?;
    wire.expect(wire::SELECT_OK).await?;
    let publisher = client.history.publisher(&queue);
    let mut unconfirmed = Unconfirmed::default();
    // What may be there from an earlier connection comes to an end before anything is relied on.
    purge(client, wire, known).await?;
    while !client.calm.is_cancelled() {
        match client.chance.number(0..10) {
            0..5 => {
                for _ in 0..client.chance.number(1..6) {
                    let message =
                        unconfirmed.publish(wire, &client.history, publisher, &queue, 20)?;
                    known.unsure.push(message);
                    known.all.push(message);
                }
                while !unconfirmed.is_empty() {
                    unconfirmed.heard(wire.hear().await?, &client.history);
                }
                known.there.extend(known.unsure.drain(..));
            }
            5..8 => take(client, wire, consumer, known).await?,
            8 => purge(client, wire, known).await?,
            _ => {
                let everything = known.everything();
                client.history.removed(&everything);
                known.removing = true;
                delete(wire, &queue).await?;
                known.forget();
                known.buried.extend(known.all.drain(..));
                client.history.note("churn deleted".to_owned());
                declare(wire, &queue).await?;
            }
        }
        sleep(Duration::from_millis(client.chance.number(1..300))).await;
    }
    Ok(())
}

/// basic.get, several times.
async fn take(
    client: &mut Client,
    wire: &mut Wire,
    consumer: Consumer,
    known: &mut Known,
) -> Result<(), Ended> {
    for _ in 0..client.chance.number(1..8) {
        wire.send(Method::new(60, 70).u16(0).short(&known.queue()).u8(0))?;
        let said = wire.hear().await?;
        if said.method == wire::GET_EMPTY {
            if !known.there.is_empty() {
                let there = &known.there;
                client.history.fault(format!("I1: churn is empty, but {there:?} should be there"));
            }
            return Ok(());
        }
        assert_eq!(said.method, wire::GET_OK, "{said:?}");
        let mut arguments = said.arguments;
        let (tag, flagged) = (arguments.get_u64(), arguments.get_u8() == 1);
        let got = message(said.body);
        client.history.deliver(consumer, got, flagged);
        let expected = known.there.front().copied();
        if expected == Some(got) {
            known.there.pop_front();
        } else if !known.late.remove(&got) && (!flagged || known.buried.contains(&got)) {
            // With the flag, it was on its way to a connection that was lost; no purge removes that.
            client.history.fault(format!("I5: churn gave {got:?} instead of {expected:?}"));
        }
        client.history.acknowledge(consumer, got);
        wire.send(Method::new(60, 80).u64(tag).u8(0))?;
    }
    Ok(())
}

async fn purge(client: &mut Client, wire: &mut Wire, known: &mut Known) -> Result<(), Ended> {
    let everything = known.everything();
    client.history.removed(&everything);
    known.removing = true;
    wire.send(Method::new(50, 30).u16(0).short(&known.queue()).u8(0))?;
    wire.expect(wire::PURGE_OK).await?;
    known.forget();
    client.history.note("churn purged".to_owned());
    Ok(())
}

async fn delete(wire: &mut Wire, queue: &str) -> Result<(), Ended> {
    wire.send(Method::new(50, 40).u16(0).short(queue).u8(0))?;
    wire.expect(wire::DELETE_OK).await?;
    Ok(())
}

impl Known {
    fn queue(&self) -> String {
        name(self.left)
    }

    /// Goes on with another queue.
    fn leave(&mut self) {
        self.left += 1;
        self.forget();
        self.all.clear();
    }

    /// Everything was removed for certain.
    fn forget(&mut self) {
        self.removing = false;
        self.there.clear();
        self.unsure.clear();
    }

    fn everything(&self) -> Vec<Message> {
        self.there.iter().chain(&self.unsure).copied().collect()
    }
}
