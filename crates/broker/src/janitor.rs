//! Finishes what spans the catalog and a shard.
//!
//! A queue's row and its messages live in two groups. Whoever declares or deletes a queue does
//! both halves; when that is interrupted, or when a queue ends by itself, the janitor brings the
//! other half about. Every chore may be done twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warren_amqp::ReplyCode;
use warren_catalog::{Catalog, Command as Change, Effect, Owner, Queue, RemovalReason};
use warren_queue::{Command, EndReason, QueueSettings, Shard};
use warren_types::{GroupId, QueueId};

use crate::broker::Inner;
use crate::connection::ToConnection;
use crate::press::INTERNAL_USER;
use crate::queue::handle::ShardSlot;

/// Something to be finished.
#[derive(Debug)]
pub(crate) enum Chore {
    /// A shard has ended a queue: the catalog must let go of it.
    QueueEnded { slot: ShardSlot, queue: QueueId, reason: EndReason },
    /// The catalog has carried out a change.
    Catalog(Effect),
    /// A shard's leader is to compare its queues with the catalog's rows.
    Reconcile(GroupId),
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
            Chore::Catalog(effect) => self.changed(effect).await,
            Chore::Reconcile(group) => self.reconcile(Some(group)).await,
            Chore::ConnectionGone(owner) => {
                let change = Change::CloseConnection { owner };
                let outcome = self.broker.change(INTERNAL_USER, change).await;
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
        let change = Change::DeleteQueue { queue, reason };
        let outcome = self.broker.change(INTERNAL_USER, change).await;
        if let Err(error) = outcome {
            // Only a stop leads here: deleting a queue that is not there is no error.
            tracing::debug!(%error, %queue, "a queue's row could not be removed");
            return;
        }
        self.broker.shard(slot).tell(&Command::ForgetQueue { queue });
    }

    async fn changed(&self, effect: Effect) {
        match effect {
            Effect::QueueCreated(queue) => {
                self.broker.ensure(&queue);
            }
            Effect::QueueChanged(queue) => {
                if let Some(slot) = self.broker.slot_of(&queue.placement) {
                    let settings = crate::queue::settings_of(&self.broker.directory, &queue);
                    let command = Command::ConfigureQueue { queue: queue.id, settings };
                    self.broker.shard(slot).tell(&command);
                }
            }
            Effect::QueueRemoved { queue, .. } => self.remove(&queue),
            Effect::VhostRemoved(vhost) => {
                self.broker.throughput.forget_vhost(&vhost);
                self.close_connections(
                    |registered| registered.vhost == vhost,
                    &format!("vhost '{vhost}' is deleted"),
                );
            }
            Effect::UserRemoved(user) => self.close_connections(
                |registered| registered.user == user,
                &format!("user '{user}' is deleted"),
            ),
            Effect::Reconcile => self.reconcile(None).await,
            Effect::ExchangeRemoved(row) => self.broker.throughput.forget(&row.vhost, &row.name),
            Effect::NodeChanged(_) | Effect::NodeForgotten(_) => {
                self.broker.directory.agree().await
            }
            // Memberships of groups are consensus's affair.
            Effect::ShardChanged(_) => {}
        }
    }

    fn remove(&self, queue: &Queue) {
        self.broker.forget_ensured(queue.id);
        self.forget_letters_of(queue.id);
        if let Some(slot) = self.broker.slot_of(&queue.placement) {
            self.remove_from(slot, queue.id);
        }
    }

    fn close_connections(&self, chosen: impl Fn(&crate::registry::Registered) -> bool, text: &str) {
        let message =
            || ToConnection::Close { code: ReplyCode::ConnectionForced, text: text.to_owned() };
        self.broker.registry.send_where(chosen, message);
    }

    /// Compares the queues of a replicated shard, or of all of which this node has a replica, with
    /// the catalog's rows.
    async fn reconcile(&self, only: Option<GroupId>) {
        // A row that was deleted must not bring its queue back.
        if self.broker.directory.catch_up().await.is_err() {
            return;
        }
        for (group, slot, shard) in self.broker.shards.replicated() {
            if only.is_some_and(|only| only != group) {
                continue;
            }
            let Some(replica) = shard.whereabouts().group() else { continue };
            let rows: BTreeMap<QueueId, Arc<Queue>> = self.broker.directory.look(|catalog| {
                catalog.queues_of_group(group).map(|row| (row.id, row.clone())).collect()
            });
            for (queue, reason) in replica.inspect(Shard::tombstones) {
                self.bury(slot, queue, reason).await;
            }
            let held = replica.inspect(Shard::queue_settings);
            for (queue, settings) in &held {
                match rows.get(queue) {
                    None => self.remove_deleted(slot, *queue),
                    Some(row) => self.configure(slot, row, settings),
                }
            }
            for source in replica.inspect(Shard::letter_sources) {
                if self.broker.directory.look(|catalog| is_deleted(catalog, source)) {
                    shard.tell(&Command::ForgetQueue { queue: source });
                }
            }
            for row in rows.values() {
                if held.binary_search_by_key(&row.id, |(queue, _)| *queue).is_ok() {
                    self.broker.note_ensured(row.id);
                } else {
                    self.broker.forget_ensured(row.id);
                    self.broker.ensure(row);
                }
            }
        }
    }

    /// Finishes the deletion of a queue that its shard has ended.
    async fn bury(&self, slot: ShardSlot, queue: QueueId, reason: EndReason) {
        if self.broker.directory.look(|catalog| catalog.queue_by_id(queue).is_some()) {
            self.queue_ended(slot, queue, reason).await;
        } else if self.broker.directory.look(|catalog| is_deleted(catalog, queue)) {
            self.broker.shard(slot).tell(&Command::ForgetQueue { queue });
        }
    }

    /// Removes a queue that the catalog does not name, unless it is too young for what this node
    /// knows of the catalog.
    fn remove_deleted(&self, slot: ShardSlot, queue: QueueId) {
        if self.broker.directory.look(|catalog| is_deleted(catalog, queue)) {
            self.remove_from(slot, queue);
        }
    }

    fn configure(&self, slot: ShardSlot, row: &Queue, known: &QueueSettings) {
        let settings = crate::queue::settings_of(&self.broker.directory, row);
        if settings != *known {
            let command = Command::ConfigureQueue { queue: row.id, settings };
            self.broker.shard(slot).tell(&command);
        }
    }

    /// Has the shards of this node forget which letters they took of a queue that is no more.
    fn forget_letters_of(&self, queue: QueueId) {
        for (_, _, shard) in self.broker.shards.replicated() {
            let leads = shard.whereabouts().reign().is_some();
            let replica = shard.whereabouts().group().filter(|_| leads);
            if replica.is_some_and(|replica| replica.inspect(|it| it.has_letters_of(queue))) {
                shard.tell(&Command::ForgetQueue { queue });
            }
        }
        // These are in no log: telling one that knows nothing costs next to nothing.
        for shard in self.broker.shards.local() {
            shard.tell(&Command::ForgetQueue { queue });
        }
    }

    fn remove_from(&self, slot: ShardSlot, queue: QueueId) {
        let (if_unused, if_empty) = (false, false);
        let shard = self.broker.shard(slot);
        shard.tell(&Command::DeleteQueue { queue, if_unused, if_empty });
        shard.tell(&Command::ForgetQueue { queue });
    }
}

/// Whether a queue was declared and deleted again, as far as this copy of the catalog has come.
pub(crate) fn is_deleted(catalog: &Catalog, queue: QueueId) -> bool {
    catalog.queue_by_id(queue).is_none() && catalog.has_seen(queue)
}
