//! How empty nodes come to be one cluster.
//!
//! A node whose directory belongs to nobody says hello to its seeds, again and again. If one of them
//! belongs to a cluster, it joins that. If none does, the empty nodes make one, and no node is
//! special: the one with the lowest token founds, once as many empty nodes as are expected have
//! answered in one round and each of the others that it needs has promised not to help anybody else
//! meanwhile.
//!
//! **Always holds:** while as many nodes are needed as are more than half of all that are empty, no
//! two of them found at once. A promise is given to one founder at a time, only by a node that does
//! not found or join itself and knows of no cluster and no lower token; and a founder that did not
//! get there while its promises last begins anew. A node that does not answer is never taken for
//! an empty one: a wiped disk waits for the others instead of making a second cluster.
//!
//! **Not here:** the talking (`formation/talk.rs`), and what founding and joining mean on the disk
//! (`node.rs`). Time comes with each call.

pub mod seeds;
pub mod talk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use warren_rpc::{ClusterId, Founded, Hello, HelloReply};

use seeds::Quorum;

/// How long a promise binds who gave it.
pub const PROMISE_LASTS: Duration = Duration::from_secs(10);

/// How long after it began to ask a founder may still found. The rest of what a promise lasts is for
/// the disk.
const FOUND_WITHIN: Duration = Duration::from_secs(5);

/// A node on its way into a cluster.
#[derive(Debug)]
pub struct Formation {
    token: u128,
    state: State,
    /// The empty nodes that answered the latest round.
    known: BTreeSet<u128>,
    /// Whether a node of a cluster answered the latest round.
    cluster_known: bool,
    promise: Option<Promise>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It asks who is there.
    Looking,
    /// It asks for promises, since a moment, or has them.
    Founding(Instant),
    /// It asks to be taken in.
    Joining,
    /// It belongs to a cluster.
    Member(Founded),
}

#[derive(Clone, Copy, Debug)]
struct Promise {
    to: u128,
    at: Instant,
}

/// What one address said to a hello.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The seed that led to the address, as it is configured.
    pub seed: String,
    /// The address.
    pub address: String,
    /// What it said, or why nothing came.
    pub outcome: Result<HelloReply, String>,
}

/// What to do after a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask again later.
    Wait(Waiting),
    /// Ask these addresses to be taken into the cluster.
    Join(ClusterId, Vec<String>),
    /// Ask these addresses for promises; so many of them are needed.
    Ask(Vec<String>, usize),
}

/// What a node waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// More empty nodes, or one of a cluster.
    Nodes {
        /// Empty nodes that answered, this one included.
        there: usize,
        /// How many it takes.
        needed: usize,
        /// Who did not answer, and why.
        silent: Vec<String>,
    },
    /// A node of a cluster: it cannot know when all are there who shall make one.
    Cluster {
        /// Who did not answer, and why.
        silent: Vec<String>,
    },
    /// Another node, which has the lowest token, to make the cluster.
    Founder {
        /// Where that is.
        address: String,
    },
    /// The other empty nodes to promise their help.
    Promises {
        /// How many did.
        given: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Somebody to put right that the seeds belong to more than one cluster.
    OneCluster {
        /// The clusters.
        clusters: Vec<ClusterId>,
    },
    /// The cluster to take it in.
    Admission {
        /// The cluster.
        cluster: ClusterId,
        /// What each of its nodes said.
        refusals: Vec<String>,
    },
}

impl Formation {
    /// A node that belongs to nobody, or to `membership` already.
    #[must_use]
    pub fn new(token: u128, membership: Option<Founded>) -> Self {
        Self {
            token,
            state: membership.map_or(State::Looking, State::Member),
            known: BTreeSet::new(),
            cluster_known: false,
            promise: None,
        }
    }

    /// Answers another node's hello.
    pub fn answer(&mut self, now: Instant, hello: &Hello) -> HelloReply {
        let promised = hello.founding && self.may_promise(now, hello.token);
        if promised {
            self.promise = Some(Promise { to: hello.token, at: now });
        }
        let cluster = match self.state {
            State::Member(founded) => Some(founded),
            State::Looking | State::Founding(_) | State::Joining => None,
        };
        HelloReply { token: self.token, cluster, promised }
    }

    /// Says what the answers of one round lead to.
    pub fn heard(&mut self, now: Instant, answers: &[Answer], quorum: Quorum) -> Step {
        let mut members: BTreeMap<u128, Vec<String>> = BTreeMap::new();
        let mut empty: BTreeMap<u128, &Answer> = BTreeMap::new();
        for answer in answers {
            match &answer.outcome {
                Ok(HelloReply { cluster: Some(founded), .. }) => {
                    members.entry(founded.cluster.0).or_default().push(answer.address.clone());
                }
                Ok(reply) => {
                    empty.entry(reply.token).or_insert(answer);
                }
                Err(_) => {}
            }
        }
        self.known = empty.keys().copied().collect();
        self.cluster_known = !members.is_empty();
        match members.len() {
            0 => self.found(now, &empty, answers, quorum),
            1 => {
                self.state = State::Joining;
                let (cluster, addresses) = members.pop_first().expect("there is one");
                Step::Join(ClusterId(cluster), addresses)
            }
            _ => {
                let clusters = members.into_keys().map(ClusterId).collect();
                Step::Wait(Waiting::OneCluster { clusters })
            }
        }
    }

    /// Whether this node may found, after `replies` to its asking for `needed` promises.
    pub fn promised(
        &mut self,
        now: Instant,
        replies: &[HelloReply],
        needed: usize,
    ) -> Option<Waiting> {
        let promises: BTreeSet<u128> = replies
            .iter()
            .filter(|reply| reply.promised && reply.cluster.is_none() && reply.token != self.token)
            .map(|reply| reply.token)
            .collect();
        let State::Founding(since) = self.state else {
            unreachable!("promises are asked for by one who founds")
        };
        let in_time = now.saturating_duration_since(since) <= FOUND_WITHIN;
        // Whoever asks finds out about a cluster in its next round.
        let alone = replies.iter().all(|reply| reply.cluster.is_none());
        if alone && in_time && promises.len() >= needed {
            return None;
        }
        self.state = State::Looking;
        Some(Waiting::Promises { given: promises.len(), needed })
    }

    /// The cluster did not take this node in.
    pub fn rejected(&mut self) {
        self.state = State::Looking;
    }

    /// This node belongs to a cluster, and its disk says so.
    pub fn settled(&mut self, founded: Founded) {
        self.state = State::Member(founded);
    }

    /// Whether `token` is that of an empty node that was there in the latest round, or this one.
    #[must_use]
    pub fn knows(&self, token: u128) -> bool {
        token == self.token || self.known.contains(&token)
    }

    /// No cluster is there: makes one if it is this node's turn.
    fn found(
        &mut self,
        now: Instant,
        empty: &BTreeMap<u128, &Answer>,
        answers: &[Answer],
        quorum: Quorum,
    ) -> Step {
        let own_seed = empty.get(&self.token).is_some();
        let others: BTreeMap<u128, &&Answer> =
            empty.iter().filter(|(token, _)| **token != self.token).map(|(k, v)| (*k, v)).collect();
        let there = others.len().saturating_add(1);
        let needed = match quorum {
            Quorum::Nodes(nodes) => nodes,
            Quorum::Seeds(seeds) => seeds.saturating_add(usize::from(!own_seed)),
            Quorum::Unknown => return Step::Wait(Waiting::Cluster { silent: silent(answers) }),
        };
        if there < needed {
            return Step::Wait(Waiting::Nodes { there, needed, silent: silent(answers) });
        }
        if let Some((lowest, answer)) = others.first_key_value()
            && *lowest < self.token
        {
            return Step::Wait(Waiting::Founder { address: answer.address.clone() });
        }
        let promises = needed.saturating_sub(1);
        if self.bound_to(now).is_some() {
            return Step::Wait(Waiting::Promises { given: 0, needed: promises });
        }
        self.state = State::Founding(now);
        Step::Ask(others.values().map(|answer| answer.address.clone()).collect(), promises)
    }

    fn may_promise(&self, now: Instant, founder: u128) -> bool {
        let free = self.bound_to(now).is_none_or(|to| to == founder);
        let lowest = self.known.iter().all(|known| founder <= *known) && founder < self.token;
        match self.state {
            State::Looking => free && lowest && !self.cluster_known,
            State::Founding(_) | State::Joining | State::Member(_) => false,
        }
    }

    /// Whom this node has promised to help, if the promise still binds it.
    fn bound_to(&self, now: Instant) -> Option<u128> {
        let binds = |promise: &Promise| now.saturating_duration_since(promise.at) < PROMISE_LASTS;
        self.promise.filter(binds).map(|promise| promise.to)
    }
}

/// Seeds of which no address answered, and why.
fn silent(answers: &[Answer]) -> Vec<String> {
    let heard: BTreeSet<&str> = answers
        .iter()
        .filter(|answer| answer.outcome.is_ok())
        .map(|answer| answer.seed.as_str())
        .collect();
    let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
    for answer in answers.iter().filter(|answer| !heard.contains(answer.seed.as_str())) {
        if let Err(reason) = &answer.outcome {
            reasons.entry(&answer.seed).or_insert(reason);
        }
    }
    reasons.into_iter().map(|(seed, reason)| format!("{seed} ({reason})")).collect()
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes { there, needed, silent } => {
                write!(f, "waiting for {needed} empty nodes, {there} there")?;
                no_answer(f, silent)
            }
            Self::Cluster { silent } => {
                f.write_str(
                    "waiting for a node of a cluster; to make one, bootstrap_expect must say of \
                     how many nodes, because one name may stand for any number",
                )?;
                no_answer(f, silent)
            }
            Self::Founder { address } => {
                write!(f, "waiting for the node at {address} to make the cluster")
            }
            Self::Promises { given, needed } => {
                write!(f, "waiting for {needed} nodes to promise their help, {given} did")
            }
            Self::OneCluster { clusters } => {
                let clusters: Vec<String> = clusters.iter().map(ToString::to_string).collect();
                write!(f, "the seeds belong to different clusters: {}", clusters.join(", "))
            }
            Self::Admission { cluster, refusals } => {
                write!(f, "waiting for cluster {cluster} to take this node in: ")?;
                f.write_str(&refusals.join("; "))
            }
        }
    }
}

fn no_answer(f: &mut fmt::Formatter<'_>, silent: &[String]) -> fmt::Result {
    if silent.is_empty() {
        return Ok(());
    }
    write!(f, "; no answer from {}", silent.join(", "))
}
