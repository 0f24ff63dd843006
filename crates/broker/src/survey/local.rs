//! This node's part of a survey: its clients, and the queues that it leads or holds in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use warren_amqp::ReplyCode;
use warren_amqp::header::Properties;
use warren_consensus::Status;
use warren_queue::entry::message;
use warren_queue::{ConsumerListing, QueueCounts, QueueListing, Shard, Totals};
use warren_types::{GroupId, Location, NodeId, QueueId};

use super::question::{Question, Whose, answer};
use super::rows::{
    HolderRow, MessageCounts, NodeFigures, NodeSample, NodeSamples, QueueDetail, QueueFigures,
    ShardRow,
};
use super::{messages, readers, scheduled};
use crate::broker::Inner;
use crate::connection::{Description, ToConnection};
use crate::queue::batch::wall_clock;
use crate::queue::handle::{ShardHandle, ShardSlot};
use crate::registry::Registered;
use crate::watchman;

/// How long connections and shards may take to say how they are. One that does not is left out.
pub(super) const LOCAL_LIMIT: Duration = Duration::from_millis(1000);

/// Answers a question about this node.
pub(super) async fn reply(broker: &Inner, question: Question) -> Bytes {
    match question {
        Question::Node => answer(&figures(broker).await),
        Question::Connections => {
            let rows = describe(broker).await.into_iter().map(|row| row.connection);
            answer(&rows.collect::<Vec<_>>())
        }
        Question::Channels => {
            let rows = describe(broker).await.into_iter().flat_map(|row| row.channels);
            answer(&rows.collect::<Vec<_>>())
        }
        Question::Consumers => {
            let rows = describe(broker).await.into_iter().flat_map(|row| row.consumers);
            answer(&rows.collect::<Vec<_>>())
        }
        Question::Actives => answer(&actives(broker).await),
        Question::Queues(wanted) => answer(&queues(broker, wanted).await),
        Question::Queue(queue) => {
            answer(&queue_in_full(broker, queue).await.into_iter().collect::<Vec<_>>())
        }
        Question::Shards => answer(&shards(broker)),
        Question::Close { whose, reason } => answer(&close(broker, &whose, &reason)),
        Question::NodeSamples(since_ms) => {
            let samples = broker.sight.samples.of_node(since_ms);
            answer(&vec![NodeSamples { node: broker.session.node, samples }])
        }
        Question::QueueSamples(queue, since_ms) => {
            let slot = places(broker, vec![queue]).pop().map(|(_, slot)| slot);
            let is_here = slot.is_some_and(|slot| led(broker).contains(&slot));
            let samples = is_here.then(|| broker.sight.samples.of_queue(queue, since_ms));
            answer(&samples.unwrap_or_default())
        }
        Question::Exchanges => answer(&broker.throughput.figures(Instant::now())),
        Question::Readers => answer(&readers::figures(broker)),
        Question::Stream(queue) => {
            answer(&readers::reach(broker, queue).await.into_iter().collect::<Vec<_>>())
        }
        Question::Count(whose) => answer(&count(broker, &whose)),
        Question::CountChannels(whose) => {
            answer(&broker.registry.count_channels(|one| is_meant(one, &whose)))
        }
        Question::Scheduled(vhost, limit) => {
            answer(&scheduled::of_vhost(broker, &vhost, limit).await)
        }
        Question::Messages { queue, query, is_enough } => {
            let found = messages::search(broker, queue, *query, is_enough).await;
            answer(&found.into_iter().collect::<Vec<_>>())
        }
    }
}

/// What every connection says of itself.
async fn describe(broker: &Inner) -> Vec<Description> {
    let mut asked = Vec::new();
    broker.registry.send_each(
        |_| true,
        || {
            let (answer_to, answer) = oneshot::channel();
            asked.push(answer);
            ToConnection::Describe { answer_to }
        },
    );
    let deadline = Instant::now() + LOCAL_LIMIT;
    let answers = asked.into_iter().map(|answer| tokio::time::timeout_at(deadline, answer));
    join_all(answers).await.into_iter().filter_map(|answer| answer.ok()?.ok()).collect()
}

/// Closes connections, as soon as what they published is answered. Returns how many those are.
fn close(broker: &Inner, whose: &Whose, reason: &str) -> u64 {
    let goodbye =
        || ToConnection::Close { code: ReplyCode::ConnectionForced, text: reason.to_owned() };
    broker.registry.send_each(|one| is_meant(one, whose), goodbye)
}

fn is_meant(one: &Registered, whose: &Whose) -> bool {
    match whose {
        Whose::Name(name) => *one.name == **name,
        Whose::User(user) => *one.user == **user,
        Whose::Vhost(vhost) => *one.vhost == **vhost,
        Whose::All => true,
    }
}

/// How many connections here are meant.
fn count(broker: &Inner, whose: &Whose) -> u64 {
    let count = broker.registry.count(|one| is_meant(one, whose));
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The shards that this node leads, or holds in memory.
pub(super) fn led(broker: &Inner) -> Vec<ShardSlot> {
    let replicated = broker.shards.replicated();
    let led = replicated.filter(|(_, _, shard)| shard.whereabouts().leads_here());
    let led: Vec<ShardSlot> = led.map(|(_, slot, _)| slot).collect();
    let locals = (0_u16..).take(broker.shards.local().len());
    let local = locals.filter_map(|slot| broker.shards.of_memory(slot));
    led.into_iter().chain(local).collect()
}

/// What `read` says of a shard that is here.
pub(super) async fn look<R: Send + 'static>(
    shard: &ShardHandle,
    read: impl FnOnce(&Shard) -> R + Send + 'static,
) -> Option<R> {
    if shard.whereabouts().is_own_memory() {
        return timeout(LOCAL_LIMIT, watchman::look(shard, read)).await.ok()?;
    }
    shard.whereabouts().group().map(|group| group.inspect(read))
}

/// Figures of queues that this node leads, all or those of these.
pub(super) async fn queues(broker: &Inner, wanted: Option<Vec<QueueId>>) -> Vec<QueueFigures> {
    let mut by_slot: BTreeMap<ShardSlot, Option<Vec<QueueId>>> = BTreeMap::new();
    let here = led(broker);
    match wanted {
        None => by_slot.extend(here.into_iter().map(|slot| (slot, None))),
        Some(wanted) => {
            for (queue, slot) in places(broker, wanted) {
                if here.contains(&slot) {
                    let queues = by_slot.entry(slot).or_insert(Some(Vec::new()));
                    queues.get_or_insert_default().push(queue);
                }
            }
        }
    }
    let looks = by_slot.into_iter().map(|(slot, wanted)| {
        let shard = broker.shard(slot);
        look(shard, move |machine| match wanted {
            None => machine.queues(),
            Some(wanted) => wanted.into_iter().filter_map(|queue| machine.queue(queue)).collect(),
        })
    });
    let listings: Vec<QueueListing> =
        join_all(looks).await.into_iter().flatten().flatten().collect();
    figures_of(broker, &listings)
}

/// Where queues are, of those that there are.
pub(super) fn places(broker: &Inner, queues: Vec<QueueId>) -> Vec<(QueueId, ShardSlot)> {
    let rows: Vec<_> = broker.directory.look(|catalog| {
        queues.into_iter().filter_map(|queue| catalog.queue_by_id(queue).cloned()).collect()
    });
    let placed = rows.iter().filter_map(|row| Some((row.id, broker.slot_of(&row.placement)?)));
    placed.collect()
}

fn figures_of(broker: &Inner, listings: &[QueueListing]) -> Vec<QueueFigures> {
    let grown = listings.iter().map(|listing| (listing.queue, counts(&listing.counts)));
    let rates = broker.sight.queue_paces.of(Instant::now(), grown);
    let figures = listings.iter().zip(rates).map(|(listing, rates)| {
        let status = &listing.status;
        let active = listing.active_consumer;
        QueueFigures {
            queue: listing.queue,
            leader: broker.session.node,
            ready: status.ready,
            ready_bytes: status.ready_bytes,
            unacknowledged: status.unsettled,
            unacknowledged_bytes: status.unsettled_bytes,
            delayed: status.delayed,
            dead: status.dead,
            duplicates: listing.counts.duplicates,
            dedup_keys: listing.dedup_keys,
            consumers: status.consumers,
            active_consumer: active.map(|active| (active.session.node, active.number.0)),
            memory_bytes: listing.memory_bytes,
            counts: counts(&listing.counts),
            rates,
        }
    });
    figures.collect()
}

fn counts(counts: &QueueCounts) -> MessageCounts {
    MessageCounts {
        publish: counts.published,
        deliver: counts.delivered,
        deliver_no_ack: counts.delivered_no_ack,
        get: counts.got,
        get_no_ack: counts.got_no_ack,
        get_empty: counts.got_empty,
        ack: counts.acknowledged,
        redeliver: counts.redelivered,
        ..MessageCounts::default()
    }
}

/// The active consumers of queues that have a single one.
async fn actives(broker: &Inner) -> Vec<(QueueId, (NodeId, u64))> {
    let looks = led(broker).into_iter().map(|slot| look(broker.shard(slot), Shard::queues));
    let listings = join_all(looks).await.into_iter().flatten().flatten();
    let actives = listings.filter(|listing| listing.settings.single_active_consumer);
    let active = actives.map(|listing| {
        // Nobody has the number 0: where nobody is active, nobody is taken to be.
        let active = listing.active_consumer;
        let who = active.map(|active| (active.session.node, active.number.0));
        (listing.queue, who.unwrap_or_default())
    });
    active.collect()
}

async fn queue_in_full(broker: &Inner, queue: QueueId) -> Option<QueueDetail> {
    let (_, slot) = places(broker, vec![queue]).pop()?;
    if !led(broker).contains(&slot) {
        return None;
    }
    let shard = broker.shard(slot);
    let read = move |machine: &Shard| Some((machine.queue(queue)?, machine.consumers(queue)));
    let (listing, consumers) = look(shard, read).await??;
    let head = match listing.head {
        Some(Location { index, offset }) => {
            let row = timeout(LOCAL_LIMIT, shard.row(index, &[offset])).await.ok().flatten();
            row.map(|row| (row, offset))
        }
        None => None,
    };
    let head_age_ms = head
        .as_ref()
        .and_then(|(row, _)| warren_queue::entry::time(row))
        .map(|entered| wall_clock().0.saturating_sub(entered.0));
    let head_timestamp_s = head
        .and_then(|(row, offset)| message(&row, offset).ok())
        .and_then(|message| Properties::decode(&message.header).ok()?.timestamp);
    let figures = figures_of(broker, std::slice::from_ref(&listing)).pop()?;
    let holders = consumers.iter().map(holder).collect();
    Some(QueueDetail { figures, holders, head_age_ms, head_timestamp_s })
}

fn holder(consumer: &ConsumerListing) -> HolderRow {
    let granted = consumer.granted.0.saturating_sub(consumer.last.0);
    let room = u64::from(consumer.prefetch).saturating_sub(consumer.unsettled);
    HolderRow {
        node: consumer.consumer.session.node,
        consumer: consumer.consumer.number.0,
        tag: String::from_utf8_lossy(&consumer.tag).into_owned(),
        prefetch: consumer.prefetch,
        priority: consumer.priority,
        ack_required: !consumer.no_ack,
        exclusive: consumer.exclusive,
        active: consumer.active,
        cancelled: consumer.cancelled,
        is_getter: consumer.holder,
        unacknowledged: consumer.unsettled,
        capacity: if consumer.prefetch == 0 { granted } else { granted.min(room) },
    }
}

fn shards(broker: &Inner) -> Vec<ShardRow> {
    let catalog = broker.directory.status();
    let queues = broker.directory.look(|catalog| {
        catalog.vhosts().map(|vhost| catalog.queue_count(&vhost.name)).sum::<usize>()
    });
    let queues = u64::try_from(queues).unwrap_or(u64::MAX);
    let totals = Totals { queues, ..Totals::default() };
    let catalog = catalog.leadership.here.then(|| shard_row(GroupId::CATALOG, &catalog, totals));
    let groups = broker.shards.replicated().filter_map(|(group, _, shard)| {
        let replica = shard.whereabouts().group()?;
        let status = replica.status();
        status.leadership.here.then(|| shard_row(group, &status, replica.inspect(Shard::totals)))
    });
    catalog.into_iter().chain(groups).collect()
}

fn shard_row(group: GroupId, status: &Status, totals: Totals) -> ShardRow {
    let nodes = |places: &[(NodeId, String)]| places.iter().map(|(node, _)| *node).collect();
    let lag = status
        .matched
        .iter()
        .map(|(node, matched)| (*node, status.last.0.saturating_sub(matched.0)));
    ShardRow {
        group,
        leader: status.leadership.leader.unwrap_or_default(),
        term: status.leadership.term,
        voters: nodes(&status.voters),
        learners: nodes(&status.learners),
        applied: status.applied.0,
        lag: lag.collect(),
        queues: totals.queues,
        ready: totals.ready,
        ready_bytes: totals.ready_bytes,
        unacknowledged: totals.unsettled,
    }
}

/// What queues of these shards have together.
async fn sum(broker: &Inner, slots: Vec<ShardSlot>) -> Totals {
    let looks = slots.into_iter().map(|slot| look(broker.shard(slot), Shard::totals));
    let totals = join_all(looks).await.into_iter().flatten();
    totals.fold(Totals::default(), |sum, one| Totals {
        queues: sum.queues.saturating_add(one.queues),
        ready: sum.ready.saturating_add(one.ready),
        ready_bytes: sum.ready_bytes.saturating_add(one.ready_bytes),
        unsettled: sum.unsettled.saturating_add(one.unsettled),
    })
}

/// This node's totals as they are.
pub(super) async fn sample(broker: &Inner, at_ms: u64) -> NodeSample {
    let sum = sum(broker, led(broker)).await;
    let done = broker.counters.totals();
    NodeSample {
        at_ms,
        ready: sum.ready,
        unacknowledged: sum.unsettled,
        counts: done.messages(),
        churn: done.churn(),
    }
}

/// This node in numbers, none of which takes a walk over queues or connections.
async fn figures(broker: &Inner) -> NodeFigures {
    let slots = led(broker);
    let replicated =
        slots.iter().filter(|slot| !broker.shard(**slot).whereabouts().is_own_memory());
    let catalog = usize::from(broker.directory.status().leadership.here);
    let leaderships = replicated.count().saturating_add(catalog);
    let sum = sum(broker, slots).await;
    let done = broker.counters.totals();
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let (counts, churn) = (done.messages(), done.churn());
    NodeFigures {
        node: broker.session.node,
        boot: broker.session.boot,
        uptime_ms: u64::try_from(broker.sight.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        serving: broker.is_serving(),
        connections: count(broker.registry.len()),
        channels: done.channels_opened.saturating_sub(done.channels_closed),
        consumers: done.consumers,
        leaderships: count(leaderships),
        queues: sum.queues,
        ready: sum.ready,
        ready_bytes: sum.ready_bytes,
        unacknowledged: sum.unsettled,
        counts,
        rates: broker.sight.rates(counts),
        churn,
        churn_rates: broker.sight.churn_rates(churn),
        machine: broker.sight.machine(),
    }
}
