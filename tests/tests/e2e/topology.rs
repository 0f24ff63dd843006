//! Exchanges, bindings and queues: where messages go, what is there, and when it goes away.

use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, ExchangeBindOptions,
    ExchangeDeclareOptions, ExchangeDeleteOptions, ExchangeUnbindOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, ExchangeKind};

use crate::support::{
    Client, KINDS, Kind, eventually, is_elsewhere, long, next_texts, refusal, run, table,
};

#[test]
fn a_direct_exchange_goes_by_the_exact_key() {
    run(async {
        let client = Client::connect().await;
        let exchange = client.exchange(ExchangeKind::Direct, &[]).await;
        let [red, both] = [client.queue().await, client.queue().await];
        client.bind(&red, &exchange, "red", &[]).await;
        client.bind(&both, &exchange, "red", &[]).await;
        client.bind(&both, &exchange, "blue", &[]).await;

        for key in ["red", "blue", "Red", ""] {
            client.publish(&exchange, key, key, BasicProperties::default()).await;
        }

        assert_eq!(client.drain(&red).await, ["red"]);
        assert_eq!(client.drain(&both).await, ["red", "blue"]);
    });
}

#[test]
fn a_fanout_exchange_copies_to_every_queue_once() {
    run(async {
        let client = Client::connect().await;
        let exchange = client.exchange(ExchangeKind::Fanout, &[]).await;
        let queues = [client.queue().await, client.queue().await, client.queue().await];
        for queue in &queues {
            client.bind(queue, &exchange, "", &[]).await;
            client.bind(queue, &exchange, "ignored", &[]).await;
        }

        client.publish(&exchange, "whatever", "x", BasicProperties::default()).await;

        for queue in &queues {
            assert_eq!(client.drain(queue).await, ["x"]);
        }
    });
}

#[test]
fn a_topic_exchange_matches_words_with_star_and_hash() {
    run(async {
        let client = Client::connect().await;
        let exchange = client.exchange(ExchangeKind::Topic, &[]).await;
        let cases: [(&str, &[&str]); 10] = [
            ("*.orange.*", &["quick.orange.rabbit", ".orange."]),
            ("lazy.#", &["lazy", "lazy.brown.fox", "lazy."]),
            (
                "#",
                &[
                    "quick.orange.rabbit",
                    ".orange.",
                    "lazy",
                    "lazy.brown.fox",
                    "lazy.",
                    "",
                    "a..b",
                    "orange",
                ],
            ),
            // The empty key has no words.
            ("*", &["lazy", "orange"]),
            ("", &[""]),
            ("a.*.b", &["a..b"]),
            ("#.fox", &["lazy.brown.fox"]),
            ("lazy.*.fox", &["lazy.brown.fox"]),
            (
                "#.#",
                &[
                    "quick.orange.rabbit",
                    ".orange.",
                    "lazy",
                    "lazy.brown.fox",
                    "lazy.",
                    "",
                    "a..b",
                    "orange",
                ],
            ),
            ("orange.#.rabbit", &[]),
        ];
        let mut queues = Vec::new();
        for (pattern, _) in cases {
            let queue = client.queue().await;
            client.bind(&queue, &exchange, pattern, &[]).await;
            queues.push(queue);
        }

        for key in [
            "quick.orange.rabbit",
            ".orange.",
            "lazy",
            "lazy.brown.fox",
            "lazy.",
            "",
            "a..b",
            "orange",
        ] {
            client.publish(&exchange, key, key, BasicProperties::default()).await;
        }

        let mut differing = Vec::new();
        for ((pattern, expected), queue) in cases.iter().zip(&queues) {
            let found = client.drain(queue).await;
            if found != *expected {
                differing.push(format!("'{pattern}' matched {found:?}, not {expected:?}"));
            }
        }
        assert!(differing.is_empty(), "{}", differing.join("\n"));
    });
}

#[test]
fn a_headers_exchange_matches_all_or_any() {
    run(async {
        let client = Client::connect().await;
        let exchange = client.exchange(ExchangeKind::Headers, &[]).await;
        let number = |value| AMQPValue::LongInt(value);
        type Binding = (&'static str, Vec<(&'static str, AMQPValue)>, &'static [&'static str]);
        let bindings: [Binding; 7] = [
            ("all by default", vec![("a", number(1)), ("b", long("x"))], &["both"]),
            ("all", vec![("x-match", long("all")), ("a", number(1))], &["a only", "both"]),
            (
                "any",
                vec![("x-match", long("any")), ("a", number(1)), ("b", long("x"))],
                &["a only", "b only", "both"],
            ),
            ("nothing, all", vec![], &["a only", "b only", "both", "wide", "none"]),
            ("nothing, any", vec![("x-match", long("any"))], &[]),
            ("presence", vec![("a", AMQPValue::Void)], &["a only", "both", "wide"]),
            ("x-", vec![("x-match", long("all-with-x")), ("x-y", number(1))], &["wide"]),
        ];
        let mut queues = Vec::new();
        for (_, arguments, _) in &bindings {
            let queue = client.queue().await;
            client.bind(&queue, &exchange, "", arguments).await;
            queues.push(queue);
        }

        let messages = [
            ("a only", vec![("a", number(1))]),
            ("b only", vec![("b", long("x"))]),
            ("both", vec![("a", number(1)), ("b", long("x"))]),
            ("wide", vec![("a", number(2)), ("x-y", number(1))]),
            ("none", vec![]),
        ];
        for (body, headers) in messages {
            client
                .publish(
                    &exchange,
                    "",
                    body,
                    BasicProperties::default().with_headers(table(&headers)),
                )
                .await;
        }

        let mut differing = Vec::new();
        for ((name, _, expected), queue) in bindings.iter().zip(&queues) {
            let found = client.drain(queue).await;
            if found != *expected {
                differing.push(format!("'{name}' matched {found:?}, not {expected:?}"));
            }
        }
        assert!(differing.is_empty(), "{}", differing.join("\n"));
    });
}

#[test]
fn exchanges_bound_to_each_other_in_a_circle_give_each_queue_one_copy() {
    run(async {
        let client = Client::connect().await;
        let [one, two] = [
            client.exchange(ExchangeKind::Fanout, &[]).await,
            client.exchange(ExchangeKind::Fanout, &[]).await,
        ];
        let [a, b] = [client.queue().await, client.queue().await];
        bind_exchange(&client, &two, &one).await;
        bind_exchange(&client, &one, &two).await;
        for (queue, exchange) in [(&a, &one), (&a, &two), (&b, &two)] {
            client.bind(queue, exchange, "", &[]).await;
        }

        client.publish(&one, "", "x", BasicProperties::default()).await;
        let options = ExchangeUnbindOptions::default();
        let unbound = client.channel.exchange_unbind(
            two.as_str().into(),
            one.as_str().into(),
            "".into(),
            options,
            FieldTable::default(),
        );
        unbound.await.unwrap();
        client.publish(&one, "", "y", BasicProperties::default()).await;

        assert_eq!(client.drain(&a).await, ["x", "y"]);
        assert_eq!(client.drain(&b).await, ["x"]);
    });
}

#[test]
fn what_an_exchange_cannot_route_goes_to_its_alternate_and_counts_as_routed() {
    run(async {
        let client = Client::connect().await;
        let alternate = client.exchange(ExchangeKind::Fanout, &[]).await;
        let rest = client.queue().await;
        client.bind(&rest, &alternate, "", &[]).await;
        let exchange = client
            .exchange(ExchangeKind::Direct, &[("alternate-exchange", long(&alternate))])
            .await;
        let known = client.queue().await;
        client.bind(&known, &exchange, "known", &[]).await;

        let confirmations = [
            client.publish(&exchange, "known", "1", BasicProperties::default()).await,
            client.publish(&exchange, "unknown", "2", BasicProperties::default()).await,
        ];

        assert_eq!(confirmations, [Confirmation::Ack(None), Confirmation::Ack(None)]);
        assert_eq!(client.drain(&known).await, ["1"]);
        assert_eq!(client.drain(&rest).await, ["2"]);
    });
}

#[test]
fn a_queue_without_a_name_gets_one_and_is_then_meant_by_the_empty_name() {
    run(async {
        let client = Client::connect().await;

        let declared = client.channel.queue_declare(
            "".into(),
            QueueDeclareOptions::exclusive(),
            FieldTable::default(),
        );
        let name = declared.await.unwrap().name().to_string();
        client.put(&name, "x").await;
        let channel = &client.channel;
        let consumer = channel.basic_consume(
            "".into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut consumer = consumer.await.unwrap();

        assert!(name.starts_with("amq.gen-") && name.len() == "amq.gen-".len() + 22, "{name}");
        assert!(consumer.tag().as_str().starts_with("amq.ctag-"), "{}", consumer.tag());
        assert_eq!(next_texts(&mut consumer, 1).await, ["x"]);
    });
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer_and_not_before_its_first() {
    run(async {
        let client = Client::connect().await;
        for options in [
            QueueDeclareOptions::exclusive().auto_delete(),
            QueueDeclareOptions::durable().auto_delete(),
        ] {
            let queue = warren_tests::node::unique("auto");
            client
                .channel
                .queue_declare(queue.as_str().into(), options, FieldTable::default())
                .await
                .unwrap();
            assert!(client.take(&queue).await.is_none());
            let channel = client.channel().await;
            let [first, second] =
                [client.consume(&channel, &queue).await, client.consume(&channel, &queue).await];

            channel.basic_cancel(first.tag(), BasicCancelOptions::default()).await.unwrap();
            let between = client.has_queue(&queue).await;
            channel.basic_cancel(second.tag(), BasicCancelOptions::default()).await.unwrap();

            assert!(between);
            until_queue_is_gone(&client, &queue).await;
        }
    });
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumers_connection() {
    run(async {
        let client = Client::connect().await;
        let queue = warren_tests::node::unique("auto");
        let options = QueueDeclareOptions::durable().auto_delete();
        client
            .channel
            .queue_declare(queue.as_str().into(), options, FieldTable::default())
            .await
            .unwrap();
        let other = Client::connect().await;
        let _consumer = other.consume(&other.channel, &queue).await;

        other.close().await;

        until_queue_is_gone(&client, &queue).await;
    });
}

#[test]
fn an_exclusive_queue_goes_with_its_connection_and_its_name_is_free_at_once() {
    run(async {
        let client = Client::connect().await;
        let other = Client::connect().await;
        let queue = other.queue().await;
        let refused = refusal(declare_exclusive(&client.channel().await, &queue).await);

        other.close().await;

        assert_eq!(refused.0, 405);
        if is_elsewhere() {
            // RabbitMQ answers the close first and deletes the queue a moment later.
            until_queue_is_gone(&client, &queue).await;
        }
        declare_exclusive(&client.channel, &queue).await.unwrap();
        assert_eq!(client.counts(&queue).await, (0, 0));
    });
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding() {
    run(async {
        let client = Client::connect().await;
        let exchange = client.exchange(ExchangeKind::Direct, &[]).await;
        let [one, two] = [client.queue().await, client.queue().await];
        let without_bindings = client.has_exchange(&exchange).await;
        client.bind(&one, &exchange, "k", &[]).await;
        client.bind(&two, &exchange, "k", &[]).await;

        client.delete(&one).await;
        let with_one = client.has_exchange(&exchange).await;
        let unbound = client.channel.queue_unbind(
            two.as_str().into(),
            exchange.as_str().into(),
            "k".into(),
            FieldTable::default(),
        );
        unbound.await.unwrap();

        assert!(without_bindings && with_one);
        assert!(!client.has_exchange(&exchange).await);
    });
}

#[test]
fn nothing_is_answered_to_nowait_and_yet_it_is_done() {
    run(async {
        let client = Client::connect().await;
        let [queue, exchange] = ["nowait.q", "nowait.x"].map(warren_tests::node::unique);
        let channel = &client.channel;

        let options = QueueDeclareOptions { exclusive: true, nowait: true, ..Default::default() };
        channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();
        let options =
            ExchangeDeclareOptions { auto_delete: true, nowait: true, ..Default::default() };
        channel
            .exchange_declare(
                exchange.as_str().into(),
                ExchangeKind::Fanout,
                options,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let options = QueueBindOptions { nowait: true };
        channel
            .queue_bind(
                queue.as_str().into(),
                exchange.as_str().into(),
                "".into(),
                options,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let confirmation = client.publish(&exchange, "", "x", BasicProperties::default()).await;
        let options = BasicConsumeOptions { nowait: true, no_ack: true, ..Default::default() };
        let mut consumer = channel
            .basic_consume(queue.as_str().into(), "tag".into(), options, FieldTable::default())
            .await
            .unwrap();

        assert_eq!(confirmation, Confirmation::Ack(None));
        assert_eq!(next_texts(&mut consumer, 1).await, ["x"]);
    });
}

#[test]
fn declaring_again_tells_messages_and_consumers() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2"]).await;

            let before = client.counts(&queue).await;
            let channel = client.channel().await;
            let _consumer = client.consume(&channel, &queue).await;

            assert_eq!(before, (2, 0));
            eventually("the messages are delivered", || async {
                (client.counts(&queue).await == (0, 1)).then_some(())
            })
            .await;
        }
    });
}

#[test]
fn purge_takes_what_is_ready_and_leaves_what_is_held() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["held", "2", "3"]).await;
            let channel = client.channel().await;
            let held = channel.basic_get(queue.as_str().into(), Default::default()).await.unwrap();

            let purged = client
                .channel
                .queue_purge(queue.as_str().into(), QueuePurgeOptions::default())
                .await
                .unwrap();
            channel.close(200, "bye".into()).await.unwrap();

            assert!(held.is_some());
            assert_eq!(purged, 2);
            client.until_ready(&queue, 1).await;
            assert_eq!(client.drain(&queue).await, ["held"]);
        }
    });
}

#[test]
fn delete_tells_how_many_messages_went_and_minds_its_conditions() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2"]).await;
            let if_empty = QueueDeleteOptions { if_empty: true, ..Default::default() };
            let if_unused = QueueDeleteOptions { if_unused: true, ..Default::default() };

            let refused =
                refusal(client.channel().await.queue_delete(queue.as_str().into(), if_empty).await);
            let deleted =
                client.channel.queue_delete(queue.as_str().into(), if_unused).await.unwrap();

            assert_eq!(
                refused,
                (406, format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"))
            );
            assert_eq!(deleted, 2);
            assert!(!client.has_queue(&queue).await);
        }
    });
}

#[test]
fn deleting_or_unbinding_what_is_not_there_succeeds() {
    run(async {
        let client = Client::connect().await;
        let missing = warren_tests::node::unique("missing");
        let queue = client.queue().await;
        let channel = &client.channel;

        let deleted =
            channel.queue_delete(missing.as_str().into(), QueueDeleteOptions::default()).await;
        let gone = channel
            .exchange_delete(missing.as_str().into(), ExchangeDeleteOptions::default())
            .await;
        let unbound = channel
            .queue_unbind(
                queue.as_str().into(),
                "amq.direct".into(),
                "k".into(),
                FieldTable::default(),
            )
            .await;
        let nothing = channel.queue_unbind(
            missing.as_str().into(),
            missing.as_str().into(),
            "k".into(),
            FieldTable::default(),
        );

        assert_eq!(deleted.unwrap(), 0);
        gone.unwrap();
        unbound.unwrap();
        nothing.await.unwrap();
    });
}

#[test]
fn a_queue_that_is_deleted_and_declared_again_is_empty_and_unbound() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.bind(&queue, "amq.direct", &queue, &[]).await;
            client.put(&queue, "before").await;

            client.delete(&queue).await;
            let options = if kind == Kind::Durable {
                QueueDeclareOptions::durable()
            } else {
                QueueDeclareOptions::exclusive()
            };
            client
                .channel
                .queue_declare(queue.as_str().into(), options, FieldTable::default())
                .await
                .unwrap();
            let returned =
                client.publish("amq.direct", &queue, "unbound", BasicProperties::default()).await;
            client.put(&queue, "after").await;

            assert!(returned.take_message().is_some());
            assert_eq!(client.drain(&queue).await, ["after"]);
            client.delete(&queue).await;
        }
    });
}

#[test]
fn numbers_of_different_width_are_the_same_argument() {
    run(async {
        let client = Client::connect().await;
        let queue =
            client.queue_with(Kind::Exclusive, &[("x-max-length", AMQPValue::LongInt(10))]).await;

        let wider = table(&[("x-max-length", AMQPValue::LongLongInt(10))]);
        let again = client
            .channel
            .queue_declare(queue.as_str().into(), QueueDeclareOptions::exclusive(), wider)
            .await;

        again.unwrap();
    });
}

#[test]
fn the_default_queue_type_and_classic_are_equal() {
    run(async {
        let client = Client::connect().await;
        let queue = client.queue().await;

        let classic = table(&[("x-queue-type", long("classic"))]);
        let again = client
            .channel
            .queue_declare(queue.as_str().into(), QueueDeclareOptions::exclusive(), classic)
            .await;

        again.unwrap();
    });
}

#[test]
fn a_queue_in_memory_that_is_not_exclusive_serves_every_connection() {
    run(async {
        let client = Client::connect().await;
        let other = Client::connect().await;
        let queue = warren_tests::node::unique("transient");
        let options = QueueDeclareOptions::default();
        let declared =
            client.channel.queue_declare(queue.as_str().into(), options, FieldTable::default());
        declared.await.unwrap();

        client.put_all(&queue, &["1", "2"]).await;
        client.close().await;

        assert_eq!(other.drain(&queue).await, ["1", "2"]);
        other.delete(&queue).await;
    });
}

#[test]
fn an_unused_queue_expires() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_with(kind, &[("x-expires", AMQPValue::LongInt(50))]).await;
            // To look for the queue is to use it, so we look for an exchange that goes with it.
            let exchange = client.exchange(ExchangeKind::Fanout, &[]).await;
            client.bind(&queue, &exchange, "", &[]).await;

            eventually("the exchange is gone", || async {
                (!client.has_exchange(&exchange).await).then_some(())
            })
            .await;

            assert!(!client.has_queue(&queue).await);
        }
    });
}

#[test]
fn names_may_be_long_and_hold_any_unicode() {
    run(async {
        let client = Client::connect().await;
        let long = "q".repeat(255 - warren_tests::node::unique("").len());
        for stem in ["очередь", "キュー", "with space", "a/b%2F?c=d", "\u{1F407}", long.as_str()]
        {
            let queue = warren_tests::node::unique("").split_at(1).1.to_owned() + stem;
            client
                .channel
                .queue_declare(
                    queue.as_str().into(),
                    QueueDeclareOptions::exclusive(),
                    FieldTable::default(),
                )
                .await
                .unwrap();

            client.put(&queue, stem).await;

            assert_eq!(client.drain(&queue).await, [stem]);
        }
    });
}

async fn bind_exchange(client: &Client, destination: &str, source: &str) {
    let options = ExchangeBindOptions::default();
    let bound = client.channel.exchange_bind(
        destination.into(),
        source.into(),
        "".into(),
        options,
        FieldTable::default(),
    );
    bound.await.unwrap();
}

async fn declare_exclusive(channel: &lapin::Channel, queue: &str) -> lapin::Result<lapin::Queue> {
    channel
        .queue_declare(queue.into(), QueueDeclareOptions::exclusive(), FieldTable::default())
        .await
}

async fn until_queue_is_gone(client: &Client, queue: &str) {
    eventually("the queue is gone", || async { (!client.has_queue(queue).await).then_some(()) })
        .await;
}

#[test]
fn an_internal_exchange_takes_messages_from_exchanges_only() {
    run(async {
        let client = Client::connect().await;
        let inner = warren_tests::node::unique("inner");
        let options =
            ExchangeDeclareOptions { internal: true, auto_delete: true, ..Default::default() };
        client
            .channel
            .exchange_declare(
                inner.as_str().into(),
                ExchangeKind::Fanout,
                options,
                FieldTable::default(),
            )
            .await
            .unwrap();
        let outer = client.exchange(ExchangeKind::Fanout, &[]).await;
        let queue = client.queue().await;
        client.bind(&queue, &inner, "", &[]).await;
        bind_exchange(&client, &inner, &outer).await;

        client.publish(&outer, "", "through", BasicProperties::default()).await;
        let channel = client.channel().await;
        channel.confirm_select(Default::default()).await.unwrap();
        let direct = channel.basic_publish(
            inner.as_str().into(),
            "".into(),
            BasicPublishOptions::default(),
            b"x",
            BasicProperties::default(),
        );

        assert_eq!(refusal(direct.await.unwrap().await).0, 403);
        assert_eq!(client.drain(&queue).await, ["through"]);
    });
}
