//! One client: the task between its socket and the shards.
//!
//! The task reads a burst of frames, does what they ask as far as this node can answer by
//! itself, and sends one fragment to each shard that the burst touches. What must wait for others
//! becomes an operation of its channel; that channel's further frames wait behind it, the other
//! channels go on.
//!
//! **Always holds:** what waits for this client is bounded: publishes by the bytes that may be
//! unanswered, deliveries by prefetch or window, output by a limit beyond which no delivery is
//! written. Beyond its bound the socket is not read.

mod census;
mod channel;
mod confirm;
mod consume;
pub(crate) mod context;
mod continuity;
pub(crate) mod dedup;
pub(crate) mod deliver;
mod describe;
mod dispatch;
mod events;
mod firehose;
mod flow;
mod holder;
mod lease;
mod login;
pub(crate) mod message;
mod names;
mod operation;
pub(crate) mod operator;
mod plan;
mod pressure;
pub(crate) mod publish;
mod reply_to;
mod secret;
mod secure;
mod settle;
mod socket;
pub(crate) mod staging;
pub(crate) mod state;
pub(crate) mod stream;
pub(crate) mod sweep;
pub(crate) mod topology;
mod traced;
mod transaction;
mod unacked;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;
use warren_amqp::{Body, ReplyCode};
use warren_queue::{CancelReason, FragmentReply};
use warren_tls::{Acceptor, Session};
use warren_types::{ChannelNumber, ConsumerNumber};

use crate::broker::Inner;
use crate::queue::effects::Delivery;
use crate::queue::guests::Census;
use crate::queue::handle::ShardSlot;
#[cfg(test)]
pub(crate) use consume::GETTERS_KEPT;
pub(crate) use describe::Description;
#[cfg(test)]
pub(crate) use message::wishes;
use secure::Secured;
pub(crate) use socket::Stream;
use state::Connection;

/// What others tell a connection's task.
#[derive(Debug)]
pub(crate) enum ToConnection {
    /// A shard has answered a fragment.
    Answered { token: u64, reply: FragmentReply },
    /// Messages for one of its consumers.
    Deliver(Delivery),
    /// A shard has ended one of its consumers.
    Cancelled { consumer: ConsumerNumber, reason: CancelReason },
    /// The consumers of this node that a shard knows.
    Census { slot: ShardSlot, census: Arc<Census> },
    /// A shard has closed this node's session, with all that it held.
    SessionLost { slot: ShardSlot },
    /// A shard has answered a consumer that was registered anew.
    AttachedAnew { nth: u32, reply: FragmentReply },
    /// A shard in another node's memory has gone with all that it held.
    ShardGone { slot: ShardSlot },
    /// A direct reply for the consumer of replies on `channel`.
    DirectReply(DirectReply),
    /// Somebody wants to know how it is.
    Describe { answer_to: oneshot::Sender<Description> },
    /// Whether it may publish is to be looked at anew.
    Pressure,
    /// The connection is to be closed, by an operator or because the node stops.
    Close { code: ReplyCode, text: String },
}

/// A message to a consumer of `amq.rabbitmq.reply-to`.
#[derive(Debug)]
pub(crate) struct DirectReply {
    pub(crate) channel: ChannelNumber,
    pub(crate) nonce: u64,
    pub(crate) exchange: Bytes,
    pub(crate) routing_key: Bytes,
    pub(crate) header: Bytes,
    pub(crate) body: Body,
}

/// Where a connection is told something. Cheap to clone.
///
/// It has no bound of its own: what is sent is bounded by what the connection asked for. What is
/// sent is boxed, because an empty mailbox has room for some, and most connections are idle.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(mpsc::UnboundedSender<Box<ToConnection>>);

impl Mailbox {
    /// Sends; a connection that has ended does not mind.
    pub(crate) fn send(&self, message: ToConnection) {
        drop(self.0.send(Box::new(message)));
    }
}

/// Serves one client until it leaves, is sent away, or breaks the protocol.
pub(crate) async fn serve<S: Stream>(broker: Arc<Inner>, stream: S, peer: SocketAddr) {
    serve_as(broker, stream, peer, None).await;
}

/// As [`serve`], once the client and this node agree on how to keep others out.
pub(crate) async fn serve_tls(
    broker: Arc<Inner>,
    acceptor: Acceptor,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let limit = broker.limits().handshake_timeout;
    let draining = broker.draining().clone();
    let agreed = draining.run_until_cancelled(acceptor.accept(stream, limit)).await;
    let (stream, session) = match agreed {
        Some(Ok(agreed)) => agreed.into_inner(),
        Some(Err(error)) => {
            tracing::info!(%peer, %error, "TLS was not agreed upon with a client");
            return;
        }
        None => return,
    };
    let about = Arc::new(acceptor.session(&session));
    serve_as(broker, Secured::new(stream, session), peer, Some(about)).await;
}

async fn serve_as<S: Stream>(
    broker: Arc<Inner>,
    stream: S,
    peer: SocketAddr,
    secured: Option<Arc<Session>>,
) {
    #[expect(clippy::disallowed_methods, reason = "bounded by what the connection asks for")]
    let (sender, messages) = mpsc::unbounded_channel();
    let span = tracing::info_span!("connection", %peer);
    // Boxed, because a future has room for everything that is handed on in it once more.
    let connection = Box::new(Connection::new(broker, Mailbox(sender), peer, secured));
    socket::run(connection, stream, messages).instrument(span).await;
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::channel::Channel;
    use super::*;

    /// What a task takes that serves a client over TCP.
    fn task_bytes<F: Future>(_: impl FnOnce(Arc<Inner>, TcpStream, SocketAddr) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_client_with_one_channel_and_nothing_to_say_takes_few_bytes() {
        let task = task_bytes(serve::<TcpStream>);
        let (connection, channel) = (size_of::<Connection>(), size_of::<Channel>());

        let all = task + connection + channel;
        assert!(all < 4096, "{task} + {connection} + {channel} bytes");
    }
}
