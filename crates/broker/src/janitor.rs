//! Finishes what spans the catalog and a shard.
//!
//! A queue's row and its messages live in two groups. Whoever declares or deletes a queue does
//! both halves; when that is interrupted, or when a queue ends by itself, the janitor brings the
//! other half about. Every chore may be done twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warren_amqp::ReplyCode;
use warren_catalog::{Command as Change, Effect, Owner, Queue, RemovalReason};
use warren_queue::{Command, EndReason};
use warren_types::QueueId;

use crate::broker::Inner;
use crate::connection::ToConnection;
use crate::queue::handle::ShardSlot;

/// Something to be finished.
#[derive(Debug)]
pub(crate) enum Chore {
    /// A shard has ended a queue: the catalog must let go of it.
    QueueEnded { slot: ShardSlot, queue: QueueId, reason: EndReason },
    /// The catalog has carried out a change.
    Catalog(Effect),
    /// A connection has ended without giving up its exclusive queues.
    ConnectionGone(Owner),
}

/// The task that does the chores, one after another.
pub(crate) struct Janitor {
    broker: Arc<Inner>,
    chores: mpsc::UnboundedReceiver<Chore>,
}

impl Janitor {
    /// Does what comes through `chores`.
    pub(crate) fn new(broker: Arc<Inner>, chores: mpsc::UnboundedReceiver<Chore>) -> Self {
        Self { broker, chores }
    }

    /// Serves until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let chore = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                chore = self.chores.recv() => chore,
            };
            let Some(chore) = chore else { return };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.finish(chore) => {}
            }
        }
    }

    async fn finish(&self, chore: Chore) {
        match chore {
            Chore::QueueEnded { slot, queue, reason } => {
                self.queue_ended(slot, queue, reason).await
            }
            Chore::Catalog(effect) => self.changed(effect),
            Chore::ConnectionGone(owner) => {
                let outcome = self.broker.directory.change(Change::CloseConnection { owner }).await;
                if let Err(error) = outcome {
                    tracing::debug!(%error, "exclusive queues stay until the next start");
                }
            }
        }
    }

    async fn queue_ended(&self, slot: ShardSlot, queue: QueueId, reason: EndReason) {
        let reason = match reason {
            EndReason::Unused => RemovalReason::AutoDelete,
            EndReason::Deleted => RemovalReason::Deleted,
            EndReason::Expired => RemovalReason::Expired,
        };
        let outcome = self.broker.directory.change(Change::DeleteQueue { queue, reason }).await;
        if let Err(error) = outcome {
            // Only a stop leads here: deleting a queue that is not there is no error.
            tracing::debug!(%error, %queue, "a queue's row could not be removed");
            return;
        }
        self.broker.shard(slot).tell(&Command::ForgetQueue { queue });
    }

    fn changed(&self, effect: Effect) {
        match effect {
            Effect::QueueCreated(queue) => {
                self.broker.ensure(&queue);
            }
            Effect::QueueChanged(queue) => {
                if let Some(slot) = self.broker.slot_of(&queue.placement) {
                    let settings = crate::queue::settings(&queue);
                    let command = Command::ConfigureQueue { queue: queue.id, settings };
                    self.broker.shard(slot).tell(&command);
                }
            }
            Effect::QueueRemoved { queue, .. } => self.remove(&queue),
            Effect::VhostRemoved(vhost) => self.close_connections(
                |registered| registered.vhost == vhost,
                &format!("vhost '{vhost}' is deleted"),
            ),
            Effect::UserRemoved(user) => self.close_connections(
                |registered| registered.user == user,
                &format!("user '{user}' is deleted"),
            ),
            Effect::Reconcile => self.reconcile(),
            // Nothing outside the catalog hangs on an exchange.
            Effect::ExchangeRemoved(_) => {}
            // Memberships of groups are consensus's affair.
            Effect::ShardChanged(_) | Effect::NodeForgotten(_) => {}
        }
    }

    fn remove(&self, queue: &Queue) {
        self.broker.forget_ensured(queue.id);
        if let Some(slot) = self.broker.slot_of(&queue.placement) {
            self.remove_from(slot, queue.id);
        }
    }

    fn close_connections(&self, chosen: impl Fn(&crate::registry::Registered) -> bool, text: &str) {
        let message =
            || ToConnection::Close { code: ReplyCode::ConnectionForced, text: text.to_owned() };
        self.broker.registry.send_where(chosen, message);
    }

    /// Compares each replicated shard's queues with the catalog's rows.
    fn reconcile(&self) {
        for (group, slot) in self.broker.replicated() {
            let rows: Vec<Arc<Queue>> = self
                .broker
                .directory
                .look(|catalog| catalog.queues_of_group(group).cloned().collect());
            let known: BTreeSet<QueueId> = rows.iter().map(|queue| queue.id).collect();
            let held = self.broker.queues_of_shard(slot);
            for queue in held.difference(&known) {
                // A row that came after the look has a higher id than any that was seen.
                if known.last().is_none_or(|last| queue <= last) {
                    self.remove_from(slot, *queue);
                }
            }
            for row in rows {
                if held.contains(&row.id) {
                    self.broker.note_ensured(row.id);
                } else {
                    self.broker.ensure(&row);
                }
            }
        }
    }

    fn remove_from(&self, slot: ShardSlot, queue: QueueId) {
        let (if_unused, if_empty) = (false, false);
        let shard = self.broker.shard(slot);
        shard.tell(&Command::DeleteQueue { queue, if_unused, if_empty });
        shard.tell(&Command::ForgetQueue { queue });
    }
}
