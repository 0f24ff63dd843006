//! Where messages go that a queue gives up, and what they tell of it.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::{BasicGetOptions, BasicRejectOptions};
use lapin::types::AMQPValue;

use crate::support::{Client, KINDS, Kind, long, next, run, text};

/// A queue whose dead go to `dead` over the default exchange.
async fn mortal(client: &Client, kind: Kind, dead: &str, more: &[(&str, AMQPValue)]) -> String {
    let mut arguments =
        vec![("x-dead-letter-exchange", long("")), ("x-dead-letter-routing-key", long(dead))];
    arguments.extend(more.iter().cloned());
    client.queue_with(kind, &arguments).await
}

/// Reason and count of each death, newest first.
fn deaths(letter: &Delivery) -> Vec<(String, i64)> {
    let headers = letter.properties.headers().clone().unwrap_or_default();
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else {
        return Vec::new();
    };
    let entry = |death: &AMQPValue| {
        let AMQPValue::FieldTable(death) = death else { panic!("{death:?} is no death") };
        let Some(AMQPValue::LongLongInt(count)) = death.inner().get("count") else {
            panic!("{death:?} has no count")
        };
        let reason = death.inner().get("reason").and_then(AMQPValue::as_long_string);
        (reason.expect("a death has a reason").to_string(), *count)
    };
    deaths.as_slice().iter().map(entry).collect()
}

#[test]
fn an_expired_message_goes_to_the_dead_letter_queue_without_its_expiration() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let dead = client.queue().await;
            let queue = mortal(&client, kind, &dead, &[]).await;

            let brief = BasicProperties::default().with_expiration("20".into());
            client.publish("", &queue, "brief", brief).await;
            client.until_ready(&dead, 1).await;

            let letter = client.take(&dead).await.unwrap();
            assert_eq!(text(&letter), "brief");
            assert_eq!(deaths(&letter), [("expired".to_owned(), 1)]);
            assert_eq!(letter.properties.expiration(), &None);
        }
    });
}

#[test]
fn what_a_full_queue_drops_arrives_as_dead_letters_in_order() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            let dead = client.queue().await;
            let limit = [("x-max-length", AMQPValue::LongInt(2))];
            let queue = mortal(&client, kind, &dead, &limit).await;

            client.put_all(&queue, &["1", "2", "3", "4", "5"]).await;
            client.until_ready(&dead, 3).await;

            let letter = client.take(&dead).await.unwrap();
            assert_eq!(
                (text(&letter).as_str(), deaths(&letter)),
                ("1", vec![("maxlen".into(), 1)])
            );
            assert_eq!(client.drain(&dead).await, ["2", "3"]);
            assert_eq!(client.drain(&queue).await, ["4", "5"]);
        }
    });
}

#[test]
fn a_message_that_fails_too_often_ends_as_a_dead_letter() {
    run(async {
        let client = Client::connect().await;
        let dead = client.queue().await;
        // Only quorum queues count failures.
        let quorum =
            [("x-delivery-limit", AMQPValue::LongInt(2)), ("x-queue-type", long("quorum"))];
        let queue = mortal(&client, Kind::Durable, &dead, &quorum).await;
        client.put(&queue, "poison").await;
        let channel = client.channel().await;
        let mut consumer = client.consume(&channel, &queue).await;

        for _ in 0..3 {
            let delivery = next(&mut consumer).await;
            delivery.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        }
        client.until_ready(&dead, 1).await;

        let letter = client.take(&dead).await.unwrap();
        assert_eq!(deaths(&letter), [("delivery_limit".to_owned(), 1)]);
        assert_eq!(client.counts(&queue).await.0, 0);
    });
}

#[test]
fn a_death_that_repeats_is_counted_and_the_message_comes_back_whole() {
    run(async {
        let client = Client::connect().await;
        for kind in KINDS {
            // Two queues, each the other's dead letter queue: rejects may go round.
            let first = warren_tests::node::unique("round");
            let second = mortal(&client, kind, &first, &[]).await;
            let arguments = [
                ("x-dead-letter-exchange", long("")),
                ("x-dead-letter-routing-key", long(&second)),
            ];
            client.queue_named(&first, kind, &arguments).await;
            client.put(&first, "traveller").await;

            for queue in [&first, &second, &first, &second] {
                client.until_ready(queue, 1).await;
                let got = client
                    .channel
                    .basic_get(queue.as_str().into(), BasicGetOptions::default())
                    .await
                    .unwrap()
                    .unwrap();
                got.reject(BasicRejectOptions { requeue: false }).await.unwrap();
            }
            client.until_ready(&first, 1).await;

            let letter = client.take(&first).await.unwrap();
            assert_eq!(text(&letter), "traveller");
            let twice = ("rejected".to_owned(), 2);
            assert_eq!(deaths(&letter), [twice.clone(), twice]);
        }
    });
}
