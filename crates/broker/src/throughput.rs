//! What passes through each exchange, in numbers.
//!
//! A connection finds an exchange's numbers when it finds out where a message goes, and counts on
//! them from then on without a look. **Always holds:** there are numbers of exchanges that have
//! been published to and are there, and of no others.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use tokio::time::Instant;
use warren_catalog::Name;

use crate::counters::Counter;
use crate::survey::{ExchangeFigures, Pace, growth};

/// What passes through one exchange.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    published: Counter,
    routed: Counter,
    pace: Mutex<Pace<(u64, u64), (f64, f64)>>,
}

impl Passage {
    /// A message came, and went to so many queues.
    pub(crate) fn count(&self, queues: usize) {
        self.published.add(1);
        self.routed.add(u64::try_from(queues).unwrap_or(u64::MAX));
    }
}

type ByExchange = FxHashMap<Name, Arc<Passage>>;

/// The numbers of all exchanges, by virtual host and name.
#[derive(Debug, Default)]
pub(crate) struct Throughput {
    vhosts: RwLock<FxHashMap<Name, ByExchange>>,
}

impl Throughput {
    /// The numbers of an exchange.
    pub(crate) fn of(&self, vhost: &Name, exchange: &str) -> Arc<Passage> {
        let vhosts = self.vhosts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(passage) = vhosts.get(vhost).and_then(|exchanges| exchanges.get(exchange)) {
            return passage.clone();
        }
        drop(vhosts);
        let mut vhosts = self.vhosts.write().unwrap_or_else(PoisonError::into_inner);
        vhosts.entry(vhost.clone()).or_default().entry(exchange.into()).or_default().clone()
    }

    /// An exchange has gone.
    pub(crate) fn forget(&self, vhost: &str, exchange: &str) {
        let mut vhosts = self.vhosts.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(exchanges) = vhosts.get_mut(vhost) {
            exchanges.remove(exchange);
        }
    }

    /// A virtual host has gone, with all its exchanges.
    pub(crate) fn forget_vhost(&self, vhost: &str) {
        self.vhosts.write().unwrap_or_else(PoisonError::into_inner).remove(vhost);
    }

    /// All numbers as they are, in no particular order.
    pub(crate) fn figures(&self, now: Instant) -> Vec<ExchangeFigures> {
        let vhosts = self.vhosts.read().unwrap_or_else(PoisonError::into_inner);
        let exchanges = vhosts.iter().flat_map(|(vhost, exchanges)| {
            exchanges.iter().map(move |(exchange, passage)| (vhost, exchange, passage))
        });
        let figures = exchanges.map(|(vhost, exchange, passage)| {
            let numbers = (passage.published.value(), passage.routed.value());
            let mut pace = passage.pace.lock().unwrap_or_else(PoisonError::into_inner);
            let rates = pace.look(now, numbers, |after, before, seconds| {
                (growth(after.0, before.0, seconds), growth(after.1, before.1, seconds))
            });
            ExchangeFigures {
                vhost: vhost.to_string(),
                exchange: exchange.to_string(),
                publish_in: numbers.0,
                publish_out: numbers.1,
                publish_in_rate: rates.0,
                publish_out_rate: rates.1,
            }
        });
        figures.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(throughput: &Throughput) -> Vec<(String, u64, u64)> {
        let figures = throughput.figures(Instant::now()).into_iter();
        let mut rows: Vec<_> =
            figures.map(|row| (row.exchange, row.publish_in, row.publish_out)).collect();
        rows.sort();
        rows
    }

    #[test]
    fn an_exchange_counts_what_comes_and_where_it_goes_until_it_is_deleted() {
        let (throughput, vhost) = (Throughput::default(), Name::from("/"));
        let passage = throughput.of(&vhost, "x");
        throughput.of(&vhost, "y").count(0);
        passage.count(3);
        throughput.of(&vhost, "x").count(1);

        assert_eq!(figures(&throughput), [("x".to_owned(), 2, 4), ("y".to_owned(), 1, 0)]);

        throughput.forget("/", "y");
        assert_eq!(figures(&throughput), [("x".to_owned(), 2, 4)]);
        throughput.forget_vhost("/");
        assert_eq!(figures(&throughput), []);
    }
}
