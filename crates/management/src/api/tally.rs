//! What is in a virtual host and what goes on in it, summed up over its queues and connections.
//!
//! A queue's numbers end with it and a connection's with the connection, so the sums may become less.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use warren_broker::{MessageCounts, MessageRates, Which};
use warren_catalog::Name;

use super::call::Call;
use super::counts;
use super::list::Listing;

/// Fields that are summed up.
const SUMMED: [&str; 9] = [
    "messages",
    "messages_details",
    "messages_ready",
    "messages_ready_details",
    "messages_unacknowledged",
    "messages_unacknowledged_details",
    "message_stats",
    "recv_oct",
    "send_oct",
];

/// The sums of one virtual host.
#[derive(Clone, Debug, Default)]
struct Tally {
    ready: u64,
    unacknowledged: u64,
    counts: MessageCounts,
    rates: MessageRates,
    recv_oct: u64,
    send_oct: u64,
    recv_oct_rate: f64,
    send_oct_rate: f64,
}

/// The sums of all virtual hosts, and the nodes that they lack.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    by_vhost: BTreeMap<Name, Tally>,
    pub(super) stale: Vec<String>,
}

impl Tallies {
    /// Adds up what the caller wants to see, which costs nothing if that is nothing.
    pub(super) async fn wanted(call: &Call, listing: &Listing) -> Self {
        if !SUMMED.iter().any(|field| listing.wants(field)) {
            return Self::default();
        }
        let (queues, connections) = tokio::join!(
            Box::pin(call.broker.queue_figures(Which::All)),
            Box::pin(call.broker.connections()),
        );
        let mut tallies = Self { by_vhost: BTreeMap::new(), stale: queues.stale };
        let of_queues = call.look(|catalog| {
            let placed = queues.rows.iter().filter_map(|figures| {
                Some((catalog.queue_by_id(figures.queue)?.vhost.clone(), figures))
            });
            placed.collect::<Vec<_>>()
        });
        for (vhost, figures) in of_queues {
            let tally = tallies.by_vhost.entry(vhost).or_default();
            let ready = figures.ready.saturating_add(figures.delayed);
            tally.ready = tally.ready.saturating_add(ready);
            tally.unacknowledged = tally.unacknowledged.saturating_add(figures.unacknowledged);
            tally.counts = tally.counts.zip(&figures.counts, u64::saturating_add);
            tally.rates = tally.rates.zip(&figures.rates, |sum, more| sum + more);
        }
        for row in &connections.rows {
            let tally = tallies.by_vhost.entry(row.vhost.as_str().into()).or_default();
            tally.recv_oct = tally.recv_oct.saturating_add(row.recv_oct);
            tally.send_oct = tally.send_oct.saturating_add(row.send_oct);
            tally.recv_oct_rate += row.recv_oct_rate;
            tally.send_oct_rate += row.send_oct_rate;
        }
        tallies
    }

    /// Adds a virtual host's sums to its row.
    pub(super) fn put(&self, vhost: &Name, row: &mut Map<String, Value>) {
        let none = Tally::default();
        let tally = self.by_vhost.get(vhost).unwrap_or(&none);
        let mut put = |name: &str, value: Value| drop(row.insert(name.to_owned(), value));
        put("messages", tally.ready.saturating_add(tally.unacknowledged).into());
        put("messages_ready", tally.ready.into());
        put("messages_unacknowledged", tally.unacknowledged.into());
        for (name, details) in counts::growth(&tally.rates) {
            put(name, details);
        }
        put("message_stats", counts::of_queue(&tally.counts, &tally.rates));
        for (name, count, rate) in [
            ("recv_oct", tally.recv_oct, tally.recv_oct_rate),
            ("send_oct", tally.send_oct, tally.send_oct_rate),
        ] {
            put(name, count.into());
            put(&format!("{name}_details"), json!({ "rate": rate }));
        }
    }
}
