//! What came of logins: in numbers, and by address.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Addresses that are remembered; the oldest goes first.
const ADDRESSES: usize = 65_536;

/// The time over which an address's failures are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Where somebody wants to come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// AMQP 0-9-1.
    Amqp,
    /// The management API.
    Http,
}

impl Door {
    const ALL: [Self; 2] = [Self::Http, Self::Amqp];

    /// What RabbitMQ calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amqp => "amqp091",
            Self::Http => "http",
        }
    }
}

/// What came of logins at one door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// The door.
    pub door: Door,
    /// Logins that were refused.
    pub failed: u64,
    /// Logins that were not.
    pub succeeded: u64,
}

/// An address's failures.
#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Instant,
    count: u32,
    /// Whether it is turned away for the rest of the time.
    is_shut_out: bool,
}

/// All addresses that failed of late.
#[derive(Debug)]
pub(super) struct Addresses {
    failures: HashMap<IpAddr, Failures>,
    /// In the order in which they came.
    order: VecDeque<IpAddr>,
    attempts: [Attempts; 2],
}

impl Default for Addresses {
    fn default() -> Self {
        let attempts = Door::ALL.map(|door| Attempts { door, failed: 0, succeeded: 0 });
        Self { failures: HashMap::new(), order: VecDeque::new(), attempts }
    }
}

impl Addresses {
    /// Counts what came of a login; `limit` failures of one address are borne, 0 stands for any
    /// number.
    pub(super) fn note(
        &mut self,
        door: Door,
        peer: IpAddr,
        has_succeeded: bool,
        limit: u32,
        now: Instant,
    ) {
        for attempts in self.attempts.iter_mut().filter(|attempts| attempts.door == door) {
            let count = if has_succeeded { &mut attempts.succeeded } else { &mut attempts.failed };
            *count = count.saturating_add(1);
        }
        if !has_succeeded {
            self.fail(place(peer), limit, now);
        }
    }

    fn fail(&mut self, place: IpAddr, limit: u32, now: Instant) {
        let first = Failures { since: now, count: 0, is_shut_out: false };
        if !self.failures.contains_key(&place) {
            self.order.push_back(place);
            if self.order.len() > ADDRESSES
                && let Some(oldest) = self.order.pop_front()
            {
                self.failures.remove(&oldest);
            }
        }
        let failures = self.failures.entry(place).or_insert(first);
        if now.saturating_duration_since(failures.since) >= WINDOW {
            *failures = first;
        }
        failures.count = failures.count.saturating_add(1);
        if limit != 0 && failures.count >= limit && !failures.is_shut_out {
            failures.is_shut_out = true;
            tracing::warn!(%place, limit, "too many failed logins from one address in a minute");
        }
    }

    /// Whether that address is turned away.
    pub(super) fn is_shut_out(&self, peer: IpAddr, now: Instant) -> bool {
        self.failures.get(&place(peer)).is_some_and(|failures| {
            failures.is_shut_out && now.saturating_duration_since(failures.since) < WINDOW
        })
    }

    pub(super) fn attempts(&self) -> Vec<Attempts> {
        self.attempts.to_vec()
    }

    pub(super) fn forget_attempts(&mut self) {
        self.attempts = Self::default().attempts;
    }
}

/// What counts as one address: of IPv6 the 64 bits that one subscriber has to himself.
fn place(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 3;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn fail(addresses: &mut Addresses, peer: &str, times: u32, now: Instant) {
        for _ in 0..times {
            addresses.note(Door::Amqp, address(peer), false, LIMIT, now);
        }
    }

    #[test]
    fn an_address_that_fails_too_often_is_shut_out_for_the_rest_of_the_minute_and_no_other_is() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());

        fail(&mut addresses, "10.0.0.1", LIMIT - 1, now);
        let before = addresses.is_shut_out(address("10.0.0.1"), now);
        fail(&mut addresses, "10.0.0.1", 1, now);

        assert!(!before && addresses.is_shut_out(address("10.0.0.1"), now));
        assert!(!addresses.is_shut_out(address("10.0.0.2"), now));
        assert!(!addresses.is_shut_out(address("10.0.0.1"), now + WINDOW));
    }

    #[test]
    fn failures_of_an_earlier_minute_do_not_count() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());

        fail(&mut addresses, "10.0.0.1", LIMIT - 1, now);
        fail(&mut addresses, "10.0.0.1", LIMIT - 1, now + WINDOW);

        assert!(!addresses.is_shut_out(address("10.0.0.1"), now + WINDOW));
    }

    #[test]
    fn a_subscriber_with_many_addresses_counts_as_one() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());

        for peer in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            fail(&mut addresses, peer, 1, now);
        }

        assert!(addresses.is_shut_out(address("2001:db8::4"), now));
        assert!(!addresses.is_shut_out(address("2001:db8:0:1::1"), now));
    }

    #[test]
    fn what_is_remembered_of_addresses_is_bounded() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());

        for nth in 0..u32::try_from(ADDRESSES).expect("it is a small number") + 10 {
            addresses.note(Door::Amqp, IpAddr::from(nth.to_be_bytes()), false, 0, now);
        }

        assert_eq!((addresses.failures.len(), addresses.order.len()), (ADDRESSES, ADDRESSES));
    }

    #[test]
    fn attempts_are_counted_by_door() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());

        addresses.note(Door::Amqp, address("10.0.0.1"), true, LIMIT, now);
        addresses.note(Door::Http, address("10.0.0.1"), false, LIMIT, now);

        let counts = addresses.attempts().into_iter();
        let counts: Vec<_> =
            counts.map(|row| (row.door.as_str(), row.failed, row.succeeded)).collect();
        assert_eq!(counts, [("http", 1, 0), ("amqp091", 0, 1)]);
    }
}
