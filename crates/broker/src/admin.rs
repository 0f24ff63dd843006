//! What operators ask of the broker, through whatever speaks to them.
//!
//! Queues are declared, emptied and deleted by the same code, with the same words, as over AMQP.
//! What the catalog holds is read and changed directly: whoever calls has asked for permissions.
//!
//! **Not here:** what can be seen of connections and queues ([`crate::survey`]).

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use warren_amqp::header::Properties;
use warren_catalog::{
    AuthRefusal, Catalog, Command as Change, HashingAlgorithm, Name, Outcome as Changed,
};
use warren_queue::{Outcome, QueueStatus};
use warren_types::{Location, SessionId, Table, Timestamp};

use crate::broker::Broker;
use crate::connection::context::Context;
use crate::connection::operator::{Fetched, Published, publish_of};
use crate::connection::state::Client;
use crate::connection::sweep::{MessageTarget, Swept};
use crate::connection::topology::Declared;
use crate::directory::{ChangeError, name};
use crate::doorkeeper::{Attempts, Credentials, Door};
use crate::failure::Failure;
use crate::grants::{Grants, Identity};
use crate::press::INTERNAL_USER;
use crate::registry::ConnectionId;
use crate::survey::{FoundMessages, MessageQuery};

/// How long an operation may wait for what it needs: leaders, mostly.
const OPERATION_LIMIT: Duration = Duration::from_secs(15);

/// Stands for whoever has no connection: exclusive queues belong to none of them.
const NOBODY: ConnectionId = ConnectionId(0);

/// Who asks for something, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user, by whose permissions it is judged.
    pub user: Name,
    /// The user's tags, where it is not the catalog that knows them.
    pub tags: Vec<Name>,
    /// Who says what the user may do.
    pub grants: Grants,
    /// Whether no permissions are asked: an operator's tool on this machine.
    pub trusted: bool,
    /// Where they come from, as far as is known.
    pub from: Option<IpAddr>,
}

/// Why something was not done, or cannot be said to have been done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AdminError {
    /// Refused, with the reply code and the text that an AMQP client would read.
    #[error("{text}")]
    Refused {
        /// AMQP's reply code: 403, 404, 405, 406 and the like.
        code: u16,
        /// The text, with the code's name in front.
        text: String,
    },
    /// It was not done in time. It may yet be.
    #[error("{what} did not answer within {limit_ms} ms; a retry may work")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        limit_ms: u128,
    },
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

impl From<Failure> for AdminError {
    fn from(failure: Failure) -> Self {
        let (code, text) = match &failure {
            Failure::Channel(error) => (error.code(), error.text()),
            Failure::Connection(error) => (error.code(), error.text()),
        };
        Self::Refused { code: code.number(), text: text.to_owned() }
    }
}

/// Why somebody may not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Another name, or another password.
    #[error(transparent)]
    Credentials(#[from] AuthRefusal),
    /// Somebody else who was asked says no, or cannot be asked.
    #[error("{0}")]
    Elsewhere(String),
    /// The user may come in from the node's own machine alone.
    #[error("user can only log in via localhost")]
    LoopbackOnly,
    /// Too many logins from that address were refused of late.
    #[error("too many failed logins from this address")]
    TooManyFailures,
}

/// A queue to be declared.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueDeclaration {
    /// Its name.
    pub queue: String,
    /// Survives restarts.
    pub durable: bool,
    /// Goes when its last consumer does.
    pub auto_delete: bool,
    /// Its `x-` arguments.
    pub arguments: Table,
}

/// A message to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Where to.
    pub exchange: String,
    /// With which key.
    pub routing_key: String,
    /// The properties.
    pub properties: Properties,
    /// The body.
    pub payload: Bytes,
}

/// What becomes of messages that were fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckMode {
    /// `ack_requeue_true`: they go back.
    AckRequeueTrue,
    /// `reject_requeue_true`: they go back as rejected ones.
    RejectRequeueTrue,
    /// `ack_requeue_false`: they are done with.
    AckRequeueFalse,
    /// `reject_requeue_false`: they are dropped, or die.
    RejectRequeueFalse,
}

impl AckMode {
    fn outcome(self) -> Outcome {
        match self {
            Self::AckRequeueTrue => Outcome::Requeue,
            Self::RejectRequeueTrue => Outcome::RejectRequeue,
            Self::AckRequeueFalse => Outcome::Ack,
            Self::RejectRequeueFalse => Outcome::Reject,
        }
    }
}

impl Broker {
    /// Which start of which node this is.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.inner().session
    }

    /// What people call this node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner().config.node_name
    }

    /// What people call the cluster, as far as this node was told at its start.
    #[must_use]
    pub fn cluster_name(&self) -> &str {
        &self.inner().config.cluster_name
    }

    /// Looks at the local copy of the catalog. `look` must be short: changes wait for it.
    pub fn look<R>(&self, look: impl FnOnce(&Catalog) -> R) -> R {
        self.inner().directory.look(look)
    }

    /// Waits until the local copy of the catalog has everything that any node had acknowledged
    /// before the call.
    ///
    /// # Errors
    /// When that is not so in time.
    pub async fn catch_up(&self) -> Result<(), AdminError> {
        if self.inner().directory.is_alone() {
            return Ok(());
        }
        let work =
            async { self.inner().directory.catch_up().await.map_err(|_| AdminError::Stopped) };
        within("the catalog", work).await
    }

    /// As [`Broker::look`], after [`Broker::catch_up`].
    ///
    /// # Errors
    /// When the catalog cannot be read up to date in time.
    pub async fn look_fresh<R>(&self, look: impl FnOnce(&Catalog) -> R) -> Result<R, AdminError> {
        self.catch_up().await?;
        Ok(self.look(look))
    }

    /// Has the catalog changed, and waits until the local copy has it. When the future is dropped
    /// before, the change may be made all the same.
    ///
    /// # Errors
    /// What the catalog refuses, or that the node stops.
    pub async fn change(&self, change: Change) -> Result<Changed, ChangeError> {
        self.change_by(INTERNAL_USER, None, change).await
    }

    /// As [`Broker::change`], on behalf of somebody whom events name.
    ///
    /// # Errors
    /// What the catalog refuses, or that the node stops.
    pub async fn change_by(
        &self,
        user: &str,
        from: Option<IpAddr>,
        change: Change,
    ) -> Result<Changed, ChangeError> {
        self.inner().change_from(user, from, change).await
    }

    /// Who it is, if the password is theirs and they may come from where they are. A token is the
    /// password of whomever it names.
    ///
    /// # Errors
    /// Why they may not come in.
    pub async fn authenticate(
        &self,
        door: Door,
        peer: IpAddr,
        user: &str,
        password: &[u8],
    ) -> Result<Identity, LoginError> {
        self.inner().login(door, peer, user, Credentials::Password(password)).await
    }

    /// What came of logins on this node.
    #[must_use]
    pub fn login_attempts(&self) -> Vec<Attempts> {
        self.inner().doorkeeper.attempts()
    }

    /// Counts logins from nothing again.
    pub fn forget_login_attempts(&self) {
        self.inner().doorkeeper.forget_attempts();
    }

    /// How passwords are hashed that are set without a word about it.
    #[must_use]
    pub fn hashing(&self) -> HashingAlgorithm {
        self.inner().config.initial.hashing
    }

    /// queue.declare
    ///
    /// # Errors
    /// As over AMQP.
    pub async fn declare_queue(
        &self,
        by: &Actor,
        vhost: &str,
        queue: QueueDeclaration,
    ) -> Result<QueueStatus, AdminError> {
        let QueueDeclaration { queue, durable, auto_delete, arguments } = queue;
        let what = format!("queue '{queue}'");
        let declared = Declared {
            queue,
            server_named: false,
            passive: false,
            durable,
            exclusive: false,
            auto_delete,
            nowait: false,
            arguments,
        };
        let context = self.context(by, vhost);
        within(&what, async { Ok(context.declare_queue(declared).await?) }).await
    }

    /// queue.delete. Returns how many messages went with the queue.
    ///
    /// # Errors
    /// As over AMQP; and when there is no such queue.
    pub async fn delete_queue(
        &self,
        by: &Actor,
        vhost: &str,
        queue: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<u32, AdminError> {
        let context = self.context(by, vhost);
        let work = async {
            context.queue(queue).await?;
            Ok(context.delete_queue(queue, if_unused, if_empty).await?)
        };
        within(&format!("queue '{queue}'"), work).await
    }

    /// queue.purge. Returns how many messages that were.
    ///
    /// # Errors
    /// As over AMQP.
    pub async fn purge_queue(
        &self,
        by: &Actor,
        vhost: &str,
        queue: &str,
    ) -> Result<u32, AdminError> {
        let context = self.context(by, vhost);
        within(&format!("queue '{queue}'"), async { Ok(context.purge(queue).await?) }).await
    }

    /// Drops a message that waits for its time, by what [`Broker::scheduled`] says of it. Returns
    /// whether it was there.
    ///
    /// # Errors
    /// As those of queue.purge.
    pub async fn cancel_scheduled(
        &self,
        by: &Actor,
        vhost: &str,
        queue: &str,
        due: Timestamp,
        at: Location,
    ) -> Result<bool, AdminError> {
        let context = self.context(by, vhost);
        let work = async { Ok(context.cancel_scheduled(queue, due, at).await?) };
        within(&format!("queue '{queue}'"), work).await
    }

    /// basic.publish, and waits until the message is safe.
    ///
    /// # Errors
    /// As over AMQP.
    pub async fn publish(
        &self,
        by: &Actor,
        vhost: &str,
        message: Publication,
    ) -> Result<Published, AdminError> {
        let Publication { exchange, routing_key, properties, payload } = message;
        let publish = publish_of(&exchange, &routing_key, &properties, payload)?;
        let context = self.context(by, vhost);
        let what = format!("a queue of exchange '{exchange}'");
        within(&what, async { Ok(context.publish_apart(publish).await?) }).await
    }

    /// Fetches up to `count` messages. Their bodies are cut after `truncate_bytes`.
    ///
    /// # Errors
    /// As those of basic.get.
    pub async fn get_messages(
        &self,
        by: &Actor,
        vhost: &str,
        queue: &str,
        count: usize,
        mode: AckMode,
        truncate_bytes: Option<usize>,
    ) -> Result<Vec<Fetched>, AdminError> {
        let context = self.context(by, vhost);
        let truncate_bytes = truncate_bytes.unwrap_or(usize::MAX);
        let fetch = context.fetch(queue, count, mode.outcome(), truncate_bytes);
        within(&format!("queue '{queue}'"), async { Ok(fetch.await?) }).await
    }

    /// Looks at messages of a queue without touching them.
    ///
    /// # Errors
    /// As those of basic.get.
    pub async fn browse_messages(
        &self,
        by: &Actor,
        vhost: &str,
        queue: &str,
        query: MessageQuery,
    ) -> Result<FoundMessages, AdminError> {
        let context = self.context(by, vhost);
        let browsing = context.browse(queue, query);
        within(&format!("queue '{queue}'"), async { Ok(browsing.await?) }).await
    }

    /// Drops messages of a queue, or only counts those that are meant, for a rehearsal.
    ///
    /// # Errors
    /// As those of queue.purge.
    pub async fn drop_messages(
        &self,
        by: &Actor,
        vhost: &str,
        queue: &str,
        query: MessageQuery,
        is_rehearsal: bool,
    ) -> Result<Swept, AdminError> {
        let context = self.context(by, vhost);
        let dropping = context.drop_messages(queue, query, is_rehearsal);
        within(&format!("queue '{queue}'"), async { Ok(dropping.await?) }).await
    }

    /// Moves messages of a queue elsewhere, or only counts those that are meant, for a rehearsal.
    ///
    /// # Errors
    /// As those of basic.get and of basic.publish. What was moved before an error is moved.
    pub async fn move_messages(
        &self,
        by: &Actor,
        vhost: &str,
        queue: &str,
        query: MessageQuery,
        target: MessageTarget,
        is_rehearsal: bool,
    ) -> Result<Swept, AdminError> {
        let context = self.context(by, vhost);
        let moving = context.move_messages(queue, query, &target, is_rehearsal);
        within(&format!("queue '{queue}'"), async { Ok(moving.await?) }).await
    }

    fn context(&self, by: &Actor, vhost: &str) -> Context {
        let broker = Arc::clone(self.inner());
        let owner = broker.owner(NOBODY);
        let Actor { user, tags, grants, trusted: _, from } = by.clone();
        let client = Client { user, vhost: name(vhost), from, tags, grants };
        Context { broker, client, owner, trusted: by.trusted }
    }
}

async fn within<R>(
    what: &str,
    work: impl Future<Output = Result<R, AdminError>>,
) -> Result<R, AdminError> {
    let late =
        |_| AdminError::Late { what: what.to_owned(), limit_ms: OPERATION_LIMIT.as_millis() };
    tokio::time::timeout(OPERATION_LIMIT, work).await.map_err(late)?
}
