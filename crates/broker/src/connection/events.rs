//! What a connection tells of itself to whoever listens to events.

use warren_types::{ChannelNumber, Table};

use super::holder::Holder;
use super::state::Connection;
use crate::press::Told;
use crate::press::event::{address, entries};

impl Connection {
    /// Tells an event, if somebody listens; it is made only then.
    fn tell(&self, event: impl FnOnce(&Self) -> Told) {
        if self.broker.press.tells_events() {
            self.broker.press.tell(event(self));
        }
    }

    /// A login was accepted, or refused for a reason.
    pub(crate) fn tell_login(&self, mechanism: &str, user: &str, refused: Option<&str>) {
        self.tell(|connection| {
            let key = match refused {
                None => "user.authentication.success",
                Some(_) => "user.authentication.failure",
            };
            let told = Told::new(key)
                .text("name", user)
                .text("auth_mechanism", mechanism)
                .text("connection_name", &connection.name())
                .text("connection_type", "network")
                .text("protocol", "{0,9,1}")
                .flag("ssl", connection.secured.is_some());
            let told = connection.ends(told);
            match refused {
                None => told,
                Some(why) => told.text("error", &format!("user '{user}' - {why}")),
            }
        });
    }

    /// connection.created
    pub(crate) fn tell_opened(&self) {
        self.tell(|connection| {
            let client = connection.client();
            let told = Told::new("connection.created")
                .text("type", "network")
                .text("pid", &connection.process(0))
                .text("name", &connection.name())
                .text("node", connection.broker.press.node())
                .text("user", &client.user)
                .text("vhost", &client.vhost)
                .text("auth_mechanism", connection.facts.mechanism())
                .text("protocol", "{0,9,1}")
                .flag("ssl", connection.secured.is_some())
                .number("timeout", connection.heartbeat_s)
                .number("frame_max", connection.frame_max)
                .number("channel_max", connection.facts.channel_max)
                .number("connected_at", connection.facts.since_ms())
                .with("client_properties", entries(&connection.facts.properties()));
            let told = match connection.facts.local {
                Some(local) => told.number("port", local.port()),
                None => told,
            };
            connection.ends(connection.named(told)).by(&client.user)
        });
    }

    /// connection.closed
    pub(crate) fn tell_closed(&self) {
        // A probe that has said nothing is no client.
        if self.facts.mechanism().is_empty() {
            return;
        }
        self.tell(|connection| {
            let told = Told::new("connection.closed")
                .text("pid", &connection.process(0))
                .text("name", &connection.name())
                .text("node", connection.broker.press.node())
                .with("client_properties", entries(&connection.facts.properties()));
            connection.named(told)
        });
    }

    /// channel.created
    pub(crate) fn tell_channel_opened(&self, number: ChannelNumber) {
        self.tell(|connection| {
            let client = connection.client();
            Told::new("channel.created")
                .text("pid", &connection.process(number.0))
                .text("connection", &connection.process(0))
                .text("name", &format!("{} ({number})", connection.name()))
                .number("number", number.0)
                .text("user", &client.user)
                .text("vhost", &client.vhost)
                .by(&client.user)
        });
    }

    /// channel.closed
    pub(crate) fn tell_channel_closed(&self, number: ChannelNumber, consumers: usize) {
        self.tell(|connection| {
            Told::new("channel.closed")
                .text("pid", &connection.process(number.0))
                .number("consumer_count", u64::try_from(consumers).unwrap_or(u64::MAX))
                .by(&connection.client().user)
        });
    }

    /// consumer.created
    pub(crate) fn tell_consumer(&self, holder: &Holder, arguments: &Table) {
        self.tell(|connection| {
            connection
                .consumer("consumer.created", holder)
                .flag("exclusive", holder.terms.exclusive)
                .flag("ack_required", !holder.no_ack)
                .number("prefetch_count", holder.prefetch)
                .with("arguments", entries(arguments))
        });
    }

    /// consumer.deleted
    pub(crate) fn tell_consumer_gone(&self, holder: &Holder) {
        self.tell(|connection| connection.consumer("consumer.deleted", holder));
    }

    fn consumer(&self, key: &'static str, holder: &Holder) -> Told {
        let queue = self
            .broker
            .directory
            .look(|catalog| catalog.queue_by_id(holder.queue).map(|row| row.name.clone()));
        let client = self.client();
        Told::new(key)
            .text("consumer_tag", &String::from_utf8_lossy(&holder.tag))
            .text("queue", queue.as_deref().unwrap_or_default())
            .text("channel", &self.process(holder.channel.0))
            .text("vhost", &client.vhost)
            .by(&client.user)
    }

    /// The addresses of both ends of the socket.
    fn ends(&self, told: Told) -> Told {
        let told = told.with("peer_host", address(self.peer.ip()));
        let told = told.number("peer_port", self.peer.port());
        match self.facts.local {
            Some(local) => told.with("host", address(local.ip())),
            None => told,
        }
    }

    /// The name that the client gives the connection.
    fn named(&self, told: Told) -> Told {
        let properties = self.facts.properties();
        match properties.value("connection_name") {
            Some(name) => told.with("user_provided_name", name.clone()),
            None => told,
        }
    }

    /// What stands where RabbitMQ has a process of this connection.
    fn process(&self, part: u16) -> String {
        let boot = self.broker.session.boot;
        format!("<{}.{boot}.{}.{part}>", self.broker.press.node(), self.id.0)
    }
}
