//! Tests of `codec`.

use std::fmt::Write as _;

use proptest::prelude::*;
use warren_types::{BootId, GroupId, NodeId, QueueId, Table, Timestamp, Value};

use super::*;
use crate::testing::{
    BOOT, Log, NODE, SALT, VHOST, exchange, exclusive, owner, queue, table, to_exchange, to_queue,
};
use crate::{
    ApplyTo, ClusterId, HashingAlgorithm, PasswordHash, PolicyLayer, PutPolicy, PutUser, QueueKind,
    RegisterNode, RemovalReason, UserLimit, VhostLimit, VhostMeta,
};

/// One command of each variant.
#[expect(clippy::too_many_lines, reason = "it is as long as the list of commands")]
fn every_command() -> Vec<Command> {
    let (node, boot) = (NODE, BOOT);
    let vhost: crate::Name = VHOST.into();
    let user: crate::Name = "u".into();
    let name: crate::Name = "n".into();
    let mut bound = to_queue("amq.headers", "q", "k");
    bound.arguments = table(&[("x-match", Value::text("any")), ("a", Value::I64(-1))]);
    bound.connection = Some(owner(3));
    vec![
        Command::FoundCluster(ClusterId(u128::MAX - 1)),
        Command::RegisterNode(RegisterNode {
            token: 7,
            wanted: Some(NodeId(1)),
            name: "warren@one".into(),
            address: "one:25672".into(),
            zone: "z".into(),
        }),
        Command::StartNode { node, boot, speaks: 2 },
        Command::LoseNode { node, boot: BootId(9) },
        Command::ForgetNode { node },
        Command::DrainNode { node, draining: true },
        Command::PutShard { group: GroupId(3), replicas: vec![node, NodeId(2)] },
        Command::RaiseVersion { version: 2 },
        Command::PutVhost {
            vhost: vhost.clone(),
            meta: VhostMeta {
                description: "d".into(),
                tags: vec!["t".into()],
                default_queue_type: Some(QueueKind::Stream),
                tracing: true,
                protected_from_deletion: false,
            },
        },
        Command::DeleteVhost { vhost: vhost.clone() },
        Command::SetVhostLimit {
            vhost: vhost.clone(),
            limit: VhostLimit::MaxQueues,
            value: Some(5),
        },
        Command::PutUser(PutUser {
            user: user.clone(),
            password: Some(PasswordHash::new(HashingAlgorithm::Sha512, SALT, "p")),
            tags: Some(vec!["management".into()]),
            loopback_only: Some(true),
        }),
        Command::DeleteUser { user: user.clone() },
        Command::SetUserLimit { user: user.clone(), limit: UserLimit::MaxChannels, value: None },
        Command::SetPermission {
            user: user.clone(),
            vhost: vhost.clone(),
            configure: "c".into(),
            write: "w".into(),
            read: "".into(),
        },
        Command::ClearPermission { user: user.clone(), vhost: vhost.clone() },
        Command::SetTopicPermission {
            user: user.clone(),
            vhost: vhost.clone(),
            exchange: "amq.topic".into(),
            write: "w".into(),
            read: "r".into(),
        },
        Command::ClearTopicPermission { user, vhost: vhost.clone(), exchange: None },
        Command::DeclareExchange(exchange("x", "topic")),
        Command::DeleteExchange { vhost: vhost.clone(), exchange: "x".into(), if_unused: true },
        Command::DeclareQueue(queue("q")),
        Command::DeclareQueue(exclusive("e", 3)),
        Command::DeleteQueue { queue: QueueId(1 << 20), reason: RemovalReason::Expired },
        Command::CloseConnection { owner: owner(3) },
        Command::Bind(bound),
        Command::Unbind(to_exchange("amq.topic", "x", "#")),
        Command::PutPolicy(PutPolicy {
            vhost: vhost.clone(),
            layer: PolicyLayer::Operator,
            name: name.clone(),
            pattern: "^a".into(),
            apply_to: ApplyTo::QuorumQueues,
            priority: -4,
            definition: "{\"max-length\":1}".into(),
        }),
        Command::DeletePolicy {
            vhost: vhost.clone(),
            layer: PolicyLayer::User,
            name: name.clone(),
        },
        Command::PutParameter {
            vhost: vhost.clone(),
            component: "shovel".into(),
            name: name.clone(),
            value: "{}".into(),
        },
        Command::DeleteParameter { vhost, component: "shovel".into(), name: name.clone() },
        Command::PutGlobalParameter { name: name.clone(), value: "1".into() },
        Command::DeleteGlobalParameter { name },
        // One that is there, so that the sample of a snapshot is what it was.
        Command::PredeclareExchange { vhost: VHOST.into(), exchange: "amq.topic".into() },
    ]
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to memory");
        text
    })
}

/// The sample's lines; written anew where `WARREN_FREEZE` asks for it.
pub(super) fn frozen(name: &str, actual: &[String]) -> Vec<String> {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let path = format!("{package}/testdata/formats/{name}");
    if std::env::var_os("WARREN_FREEZE").is_some() {
        std::fs::write(&path, actual.join("\n") + "\n").expect("the sample can be written");
    }
    let text = std::fs::read_to_string(&path).expect("the sample is in the repository");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_encoded_is_decoded() {
    let batch = Batch { time: Timestamp(5), commands: every_command() };

    assert_eq!(Batch::decode(&batch.encode()), Ok(batch));
}

#[test]
fn commands_of_version_1_have_the_bytes_they_always_had() {
    let commands = every_command();
    let lines: Vec<String> = commands
        .iter()
        .map(|command| {
            let commands = vec![command.clone()];
            hex(&Batch { time: Timestamp(1_700_000_000_000), commands }.encode())
        })
        .collect();

    assert_eq!(frozen("batch-1.hex", &lines), lines);
}

#[test]
fn a_snapshot_of_version_1_has_the_bytes_it_always_had() {
    use warren_machine::Machine;
    let mut log = Log::new();
    for mut command in every_command() {
        // The sample holds a node whose only start is lost.
        if let Command::LoseNode { boot, .. } = &mut command {
            *boot = BOOT;
        }
        // Some are refused; what is left is a fair sample.
        let destroys = matches!(command, Command::DeleteVhost { .. } | Command::ForgetNode { .. });
        if !destroys {
            let _ = log.apply(command);
        }
    }
    let lines: Vec<String> = log.catalog.snapshot().iter().map(|page| hex(page)).collect();

    assert_eq!(frozen("snapshot-1.hex", &lines), lines);
}

#[test]
fn other_versions_and_unknown_commands_are_refused() {
    let mut batch = Batch { time: Timestamp(1), commands: every_command() }.encode().to_vec();
    batch[0] = 2;
    let unknown = DecodeError::Unknown { what: "batch version", value: 2 };
    assert_eq!(Batch::decode(&batch.into()), Err(unknown));

    let one = Batch { time: Timestamp(1), commands: vec![Command::ForgetNode { node: NODE }] };
    let mut command = one.encode().to_vec();
    command[13] = 9;
    let unknown = DecodeError::Unknown { what: "command version", value: 9 };
    assert_eq!(Batch::decode(&command.clone().into()), Err(unknown));
    command[13] = 1;
    command[14] = 255;
    let unknown = DecodeError::Unknown { what: "Command", value: 255 };
    assert_eq!(Batch::decode(&command.into()), Err(unknown));
}

#[test]
fn a_damaged_entry_is_refused_and_changes_nothing() {
    use warren_machine::Machine;
    let mut log = Log::new();
    let before = log.catalog.digest();
    let whole = Batch { time: Timestamp(1), commands: every_command() }.encode();

    for end in 0..whole.len() {
        let replies = log.apply_payload(whole.slice(..end));
        assert!(matches!(replies.as_slice(), [Err(crate::Refusal::Damaged { .. })]));
    }

    assert_eq!(log.catalog.digest(), before);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2000)
    })]

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Batch::decode(&bytes.into());
    }

    /// Bytes that begin well get further.
    #[test]
    fn flipped_bytes_are_decoded_and_applied_or_refused(
        command in 0..34_usize,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let commands = every_command().into_iter().skip(command).take(1).collect();
        let mut bytes = Batch { time: Timestamp(1), commands }.encode().to_vec();
        for (index, byte) in flips {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        Log::new().apply_payload(bytes.into());
    }
}

#[test]
fn a_table_keeps_its_order_in_a_queues_row() {
    let mut arguments = Table::new();
    arguments.insert("z", Value::I32(1));
    arguments.insert("a", Value::I32(2));
    let wanted = crate::DeclareQueue { arguments, ..queue("q") };
    let batch = Batch { time: Timestamp(1), commands: vec![Command::DeclareQueue(wanted)] };

    assert_eq!(Batch::decode(&batch.encode()), Ok(batch));
}
