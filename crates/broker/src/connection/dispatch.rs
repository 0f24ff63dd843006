//! Which part of the connection each event is for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use warren_amqp::{ChannelError, ConnectionError, Event, MethodId, Reply, ReplyCode, Request};
use warren_catalog::Command as Change;
use warren_types::ChannelNumber;

use super::channel::{Channel, Mode};
use super::confirm::{Confirms, Due};
use super::operation::Finish;
use super::state::{Connection, Phase};
use crate::config::Limits;
use crate::failure::Failure;
use crate::limit::Limit;
use crate::press::INTERNAL_USER;
use crate::survey::Whose;

/// How long a client that is sent away is waited for, and waits for the end of its consumers.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);

/// Bytes that an event counts for while it waits, besides those of its content.
const EVENT_BYTES: usize = 256;

/// What an event weighs while it waits behind an operation.
pub(crate) fn weight(event: &Event) -> usize {
    match event {
        Event::Publish { header, body, .. } => {
            EVENT_BYTES.saturating_add(header.len()).saturating_add(body.len())
        }
        _ => EVENT_BYTES,
    }
}

impl Connection {
    /// Does what one event asks for, or has it wait behind its channel's operation.
    pub(crate) fn handle(&mut self, event: Event) {
        let number = event.channel();
        if let Some(channel) = self.channels.get_mut(&number).filter(|channel| channel.busy) {
            self.backlog_bytes = self.backlog_bytes.saturating_add(weight(&event));
            channel.backlog.push_back(event);
            return;
        }
        let method = event.method_id();
        if let Err(failure) = self.dispatch(event) {
            self.fail(number, failure.at(method));
        }
    }

    fn dispatch(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Publish { channel, .. } if !self.is_open(channel) => Ok(()),
            Event::Publish {
                channel,
                exchange,
                routing_key,
                mandatory,
                immediate,
                header,
                body,
            } => {
                let publish = super::publish::Publish {
                    exchange,
                    routing_key,
                    mandatory,
                    immediate,
                    header,
                    body,
                };
                self.publish(channel, publish)
            }
            Event::Ack { channel, tag, multiple } => self.ack(channel, tag, multiple),
            Event::Nack { channel, tag, multiple, requeue } => {
                self.nack(channel, tag, multiple, requeue)
            }
            Event::Reject { channel, tag, requeue } => self.reject(channel, tag, requeue),
            Event::Get { channel, queue, no_ack } => self.get(channel, &queue, no_ack),
            Event::Request { channel, request } => self.request(channel, request),
            Event::StartOk { mechanism, response, client_properties, .. } => {
                self.start_ok(&mechanism, &response, &client_properties)
            }
            // Neither PLAIN nor AMQPLAIN asks a second question.
            Event::SecureOk { .. } => {
                Err(Failure::new(ReplyCode::CommandInvalid, "no challenge was sent"))
            }
            Event::Tuned { heartbeat_s, frame_max, channel_max } => {
                self.facts.channel_max = channel_max;
                self.heartbeat_s = heartbeat_s;
                self.frame_max = frame_max;
                Ok(())
            }
            Event::Open { vhost } => self.open(&vhost),
            Event::ChannelOpen { channel } => self.open_channel(channel),
            Event::ChannelClosed { channel, .. } => {
                self.end_channel(channel);
                self.wire.channel_close_ok(channel, &mut self.out);
                Ok(())
            }
            Event::ChannelError { error, .. } => Err(Failure::Channel(error)),
            Event::ChannelCloseOk { .. } | Event::ConnectionCloseOk => Ok(()),
            Event::ConnectionClose { code, text } => {
                tracing::debug!(code, text, "client closes the connection");
                self.phase = Phase::Leaving;
                Ok(())
            }
        }
    }

    fn request(&mut self, channel: ChannelNumber, request: Request) -> Result<(), Failure> {
        if channel.0 != 0 && !self.is_open(channel) {
            return Ok(());
        }
        match request {
            Request::UpdateSecret { secret, .. } => {
                self.update_secret(secret);
                Ok(())
            }
            Request::ChannelFlow { active } => self.channel_flow(channel, active),
            Request::ChannelFlowOk { .. } | Request::CancelOk { .. } => Ok(()),
            Request::AccessRequest { .. } => self.reply(channel, &Reply::AccessRequestOk),
            request @ (Request::ExchangeDeclare { .. }
            | Request::ExchangeDelete { .. }
            | Request::ExchangeBind { .. }
            | Request::ExchangeUnbind { .. }) => self.exchange_request(channel, request),
            request @ (Request::QueueDeclare { .. }
            | Request::QueueBind { .. }
            | Request::QueueUnbind { .. }
            | Request::QueuePurge { .. }
            | Request::QueueDelete { .. }) => self.queue_request(channel, request),
            Request::Qos { prefetch_size, prefetch_count, global } => {
                self.qos(channel, prefetch_size, prefetch_count, global)
            }
            request @ Request::Consume { .. } => self.consume(channel, request),
            Request::Cancel { consumer_tag, nowait } => self.cancel(channel, &consumer_tag, nowait),
            Request::Recover { requeue } => self.recover(channel, requeue, true),
            Request::RecoverAsync { requeue } => self.recover(channel, requeue, false),
            Request::ConfirmSelect { nowait } => self.confirm_select(channel, nowait),
            Request::TxSelect => self.tx_select(channel),
            Request::TxCommit => self.tx_commit(channel),
            Request::TxRollback => self.tx_rollback(channel),
        }
    }

    /// Sends a method without content.
    #[expect(clippy::unnecessary_wraps, reason = "the end of most requests, which are fallible")]
    pub(crate) fn reply(&mut self, channel: ChannelNumber, reply: &Reply) -> Result<(), Failure> {
        self.out.reply(channel, reply);
        Ok(())
    }

    /// Whether the channel is there and neither side has closed it.
    pub(crate) fn is_open(&self, channel: ChannelNumber) -> bool {
        self.channels.contains_key(&channel)
    }

    /// The channel that a request came on.
    pub(crate) fn channel(&mut self, number: ChannelNumber) -> &mut Channel {
        self.channels.get_mut(&number).expect("requests on channels that are not open are dropped")
    }

    fn open_channel(&mut self, number: ChannelNumber) -> Result<(), Failure> {
        let user = &self.client().user;
        let limit = self
            .broker
            .directory
            .look(|catalog| catalog.user(user).and_then(|user| user.limits.max_channels));
        self.check_channels_of_node()?;
        self.generations = self.generations.saturating_add(1);
        let Limits { default_prefetch, unacked_per_channel, .. } = *self.limits();
        let channel = Channel::new(self.generations, default_prefetch, unacked_per_channel);
        self.channels.insert(number, Box::new(channel));
        self.channel_count.fetch_add(1, Ordering::Relaxed);
        self.broker.counters.channels_opened.add(1);
        match limit {
            None => self.channel_opened(number),
            Some(limit) => self.check_channels_of_user(number, limit),
        }
        Ok(())
    }

    fn channel_opened(&mut self, number: ChannelNumber) {
        self.wire.accept_channel(number, &mut self.out);
        self.tell_channel_opened(number);
    }

    /// Refuses a channel beyond those that its user may have, on all nodes together. It has been
    /// counted, so of those that come at once none is let in beyond the limit.
    fn check_channels_of_user(&mut self, number: ChannelNumber, limit: u64) {
        let (broker, user) = (self.broker.clone(), self.client().user.clone());
        let waits_for = format!("the count of channels of user '{user}'");
        self.begin(number, MethodId::CHANNEL_OPEN, waits_for, async move {
            let count = broker.count_channels(Whose::User(user.to_string())).await;
            if count > limit {
                return Err(Failure::new(
                    ReplyCode::NotAllowed,
                    format_args!(
                        "number of channels opened for user '{user}' has reached the maximum \
                         allowed user limit of ({limit})"
                    ),
                ));
            }
            let finish: Finish = Box::new(move |connection| {
                connection.channel_opened(number);
                Ok(())
            });
            Ok(finish)
        });
    }

    /// Refuses a channel beyond those that the node may have.
    fn check_channels_of_node(&self) -> Result<(), Failure> {
        let (counters, limit) = (&self.broker.counters, self.broker.limits().channels);
        let open =
            counters.channels_opened.value().saturating_sub(counters.channels_closed.value());
        if limit == 0 || usize::try_from(open).is_ok_and(|open| open < limit) {
            return Ok(());
        }
        counters.hits.note(Limit::ChannelsOfNode);
        Err(Failure::new(
            ReplyCode::NotAllowed,
            format_args!(
                "number of channels opened on node '{}' has reached the maximum allowed limit of \
                 ({limit})",
                self.broker.config.node_name
            ),
        ))
    }

    /// Gives up all that belongs to a channel: what it holds goes back.
    pub(crate) fn end_channel(&mut self, number: ChannelNumber) {
        let Some(channel) = self.channels.remove(&number) else { return };
        self.channel_count.fetch_sub(1, Ordering::Relaxed);
        self.broker.counters.channels_closed.add(1);
        if channel.counts.publish > 0 {
            self.broker.counters.publishers.sub(1);
        }
        if let Some(consumer) = &channel.reply_consumer {
            self.broker.registry.hush(consumer.nonce);
        }
        for event in &channel.backlog {
            self.backlog_bytes = self.backlog_bytes.saturating_sub(weight(event));
        }
        let mut nths: Vec<_> = self
            .holders
            .iter()
            .filter(|(_, holder)| holder.channel == number)
            .map(|(nth, _)| *nth)
            .collect();
        nths.sort_unstable();
        for nth in nths {
            self.detach(nth);
        }
        self.end_streams(number);
        self.tell_channel_closed(number, channel.consumers.len());
    }

    /// Ends what a failure ends.
    pub(crate) fn fail(&mut self, number: ChannelNumber, failure: Failure) {
        self.audit_failure(&failure);
        self.broker.counters.hits.note_failure(&failure);
        match failure {
            Failure::Channel(error) => self.close_channel(number, &error),
            Failure::Connection(error) => {
                self.failed.get_or_insert(error);
            }
        }
    }

    /// Tells of what the client may not do.
    fn audit_failure(&self, failure: &Failure) {
        let (code, text, method) = match failure {
            Failure::Channel(error) => (error.code(), error.text(), error.method()),
            Failure::Connection(error) => (error.code(), error.text(), error.method()),
        };
        if !matches!(code, ReplyCode::AccessRefused | ReplyCode::NotAllowed) {
            return;
        }
        let user = self.user.as_deref().unwrap_or_default();
        self.broker.audit_refusal(user, Some(self.peer.ip()), &method.to_string(), text);
    }

    fn close_channel(&mut self, number: ChannelNumber, error: &ChannelError) {
        tracing::info!(
            channel = number.0,
            code = error.code().number(),
            text = error.text(),
            "closing channel"
        );
        self.end_channel(number);
        self.wire.close_channel(number, error, &mut self.out);
    }

    fn channel_flow(&mut self, channel: ChannelNumber, active: bool) -> Result<(), Failure> {
        if !active {
            return Err(Failure::new(ReplyCode::NotImplemented, "active=false"));
        }
        self.reply(channel, &Reply::ChannelFlowOk { active })
    }

    fn confirm_select(&mut self, number: ChannelNumber, nowait: bool) -> Result<(), Failure> {
        let channel = self.channel(number);
        match &channel.mode {
            Mode::Plain => channel.mode = Mode::Confirm(Confirms::default()),
            Mode::Confirm(_) => {}
            Mode::Transaction(_) => {
                return Err(Failure::new(
                    ReplyCode::PreconditionFailed,
                    "cannot switch from tx to confirm mode",
                ));
            }
        }
        if nowait { Ok(()) } else { self.reply(number, &Reply::ConfirmSelectOk) }
    }

    /// What is due once everything that came at once has been handled.
    pub(crate) fn end_turn(&mut self) {
        self.broker.counters.message_bytes.take(&mut self.published_bytes);
        self.relieve();
        self.write_deliveries();
        self.write_streams();
        self.send_staged();
        self.write_confirms();
    }

    fn write_confirms(&mut self) {
        let mut due = Vec::new();
        for number in std::mem::take(&mut self.confirming) {
            let Some(channel) = self.channels.get_mut(&number) else { continue };
            let Mode::Confirm(confirms) = &mut channel.mode else { continue };
            let confirmed = confirms.flush(&mut due);
            channel.counts.confirm = channel.counts.confirm.saturating_add(confirmed);
            self.broker.counters.confirmed.add(confirmed);
            for due in due.drain(..) {
                #[cfg(feature = "failpoints")]
                fail::fail_point!("broker.confirm.before");
                match due {
                    Due::Ack { tag, multiple } => self.out.ack(number, tag, multiple),
                    Due::Nack { tag } => self.out.nack(number, tag, false),
                }
            }
        }
    }

    /// The client is to be sent away. Its next connection must not overtake what it published on
    /// this one, so that is waited for, and nothing more is read.
    pub(crate) fn dismiss(&mut self, error: ConnectionError) {
        let latest = Instant::now() + RELEASE_LIMIT;
        self.dismissed.get_or_insert((error, latest));
    }

    /// Why the client is to be sent away, once everything is answered or waiting takes too long.
    pub(crate) fn dismissal_due(&mut self) -> Option<ConnectionError> {
        let (_, latest) = self.dismissed.as_ref()?;
        let over = self.in_flight.is_empty() || Instant::now() >= *latest;
        self.dismissed.take_if(|_| over).map(|(error, _)| error)
    }

    /// Gives up all consumers, and waits until their shards know.
    pub(crate) async fn release(&mut self) {
        let numbers: Vec<_> = self.channels.keys().copied().collect();
        for number in numbers {
            self.end_channel(number);
        }
        let broker = self.broker.clone();
        let staged = self.staging.take();
        let asks = staged.into_iter().map(|staged| broker.shard(staged.slot).ask(staged.fragment));
        if tokio::time::timeout(RELEASE_LIMIT, join_all(asks)).await.is_err() {
            tracing::debug!("a client is sent away before its consumers have ended");
        }
    }

    /// Gives up all that belongs to the connection.
    pub(crate) async fn leave(&mut self) {
        let numbers: Vec<_> = self.channels.keys().copied().collect();
        for number in numbers {
            self.end_channel(number);
        }
        self.operations.clear();
        self.send_staged();
        self.tell_closed();
        self.broker.registry.leave(self.id);
        if self.owns_queues {
            let owner = self.broker.owner(self.id);
            let change = Change::CloseConnection { owner };
            match self.broker.change(INTERNAL_USER, change).await {
                Ok(_) => self.owns_queues = false,
                Err(error) => tracing::debug!(%error, "exclusive queues stay until the next start"),
            }
        }
    }
}
