//! How numbers came to be what they are: samples beside their rates, for who asks for them.
//!
//! A request says how far back in `msg_rates_age` and `lengths_age`, and how far apart in
//! `msg_rates_incr` and `lengths_incr`, all in seconds, as RabbitMQ's pages do.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use warren_broker::{ChurnCounts, MessageCounts, MessageRates, NodeSamples};
use warren_types::QueueId;

use super::call::Call;
use super::counts;
use super::list::Query;

/// What a request may ask for.
pub(super) const ASKED: &[&str] =
    &["msg_rates_age", "msg_rates_incr", "lengths_age", "lengths_incr"];

/// Fields of messages that wait or are held.
const LENGTHS: [&str; 3] = ["messages", "messages_ready", "messages_unacknowledged"];

/// Which samples are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    since_ms: u64,
    step_ms: u64,
}

impl Span {
    fn of(query: &Query, what: &str, now_ms: u64) -> Option<Self> {
        let seconds = |name: &str| query.value(&format!("{what}_{name}"))?.parse::<u64>().ok();
        let (age, step) = (seconds("age")?, seconds("incr")?);
        let since_ms = now_ms.saturating_sub(age.saturating_mul(1000));
        (step > 0).then_some(Self { since_ms, step_ms: step.saturating_mul(1000) })
    }

    /// The samples of a number, the newest first, with what they come to.
    fn of_field(self, points: &[Point], name: &str) -> Option<Map<String, Value>> {
        let is_due = |at_ms: u64| at_ms >= self.since_ms && at_ms.is_multiple_of(self.step_ms);
        let due = points.iter().rev().filter(|point| is_due(point.at_ms));
        let seen: Vec<(u64, &Value)> =
            due.filter_map(|point| Some((point.at_ms, point.fields.get(name)?))).collect();
        let values: Vec<f64> = seen.iter().filter_map(|(_, value)| value.as_f64()).collect();
        let ((last_at, _), (first_at, _)) = (seen.first()?, seen.last()?);
        let gained = values.first()? - values.last()?;
        let seconds = Duration::from_millis(last_at.saturating_sub(*first_at)).as_secs_f64();
        let rate = if seconds > 0.0 { gained / seconds } else { 0.0 };
        let mean = values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).ok()?);
        let samples: Vec<Value> =
            seen.iter().map(|(at, value)| json!({ "sample": value, "timestamp": at })).collect();
        let fields =
            [("samples", Value::from(samples)), ("avg", mean.into()), ("avg_rate", rate.into())];
        Some(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// All numbers at one moment.
struct Point {
    at_ms: u64,
    fields: Map<String, Value>,
}

/// Samples, and which of them are wanted.
pub(super) struct Samples {
    points: Vec<Point>,
    rates: Option<Span>,
    lengths: Option<Span>,
}

impl Samples {
    /// Those of the whole cluster.
    pub(super) async fn of_cluster(call: &Call) -> Self {
        let (rates, lengths) = wanted(call);
        let Some(since_ms) = earliest(rates, lengths) else { return Self::none() };
        let gathered = Box::pin(call.broker.node_samples(since_ms)).await;
        Self { points: added_up(&gathered.rows), rates, lengths }
    }

    /// Those of one queue.
    pub(super) async fn of_queue(call: &Call, queue: QueueId) -> Self {
        let (rates, lengths) = wanted(call);
        let Some(since_ms) = earliest(rates, lengths) else { return Self::none() };
        let gathered = Box::pin(call.broker.queue_samples(queue, since_ms)).await;
        let points = gathered.rows.iter().map(|row| Point {
            at_ms: row.at_ms,
            fields: numbers(
                counts::of_queue(&row.counts, &MessageRates::default()),
                row.ready,
                row.unacknowledged,
            ),
        });
        Self { points: points.collect(), rates, lengths }
    }

    fn none() -> Self {
        Self { points: Vec::new(), rates: None, lengths: None }
    }

    /// Adds them to what happened to messages.
    pub(super) fn put_rates(&self, stats: &mut Value) {
        let (Some(span), Value::Object(stats)) = (self.rates, stats) else { return };
        let names: Vec<String> = stats
            .keys()
            .filter_map(|name| Some(name.strip_suffix("_details")?.to_owned()))
            .collect();
        for name in names {
            self.put(stats, span, &name);
        }
    }

    /// Adds them to how many messages there are.
    pub(super) fn put_lengths(&self, totals: &mut Map<String, Value>) {
        let Some(span) = self.lengths else { return };
        for name in LENGTHS {
            self.put(totals, span, name);
        }
    }

    fn put(&self, fields: &mut Map<String, Value>, span: Span, name: &str) {
        let details = fields.get_mut(&format!("{name}_details")).and_then(Value::as_object_mut);
        if let (Some(details), Some(more)) = (details, span.of_field(&self.points, name)) {
            details.extend(more);
        }
    }
}

fn wanted(call: &Call) -> (Option<Span>, Option<Span>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let span = |what| Span::of(&call.query, what, now_ms);
    (span("msg_rates"), span("lengths"))
}

fn earliest(rates: Option<Span>, lengths: Option<Span>) -> Option<u64> {
    rates.into_iter().chain(lengths).map(|span| span.since_ms).min()
}

fn numbers(stats: Value, ready: u64, unacknowledged: u64) -> Map<String, Value> {
    let Value::Object(mut fields) = stats else { return Map::new() };
    let all = [ready.saturating_add(unacknowledged), ready, unacknowledged];
    fields
        .extend(LENGTHS.into_iter().zip(all).map(|(name, value)| (name.to_owned(), value.into())));
    fields
}

/// What the nodes say, moment by moment. A moment of which fewer nodes tell than of others would
/// look like a loss, and is left out.
fn added_up(nodes: &[NodeSamples]) -> Vec<Point> {
    #[derive(Clone, Copy, Default)]
    struct Sum {
        nodes: usize,
        ready: u64,
        unacknowledged: u64,
        counts: MessageCounts,
        churn: ChurnCounts,
    }
    let mut sums: BTreeMap<u64, Sum> = BTreeMap::new();
    for sample in nodes.iter().flat_map(|node| &node.samples) {
        let sum = sums.entry(sample.at_ms).or_default();
        sum.nodes = sum.nodes.saturating_add(1);
        sum.ready = sum.ready.saturating_add(sample.ready);
        sum.unacknowledged = sum.unacknowledged.saturating_add(sample.unacknowledged);
        sum.counts = sum.counts.zip(&sample.counts, u64::saturating_add);
        sum.churn = sum.churn.zip(&sample.churn, u64::saturating_add);
    }
    let all = sums.values().map(|sum| sum.nodes).max().unwrap_or_default();
    let whole = sums.into_iter().filter(|(_, sum)| sum.nodes == all);
    let point = |(at_ms, sum): (u64, Sum)| {
        let stats = counts::of_client(&sum.counts, &MessageRates::default());
        let mut fields = numbers(stats, sum.ready, sum.unacknowledged);
        if let Value::Object(churn) = counts::of_churn(&sum.churn, &Default::default()) {
            fields.extend(churn);
        }
        Point { at_ms, fields }
    };
    whole.map(point).collect()
}

#[cfg(test)]
mod tests {
    use warren_broker::NodeSample;
    use warren_types::NodeId;

    use super::*;

    fn sample(at_ms: u64, publish: u64, ready: u64) -> NodeSample {
        let counts = MessageCounts { publish, ..MessageCounts::default() };
        let churn = ChurnCounts::default();
        NodeSample { at_ms, ready, unacknowledged: 1, counts, churn }
    }

    fn query(text: &str) -> Query {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Query(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn samples_of_all_nodes_are_added_up_and_stand_the_newest_first() {
        let one = vec![sample(5_000, 1, 1), sample(10_000, 10, 2), sample(20_000, 30, 3)];
        let other = vec![sample(10_000, 100, 0), sample(20_000, 100, 1)];
        let nodes = [(1, one), (2, other)]
            .map(|(node, samples)| NodeSamples { node: NodeId(node), samples });
        let span = Span::of(&query("msg_rates_age=60&msg_rates_incr=5"), "msg_rates", 21_000);
        let samples = Samples { points: added_up(&nodes), rates: span, lengths: span };

        let mut stats = json!({ "publish": 130, "publish_details": { "rate": 1.0 } });
        samples.put_rates(&mut stats);
        let mut totals = Map::from_iter([("messages_details".to_owned(), json!({ "rate": 0.0 }))]);
        samples.put_lengths(&mut totals);

        assert_eq!(
            stats["publish_details"],
            json!({
                "rate": 1.0, "avg": 120.0, "avg_rate": 2.0,
                "samples": [
                    { "sample": 130, "timestamp": 20_000 }, { "sample": 110, "timestamp": 10_000 },
                ],
            })
        );
        let lengths = totals["messages_details"]["samples"].as_array().expect("a list");
        assert_eq!(lengths.first(), Some(&json!({ "sample": 6, "timestamp": 20_000 })));
    }

    #[test]
    fn what_is_older_or_in_between_is_left_out_and_nothing_is_said_unless_it_is_asked_for() {
        let samples: Vec<NodeSample> = (1..=8).map(|step| sample(step * 5_000, step, 0)).collect();
        let points = added_up(&[NodeSamples { node: NodeId(1), samples }]);
        let span = Span::of(&query("lengths_age=25&lengths_incr=10"), "lengths", 40_000);

        let details = span.and_then(|span| span.of_field(&points, "publish")).expect("there are");

        let times: Vec<u64> = details["samples"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|sample| sample["timestamp"].as_u64())
            .collect();
        assert_eq!(times, [40_000, 30_000, 20_000]);
        assert_eq!(Span::of(&query("lengths_age=25"), "lengths", 40_000), None);
        assert_eq!(Span::of(&query("lengths_age=25&lengths_incr=0"), "lengths", 40_000), None);
    }
}
