//! Operations over AMQP.

use warren_tests::cluster::Cluster;
use warren_tests::wire::{
    Field, Flags, Pack, Properties, Wire, consume, declare_exchange, declare_queue, delete_queue,
    get, id, publish,
};

use super::{
    Configure, Names, Need, Read, User, Write, assert_refused, bind, bring_in, delete_exchange,
    guest, refusal, text, tries, unbind_queue,
};

/// An operation, and what it needs.
struct Row {
    what: &'static str,
    needs: &'static [Need],
    request: fn(&Names) -> Vec<u8>,
    /// The method that says that it is done.
    done: (u16, u16),
}

const ROWS: &[Row] = &[
    Row {
        what: "queue.declare",
        needs: &[(Configure, "queue", "fresh")],
        request: |n| declare_queue(1, &n.fresh, Flags::DURABLE, &[]),
        done: id::QUEUE_DECLARE_OK,
    },
    Row {
        what: "queue.declare of what is there",
        needs: &[(Configure, "queue", "queue")],
        request: |n| declare_queue(1, &n.queue, Flags::DURABLE, &[]),
        done: id::QUEUE_DECLARE_OK,
    },
    Row {
        what: "queue.declare with a dead-letter exchange",
        needs: &[
            (Configure, "queue", "fresh"),
            (Read, "queue", "fresh"),
            (Write, "exchange", "target"),
        ],
        request: |n| {
            let arguments = text("x-dead-letter-exchange", &n.target);
            declare_queue(1, &n.fresh, Flags::DURABLE, &arguments)
        },
        done: id::QUEUE_DECLARE_OK,
    },
    Row {
        what: "queue.declare with the default exchange for dead letters",
        needs: &[
            (Configure, "queue", "fresh"),
            (Read, "queue", "fresh"),
            (Write, "exchange", "default"),
        ],
        request: |n| {
            let arguments = text("x-dead-letter-exchange", "");
            declare_queue(1, &n.fresh, Flags::DURABLE, &arguments)
        },
        done: id::QUEUE_DECLARE_OK,
    },
    Row {
        what: "queue.delete",
        needs: &[(Configure, "queue", "queue")],
        request: |n| delete_queue(1, &n.queue),
        done: id::QUEUE_DELETE_OK,
    },
    Row {
        what: "queue.purge",
        needs: &[(Read, "queue", "queue")],
        request: |n| Pack::method(id::PURGE).u16(0).short(&n.queue).u8(0).frame(1),
        done: id::PURGE_OK,
    },
    Row {
        what: "basic.get",
        needs: &[(Read, "queue", "queue")],
        request: |n| get(1, &n.queue, true),
        done: id::GET_EMPTY,
    },
    Row {
        what: "basic.consume",
        needs: &[(Read, "queue", "queue")],
        request: |n| consume(1, &n.queue, "tag", 0, &[]),
        done: id::CONSUME_OK,
    },
    Row {
        what: "queue.bind",
        needs: &[(Write, "queue", "queue"), (Read, "exchange", "source")],
        request: |n| bind(id::QUEUE_BIND, &n.queue, &n.source, "a.b"),
        done: id::QUEUE_BIND_OK,
    },
    Row {
        what: "queue.unbind",
        needs: &[(Write, "queue", "queue"), (Read, "exchange", "source")],
        request: |n| unbind_queue(&n.queue, &n.source, "a.b"),
        done: id::QUEUE_UNBIND_OK,
    },
    Row {
        what: "exchange.bind",
        needs: &[(Write, "exchange", "target"), (Read, "exchange", "source")],
        request: |n| bind(id::EXCHANGE_BIND, &n.target, &n.source, "a.b"),
        done: id::EXCHANGE_BIND_OK,
    },
    Row {
        what: "exchange.unbind",
        needs: &[(Write, "exchange", "target"), (Read, "exchange", "source")],
        request: |n| bind(id::EXCHANGE_UNBIND, &n.target, &n.source, "a.b"),
        done: id::EXCHANGE_UNBIND_OK,
    },
    Row {
        what: "exchange.declare",
        needs: &[(Configure, "exchange", "fresh")],
        request: |n| declare_exchange(1, &n.fresh, "direct", Flags::DURABLE, &[]),
        done: id::EXCHANGE_DECLARE_OK,
    },
    Row {
        what: "exchange.declare of what is there",
        needs: &[(Configure, "exchange", "target")],
        request: |n| declare_exchange(1, &n.target, "fanout", Flags::DURABLE, &[]),
        done: id::EXCHANGE_DECLARE_OK,
    },
    Row {
        what: "exchange.declare with an alternate exchange",
        needs: &[
            (Configure, "exchange", "fresh"),
            (Read, "exchange", "fresh"),
            (Write, "exchange", "target"),
        ],
        request: |n| {
            let arguments = text("alternate-exchange", &n.target);
            declare_exchange(1, &n.fresh, "direct", Flags::DURABLE, &arguments)
        },
        done: id::EXCHANGE_DECLARE_OK,
    },
    Row {
        what: "exchange.declare with the default exchange as the alternate",
        needs: &[
            (Configure, "exchange", "fresh"),
            (Read, "exchange", "fresh"),
            (Write, "exchange", "default"),
        ],
        request: |n| {
            let arguments = text("alternate-exchange", "");
            declare_exchange(1, &n.fresh, "direct", Flags::DURABLE, &arguments)
        },
        done: id::EXCHANGE_DECLARE_OK,
    },
    Row {
        what: "exchange.delete",
        needs: &[(Configure, "exchange", "target")],
        request: |n| delete_exchange(&n.target),
        done: id::EXCHANGE_DELETE_OK,
    },
    Row {
        what: "basic.publish",
        needs: &[(Write, "exchange", "source")],
        request: |n| publish(1, &n.source, "a.b", 0, &[0, 0], b"x"),
        done: id::ACK,
    },
    Row {
        what: "basic.publish to the default exchange",
        needs: &[(Write, "exchange", "default")],
        request: |n| publish(1, "", &n.fresh, 0, &[0, 0], b"x"),
        done: id::ACK,
    },
    Row {
        what: "basic.publish with the names of queues in CC and BCC",
        needs: &[(Write, "exchange", "default")],
        request: |n| {
            let queue = || Field::Array(vec![Field::text(&n.queue)]);
            let properties =
                Properties::persistent().with_headers(&[("CC", queue()), ("BCC", queue())]);
            publish(1, "", &n.fresh, 0, &properties.encode(), b"x")
        },
        done: id::ACK,
    },
    Row {
        what: "basic.publish of a message for later",
        needs: &[(Write, "exchange", "source")],
        request: |n| {
            let properties =
                Properties::persistent().with_headers(&[("x-delay", Field::I32(60_000))]);
            publish(1, &n.source, "a.b", 0, &properties.encode(), b"x")
        },
        done: id::ACK,
    },
    Row {
        what: "basic.publish to a reply address",
        needs: &[(Write, "exchange", "default")],
        request: |_| publish(1, "", "amq.rabbitmq.reply-to.abc", 0, &[0, 0], b"x"),
        done: id::ACK,
    },
];

/// Looking whether something is there takes any one permission for it.
const LOOKS: &[(&str, &str, &str)] = &[
    ("passive queue.declare", "queue", "queue"),
    ("passive exchange.declare", "exchange", "source"),
];

#[test]
fn an_operation_is_done_for_who_has_all_it_needs_and_refused_to_who_lacks_one_thing() {
    let cluster = Cluster::start();
    let names = Names::new();
    let tried = tries(ROWS, "", |row| row.needs);
    let users: Vec<User> = tried.iter().map(|(_, user, _)| user.clone()).collect();
    bring_in(&guest(&cluster, 0), &names, &users, &[]);

    for node in (0..cluster.len()).rev() {
        let mut owner = Wire::open_channel(cluster.amqp(node)).unwrap();
        for (row, user, lacking) in &tried {
            names.prepare(&mut owner);
            let mut wire = user.wire(cluster.amqp(node));
            let select = Pack::method(id::CONFIRM_SELECT).u8(0).frame(1);
            wire.call(1, select, id::CONFIRM_SELECT_OK).unwrap();
            let what = format!("{} without {lacking:?} on node {node}", row.what);

            wire.send(&(row.request)(&names)).unwrap();

            match lacking {
                None => drop(wire.expect(1, row.done).expect(&what)),
                Some(lacking) => {
                    let close = wire.expect_close().expect(&what);
                    assert_refused(&close, &refusal(*lacking, &names, &user.name), &what);
                }
            }
        }
    }
}

#[test]
fn whoever_has_any_permission_for_something_may_look_whether_it_is_there() {
    let cluster = Cluster::start();
    let names = Names::new();
    let nobody = User::new("", &[]);
    let tried: Vec<(&str, &str, &str, User)> = LOOKS
        .iter()
        .flat_map(|&(what, kind, word)| {
            let has = [Configure, Write, Read].map(|access| [(access, kind, word)]);
            has.map(|has| (what, kind, word, User::new("", &has)))
        })
        .collect();
    let users = tried.iter().map(|(.., user)| user.clone());
    let users: Vec<User> = users.chain([nobody.clone()]).collect();
    bring_in(&guest(&cluster, 0), &names, &users, &[]);
    names.prepare(&mut Wire::open_channel(cluster.amqp(0)).unwrap());

    for node in (0..cluster.len()).rev() {
        for (what, kind, word, user) in &tried {
            let look = match *kind {
                "queue" => declare_queue(1, names.of(word), Flags::PASSIVE, &[]),
                _ => declare_exchange(1, names.of(word), "topic", Flags::PASSIVE, &[]),
            };
            let done =
                if *kind == "queue" { id::QUEUE_DECLARE_OK } else { id::EXCHANGE_DECLARE_OK };
            let seen = user.wire(cluster.amqp(node)).call(1, look.clone(), done);
            let mut stranger = nobody.wire(cluster.amqp(node));
            stranger.send(&look).unwrap();
            let refused = stranger.expect_close().unwrap();

            seen.unwrap_or_else(|error| panic!("{what} by {user:?} on node {node}: {error:#}"));
            assert_eq!((refused.channel, refused.code), (1, 403), "{what}: {}", refused.text);
        }
    }
}
