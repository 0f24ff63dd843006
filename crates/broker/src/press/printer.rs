//! The task that publishes what the broker has to say.
//!
//! Nobody waits for it, and it is persistent only where its properties say so. A shard that does
//! not answer is given nothing more; the others are not held up by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use warren_amqp::Body;
use warren_types::ChannelNumber;

use super::{Bulletin, INTERNAL_USER};
use crate::broker::Inner;
use crate::connection::message::wishes;
use crate::connection::publish::{Publish, route_permitted};
use crate::connection::staging::{Origin, Staging};
use crate::connection::state::Client;
use crate::directory::name;
use crate::queue::handle::ShardSlot;
use crate::trail::Trail;

/// Bulletins that are published together.
const BURST_BULLETINS: usize = 256;

/// Fragments that one shard may have unanswered before no more bulletins are taken.
const UNANSWERED_FRAGMENTS: usize = 8;

/// How long a shard is waited for. What is for it is dropped until it answers.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of the longest routing key.
const KEY_BYTES: usize = 255;

/// What one shard has not answered.
#[derive(Debug, Default)]
struct Open {
    fragments: usize,
    is_stuck: bool,
}

struct Printer {
    broker: Arc<Inner>,
    open: BTreeMap<ShardSlot, Open>,
    answers: FuturesUnordered<BoxFuture<'static, ShardSlot>>,
    /// When a shard that has too much unanswered is given up for the time being.
    patience: Option<Instant>,
}

/// Publishes what comes through `bulletins`, and follows who listens, until `stop`.
pub(crate) async fn run(
    broker: Arc<Inner>,
    mut bulletins: mpsc::Receiver<Bulletin>,
    stop: CancellationToken,
) {
    let mut changes = broker.directory.changes();
    broker.press.refresh(&broker.directory);
    let (open, answers) = (BTreeMap::new(), FuturesUnordered::new());
    let mut printer = Printer { broker, open, answers, patience: None };
    loop {
        let patience = printer.patience;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = changes.changed() => match changed {
                Ok(()) => printer.broker.press.refresh(&printer.broker.directory),
                Err(_) => return,
            },
            Some(slot) = printer.answers.next(), if !printer.answers.is_empty() => {
                printer.answered(slot);
            }
            () = until(patience), if patience.is_some() => printer.give_up(),
            bulletin = bulletins.recv(), if patience.is_none() => match bulletin {
                Some(first) => printer.publish(first, &mut bulletins),
                None => return,
            },
        }
    }
}

async fn until(patience: Option<Instant>) {
    if let Some(patience) = patience {
        tokio::time::sleep_until(patience).await;
    }
}

impl Printer {
    fn publish(&mut self, first: Bulletin, bulletins: &mut mpsc::Receiver<Bulletin>) {
        let mut staging = Staging::default();
        let rest = std::iter::from_fn(|| bulletins.try_recv().ok());
        for bulletin in std::iter::once(first).chain(rest).take(BURST_BULLETINS) {
            let bytes = bulletin.body.len();
            self.broker.press.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.stage(bulletin, &mut staging);
        }
        for staged in staging.take() {
            let slot = staged.slot;
            let open = self.open.entry(slot).or_default();
            open.fragments = open.fragments.saturating_add(1);
            let shard = self.broker.shard(slot).clone();
            self.answers.push(Box::pin(async move {
                // Refused by a full queue, or sent to one that has gone: nobody is to be told.
                drop(shard.ask(staged.fragment).await);
                slot
            }));
        }
        self.count();
    }

    fn stage(&self, bulletin: Bulletin, staging: &mut Staging) {
        let Bulletin { vhost, exchange, mut routing_key, properties, body } = bulletin;
        while routing_key.len() > KEY_BYTES {
            routing_key.pop();
        }
        let publish = Publish {
            exchange: Bytes::from_static(exchange.as_bytes()),
            routing_key: Bytes::from(routing_key),
            mandatory: false,
            immediate: false,
            header: properties.encode(),
            body: Body::from(body),
        };
        let Ok(mut wishes) = wishes(publish.header.clone(), INTERNAL_USER, true) else { return };
        wishes.trail = Trail { is_own: true, ..Trail::default() }.encode();
        let client = Client::own(name(INTERNAL_USER), vhost);
        // The exchange went with its virtual host.
        let Ok((plan, _)) = route_permitted(&self.broker, &client, &publish, &wishes) else {
            return;
        };
        plan.count();
        let origin = Origin { channel: ChannelNumber(0), generation: 0, tag: None };
        for (slot, queues) in &plan.shards {
            if self.open.get(slot).is_some_and(|open| open.is_stuck) {
                self.broker.counters.bulletins_dropped.add(1);
                continue;
            }
            let parts = wishes.parts(&publish, queues, &[]);
            staging.publish(*slot, &parts, &publish.body, origin, || self.broker.upload());
        }
    }

    fn answered(&mut self, slot: ShardSlot) {
        if let Some(open) = self.open.get_mut(&slot) {
            open.is_stuck = false;
            open.fragments = open.fragments.saturating_sub(1);
            if open.fragments == 0 {
                self.open.remove(&slot);
            }
        }
        self.count();
    }

    /// Whether somebody has to be waited for, and until when.
    fn count(&mut self) {
        let is_full = |open: &Open| !open.is_stuck && open.fragments >= UNANSWERED_FRAGMENTS;
        if !self.open.values().any(is_full) {
            self.patience = None;
        } else if self.patience.is_none() {
            self.patience = Some(Instant::now() + PATIENCE);
        }
    }

    fn give_up(&mut self) {
        for open in self.open.values_mut() {
            open.is_stuck |= open.fragments >= UNANSWERED_FRAGMENTS;
        }
        tracing::warn!("events and copies of messages for queues that do not answer are dropped");
        self.count();
    }
}
