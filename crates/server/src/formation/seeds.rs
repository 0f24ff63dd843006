//! Where nodes may be: seeds as they are configured, and the address that a node gives to others.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::task::JoinSet;

/// How long a name may take to be resolved. It is resolved again in the next round.
const RESOLVE_LIMIT: Duration = Duration::from_secs(2);

/// How many nodes it takes to make a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// So many.
    Nodes(usize),
    /// As many as there are seeds, so many, and this node if it is none of them.
    Seeds(usize),
    /// Nobody said so, and nobody can tell: this node joins, and makes no cluster.
    Unknown,
}

/// What one seed leads to, or why it leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The seed, as it is configured.
    pub seed: String,
    /// Its addresses.
    pub addresses: Result<Vec<SocketAddr>, String>,
}

/// Whether `seed` is a host and a port.
///
/// # Errors
/// Says what it should be.
pub fn check(seed: &str) -> Result<(), String> {
    let Some((host, port)) = seed.rsplit_once(':').filter(|(host, _)| is_host(host)) else {
        return Err(format!("expected host:port such as warren-0:25672, found '{seed}'"));
    };
    match port.parse::<u16>() {
        Ok(port) if port > 0 && !host.is_empty() => Ok(()),
        _ => Err(format!("expected a port from 1 to 65535, found '{seed}'")),
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|number| number.parse::<IpAddr>().is_ok()),
        None => !host.is_empty() && !host.contains([':', '/', '@', ' ']),
    }
}

/// How many different seeds there are.
#[must_use]
pub fn distinct(seeds: &[String]) -> usize {
    seeds.iter().collect::<BTreeSet<_>>().len()
}

/// How many nodes it takes to make a cluster, by the configuration alone.
#[must_use]
pub fn quorum(seeds: &[String], bootstrap_expect: u32) -> Quorum {
    if bootstrap_expect > 0 {
        return Quorum::Nodes(usize::try_from(bootstrap_expect).unwrap_or(usize::MAX));
    }
    match seeds {
        [only] if only.parse::<SocketAddr>().is_err() => Quorum::Unknown,
        several => Quorum::Seeds(distinct(several)),
    }
}

/// What others call to reach this node: `advertise`, or what follows from where it listens.
#[must_use]
pub fn advertised(advertise: &str, peer: SocketAddr, host_name: &str) -> String {
    match advertise {
        "" if peer.ip().is_unspecified() => format!("{host_name}:{}", peer.port()),
        "" => peer.to_string(),
        given => given.to_owned(),
    }
}

/// Whether nobody but this machine reaches `advertised`, and some seed is elsewhere.
#[must_use]
pub fn is_out_of_reach(advertised: &str, seeds: &[String]) -> bool {
    is_loopback(advertised) && seeds.iter().any(|seed| !is_loopback(seed))
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// All addresses of all `seeds`, in their order.
pub async fn resolve(seeds: &[String]) -> Vec<Resolved> {
    let mut asking = JoinSet::new();
    for (number, seed) in seeds.iter().cloned().enumerate() {
        asking.spawn(async move { (number, resolve_one(seed).await) });
    }
    let mut resolved = asking.join_all().await;
    resolved.sort_by_key(|(number, _)| *number);
    resolved.into_iter().map(|(_, resolved)| resolved).collect()
}

async fn resolve_one(seed: String) -> Resolved {
    let lookup = tokio::time::timeout(RESOLVE_LIMIT, tokio::net::lookup_host(seed.clone())).await;
    let addresses = match lookup {
        Ok(Ok(found)) => Ok(found.collect::<BTreeSet<_>>().into_iter().collect()),
        Ok(Err(error)) => Err(format!("the name is not known: {error}")),
        Err(_) => Err("the name server does not answer".to_owned()),
    };
    Resolved { seed, addresses }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_host_and_a_port() {
        for right in ["a:1", "warren-0.warren.svc:25672", "10.0.0.1:65535", "[::1]:25672"] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
        for wrong in
            ["", "a", ":1", "a:", "a:0", "a:65536", "::1:2", "[a]:1", "http://a:1", "a b:1"]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn as_many_nodes_are_expected_as_there_are_seeds_unless_one_name_may_be_many() {
        let seeds = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();

        assert_eq!(quorum(&seeds(&["a:1", "b:1", "a:1"]), 0), Quorum::Seeds(2));
        assert_eq!(quorum(&seeds(&["10.0.0.1:1"]), 0), Quorum::Seeds(1));
        assert_eq!(quorum(&seeds(&["warren:1"]), 0), Quorum::Unknown);
        assert_eq!(quorum(&seeds(&["warren:1"]), 3), Quorum::Nodes(3));
        assert_eq!(quorum(&seeds(&["a:1", "b:1", "c:1"]), 2), Quorum::Nodes(2));
    }

    #[test]
    fn others_call_what_is_advertised_or_what_follows_from_the_listener() {
        let at = |address: &str| address.parse::<SocketAddr>().expect("it is an address");

        assert_eq!(advertised("", at("10.0.0.7:25672"), "h"), "10.0.0.7:25672");
        assert_eq!(advertised("", at("0.0.0.0:25672"), "h"), "h:25672");
        assert_eq!(advertised("", at("[::]:25672"), "h"), "h:25672");
        assert_eq!(advertised("n.example:9", at("0.0.0.0:25672"), "h"), "n.example:9");
    }

    #[test]
    fn a_loopback_address_is_of_no_use_to_seeds_elsewhere() {
        let seeds = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();

        assert!(is_out_of_reach("127.0.0.1:1", &seeds(&["127.0.0.1:2", "warren-1:1"])));
        assert!(!is_out_of_reach(
            "127.0.0.1:1",
            &seeds(&["127.0.0.1:2", "[::1]:1", "localhost:3"])
        ));
        assert!(!is_out_of_reach("10.0.0.1:1", &seeds(&["warren-1:1"])));
        assert!(!is_out_of_reach("127.0.0.1:1", &[]));
    }

    #[tokio::test]
    async fn each_seed_is_resolved_by_itself() {
        let seeds = ["127.0.0.1:7".to_owned(), "nowhere.invalid:7".to_owned()];

        let resolved = resolve(&seeds).await;

        assert_eq!(resolved[0].addresses, Ok(vec![SocketAddr::from(([127, 0, 0, 1], 7))]));
        assert!(resolved[1].addresses.is_err());
        assert_eq!(resolved[1].seed, "nowhere.invalid:7");
    }
}
