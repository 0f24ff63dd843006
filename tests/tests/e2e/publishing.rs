//! From the publisher's side: confirms, returns, properties that the broker reads, transactions.

use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, QueueDeleteOptions,
};
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Confirmation, ExchangeKind};

use crate::support::{
    Client, KINDS, Kind, long, longs, next, next_texts, refusal, run, table, text,
};

#[test]
fn a_message_arrives_with_all_its_properties() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            let headers = table(&[
                ("bool", AMQPValue::Boolean(true)),
                ("i8", AMQPValue::ShortShortInt(-8)),
                ("i16", AMQPValue::ShortInt(-16)),
                ("i32", AMQPValue::LongInt(-32)),
                ("i64", AMQPValue::LongLongInt(-64)),
                ("double", AMQPValue::Double(0.5)),
                ("text", long("grüße")),
                ("list", longs(&["a", "b"])),
                ("time", AMQPValue::Timestamp(1_700_000_000)),
                ("inner", AMQPValue::FieldTable(table(&[("x", AMQPValue::Void)]))),
                ("bytes", AMQPValue::ByteArray(vec![0, 255].into())),
            ]);
            let properties = BasicProperties::default()
                .with_content_type("text/plain".into())
                .with_content_encoding("utf-8".into())
                .with_headers(headers)
                .with_delivery_mode(2)
                .with_priority(3)
                .with_correlation_id("c".into())
                .with_reply_to("r".into())
                .with_expiration("600000".into())
                .with_message_id("m".into())
                .with_timestamp(1_700_000_001)
                .with_type("k".into())
                .with_user_id("guest".into())
                .with_app_id("a".into())
                .with_cluster_id("z".into());

            client.publish("", &queue, "hello", properties.clone()).await;

            let delivery = client.take(&queue).await.unwrap();
            assert_eq!(
                (delivery.exchange.as_str(), delivery.routing_key.as_str()),
                ("", queue.as_str())
            );
            assert_eq!(text(&delivery), "hello");
            assert_eq!(delivery.properties, properties);
            assert!(!delivery.redelivered);
        }
    });
}

#[test]
fn bodies_of_every_size_arrive_unchanged() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            // Around the frame size of 131,072 with its 8 bytes of overhead, and over several.
            for size in [0, 1, 4095, 131_063, 131_064, 131_065, 262_128, 300_000, 3 << 20] {
                let body: String = ('a'..='z').cycle().take(size).collect();

                client.put(&queue, &body).await;

                let delivery = client.take(&queue).await.unwrap();
                assert!(
                    text(&delivery) == body,
                    "{size} bytes came back as {}",
                    delivery.data.len()
                );
            }
        }
    });
}

#[test]
fn every_publish_is_confirmed_once_and_in_turn_read() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            let mut sent = Vec::new();
            for number in 0..500 {
                let body = number.to_string();
                let options = BasicPublishOptions::default();
                let publish = client.channel.basic_publish(
                    "".into(),
                    queue.as_str().into(),
                    options,
                    body.as_bytes(),
                    BasicProperties::default().with_delivery_mode(2),
                );
                sent.push(publish.await.unwrap());
            }

            for confirm in sent {
                assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
            }

            let expected: Vec<String> = (0..500).map(|number| number.to_string()).collect();
            assert_eq!(client.drain(&queue).await, expected);
        }
    });
}

#[test]
fn a_mandatory_message_without_a_queue_comes_back_and_is_confirmed() {
    run(async {
        let client = Client::connect().await;

        let confirmation =
            client.publish("amq.direct", "nowhere", "lost", BasicProperties::default()).await;

        assert!(confirmation.is_ack());
        let returned = confirmation.take_message().unwrap();
        assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
        assert_eq!(
            (returned.exchange.as_str(), returned.routing_key.as_str()),
            ("amq.direct", "nowhere")
        );
        assert_eq!(text(&returned.delivery), "lost");
    });
}

#[test]
fn a_message_without_a_queue_is_confirmed_all_the_same() {
    run(async {
        let client = Client::connect().await;

        let options = BasicPublishOptions::default();
        let sent = client.channel.basic_publish(
            "".into(),
            "nowhere at all".into(),
            options,
            b"x",
            BasicProperties::default(),
        );
        let confirmation = sent.await.unwrap().await.unwrap();

        assert_eq!(confirmation, Confirmation::Ack(None));
    });
}

#[test]
fn a_full_queue_that_rejects_answers_with_nack() {
    run(async {
        let client = Client::connect().await;
        let limits =
            [("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", long("reject-publish"))];
        let queue = client.queue_with(Kind::Exclusive, &limits).await;
        client.put(&queue, "fits").await;

        let confirmation = client.publish("", &queue, "does not", BasicProperties::default()).await;

        assert!(confirmation.is_nack(), "{confirmation:?}");
        assert_eq!(client.drain(&queue).await, ["fits"]);
    });
}

#[test]
fn a_full_queue_drops_its_oldest_message() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_with(kind, &[("x-max-length", AMQPValue::LongInt(2))]).await;

            client.put_all(&queue, &["1", "2", "3"]).await;

            client.until_ready(&queue, 2).await;
            assert_eq!(client.drain(&queue).await, ["2", "3"]);
        }
    });
}

#[test]
fn deleting_a_queue_under_a_publisher_turns_no_confirm_into_a_nack() {
    run(async {
        let client = Client::connect().await;
        let queue = client.queue().await;
        let mut sent = Vec::new();
        let channel = client.channel().await;
        for number in 0..200 {
            let options = BasicPublishOptions::default();
            let publish = client.channel.basic_publish(
                "".into(),
                queue.as_str().into(),
                options,
                b"x",
                BasicProperties::default(),
            );
            sent.push(publish.await.unwrap());
            if number == 100 {
                channel
                    .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
                    .await
                    .unwrap();
            }
        }

        for confirm in sent {
            assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
        }
    });
}

#[test]
fn cc_and_bcc_add_routing_keys_and_bcc_is_removed() {
    run(async {
        let client = Client::connect().await;
        let [to, copy, blind] = [client.queue().await, client.queue().await, client.queue().await];
        let headers = table(&[("CC", longs(&[&copy, &to])), ("BCC", longs(&[&blind]))]);

        client.publish("", &to, "x", BasicProperties::default().with_headers(headers)).await;

        for queue in [&to, &copy, &blind] {
            let delivery = client.take(queue).await.unwrap();
            let headers = delivery.properties.headers().clone().unwrap();
            assert_eq!(headers.inner().get("CC"), Some(&longs(&[&copy, &to])), "in {queue}");
            assert!(!headers.contains_key("BCC"), "in {queue}");
            assert_eq!(delivery.routing_key.as_str(), to, "in {queue}");
            assert!(client.take(queue).await.is_none(), "a second copy in {queue}");
        }
    });
}

#[test]
fn a_mandatory_message_that_only_its_copies_reach_does_not_come_back() {
    run(async {
        let client = Client::connect().await;
        let queue = client.queue().await;
        let headers = table(&[("CC", longs(&[&queue]))]);

        let confirmation = client
            .publish("", "nowhere", "x", BasicProperties::default().with_headers(headers))
            .await;

        assert_eq!(confirmation, Confirmation::Ack(None));
        assert_eq!(client.drain(&queue).await, ["x"]);
    });
}

#[test]
fn a_user_id_that_is_the_login_is_accepted_and_another_closes_the_channel() {
    run(async {
        let client = Client::connect().await;
        let queue = client.queue().await;
        let as_user = |name: &str| BasicProperties::default().with_user_id(name.into());

        client.publish("", &queue, "mine", as_user("guest")).await;
        let options = BasicPublishOptions::default();
        let publish = client.channel.basic_publish(
            "".into(),
            queue.as_str().into(),
            options,
            b"x",
            as_user("root"),
        );
        let refused = refusal(publish.await.unwrap().await);

        let text = "PRECONDITION_FAILED - user_id property set to 'root' but authenticated user was 'guest'";
        assert_eq!(refused, (406, text.to_owned()));
    });
}

#[test]
fn an_expired_message_is_not_delivered() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;

            client
                .publish(
                    "",
                    &queue,
                    "brief",
                    BasicProperties::default().with_expiration("1".into()),
                )
                .await;
            client.until_ready(&queue, 0).await;
            client.put(&queue, "lasting").await;

            assert_eq!(client.drain(&queue).await, ["lasting"]);
        }
    });
}

#[test]
fn a_message_with_expiration_zero_reaches_only_a_waiting_consumer() {
    run(async {
        let client = Client::connect().await;
        let queue = client.queue().await;
        let now_or_never = || BasicProperties::default().with_expiration("0".into());

        client.publish("", &queue, "too early", now_or_never()).await;
        client.until_ready(&queue, 0).await;
        let channel = client.channel().await;
        let mut consumer = client.consume(&channel, &queue).await;
        client.publish("", &queue, "in time", now_or_never()).await;

        assert_eq!(next_texts(&mut consumer, 1).await, ["in time"]);
    });
}

#[test]
fn what_a_transaction_publishes_is_there_after_its_commit_only() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            let channel = client.channel().await;
            channel.tx_select().await.unwrap();
            let publish = async |body: &[u8]| {
                let options = BasicPublishOptions::default();
                let sent = channel.basic_publish(
                    "".into(),
                    queue.as_str().into(),
                    options,
                    body,
                    BasicProperties::default(),
                );
                sent.await.unwrap();
            };

            publish(b"dropped").await;
            channel.tx_rollback().await.unwrap();
            publish(b"1").await;
            publish(b"2").await;
            let before = client.counts(&queue).await;
            channel.tx_commit().await.unwrap();

            assert_eq!(before.0, 0);
            assert_eq!(client.drain(&queue).await, ["1", "2"]);
        }
    });
}

#[test]
fn acks_in_a_transaction_count_at_its_commit_and_are_open_again_after_a_rollback() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2"]).await;
            let channel = client.channel().await;
            channel.tx_select().await.unwrap();
            for _ in 0..2 {
                let got = channel
                    .basic_get(queue.as_str().into(), BasicGetOptions::default())
                    .await
                    .unwrap();
                assert!(got.is_some());
            }

            channel.basic_ack(1, BasicAckOptions::default()).await.unwrap();
            channel.tx_commit().await.unwrap();
            channel.basic_ack(2, BasicAckOptions::default()).await.unwrap();
            channel.tx_rollback().await.unwrap();
            channel.close(200, "bye".into()).await.unwrap();

            client.until_ready(&queue, 1).await;
            assert_eq!(client.drain(&queue).await, ["2"]);
        }
    });
}

#[test]
fn a_direct_reply_finds_its_way_without_a_queue() {
    run(async {
        let client = Client::connect().await;
        let requests = client.queue().await;
        let asker = client.channel().await;
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let mut replies = client.consume_with(&asker, "amq.rabbitmq.reply-to", no_ack, &[]).await;

        let ask = BasicProperties::default()
            .with_reply_to("amq.rabbitmq.reply-to".into())
            .with_correlation_id("7".into());
        let options = BasicPublishOptions::default();
        asker
            .basic_publish("".into(), requests.as_str().into(), options, b"2+2", ask)
            .await
            .unwrap();
        client.until_ready(&requests, 1).await;
        let request = client.take(&requests).await.unwrap();
        let reply_to = request.properties.reply_to().clone().unwrap();
        let answer = BasicProperties::default()
            .with_correlation_id(request.properties.correlation_id().clone().unwrap());
        let confirmation = client.publish("", reply_to.as_str(), "4", answer).await;

        assert_eq!(confirmation, Confirmation::Ack(None));
        let reply = next(&mut replies).await;
        assert!(reply_to.as_str().starts_with("amq.rabbitmq.reply-to."), "{reply_to}");
        assert_eq!(
            (text(&reply), reply.properties.correlation_id().clone()),
            ("4".to_owned(), Some("7".into()))
        );
    });
}

#[test]
fn a_reply_address_is_alive_as_long_as_its_channel() {
    run(async {
        let client = Client::connect().await;
        let requests = client.queue().await;
        let asker = client.channel().await;
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let _replies = client.consume_with(&asker, "amq.rabbitmq.reply-to", no_ack, &[]).await;
        let ask = BasicProperties::default().with_reply_to("amq.rabbitmq.reply-to".into());
        let options = BasicPublishOptions::default();
        asker.basic_publish("".into(), requests.as_str().into(), options, b"?", ask).await.unwrap();
        client.until_ready(&requests, 1).await;
        let request = client.take(&requests).await.unwrap();
        let reply_to = request.properties.reply_to().clone().unwrap().to_string();

        let while_open = client.counts(&reply_to).await;
        asker.close(200, "bye".into()).await.unwrap();

        assert_eq!(while_open, (0, 1));
        crate::support::eventually("the reply address is gone", || async {
            (!client.has_queue(&reply_to).await).then_some(())
        })
        .await;
    });
}

#[test]
fn an_exchange_to_which_nothing_is_bound_takes_messages_and_forgets_them() {
    run(async {
        let client = Client::connect().await;
        let exchange = client.exchange(ExchangeKind::Fanout, &[]).await;

        let options = BasicPublishOptions::default();
        let sent = client.channel.basic_publish(
            exchange.as_str().into(),
            "".into(),
            options,
            b"x",
            BasicProperties::default(),
        );

        assert_eq!(sent.await.unwrap().await.unwrap(), Confirmation::Ack(None));
    });
}
