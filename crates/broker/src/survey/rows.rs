//! What a survey tells, as plain values.
//!
//! Totals count since the node's start, or since this node has had what they are of. Rates are per
//! second, over the last look that was at least some seconds ago; before, they are 0.

use warren_types::{BootId, DecodeError, GroupId, NodeId, QueueId, Reader, Table, Term, Writer};

use super::wire::{Wire, wire_struct};

/// What was gathered from all nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Gathered<T> {
    /// What the nodes told that answered.
    pub rows: Vec<T>,
    /// Names of the nodes that did not answer in time, or are believed to be down.
    pub stale: Vec<String>,
}

/// Numbers of what happens, which travel in the order in which they stand.
macro_rules! numbers {
    (
        $(#[doc = $of:literal])* $name:ident { $($(#[doc = $doc:literal])* $field:ident,)+ }
    ) => {
        $(#[doc = $of])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name<N> { $($(#[doc = $doc])* pub $field: N,)+ }

        impl<N: Copy> $name<N> {
            /// What `join` makes of each number and that of the same thing in `other`.
            #[must_use]
            pub fn zip<R>(&self, other: &Self, join: impl Fn(N, N) -> R) -> $name<R> {
                $name { $($field: join(self.$field, other.$field),)+ }
            }
        }

        impl $name<u64> {
            /// What became more since `before`, per second.
            #[must_use]
            pub(crate) fn rates_since(&self, before: &Self, seconds: f64) -> $name<f64> {
                self.zip(before, |after, before| growth(after, before, seconds))
            }
        }

        impl<N: Wire> Wire for $name<N> {
            fn write(&self, writer: &mut Writer) {
                $(self.$field.write(writer);)+
            }

            fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
                Ok(Self { $($field: N::read(reader)?,)+ })
            }
        }
    };
}

numbers! {
    /// A number for each thing that happens to messages.
    MessageNumbers {
    /// Messages that were published.
    publish,
    /// Messages that were confirmed to their publishers.
    confirm,
    /// Mandatory messages that went back because no queue took them.
    return_unroutable,
    /// Messages that were dropped because no queue took them.
    drop_unroutable,
    /// Messages that were given to consumers that acknowledge.
    deliver,
    /// Messages that were given to consumers that do not.
    deliver_no_ack,
    /// Messages that were got and have to be acknowledged.
    get,
    /// Messages that were got without.
    get_no_ack,
    /// basic.get of an empty queue.
    get_empty,
    /// Messages that were acknowledged.
    ack,
    /// Messages given out that had been given out before.
    redeliver,
    }
}

/// What happened to messages, in numbers.
pub type MessageCounts = MessageNumbers<u64>;

/// How fast it happens, per second.
pub type MessageRates = MessageNumbers<f64>;

numbers! {
    /// A number for each way in which clients and queues come and go.
    ChurnNumbers {
        /// Connections that were opened.
        connections_created,
        /// Connections that were closed.
        connections_closed,
        /// Channels that were opened.
        channels_created,
        /// Channels that were closed.
        channels_closed,
        /// Declarations of queues, also of those that were there.
        queues_declared,
        /// Queues that were made.
        queues_created,
        /// Queues that were deleted.
        queues_deleted,
    }
}

/// What came and went, in numbers.
pub type ChurnCounts = ChurnNumbers<u64>;

/// How fast it comes and goes, per second.
pub type ChurnRates = ChurnNumbers<f64>;

/// How fast a number grows. What became less has been counted anew.
pub(crate) fn growth(after: u64, before: u64, seconds: f64) -> f64 {
    // Differences of a few seconds are far below 2^32.
    let more = u32::try_from(after.saturating_sub(before)).unwrap_or(u32::MAX);
    if seconds > 0.0 { f64::from(more) / seconds } else { 0.0 }
}

wire_struct! {
    /// A client's connection.
    #[derive()]
    ConnectionRow {
        /// The node that it is connected to.
        node: NodeId,
        /// Its number there.
        id: u32,
        /// `peer -> host`, with ports.
        name: String,
        /// The client's address.
        peer_host: String,
        /// The client's port.
        peer_port: u16,
        /// The node's address.
        host: String,
        /// The node's port.
        port: u16,
        /// Who has logged in.
        user: String,
        /// Which virtual host was opened.
        vhost: String,
        /// `PLAIN` or `AMQPLAIN`.
        auth_mechanism: String,
        /// What the client says about itself.
        client_properties: Table,
        /// When it was opened, in milliseconds since 1970.
        connected_at_ms: u64,
        /// `running`, or `flow` while its socket is not read because of what it has under way.
        state: String,
        /// Channels that are open.
        channels: u32,
        /// The highest channel number that was agreed upon.
        channel_max: u16,
        /// The largest frame that was agreed upon.
        frame_max: u32,
        /// The heartbeat that was agreed upon, in seconds.
        heartbeat_s: u16,
        /// Bytes that were read.
        recv_oct: u64,
        /// Reads.
        recv_cnt: u64,
        /// Bytes that were written.
        send_oct: u64,
        /// Writes.
        send_cnt: u64,
        /// Bytes that wait to be written.
        send_pend: u64,
        /// Bytes that are read, per second.
        recv_oct_rate: f64,
        /// Bytes that are written, per second.
        send_oct_rate: f64,
        /// What was agreed under TLS.
        tls: Option<TlsRow>,
    }
}

wire_struct! {
    /// What was agreed with a client under TLS, in RabbitMQ's words.
    #[derive(Eq)]
    TlsRow {
        /// The version.
        protocol: String,
        /// How keys were agreed upon.
        key_exchange: String,
        /// How bytes are encrypted.
        cipher: String,
        /// How they are protected against change.
        hash: String,
        /// Whose certificate the client has shown; empty without one, as are the next.
        peer_subject: String,
        /// Who signed it.
        peer_issuer: String,
        /// Its number.
        peer_serial: String,
        /// From when to when it counts.
        peer_validity: String,
    }
}

impl TlsRow {
    /// What is told of `session`.
    pub(crate) fn of(session: &warren_tls::Session) -> Self {
        let peer = session.peer.clone().unwrap_or_default();
        Self {
            protocol: session.protocol.to_owned(),
            key_exchange: session.key_exchange.to_owned(),
            cipher: session.cipher.to_owned(),
            hash: session.hash.to_owned(),
            peer_subject: peer.subject,
            peer_issuer: peer.issuer,
            peer_serial: peer.serial,
            peer_validity: peer.validity,
        }
    }
}

wire_struct! {
    /// A channel.
    #[derive()]
    ChannelRow {
        /// The node of its connection.
        node: NodeId,
        /// The connection's number there.
        connection: u32,
        /// The connection's name.
        connection_name: String,
        /// The client's address.
        peer_host: String,
        /// The client's port.
        peer_port: u16,
        /// Who has logged in.
        user: String,
        /// In which virtual host.
        vhost: String,
        /// Its number on the connection.
        number: u16,
        /// `running`, or `flow` as its connection.
        state: String,
        /// Whether publishes are confirmed.
        confirm: bool,
        /// Whether there are transactions.
        transactional: bool,
        /// Consumers.
        consumer_count: u32,
        /// Prefetch of consumers to come; 0 is none.
        prefetch_count: u16,
        /// Prefetch of the channel as a whole; 0 is none.
        global_prefetch_count: u16,
        /// Deliveries that the client has not settled.
        messages_unacknowledged: u64,
        /// Publishes that are not confirmed.
        messages_unconfirmed: u64,
        /// Publishes of a transaction that is not committed.
        messages_uncommitted: u64,
        /// Settles of a transaction that is not committed.
        acks_uncommitted: u64,
        /// What happened.
        counts: MessageCounts,
        /// How fast.
        rates: MessageRates,
    }
}

wire_struct! {
    /// A consumer, as its connection knows it.
    #[derive()]
    ConsumerRow {
        /// The node of its connection.
        node: NodeId,
        /// The connection's number there.
        connection: u32,
        /// The connection's name.
        connection_name: String,
        /// The client's address.
        peer_host: String,
        /// The client's port.
        peer_port: u16,
        /// Who has logged in.
        user: String,
        /// In which virtual host.
        vhost: String,
        /// The channel's number.
        channel: u16,
        /// Its number among all consumers of its node.
        consumer: u64,
        /// The queue that it takes from.
        queue: QueueId,
        /// Its tag.
        tag: String,
        /// Whether its client acknowledges.
        ack_required: bool,
        /// Whether it has the queue for itself.
        exclusive: bool,
        /// Unsettled messages it may hold; 0 is no limit.
        prefetch_count: u16,
        /// Higher ones are served first.
        priority: i32,
        /// Deliveries that the client has not settled.
        messages_unacknowledged: u64,
        /// Whether it is given messages; false while another is the single active one.
        active: bool,
    }
}

wire_struct! {
    /// A queue, as whoever leads it knows it.
    #[derive()]
    QueueFigures {
        /// Which.
        queue: QueueId,
        /// The node that leads it.
        leader: NodeId,
        /// Messages that wait.
        ready: u64,
        /// Bytes of their bodies.
        ready_bytes: u64,
        /// Messages that consumers hold.
        unacknowledged: u64,
        /// Bytes of their bodies.
        unacknowledged_bytes: u64,
        /// Returned messages that wait for their time.
        delayed: u64,
        /// Dead messages that have not arrived where they go.
        dead: u64,
        /// Messages that were not taken, because they had been taken before.
        duplicates: u64,
        /// Names of messages that it does not take again.
        dedup_keys: u64,
        /// Consumers, without those made by basic.get.
        consumers: u32,
        /// The node and number of the consumer that is served, where it is a single one.
        active_consumer: Option<(NodeId, u64)>,
        /// Bytes of memory, roughly.
        memory_bytes: u64,
        /// What happened; of it, what happens to queues.
        counts: MessageCounts,
        /// How fast.
        rates: MessageRates,
    }
}

wire_struct! {
    /// A message that waits for a time that its publisher chose.
    #[derive(Eq)]
    ScheduledRow {
        /// The queue that it comes to.
        queue: QueueId,
        /// When, by the time of the queue's shard, which is not the time of day.
        due: u64,
        /// How far off that is.
        in_ms: u64,
        /// The row of the log that it stands in.
        row: u64,
        /// Where in it.
        offset: u32,
        /// Bytes of its body.
        payload_bytes: u64,
        /// What it was published to; empty also where the message could not be read in time.
        exchange: String,
        /// With which key.
        routing_key: String,
        /// What its publisher calls it.
        message_id: Option<String>,
    }
}

wire_struct! {
    /// A node's totals at a moment.
    #[derive(Copy, Eq)]
    NodeSample {
        /// When, in milliseconds since 1970: a multiple of five seconds.
        at_ms: u64,
        /// Messages that waited in queues that it led.
        ready: u64,
        /// Messages of those that consumers held.
        unacknowledged: u64,
        /// What had happened to messages of clients there.
        counts: MessageCounts,
        /// Who and what had come and gone.
        churn: ChurnCounts,
    }
}

wire_struct! {
    /// What a node kept of its past.
    #[derive(Eq)]
    NodeSamples {
        /// Which.
        node: NodeId,
        /// The oldest first.
        samples: Vec<NodeSample>,
    }
}

wire_struct! {
    /// A queue at a moment.
    #[derive(Copy, Eq)]
    QueueSample {
        /// When, in milliseconds since 1970: a multiple of five seconds.
        at_ms: u64,
        /// Messages that waited.
        ready: u64,
        /// Messages that consumers held.
        unacknowledged: u64,
        /// What had happened; of it, what happens to queues.
        counts: MessageCounts,
    }
}

wire_struct! {
    /// An exchange, as one node knows it.
    #[derive()]
    ExchangeFigures {
        /// Where.
        vhost: String,
        /// Its name.
        exchange: String,
        /// Messages that clients of the node published to it.
        publish_in: u64,
        /// Copies of them that went to queues.
        publish_out: u64,
        /// How fast.
        publish_in_rate: f64,
        /// How fast.
        publish_out_rate: f64,
    }
}

wire_struct! {
    /// A consumer, or somebody who has got messages, as the queue knows it.
    #[derive()]
    HolderRow {
        /// The node of its connection.
        node: NodeId,
        /// Its number among all consumers of its node.
        consumer: u64,
        /// Its tag; empty where it was made by basic.get.
        tag: String,
        /// Unsettled messages it may hold; 0 is no limit.
        prefetch: u32,
        /// Higher ones are served first.
        priority: i32,
        /// Whether its client acknowledges.
        ack_required: bool,
        /// Whether it has the queue for itself.
        exclusive: bool,
        /// Whether it is given messages as long as it has capacity.
        active: bool,
        /// Whether it was cancelled and only holds what it has.
        cancelled: bool,
        /// Whether it was made by basic.get.
        is_getter: bool,
        /// Messages that it holds.
        unacknowledged: u64,
        /// How many more it may be given before it has to ask for more.
        capacity: u64,
    }
}

wire_struct! {
    /// A queue in full.
    #[derive()]
    QueueDetail {
        /// Its figures.
        figures: QueueFigures,
        /// Who is given messages and who holds some.
        holders: Vec<HolderRow>,
        /// How long the oldest message that waits has been in the log, in milliseconds.
        head_age_ms: Option<u64>,
        /// The time that its publisher gave it, in seconds since 1970.
        head_timestamp_s: Option<u64>,
    }
}

wire_struct! {
    /// A replicated group, as its leader knows it.
    #[derive(Eq)]
    ShardRow {
        /// Which; 0 is the catalog.
        group: GroupId,
        /// The node that leads it.
        leader: NodeId,
        /// In which term.
        term: Term,
        /// Who votes.
        voters: Vec<NodeId>,
        /// Who only learns.
        learners: Vec<NodeId>,
        /// The last entry of the leader's log that is applied.
        applied: u64,
        /// How many entries each of the others lacks, of those that answer.
        lag: Vec<(NodeId, u64)>,
        /// Queues.
        queues: u64,
        /// Messages that wait.
        ready: u64,
        /// Bytes of their bodies.
        ready_bytes: u64,
        /// Messages that consumers hold.
        unacknowledged: u64,
    }
}

wire_struct! {
    /// Where a node listens.
    #[derive(Eq)]
    Listener {
        /// `amqp`, `amqp/ssl`, `http`, `clustering` and so on.
        protocol: String,
        /// The address.
        ip: String,
        /// The port.
        port: u16,
    }
}

wire_struct! {
    /// A node's machine and process, as far as it is known.
    #[derive(Eq, Default)]
    Machine {
        /// Bytes of memory that the process uses.
        mem_used: u64,
        /// Bytes of memory that it should not exceed; 0 is not known.
        mem_limit: u64,
        /// Whether it does.
        mem_alarm: bool,
        /// Bytes that are free on the disk; 0 is not known.
        disk_free: u64,
        /// Bytes that should be; 0 is not known.
        disk_free_limit: u64,
        /// Whether there are fewer.
        disk_free_alarm: bool,
        /// File descriptors in use.
        fd_used: u64,
        /// File descriptors that there may be.
        fd_total: u64,
        /// Processors.
        processors: u32,
        /// The process.
        os_pid: u32,
        /// The program's version.
        version: String,
        /// Where its data are.
        data_dir: String,
        /// Where it logs to, its configuration files.
        config_files: Vec<String>,
        /// Where it listens.
        listeners: Vec<Listener>,
    }
}

wire_struct! {
    /// What a node says of itself.
    #[derive()]
    NodeFigures {
        /// Which.
        node: NodeId,
        /// This start of it.
        boot: BootId,
        /// Milliseconds since.
        uptime_ms: u64,
        /// Whether clients are served.
        serving: bool,
        /// Client connections.
        connections: u64,
        /// Channels.
        channels: u64,
        /// Consumers.
        consumers: u64,
        /// Groups that are led here, the catalog included.
        leaderships: u64,
        /// Queues that are led here or live in memory here.
        queues: u64,
        /// Messages that wait in those.
        ready: u64,
        /// Bytes of their bodies.
        ready_bytes: u64,
        /// Messages of those that consumers hold.
        unacknowledged: u64,
        /// What happened to messages of clients here.
        counts: MessageCounts,
        /// How fast.
        rates: MessageRates,
        /// Who and what came and went.
        churn: ChurnCounts,
        /// How fast.
        churn_rates: ChurnRates,
        /// Its machine.
        machine: Machine,
    }
}

/// A node that belongs to the cluster, and what it says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRow {
    /// Which.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// Where its peers reach it.
    pub address: String,
    /// Its failure zone, empty if unknown.
    pub zone: String,
    /// Its last start.
    pub boot: BootId,
    /// Whether its process is believed to run.
    pub running: bool,
    /// Whether it is being emptied.
    pub draining: bool,
    /// What it says of itself, if it answered.
    pub figures: Option<NodeFigures>,
}

impl MessageCounts {
    /// Messages were given to a consumer.
    pub(crate) fn give(&mut self, count: u64, no_ack: bool, redelivered: bool) {
        let given = if no_ack { &mut self.deliver_no_ack } else { &mut self.deliver };
        *given = given.saturating_add(count);
        if redelivered {
            self.redeliver = self.redeliver.saturating_add(count);
        }
    }

    /// A message was got.
    pub(crate) fn get(&mut self, no_ack: bool, redelivered: bool) {
        let got = if no_ack { &mut self.get_no_ack } else { &mut self.get };
        *got = got.saturating_add(1);
        if redelivered {
            self.redeliver = self.redeliver.saturating_add(1);
        }
    }
}
