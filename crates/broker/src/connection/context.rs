//! What an operation takes along: who asks, and whom.
//!
//! Operations run beside the connection, so they own what they need.

use std::sync::Arc;

use warren_amqp::ReplyCode;
use warren_catalog::{Access, Catalog, Command as Change, Outcome, Owner, Queue};
use warren_queue::entry::FragmentWriter;
use warren_queue::{Command, CommandReply, FragmentReply};

use super::state::{Client, Connection};
use crate::broker::Inner;
use crate::failure::Failure;
use crate::grants::Grants;
pub(crate) use crate::grants::Kind;
use crate::queue::handle::ShardSlot;

/// Who asks for an operation.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) broker: Arc<Inner>,
    pub(crate) client: Client,
    pub(crate) owner: Owner,
    /// Whether permissions are not asked: an operator's tool on this machine.
    pub(crate) trusted: bool,
}

impl Connection {
    /// What an operation of this connection takes along.
    pub(crate) fn context(&self) -> Context {
        Context {
            broker: self.broker.clone(),
            client: self.client().clone(),
            owner: self.broker.owner(self.id),
            trusted: false,
        }
    }
}

impl Context {
    /// Refuses unless the client may have `access` to `name`.
    pub(crate) async fn permit(
        &self,
        access: Access,
        kind: Kind,
        name: &str,
    ) -> Result<(), Failure> {
        self.permit_any(&[access], kind, name).await
    }

    /// Refuses unless the client may look whether `name` is there: any permission will do.
    pub(crate) async fn permit_look(&self, kind: Kind, name: &str) -> Result<(), Failure> {
        self.permit_any(&[Access::Configure, Access::Write, Access::Read], kind, name).await
    }

    async fn permit_any(&self, accesses: &[Access], kind: Kind, name: &str) -> Result<(), Failure> {
        if self.trusted {
            return Ok(());
        }
        let may = |catalog: &Catalog, access: &Access| {
            self.client.may(catalog, kind, name, *access) == Some(true)
        };
        // Another node may have granted it a moment ago.
        let granted =
            |catalog: &Catalog| accesses.iter().any(|access| may(catalog, access)).then_some(());
        let mut unanswered = None;
        let is_granted = match &self.client.grants {
            Grants::Catalog => self.find(granted).await?.is_some(),
            Grants::Foreign(_) if self.broker.directory.look(granted).is_some() => true,
            grants @ Grants::Foreign(_) => {
                let mut is_granted = false;
                for access in accesses {
                    let question = kind.question(&self.client.vhost, name, *access);
                    match grants.ask(&question).await {
                        Ok(true) => {
                            is_granted = true;
                            break;
                        }
                        Ok(false) => {}
                        Err(why) => unanswered = Some(why),
                    }
                }
                is_granted
            }
        };
        if is_granted {
            return Ok(());
        }
        let shown = if kind == Kind::Exchange && name.is_empty() { "amq.default" } else { name };
        let kind = match kind {
            Kind::Queue => "queue",
            Kind::Exchange => "exchange",
        };
        let access = accesses.first().map_or("", |access| access.as_str());
        let what = format_args!("{kind} '{shown}'");
        Err(super::publish::refused(access, what, &self.client, unanswered.as_deref()))
    }

    /// Looks something up; if it is not there, catches up with the other nodes and looks again.
    pub(crate) async fn find<R>(
        &self,
        look: impl Fn(&Catalog) -> Option<R>,
    ) -> Result<Option<R>, Failure> {
        let directory = &self.broker.directory;
        let found = directory.look(&look);
        if found.is_some() || directory.is_alone() {
            return Ok(found);
        }
        directory.catch_up().await.map_err(Failure::unavailable)?;
        Ok(directory.look(&look))
    }

    /// The queue of that name, if it is there.
    pub(crate) async fn find_queue(&self, name: &str) -> Result<Option<Arc<Queue>>, Failure> {
        let vhost = &self.client.vhost;
        self.find(|catalog| catalog.queue(vhost, name).cloned()).await
    }

    /// The queue of that name, which must be there and not be somebody else's.
    pub(crate) async fn queue(&self, name: &str) -> Result<Arc<Queue>, Failure> {
        let vhost = &self.client.vhost;
        let found = self.find_queue(name).await?.ok_or_else(|| no_queue(name, vhost))?;
        self.unlocked(&found)?;
        Ok(found)
    }

    /// Refuses a queue that is exclusive to another connection.
    pub(crate) fn unlocked(&self, queue: &Queue) -> Result<(), Failure> {
        if queue.is_open_to(Some(self.owner)) {
            return Ok(());
        }
        Err(Failure::new(
            ReplyCode::ResourceLocked,
            format_args!(
                "cannot obtain exclusive access to locked queue '{}' in vhost '{}'. It could be \
                 originally declared on another connection or the exclusive property value does \
                 not match that of the original declaration.",
                queue.name, queue.vhost
            ),
        ))
    }

    /// Has the catalog changed.
    pub(crate) async fn change(&self, change: Change) -> Result<Outcome, Failure> {
        let Client { user, from, .. } = &self.client;
        Ok(self.broker.change_from(user, *from, change).await?)
    }

    /// The shard that has the queue.
    pub(crate) fn slot(&self, queue: &Queue) -> Result<ShardSlot, Failure> {
        self.broker.ensure(queue).ok_or_else(|| {
            Failure::new(
                ReplyCode::NotFound,
                format_args!(
                    "home node of queue '{}' in vhost '{}' is down or inaccessible",
                    queue.name, queue.vhost
                ),
            )
        })
    }

    /// Asks the queue's shard. `None` is acceptance without an answer.
    pub(crate) async fn ask(
        &self,
        queue: &Queue,
        command: &Command,
    ) -> Result<Option<CommandReply>, Failure> {
        let mut fragment = FragmentWriter::new();
        fragment.command(command);
        let replies = self.ask_all(queue, fragment).await?;
        Ok(replies.into_iter().next().map(|(_, reply)| reply))
    }

    /// Asks the queue's shard for several things at once. Returns the answers of those that have
    /// one, by their ordinals.
    pub(crate) async fn ask_all(
        &self,
        queue: &Queue,
        mut fragment: FragmentWriter,
    ) -> Result<Vec<(u32, CommandReply)>, Failure> {
        let slot = self.slot(queue)?;
        if fragment.is_empty() {
            return Ok(Vec::new());
        }
        let reply = self.broker.shard(slot).ask(fragment.finish()).await;
        match reply.map_err(Failure::unavailable)? {
            FragmentReply::Done(replies) => Ok(replies),
            // The node that held the queue in its memory has gone, and the queue with it.
            FragmentReply::UnknownSession => Err(no_queue(&queue.name, &queue.vhost)),
            FragmentReply::Duplicate | FragmentReply::Gap { .. } => Err(Failure::unavailable(
                format_args!("the outcome for queue '{}' is not known", queue.name),
            )),
        }
    }
}

/// `no queue 'q' in vhost 'v'`
pub(crate) fn no_queue(queue: &str, vhost: &str) -> Failure {
    Failure::new(ReplyCode::NotFound, format_args!("no queue '{queue}' in vhost '{vhost}'"))
}

/// An answer that does not belong to the question: a defect of this node.
pub(crate) fn unexpected(reply: Option<&CommandReply>) -> Failure {
    tracing::error!(?reply, "a shard gave an answer that does not belong to the question");
    Failure::new(ReplyCode::InternalError, "unexpected answer from a queue")
}
