//! From the consumer's side: who gets what, when, how often, and in which order.

use std::collections::BTreeSet;

use lapin::Channel;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions,
    BasicQosOptions, BasicRecoverOptions, BasicRejectOptions,
};
use lapin::types::AMQPValue;

use crate::support::{
    Client, KINDS, Kind, cancelled, eventually, is_elsewhere, next, next_texts, refusal, run, text,
};

#[test]
fn an_acknowledged_message_is_gone_and_another_comes_back() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["a", "b"]).await;
            let channel = client.channel().await;
            let mut consumer = client.consume(&channel, &queue).await;
            let first = next(&mut consumer).await;
            let second = next(&mut consumer).await;

            first.ack(BasicAckOptions::default()).await.unwrap();
            channel.close(200, "bye".into()).await.unwrap();

            client.until_ready(&queue, 1).await;
            let again = client.take(&queue).await.unwrap();
            assert_eq!(
                (text(&again), again.redelivered, second.redelivered),
                ("b".to_owned(), true, false)
            );
            assert!(client.take(&queue).await.is_none());
        }
    });
}

#[test]
fn an_ack_with_multiple_settles_all_before_it() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2", "3"]).await;
            let channel = client.channel().await;
            let mut consumer = client.consume(&channel, &queue).await;
            next_texts(&mut consumer, 3).await;

            channel.basic_ack(2, BasicAckOptions { multiple: true }).await.unwrap();
            channel.close(200, "bye".into()).await.unwrap();

            client.until_ready(&queue, 1).await;
            assert_eq!(client.drain(&queue).await, ["3"]);
        }
    });
}

#[test]
fn an_ack_of_tag_zero_with_multiple_settles_everything_even_nothing() {
    run(async {
        let client = Client::connect().await;
        let queue = client.queue().await;
        let channel = client.channel().await;
        channel.basic_ack(0, BasicAckOptions { multiple: true }).await.unwrap();
        client.put_all(&queue, &["1", "2"]).await;
        let mut consumer = client.consume(&channel, &queue).await;
        next_texts(&mut consumer, 2).await;

        channel.basic_ack(0, BasicAckOptions { multiple: true }).await.unwrap();
        channel.close(200, "bye".into()).await.unwrap();

        assert!(client.take(&queue).await.is_none());
    });
}

#[test]
fn requeued_messages_go_back_to_where_they_were() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2", "3", "4"]).await;
            let channel = client.channel().await;
            for tag in 1..=3 {
                let got = channel
                    .basic_get(queue.as_str().into(), BasicGetOptions::default())
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!(got.delivery_tag, tag);
            }

            // Out of order on purpose: each finds its own place.
            for tag in [2, 3, 1] {
                channel
                    .basic_nack(tag, BasicNackOptions { multiple: false, requeue: true })
                    .await
                    .unwrap();
            }

            client.until_ready(&queue, 4).await;
            let mut seen = Vec::new();
            while let Some(delivery) = client.take(&queue).await {
                seen.push((text(&delivery), delivery.redelivered));
            }
            let expected = [("1", true), ("2", true), ("3", true), ("4", false)];
            assert_eq!(seen, expected.map(|(body, flag)| (body.to_owned(), flag)), "{kind:?}");
        }
    });
}

#[test]
fn a_message_that_is_nacked_without_requeue_is_gone() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2", "3"]).await;
            let channel = client.channel().await;
            let mut consumer = client.consume(&channel, &queue).await;
            next_texts(&mut consumer, 3).await;

            channel
                .basic_nack(2, BasicNackOptions { multiple: true, requeue: false })
                .await
                .unwrap();
            channel.basic_reject(3, BasicRejectOptions { requeue: false }).await.unwrap();
            channel.close(200, "bye".into()).await.unwrap();

            assert_eq!(client.counts(&queue).await, (0, 0));
        }
    });
}

#[test]
fn a_rejected_message_comes_again_flagged() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put(&queue, "x").await;
            let channel = client.channel().await;
            let mut consumer = client.consume(&channel, &queue).await;

            let first = next(&mut consumer).await;
            first.reject(BasicRejectOptions { requeue: true }).await.unwrap();
            let second = next(&mut consumer).await;

            assert_eq!((first.redelivered, second.redelivered), (false, true));
            assert_eq!((first.delivery_tag, second.delivery_tag), (1, 2));
        }
    });
}

#[test]
fn recover_gives_everything_unsettled_back_to_the_queue() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2"]).await;
            let channel = client.channel().await;
            let mut consumer = client.consume(&channel, &queue).await;
            next_texts(&mut consumer, 2).await;

            channel.basic_recover(BasicRecoverOptions { requeue: true }).await.unwrap();

            let again = [next(&mut consumer).await, next(&mut consumer).await];
            assert_eq!(again.each_ref().map(text), ["1", "2"]);
            assert!(again.iter().all(|delivery| delivery.redelivered));
        }
    });
}

#[test]
fn prefetch_bounds_each_consumer_by_itself() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2", "3", "4", "5", "6"]).await;
            let channel = client.channel().await;
            channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();

            let mut first = client.consume(&channel, &queue).await;
            let mut second = client.consume(&channel, &queue).await;
            let held = [next_texts(&mut first, 2).await, next_texts(&mut second, 2).await];
            client.until_ready(&queue, 2).await;
            channel.basic_ack(1, BasicAckOptions::default()).await.unwrap();
            let more = next_texts(&mut first, 1).await;

            assert_eq!(held, [["1", "2"], ["3", "4"]]);
            assert_eq!(more, ["5"]);
            client.until_ready(&queue, 1).await;
        }
    });
}

#[test]
fn a_global_prefetch_bounds_the_whole_channel() {
    if is_elsewhere() {
        // RabbitMQ 4.3 takes it for a prefetch of each consumer, unless configured otherwise.
        return;
    }
    run(async {
        let client = Client::connect().await;
        let queue = client.queue().await;
        client.put_all(&queue, &["1", "2", "3", "4", "5"]).await;
        let channel = client.channel().await;
        channel.basic_qos(3, BasicQosOptions { global: true }).await.unwrap();

        let mut first = client.consume(&channel, &queue).await;
        let mut second = client.consume(&channel, &queue).await;
        let held = next_texts(&mut first, 3).await;
        client.until_ready(&queue, 2).await;
        channel.basic_ack(1, BasicAckOptions::default()).await.unwrap();
        client.until_ready(&queue, 1).await;
        channel.basic_ack(3, BasicAckOptions { multiple: true }).await.unwrap();
        client.until_ready(&queue, 0).await;

        assert_eq!(held, ["1", "2", "3"]);
        // Whoever had them: all of the rest were delivered, none twice.
        channel.basic_cancel(first.tag(), BasicCancelOptions::default()).await.unwrap();
        channel.basic_cancel(second.tag(), BasicCancelOptions::default()).await.unwrap();
        let mut rest = BTreeSet::new();
        for consumer in [&mut first, &mut second] {
            while let Some(Ok(delivery)) = futures::StreamExt::next(consumer).await {
                assert!(rest.insert(text(&delivery)));
            }
        }
        assert_eq!(rest, BTreeSet::from(["4".to_owned(), "5".to_owned()]));
    });
}

#[test]
fn prefetch_does_not_bound_automatic_acks_nor_get() {
    run(async {
        let client = Client::connect().await;
        let queue = client.queue().await;
        client.put_all(&queue, &["1", "2", "3", "4"]).await;
        let channel = client.channel().await;
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();

        for _ in 0..2 {
            let got =
                channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap();
            assert!(got.is_some());
        }
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let mut consumer = client.consume_with(&channel, &queue, no_ack, &[]).await;

        assert_eq!(next_texts(&mut consumer, 2).await, ["3", "4"]);
    });
}

#[test]
fn two_consumers_take_turns() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            let channel = client.channel().await;
            let mut first = client.consume(&channel, &queue).await;
            let mut second = client.consume(&channel, &queue).await;

            client.put_all(&queue, &["1", "2", "3", "4", "5", "6"]).await;

            let seen = [next_texts(&mut first, 3).await, next_texts(&mut second, 3).await];
            assert_eq!(seen, [["1", "3", "5"], ["2", "4", "6"]], "{kind:?}");
        }
    });
}

#[test]
fn the_consumer_of_higher_priority_comes_first_while_it_has_room() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            let channel = client.channel().await;
            channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
            let low = [("x-priority", AMQPValue::LongInt(-1))];
            let high = [("x-priority", AMQPValue::LongInt(10))];
            let mut low =
                client.consume_with(&channel, &queue, BasicConsumeOptions::default(), &low).await;
            let mut high =
                client.consume_with(&channel, &queue, BasicConsumeOptions::default(), &high).await;

            client.put_all(&queue, &["1", "2", "3"]).await;

            assert_eq!(next_texts(&mut high, 2).await, ["1", "2"]);
            assert_eq!(next_texts(&mut low, 1).await, ["3"]);
        }
    });
}

#[test]
fn an_exclusive_consumer_keeps_others_away_until_it_leaves() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            let channel = client.channel().await;
            let exclusive = BasicConsumeOptions { exclusive: true, ..Default::default() };
            let owner = client.consume_with(&channel, &queue, exclusive, &[]).await;

            let other = client.channel().await;
            let second = other
                .basic_consume(
                    queue.as_str().into(),
                    "".into(),
                    Default::default(),
                    Default::default(),
                )
                .await;
            let (code, text) = refusal(second.map(|_| ()));
            channel.basic_cancel(owner.tag(), BasicCancelOptions::default()).await.unwrap();
            let third = client.channel().await;
            let mut consumer = client.consume(&third, &queue).await;
            client.put(&queue, "x").await;

            assert_eq!(
                (code, text),
                (403, format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"))
            );
            assert_eq!(next_texts(&mut consumer, 1).await, ["x"]);
        }
    });
}

#[test]
fn a_single_active_consumer_gets_everything_and_the_next_one_follows_it() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client
                .queue_with(kind, &[("x-single-active-consumer", AMQPValue::Boolean(true))])
                .await;
            let channel = client.channel().await;
            let other = client.channel().await;
            let mut first = client.consume(&channel, &queue).await;
            let mut second = client.consume(&other, &queue).await;

            client.put_all(&queue, &["1", "2"]).await;
            let active = next_texts(&mut first, 2).await;
            channel.basic_ack(1, BasicAckOptions::default()).await.unwrap();
            channel.close(200, "bye".into()).await.unwrap();
            let handed_over = next(&mut second).await;
            client.put(&queue, "3").await;

            assert_eq!(active, ["1", "2"]);
            assert_eq!((text(&handed_over), handed_over.redelivered), ("2".to_owned(), true));
            assert_eq!(next_texts(&mut second, 1).await, ["3"]);
        }
    });
}

#[test]
fn a_cancelled_consumer_keeps_what_it_holds_and_can_still_settle_it() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2"]).await;
            let channel = client.channel().await;
            let mut consumer = client.consume(&channel, &queue).await;
            let first = next(&mut consumer).await;
            let _second = next(&mut consumer).await;

            channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
            client.put(&queue, "3").await;
            let ready_while_held = client.drain(&queue).await;
            first.ack(BasicAckOptions::default()).await.unwrap();
            channel.close(200, "bye".into()).await.unwrap();

            assert_eq!(ready_while_held, ["3"]);
            client.until_ready(&queue, 1).await;
            assert_eq!(client.drain(&queue).await, ["2"]);
        }
    });
}

#[test]
fn cancelling_a_consumer_that_does_not_exist_succeeds() {
    run(async {
        let client = Client::connect().await;

        client.channel.basic_cancel("nobody".into(), BasicCancelOptions::default()).await.unwrap();

        assert_eq!(client.drain(&client.queue().await).await, [""; 0]);
    });
}

#[test]
fn a_consumer_is_told_when_its_queue_is_deleted() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            let channel = client.channel().await;
            let mut consumer = client.consume(&channel, &queue).await;
            client.put(&queue, "held").await;
            let held = next(&mut consumer).await;

            client.delete(&queue).await;

            cancelled(&mut consumer).await;
            // What it still holds may be settled: the queue is gone, the channel is not.
            held.ack(BasicAckOptions::default()).await.unwrap();
            channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        }
    });
}

#[test]
fn get_tells_how_many_messages_are_left_and_when_there_is_none() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            client.put_all(&queue, &["1", "2"]).await;
            let get =
                || client.channel.basic_get(queue.as_str().into(), BasicGetOptions::default());

            let first = get().await.unwrap().unwrap();
            let second = get().await.unwrap().unwrap();
            let third = get().await.unwrap();

            assert_eq!((first.message_count, second.message_count), (1, 0));
            assert!(third.is_none());
            assert_eq!(client.counts(&queue).await, (0, 0));
        }
    });
}

#[test]
fn messages_of_a_lost_connection_come_back_in_place_and_flagged() {
    run(async {
        let client = Client::connect().await;
        let queue = client.queue_of(Kind::Durable).await;
        client.put_all(&queue, &["1", "2", "3"]).await;
        let other = Client::connect().await;
        let mut consumer = other.consume(&other.channel, &queue).await;
        next_texts(&mut consumer, 3).await;

        other.close().await;

        client.until_ready(&queue, 3).await;
        let flags = take_flags(&client, &queue).await;
        assert_eq!(
            flags,
            [("1", true), ("2", true), ("3", true)].map(|(body, flag)| (body.to_owned(), flag))
        );
        client.delete(&queue).await;
    });
}

#[test]
fn a_consumer_of_an_empty_queue_gets_what_comes_later() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let queue = client.queue_of(kind).await;
            let channel = client.channel().await;
            let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
            let mut consumer = client.consume_with(&channel, &queue, no_ack, &[]).await;
            assert_eq!(client.counts(&queue).await, (0, 1));

            client.put_all(&queue, &["1", "2", "3"]).await;

            assert_eq!(next_texts(&mut consumer, 3).await, ["1", "2", "3"]);
            assert_eq!(client.counts(&queue).await, (0, 1));
        }
    });
}

#[test]
fn messages_of_higher_priority_overtake_those_that_wait() {
    run(async {
        let client = Client::connect().await;
        let queue =
            client.queue_with(Kind::Exclusive, &[("x-max-priority", AMQPValue::LongInt(5))]).await;
        for (body, priority) in
            [("low", 0), ("high", 5), ("middle", 3), ("beyond", 9), ("low again", 0)]
        {
            client
                .publish(
                    "",
                    &queue,
                    body,
                    lapin::BasicProperties::default().with_priority(priority),
                )
                .await;
        }

        assert_eq!(client.drain(&queue).await, ["high", "beyond", "middle", "low", "low again"]);
    });
}

#[test]
fn a_rejected_message_goes_to_the_dead_letter_exchange_with_its_history() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let dead = client.queue().await;
            let arguments = [
                ("x-dead-letter-exchange", crate::support::long("")),
                ("x-dead-letter-routing-key", crate::support::long(&dead)),
            ];
            let queue = client.queue_with(kind, &arguments).await;
            client.put(&queue, "x").await;
            let got = client
                .channel
                .basic_get(queue.as_str().into(), BasicGetOptions::default())
                .await
                .unwrap()
                .unwrap();

            got.reject(BasicRejectOptions { requeue: false }).await.unwrap();

            client.until_ready(&dead, 1).await;
            let letter = client.take(&dead).await.unwrap();
            let headers = letter.properties.headers().clone().unwrap();
            let header = |key: &str| {
                headers
                    .inner()
                    .get(key)
                    .and_then(|value| value.as_long_string().map(ToString::to_string))
            };
            assert_eq!(header("x-first-death-reason").as_deref(), Some("rejected"));
            assert_eq!(header("x-first-death-queue").as_deref(), Some(queue.as_str()));
            assert_eq!(header("x-last-death-reason").as_deref(), Some("rejected"));
            assert_eq!(header("x-last-death-queue").as_deref(), Some(queue.as_str()));
            let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else {
                panic!("{headers:?}")
            };
            let [AMQPValue::FieldTable(death)] = deaths.as_slice() else { panic!("{deaths:?}") };
            assert_eq!(death.inner().get("count"), Some(&AMQPValue::LongLongInt(1)));
            assert_eq!(death.inner().get("routing-keys"), Some(&crate::support::longs(&[&queue])));
        }
    });
}

#[test]
fn a_quorum_queue_counts_deliveries_and_lets_go_at_its_limit() {
    run(async {
        let client = Client::connect().await;
        let arguments = [
            ("x-queue-type", crate::support::long("quorum")),
            ("x-delivery-limit", AMQPValue::LongInt(2)),
        ];
        let queue = client.queue_with(Kind::Durable, &arguments).await;
        client.put(&queue, "poison").await;
        let channel = client.channel().await;
        let mut consumer = client.consume(&channel, &queue).await;

        let mut counts = Vec::new();
        for _ in 0..3 {
            let delivery = next(&mut consumer).await;
            let headers = delivery.properties.headers().clone().unwrap_or_default();
            counts.push(headers.inner().get("x-delivery-count").cloned());
            delivery.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        }
        channel.close(200, "bye".into()).await.unwrap();

        assert_eq!(
            counts,
            [None, Some(AMQPValue::LongLongInt(1)), Some(AMQPValue::LongLongInt(2))]
        );
        eventually("the queue has dropped it", || async {
            client.take(&queue).await.is_none().then_some(())
        })
        .await;
        client.delete(&queue).await;
    });
}

async fn take_flags(client: &Client, queue: &str) -> Vec<(String, bool)> {
    let mut seen = Vec::new();
    while let Some(delivery) = client.take(queue).await {
        seen.push((text(&delivery), delivery.redelivered));
    }
    seen
}

#[test]
fn delivery_tags_count_per_channel_over_get_and_consume() {
    run(async {
        let client = Client::connect().await;
        let queue = client.queue().await;
        client.put_all(&queue, &["1", "2", "3"]).await;
        let channels: [Channel; 2] = [client.channel().await, client.channel().await];

        let mut tags = Vec::new();
        for channel in [&channels[0], &channels[1]] {
            let got = channel
                .basic_get(queue.as_str().into(), BasicGetOptions::default())
                .await
                .unwrap()
                .unwrap();
            tags.push(got.delivery_tag);
        }
        let mut consumer = client.consume(&channels[0], &queue).await;
        tags.push(next(&mut consumer).await.delivery_tag);

        assert_eq!(tags, [1, 1, 2]);
    });
}
