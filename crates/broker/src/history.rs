//! What exchanges of the type `x-recent-history` remember, and how it comes to those that are bound.
//!
//! The last messages of such an exchange stand in a queue of its own, replicated like any other and
//! as long as the history. It is made after the exchange and goes with it. Who binds a queue or an
//! exchange waits until the history has been published there: as it was published first, but with
//! a time to live that begins at this moment.
//!
//! **Always holds:** the history is as if nobody had read it. Who reads takes it, copies it while
//! holding it, and gives it back as if it had never been given out; another one
//! that reads meanwhile finds that something is held, and waits.

use std::time::Duration;

use futures::future::join_all;
use warren_amqp::Body;
use warren_catalog::{
    BindingCommand, Command as Change, DeclareQueue, Destination, Exchange, ExchangeKind, Outcome,
    Queue, recent_history,
};
use warren_queue::entry::{FragmentWriter, PublishParts, message};
use warren_queue::{Command, CommandReply, FragmentReply, Got, Outcome as Settled, SettleRange};
use warren_types::{ChannelNumber, ConsumerNumber, QueueId, Table, Value};

use crate::broker::Inner;
use crate::connection::dedup::keys;
use crate::connection::deliver::whole_body;
use crate::connection::message::wishes;
use crate::connection::publish::{Publish, route_permitted};
use crate::connection::staging::{Origin, Staging};
use crate::connection::state::Client;
use crate::directory::ChangeError;
use crate::placement::Locator;
use crate::queue::handle::{ShardHandle, Stopped, read_parts};

/// The number that the holder of a history has; no connection has the other half of its name.
const READER: u32 = 1;

/// How long to wait while somebody else reads.
const TURN: Duration = Duration::from_millis(20);

/// How often. Beyond it something is held for longer than reading takes, by whoever does: what is
/// left is all there is.
const TURNS: u32 = 250;

/// Messages that one entry of the log takes.
const CHUNK_MESSAGES: u64 = 256;

/// A history that is being read: what is held goes back whatever happens.
struct Loan {
    shard: ShardHandle,
    queue: QueueId,
    consumer: ConsumerNumber,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.shard.tell(&Command::Detach { consumer: self.consumer });
    }
}

/// A change of the catalog after which an exchange's history may have to be seen to.
pub(crate) enum HistoryChange {
    /// An exchange was declared that has a history.
    Declared,
    /// Something was bound.
    Bound(BindingCommand),
}

impl HistoryChange {
    /// What is to be looked at once the change has been made.
    pub(crate) fn of(change: &Change) -> Option<Self> {
        match change {
            Change::DeclareExchange(declare) => {
                let kind = ExchangeKind::parse(&declare.kind);
                let may_have =
                    matches!(kind, Some(ExchangeKind::RecentHistory | ExchangeKind::Delayed));
                may_have.then_some(Self::Declared)
            }
            Change::Bind(binding) => Some(Self::Bound(binding.clone())),
            _ => None,
        }
    }
}

impl Inner {
    /// Does for exchanges with a history what a change of the catalog has led to.
    pub(crate) async fn see_to_history(
        &self,
        change: HistoryChange,
        outcome: &Outcome,
    ) -> Result<(), ChangeError> {
        match (change, outcome) {
            (
                HistoryChange::Declared,
                Outcome::ExchangeCreated(exchange) | Outcome::ExchangeExists(exchange),
            ) => self.make_history(exchange).await,
            (HistoryChange::Bound(binding), Outcome::Created) => self.show_history(&binding).await,
            (HistoryChange::Declared | HistoryChange::Bound(_), _) => Ok(()),
        }
    }

    /// Makes the queue that an exchange remembers its messages in, unless it is there.
    async fn make_history(&self, exchange: &Exchange) -> Result<(), ChangeError> {
        if exchange.routing_kind() != ExchangeKind::RecentHistory {
            return Ok(());
        }
        let length = recent_history::length(&exchange.arguments);
        let mut arguments = Table::new();
        arguments.insert("x-queue-type", Value::text("classic"));
        arguments.insert("x-max-length", Value::I64(i64::try_from(length).unwrap_or(i64::MAX)));
        let declare = Change::DeclareQueue(DeclareQueue {
            vhost: exchange.vhost.clone(),
            queue: recent_history::queue_name(&exchange.name),
            // The name is one that only the broker chooses.
            server_named: true,
            durable: true,
            auto_delete: false,
            exclusive: None,
            placement: self.place(true, false, Locator::ClientLocal),
            arguments,
            user: exchange.user.clone(),
        });
        if let Outcome::QueueCreated(queue) = self.directory.change(declare).await? {
            self.ensure(&queue);
        }
        Ok(())
    }

    /// Publishes an exchange's history to what has been bound to it.
    async fn show_history(&self, binding: &BindingCommand) -> Result<(), ChangeError> {
        let BindingCommand { vhost, source, .. } = binding;
        let kind = || {
            self.directory
                .look(|catalog| catalog.exchange(vhost, source).map(|row| row.routing_kind()))
        };
        if kind().is_some_and(|kind| kind != ExchangeKind::RecentHistory) {
            return Ok(());
        }
        // Other nodes may have made all of this a moment ago.
        self.directory.catch_up().await?;
        let own = recent_history::queue_name(source);
        let own = self.directory.look(|catalog| catalog.queue(vhost, &own).cloned());
        let is_kept = kind() == Some(ExchangeKind::RecentHistory);
        let Some(queue) = own.filter(|_| is_kept) else { return Ok(()) };
        let Some(slot) = self.ensure(&queue) else { return Ok(()) };
        let consumer = self.registry.number().consumer(READER);
        let loan = Loan { shard: self.shard(slot).clone(), queue: queue.id, consumer };
        let length = length_of(&queue);
        let mut held = Vec::new();
        let mut some = loan.first(length).await?;
        while !some.is_empty() {
            let mut staging = Staging::default();
            for got in &some {
                self.stage_again(&loan.shard, got, binding, &mut staging).await;
            }
            let asks = staging.take().into_iter();
            let asks = asks.map(|staged| self.shard(staged.slot).ask(staged.fragment));
            for answer in join_all(asks).await {
                answer?;
            }
            held.extend(some);
            (_, some) = loan.take(length.saturating_sub(count(&held))).await?;
        }
        loan.give_back(&held).await?;
        Ok(())
    }

    /// Stages one message for the destination of a binding.
    async fn stage_again(
        &self,
        history: &ShardHandle,
        got: &Got,
        binding: &BindingCommand,
        staging: &mut Staging,
    ) {
        let read = read_parts(history, got.location, got.parts.as_deref()).await;
        let found = read.and_then(|(row, parts)| {
            let found = message(&row, got.location.offset).ok()?;
            let body = whole_body(&parts, found.body.clone());
            Some((found, body))
        });
        // Its properties were understood when it came, so that they are now.
        let Some((found, body)) = found else { return };
        let Ok(wishes) = wishes(found.header.clone(), "", true) else { return };
        let publish = |exchange: &str, routing_key: &[u8], body: Body| Publish {
            exchange: bytes::Bytes::copy_from_slice(exchange.as_bytes()),
            routing_key: bytes::Bytes::copy_from_slice(routing_key),
            mandatory: false,
            immediate: false,
            header: found.header.clone(),
            body,
        };
        let way = match &binding.destination {
            Destination::Queue(queue) => publish("", queue.as_bytes(), Body::default()),
            Destination::Exchange(to) => publish(to, &found.routing_key, Body::default()),
        };
        let client = Client::own("".into(), binding.vhost.clone());
        let Ok((plan, _)) = route_permitted(self, &client, &way, &wishes) else { return };
        let again = publish(&binding.source, &found.routing_key, body);
        let origin = Origin { channel: ChannelNumber(0), generation: 0, tag: None };
        for (slot, queues) in &plan.shards {
            let keys = keys(&plan.once, *slot, &wishes);
            let parts = wishes.parts(&again, queues, &keys);
            let parts = PublishParts { exchange: &found.exchange, trail: &found.trail, ..parts };
            staging.publish(*slot, &parts, &again.body, origin, || self.upload());
        }
    }
}

impl Loan {
    /// Takes the first messages, once nobody else has some.
    async fn first(&self, length: u64) -> Result<Vec<Got>, Stopped> {
        for _ in 0..TURNS {
            let (is_held, got) = self.take(length).await?;
            if !is_held {
                return Ok(got);
            }
            self.give_back(&got).await?;
            tokio::time::sleep(TURN).await;
        }
        self.take(length).await.map(|(_, got)| got)
    }

    /// Takes up to so many messages, or as many as one entry gives. Tells also whether somebody held
    /// some before.
    async fn take(&self, most: u64) -> Result<(bool, Vec<Got>), Stopped> {
        let mut fragment = FragmentWriter::new();
        fragment.command(&Command::Status { queue: self.queue });
        for _ in 0..most.min(CHUNK_MESSAGES) {
            let get = Command::Get { consumer: self.consumer, queue: self.queue, no_ack: false };
            fragment.command(&get);
        }
        let FragmentReply::Done(replies) = self.shard.ask(fragment.finish()).await? else {
            return Ok((false, Vec::new()));
        };
        let (mut is_held, mut got) = (false, Vec::new());
        for (_, reply) in replies {
            match reply {
                CommandReply::Status(status) => is_held = status.unsettled > 0,
                CommandReply::Got(one) => got.push(one),
                _ => {}
            }
        }
        Ok((is_held, got))
    }

    /// Gives back what was taken, as if it had not been.
    async fn give_back(&self, taken: &[Got]) -> Result<(), Stopped> {
        let ranges: Vec<_> =
            taken.iter().map(|got| SettleRange { from: got.sequence, to: got.sequence }).collect();
        if ranges.is_empty() {
            return Ok(());
        }
        let outcome = Settled::Release;
        let mut fragment = FragmentWriter::new();
        fragment.command(&Command::Settle { consumer: self.consumer, outcome, ranges });
        self.shard.ask(fragment.finish()).await.map(drop)
    }
}

fn count(held: &[Got]) -> u64 {
    u64::try_from(held.len()).unwrap_or(u64::MAX)
}

/// How many messages a queue keeps.
fn length_of(queue: &Queue) -> u64 {
    queue.settings.max_length.unwrap_or_default()
}
