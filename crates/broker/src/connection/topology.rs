//! Exchanges, queues and bindings: declare, delete, bind, unbind, purge.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use warren_amqp::{MethodId, Reply, ReplyCode, Request};
use warren_catalog::{
    Access, BindingCommand, Catalog, Command as Change, DeclareExchange, DeclareQueue, Destination,
    ExchangeKind, Name, Outcome, Queue, QueueKind, RemovalReason, TopicAccess,
};
use warren_queue::{Command, CommandReply, QueueStatus, Refusal};
use warren_types::{ChannelNumber, Table};

use super::context::{Context, Kind, no_queue, unexpected};
use super::names::{clean, fresh};
use super::operation::Finish;
use super::publish::{ask, no_exchange};
use super::reply_to::{Address, REPLY_TO};
use super::state::Connection;
use crate::directory::name;
use crate::failure::Failure;
use crate::grants::topic_question;
use crate::placement::Locator;
use crate::press::INTERNAL_USER;
use crate::queue::handle::Stopped;

/// How long a declaration leaves the second half of a deletion to whoever began it.
const DELETE_PATIENCE: Duration = Duration::from_millis(200);

/// A queue as a client declares it.
pub(crate) struct Declared {
    pub(crate) queue: String,
    pub(crate) server_named: bool,
    pub(crate) passive: bool,
    pub(crate) durable: bool,
    pub(crate) exclusive: bool,
    pub(crate) auto_delete: bool,
    pub(crate) nowait: bool,
    pub(crate) arguments: Table,
}

/// Both ends of a binding, and whether it is made or undone.
struct Tie {
    source: String,
    destination: Destination,
    routing_key: String,
    arguments: Table,
    bind: bool,
}

impl Connection {
    /// exchange.declare, delete, bind and unbind
    pub(crate) fn exchange_request(
        &mut self,
        number: ChannelNumber,
        request: Request,
    ) -> Result<(), Failure> {
        let method = request.method_id();
        match request {
            Request::ExchangeDeclare {
                exchange,
                kind,
                passive,
                durable,
                auto_delete,
                internal,
                nowait,
                arguments,
            } => {
                let declare = DeclareExchange {
                    vhost: self.client().vhost.clone(),
                    exchange: Name::from(clean(exchange)),
                    kind: name(&kind),
                    durable,
                    auto_delete,
                    internal,
                    arguments,
                    user: self.client().user.clone(),
                };
                let ok = (!nowait).then_some(Reply::ExchangeDeclareOk);
                let waits_for = format!("exchange '{}'", declare.exchange);
                let context = self.context();
                let work = async move {
                    context.declare_exchange(declare, passive).await?;
                    Ok(answer(number, ok))
                };
                self.begin(number, method, waits_for, work);
            }
            Request::ExchangeDelete { exchange, if_unused, nowait } => {
                let ok = (!nowait).then_some(Reply::ExchangeDeleteOk);
                let context = self.context();
                let waits_for = format!("exchange '{exchange}'");
                let work = async move {
                    context.delete_exchange(&exchange, if_unused).await?;
                    Ok(answer(number, ok))
                };
                self.begin(number, method, waits_for, work);
            }
            Request::ExchangeBind { destination, source, routing_key, nowait, arguments } => {
                let destination = Destination::Exchange(name(&destination));
                let tie = Tie { source, destination, routing_key, arguments, bind: true };
                self.tie(number, method, tie, (!nowait).then_some(Reply::ExchangeBindOk));
            }
            Request::ExchangeUnbind { destination, source, routing_key, nowait, arguments } => {
                let destination = Destination::Exchange(name(&destination));
                let tie = Tie { source, destination, routing_key, arguments, bind: false };
                self.tie(number, method, tie, (!nowait).then_some(Reply::ExchangeUnbindOk));
            }
            _ => {}
        }
        Ok(())
    }

    /// queue.declare, bind, unbind, purge and delete
    pub(crate) fn queue_request(
        &mut self,
        number: ChannelNumber,
        request: Request,
    ) -> Result<(), Failure> {
        let method = request.method_id();
        match request {
            Request::QueueDeclare {
                queue,
                passive,
                durable,
                exclusive,
                auto_delete,
                nowait,
                arguments,
            } => {
                let server_named = queue.is_empty() && !passive;
                let queue = match (queue.is_empty(), passive) {
                    (false, _) => clean(queue),
                    (true, true) => self.named_queue(number, queue)?,
                    (true, false) => fresh("amq.gen-"),
                };
                let declared = Declared {
                    queue,
                    server_named,
                    passive,
                    durable,
                    exclusive,
                    auto_delete,
                    nowait,
                    arguments,
                };
                self.declare_queue(number, declared);
            }
            Request::QueueBind { queue, exchange, routing_key, nowait, arguments } => {
                // queue.bind: with both empty, the key is the name of the last queue as well.
                let shortcut = queue.is_empty() && routing_key.is_empty();
                let queue = self.named_queue(number, queue)?;
                let routing_key = if shortcut { queue.clone() } else { routing_key };
                let destination = Destination::Queue(name(&queue));
                let tie = Tie { source: exchange, destination, routing_key, arguments, bind: true };
                self.tie(number, method, tie, (!nowait).then_some(Reply::QueueBindOk));
            }
            Request::QueueUnbind { queue, exchange, routing_key, arguments } => {
                let shortcut = queue.is_empty() && routing_key.is_empty();
                let queue = self.named_queue(number, queue)?;
                let routing_key = if shortcut { queue.clone() } else { routing_key };
                let destination = Destination::Queue(name(&queue));
                let tie =
                    Tie { source: exchange, destination, routing_key, arguments, bind: false };
                self.tie(number, method, tie, Some(Reply::QueueUnbindOk));
            }
            Request::QueuePurge { queue, nowait } => {
                let queue = self.named_queue(number, queue)?;
                let context = self.context();
                let waits_for = format!("queue '{queue}'");
                let work = async move {
                    let messages = context.purge(&queue).await?;
                    Ok(answer(number, (!nowait).then_some(Reply::QueuePurgeOk { messages })))
                };
                self.begin(number, method, waits_for, work);
            }
            Request::QueueDelete { queue, if_unused, if_empty, nowait } => {
                let queue = self.named_queue(number, queue)?;
                let context = self.context();
                let waits_for = format!("queue '{queue}'");
                let work = async move {
                    let messages = context.delete_queue(&queue, if_unused, if_empty).await?;
                    Ok(answer(number, (!nowait).then_some(Reply::QueueDeleteOk { messages })))
                };
                self.begin(number, method, waits_for, work);
            }
            _ => {}
        }
        Ok(())
    }

    /// The queue that a client means: an empty name is the last one it declared on the channel.
    pub(crate) fn named_queue(
        &mut self,
        number: ChannelNumber,
        queue: String,
    ) -> Result<String, Failure> {
        if !queue.is_empty() {
            return Ok(clean(queue));
        }
        let last = self.channel(number).last_queue.clone();
        last.ok_or_else(|| Failure::new(ReplyCode::NotFound, "no previously declared queue"))
    }

    fn declare_queue(&mut self, number: ChannelNumber, declared: Declared) {
        if declared.passive && declared.queue.starts_with(REPLY_TO) {
            return self.declare_reply_queue(number, &declared);
        }
        self.owns_queues |= declared.exclusive;
        let context = self.context();
        let waits_for = format!("queue '{}'", declared.queue);
        let nowait = declared.nowait;
        let work = async move {
            let queue = declared.queue.clone();
            let status = context.declare_queue(declared).await?;
            let finish: Finish = Box::new(move |connection| {
                connection.channel(number).last_queue = Some(queue.clone());
                if nowait {
                    return Ok(());
                }
                let messages = u32::try_from(status.ready).unwrap_or(u32::MAX);
                let consumers = status.consumers;
                connection.reply(number, &Reply::QueueDeclareOk { queue, messages, consumers })
            });
            Ok(finish)
        };
        self.begin(number, MethodId::QUEUE_DECLARE, waits_for, work);
    }

    /// Passive declare of a reply address: is somebody there?
    fn declare_reply_queue(&mut self, number: ChannelNumber, declared: &Declared) {
        let (queue, nowait) = (declared.queue.clone(), declared.nowait);
        let context = self.context();
        let waits_for = format!("queue '{queue}'");
        let work = async move {
            let address = Address::parse(&queue);
            if queue != REPLY_TO && !context.reply_consumer_listens(address).await {
                return Err(no_queue(&queue, &context.client.vhost));
            }
            let reply = Reply::QueueDeclareOk { queue, messages: 0, consumers: 1 };
            Ok(answer(number, (!nowait).then_some(reply)))
        };
        self.begin(number, MethodId::QUEUE_DECLARE, waits_for, work);
    }

    fn tie(&mut self, number: ChannelNumber, method: MethodId, tie: Tie, ok: Option<Reply>) {
        let context = self.context();
        let waits_for = format!("exchange '{}'", tie.source);
        let work = async move {
            context.tie(tie).await?;
            Ok(answer(number, ok))
        };
        self.begin(number, method, waits_for, work);
    }
}

fn answer(number: ChannelNumber, reply: Option<Reply>) -> Finish {
    Box::new(move |connection| match &reply {
        Some(reply) => connection.reply(number, reply),
        None => Ok(()),
    })
}

impl Context {
    async fn declare_exchange(
        &self,
        declare: DeclareExchange,
        passive: bool,
    ) -> Result<(), Failure> {
        let (vhost, exchange) = (declare.vhost.clone(), declare.exchange.clone());
        if passive {
            self.permit_look(Kind::Exchange, &exchange).await?;
            let found = self.find(|catalog| catalog.exchange(&vhost, &exchange).cloned()).await?;
            // The default exchange has no row and is always there.
            return match found {
                Some(_) => Ok(()),
                None if exchange.is_empty() => Ok(()),
                None => Err(no_exchange(&exchange, &vhost)),
            };
        }
        self.permit(Access::Configure, Kind::Exchange, &exchange).await?;
        if let Some(alternate) = declare.arguments.value("alternate-exchange") {
            let alternate = alternate.as_text().unwrap_or_default();
            self.permit(Access::Read, Kind::Exchange, &exchange).await?;
            self.permit(Access::Write, Kind::Exchange, alternate).await?;
        }
        self.change(Change::DeclareExchange(declare)).await?;
        Ok(())
    }

    async fn delete_exchange(&self, exchange: &str, if_unused: bool) -> Result<(), Failure> {
        self.permit(Access::Configure, Kind::Exchange, exchange).await?;
        let vhost = self.client.vhost.clone();
        self.change(Change::DeleteExchange { vhost, exchange: name(exchange), if_unused }).await?;
        Ok(())
    }

    async fn tie(&self, tie: Tie) -> Result<(), Failure> {
        let Tie { source, destination, routing_key, arguments, bind } = tie;
        match &destination {
            Destination::Queue(queue) => self.permit(Access::Write, Kind::Queue, queue).await?,
            Destination::Exchange(to) => self.permit(Access::Write, Kind::Exchange, to).await?,
        }
        self.permit(Access::Read, Kind::Exchange, &source).await?;
        self.permit_topic(&source, &routing_key).await?;
        let binding = BindingCommand {
            vhost: self.client.vhost.clone(),
            source: name(&source),
            destination,
            routing_key: name(&routing_key),
            arguments,
            connection: Some(self.owner),
        };
        let change = if bind { Change::Bind(binding) } else { Change::Unbind(binding) };
        self.change(change).await?;
        Ok(())
    }

    async fn permit_topic(&self, exchange: &str, routing_key: &str) -> Result<(), Failure> {
        let client = &self.client;
        let allowed = |catalog: &Catalog| {
            let is_topic = catalog
                .exchange(&client.vhost, exchange)
                .is_some_and(|row| row.routing_kind() == ExchangeKind::Topic);
            let allows = || {
                let check = client.topics(catalog, exchange, TopicAccess::Read);
                check.allows(routing_key.as_bytes()) == Some(true)
            };
            (!is_topic || allows()).then_some(())
        };
        if self.find(allowed).await?.is_some() {
            return Ok(());
        }
        let key = routing_key.as_bytes();
        ask(client, &topic_question(&client.vhost, exchange, key, Access::Read)).await
    }

    pub(crate) async fn declare_queue(&self, declared: Declared) -> Result<QueueStatus, Failure> {
        if declared.passive {
            self.permit_look(Kind::Queue, &declared.queue).await?;
            let mut queue = self.queue(&declared.queue).await?;
            loop {
                match self.status(&queue).await? {
                    Ok(status) => return Ok(status),
                    Err(_) => queue = self.successor(&queue).await?,
                }
            }
        }
        self.permit(Access::Configure, Kind::Queue, &declared.queue).await?;
        if let Some(exchange) = declared.arguments.value("x-dead-letter-exchange") {
            let exchange = exchange.as_text().unwrap_or_default();
            self.permit(Access::Read, Kind::Queue, &declared.queue).await?;
            self.permit(Access::Write, Kind::Exchange, exchange).await?;
        }
        let change = Change::DeclareQueue(DeclareQueue {
            vhost: self.client.vhost.clone(),
            queue: name(&declared.queue),
            server_named: declared.server_named,
            durable: declared.durable,
            auto_delete: declared.auto_delete,
            exclusive: declared.exclusive.then_some(self.owner),
            placement: self.broker.place(
                declared.durable,
                declared.exclusive,
                self.locator(&declared),
            ),
            arguments: declared.arguments,
            user: self.client.user.clone(),
        });
        loop {
            let queue = match self.change(change.clone()).await? {
                Outcome::QueueCreated(queue) | Outcome::QueueExists(queue) => queue,
                other => {
                    tracing::error!(?other, "the catalog gave an answer that does not belong");
                    let text = "unexpected answer from the catalog";
                    return Err(Failure::new(ReplyCode::InternalError, text));
                }
            };
            let refusal = match self.status(&queue).await? {
                Ok(status) => return Ok(status),
                Err(refusal) => refusal,
            };
            // Somebody deletes it: its shard has, the catalog has not.
            let deleted = tokio::time::timeout(DELETE_PATIENCE, self.until_deleted(&queue)).await;
            if deleted.is_err() && refusal == Refusal::QueueDeleted {
                // Whoever does may not live any more.
                let reason = RemovalReason::Deleted;
                let change = Change::DeleteQueue { queue: queue.id, reason };
                self.broker.change(INTERNAL_USER, change).await?;
            }
        }
    }

    fn locator(&self, declared: &Declared) -> Locator {
        let Declared { queue, arguments, .. } = declared;
        let vhost = &self.client.vhost;
        self.broker.directory.look(|catalog| Locator::of(catalog, vhost, queue, arguments))
    }

    /// Waits until the catalog has this queue no more.
    async fn until_deleted(&self, queue: &Queue) {
        let mut changes = self.broker.directory.changes();
        let is_there = || {
            let row =
                |catalog: &Catalog| catalog.queue(&queue.vhost, &queue.name).map(|row| row.id);
            self.broker.directory.look(row) == Some(queue.id)
        };
        while is_there() && changes.changed().await.is_ok() {}
    }

    /// The queue's state, or why its shard does not have it any more.
    async fn status(&self, queue: &Queue) -> Result<Result<QueueStatus, Refusal>, Failure> {
        if queue.settings.expires_ms.is_some() {
            // A declaration, passive ones included, renews the lease of a queue that expires.
            self.broker.shard(self.slot(queue)?).tell(&Command::Touch { queue: queue.id });
        }
        match self.ask(queue, &Command::Status { queue: queue.id }).await? {
            Some(CommandReply::Status(status)) => Ok(Ok(status)),
            Some(CommandReply::Refused(
                refusal @ (Refusal::UnknownQueue | Refusal::QueueDeleted),
            )) => Ok(Err(refusal)),
            other => Err(unexpected(other.as_ref())),
        }
    }

    pub(crate) async fn purge(&self, queue: &str) -> Result<u32, Failure> {
        self.permit(Access::Read, Kind::Queue, queue).await?;
        let mut queue = self.queue(queue).await?;
        loop {
            match self.ask(&queue, &Command::PurgeQueue { queue: queue.id }).await? {
                Some(CommandReply::Purged { messages }) => {
                    return Ok(u32::try_from(messages).unwrap_or(u32::MAX));
                }
                Some(CommandReply::Refused(Refusal::UnknownQueue | Refusal::QueueDeleted)) => {
                    queue = self.successor(&queue).await?;
                }
                Some(CommandReply::Refused(Refusal::IsStream)) => {
                    let Queue { name, vhost, .. } = &*queue;
                    let text = format_args!(
                        "queue.purge not supported by stream queues queue '{name}' in vhost \
                         '{vhost}'"
                    );
                    return Err(Failure::new(ReplyCode::NotImplemented, text));
                }
                other => return Err(unexpected(other.as_ref())),
            }
        }
    }

    /// The queue that was declared under the same name after its shard had let go of this one: another
    /// node may have done so a moment ago.
    pub(super) async fn successor(&self, gone: &Queue) -> Result<Arc<Queue>, Failure> {
        self.broker.directory.catch_up().await.map_err(Failure::unavailable)?;
        let queue = self.queue(&gone.name).await?;
        if queue.id == gone.id { Err(no_queue(&gone.name, &gone.vhost)) } else { Ok(queue) }
    }

    pub(crate) async fn delete_queue(
        &self,
        queue: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<u32, Failure> {
        self.permit(Access::Configure, Kind::Queue, queue).await?;
        loop {
            // queue.delete of what does not exist succeeds.
            let Some(queue) = self.find_queue(queue).await? else { return Ok(0) };
            self.unlocked(&queue)?;
            // Its shard lets go of it first, then the catalog: not to be left between the two, this
            // goes on where the client does not wait for it.
            let (answer_to, answer) = oneshot::channel();
            let context = self.clone();
            let stop = self.broker.stopping().clone();
            self.broker.spawn(async move {
                let deletion = context.delete_found(&queue, if_unused, if_empty);
                if let Some(outcome) = stop.run_until_cancelled(deletion).await {
                    drop(answer_to.send(outcome));
                }
            });
            if let Some(messages) = answer.await.map_err(|_| Failure::unavailable(Stopped))?? {
                return Ok(messages);
            }
            // It was gone already, and may have been declared anew where this node did not hear
            // of it: it has by now.
        }
    }

    /// How many messages went with it; none if it was gone.
    async fn delete_found(
        &self,
        queue: &Queue,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Option<u32>, Failure> {
        let id = queue.id;
        let command = Command::DeleteQueue { queue: id, if_unused, if_empty };
        let (vhost, name) = (&queue.vhost, &queue.name);
        let in_use = || {
            let text = format_args!("queue '{name}' in vhost '{vhost}' in use");
            Err(Failure::new(ReplyCode::PreconditionFailed, text))
        };
        // Its shard does not know who reads a stream.
        if if_unused && queue.kind == QueueKind::Stream && Box::pin(self.broker.is_read(id)).await {
            return in_use();
        }
        let messages = match self.ask(queue, &command).await? {
            Some(CommandReply::Deleted { messages }) => Some(messages),
            Some(CommandReply::Refused(Refusal::UnknownQueue | Refusal::QueueDeleted)) => None,
            Some(CommandReply::Refused(Refusal::InUse)) => return in_use(),
            Some(CommandReply::Refused(Refusal::NotEmpty)) => {
                return Err(Failure::new(
                    ReplyCode::PreconditionFailed,
                    format_args!("queue '{name}' in vhost '{vhost}' not empty"),
                ));
            }
            other => return Err(unexpected(other.as_ref())),
        };
        #[cfg(feature = "failpoints")]
        fail::fail_point!("broker.delete.half", |_| Err(Failure::unavailable("planted")));
        // The janitor has the shard forget the queue once the row is gone.
        self.change(Change::DeleteQueue { queue: id, reason: RemovalReason::Deleted }).await?;
        Ok(messages.map(|messages| u32::try_from(messages).unwrap_or(u32::MAX)))
    }
}
