//! A catalog under test: commands in, one at a time, with every invariant checked behind each.

use bytes::Bytes;
use warren_machine::{Entry, Machine};
use warren_types::{BootId, GroupId, LogIndex, NodeId, Table, Term, Timestamp, Value};

use crate::{
    Batch, BindingCommand, Catalog, Command, DeclareExchange, DeclareQueue, Destination, Effect,
    FirstUser, HashingAlgorithm, Message, Outcome, Owner, Placement, Refusal, RegisterNode, Routed,
    SALT_BYTES, first_start,
};

/// What stands for a random number where samples must stay the same.
pub(crate) const SALT: [u8; SALT_BYTES] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

pub(crate) const VHOST: &str = "/";
pub(crate) const NODE: NodeId = NodeId(1);
pub(crate) const BOOT: BootId = BootId(7);
pub(crate) const SHARD: GroupId = GroupId(1);

/// A catalog and the log that drives it.
pub(crate) struct Log {
    pub(crate) catalog: Catalog,
    pub(crate) entries: Vec<Entry>,
    pub(crate) effects: Vec<Effect>,
    index: u64,
}

impl Log {
    /// Before anything was said.
    pub(crate) fn empty() -> Self {
        Self { catalog: Catalog::new(), entries: Vec::new(), effects: Vec::new(), index: 0 }
    }

    /// One node that runs, one shard, one virtual host, one user.
    pub(crate) fn new() -> Self {
        let mut log = Self::empty();
        for command in beginning() {
            log.apply(command).expect("the beginning is accepted");
        }
        log
    }

    pub(crate) fn apply(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let mut replies = self.apply_all(vec![command]);
        replies.pop().expect("one command has one reply")
    }

    pub(crate) fn apply_all(&mut self, commands: Vec<Command>) -> Vec<Result<Outcome, Refusal>> {
        let time = Timestamp(1_700_000_000_000 + self.index);
        self.apply_payload(Batch { time, commands }.encode())
    }

    pub(crate) fn apply_payload(&mut self, payload: Bytes) -> Vec<Result<Outcome, Refusal>> {
        self.index += 1;
        let entry = Entry { index: LogIndex(self.index), term: Term(1), payload };
        let applied = self.catalog.apply(&entry);
        self.catalog.check();
        self.entries.push(entry);
        self.effects = applied.effects;
        applied.reply
    }

    pub(crate) fn accept(&mut self, command: Command) -> Outcome {
        self.apply(command).expect("the command is accepted")
    }

    pub(crate) fn refuse(&mut self, command: Command) -> Refusal {
        let before = self.catalog.digest();
        let refusal = self.apply(command).expect_err("the command is refused");
        assert_eq!(before, self.catalog.digest(), "a refused command changes nothing");
        assert_eq!(self.effects, [], "a refused command has no effects");
        refusal
    }

    /// The names of the queues that a message goes to, in order.
    pub(crate) fn route(&self, exchange: &str, message: Message<'_>) -> Vec<String> {
        let mut routed = Routed::new();
        self.catalog.route(VHOST, exchange, message, &mut routed).expect("the exchange exists");
        let rows = routed.targets().iter().map(|target| self.catalog.queue_by_id(target.queue));
        let mut names: Vec<String> =
            rows.map(|row| row.expect("it was routed to").name.to_string()).collect();
        names.sort();
        names
    }

    pub(crate) fn route_key(&self, exchange: &str, key: &str) -> Vec<String> {
        self.route(exchange, Message::with_key(key.as_bytes()))
    }
}

/// What [`Log::new`] applies.
pub(crate) fn beginning() -> Vec<Command> {
    let mut commands = vec![
        Command::RegisterNode(RegisterNode {
            token: 1,
            wanted: Some(NODE),
            name: "warren@one".into(),
            address: "one:25672".into(),
            zone: "a".into(),
        }),
        Command::StartNode { node: NODE, boot: BOOT, speaks: 1 },
        Command::PutShard { group: SHARD, replicas: vec![NODE] },
    ];
    let user = FirstUser {
        name: "guest".into(),
        password: "guest".into(),
        salt: SALT,
        hashing: HashingAlgorithm::Sha256,
        loopback_only: true,
    };
    commands.extend(first_start(&VHOST.into(), &user));
    commands
}

pub(crate) fn owner(connection: u64) -> Owner {
    Owner { node: NODE, boot: BOOT, connection }
}

pub(crate) fn local() -> Placement {
    Placement::Local { node: NODE, boot: BOOT, slot: 3 }
}

/// Durable and otherwise plain.
pub(crate) fn queue(name: &str) -> DeclareQueue {
    DeclareQueue {
        vhost: VHOST.into(),
        queue: name.into(),
        server_named: false,
        durable: true,
        auto_delete: false,
        exclusive: None,
        arguments: Table::new(),
        placement: Placement::Shard(SHARD),
        user: "guest".into(),
    }
}

pub(crate) fn queue_with(name: &str, arguments: &[(&str, Value)]) -> DeclareQueue {
    DeclareQueue { arguments: table(arguments), ..queue(name) }
}

pub(crate) fn exclusive(name: &str, connection: u64) -> DeclareQueue {
    DeclareQueue {
        durable: false,
        exclusive: Some(owner(connection)),
        placement: local(),
        ..queue(name)
    }
}

/// Durable and otherwise plain.
pub(crate) fn exchange(name: &str, kind: &str) -> DeclareExchange {
    DeclareExchange {
        vhost: VHOST.into(),
        exchange: name.into(),
        kind: kind.into(),
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Table::new(),
        user: "guest".into(),
    }
}

pub(crate) fn to_queue(source: &str, queue: &str, key: &str) -> BindingCommand {
    BindingCommand {
        vhost: VHOST.into(),
        source: source.into(),
        destination: Destination::Queue(queue.into()),
        routing_key: key.into(),
        arguments: Table::new(),
        connection: None,
    }
}

pub(crate) fn to_exchange(source: &str, exchange: &str, key: &str) -> BindingCommand {
    BindingCommand {
        destination: Destination::Exchange(exchange.into()),
        ..to_queue(source, "", key)
    }
}

pub(crate) fn table(entries: &[(&str, Value)]) -> Table {
    entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
