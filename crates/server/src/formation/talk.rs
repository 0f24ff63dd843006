//! Says hello to the seeds until there is a cluster, and answers those who say it to this node.
//!
//! A [`Candidate`] is the node's place in this: whoever answers other nodes and whoever asks them
//! share it. It is looked at for a moment at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use warren_rpc::{ClusterId, Founded, Hello, HelloReply, Join, JoinReply, PeerError, Peers};

use super::seeds::{Quorum, Resolved, resolve};
use super::{Answer, Formation, Step, Waiting};

/// How long a hello may take.
const HELLO_LIMIT: Duration = Duration::from_secs(1);

/// How long being taken in may take: a commit of the catalog, perhaps after an election.
const JOIN_LIMIT: Duration = Duration::from_secs(5);

/// Between two rounds at first, and at most. Nodes of one cluster start at about the same time; one
/// that waits for an operator need not hurry.
const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(2);

/// The least time between two rounds, whoever turns up.
const BREATH: Duration = Duration::from_millis(50);

/// Addresses that are asked in one round. A name that leads to more is not that of a cluster.
const ADDRESSES_MOST: usize = 64;

/// This node on its way into a cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Candidate {
    token: u128,
    formation: Arc<Mutex<Formation>>,
    /// Somebody turned up whom the latest round did not meet.
    stirred: Arc<Notify>,
}

/// How a node came to its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It makes one.
    Found,
    /// It was taken in.
    Joined(JoinReply),
}

/// What is needed to look for a cluster.
#[derive(Clone, Debug)]
pub struct Search {
    /// The seeds, as they are configured.
    pub seeds: Vec<String>,
    /// How many nodes it takes to make a cluster.
    pub quorum: Quorum,
    /// What this node says of itself when it joins.
    pub join: Join,
}

impl Candidate {
    /// A node with `token`, which belongs to nobody, or to `membership` already.
    #[must_use]
    pub fn new(token: u128, membership: Option<Founded>) -> Self {
        let formation = Arc::new(Mutex::new(Formation::new(token, membership)));
        Self { token, formation, stirred: Arc::default() }
    }

    /// Answers another node's hello.
    #[must_use]
    pub fn answer(&self, hello: &Hello) -> HelloReply {
        let mut formation = self.look();
        let reply = formation.answer(Instant::now(), hello);
        if reply.promised || !formation.knows(hello.token) {
            self.stirred.notify_one();
        }
        reply
    }

    /// This node belongs to a cluster, and its disk says so.
    pub fn settle(&self, founded: Founded) {
        self.look().settled(founded);
    }

    /// Looks for a cluster until this node may make one or is taken into one. Says through `report`
    /// what it waits for, whenever that changes.
    pub async fn search(
        &self,
        peers: &Peers,
        search: &Search,
        report: impl Fn(&str) + Send + Sync,
    ) -> Outcome {
        let (mut said, mut pause) = (String::new(), PAUSE_LEAST);
        loop {
            let waiting = match self.round(peers, search).await {
                Ok(outcome) => return outcome,
                Err(waiting) => waiting.to_string(),
            };
            if waiting == said {
                pause = pause.saturating_mul(2).min(PAUSE_MOST);
            } else {
                report(&waiting);
                (said, pause) = (waiting, PAUSE_LEAST);
            }
            // Nodes that wait for each other do not keep step.
            let pause = pause.mul_f64(rand::random_range(0.75..1.25));
            tokio::time::sleep(BREATH).await;
            let _whichever = tokio::time::timeout(pause, self.stirred.notified()).await;
        }
    }

    async fn round(&self, peers: &Peers, search: &Search) -> Result<Outcome, Waiting> {
        let resolved = resolve(&search.seeds).await;
        let answers = say_hello(peers, self.token, &resolved).await;
        let step = self.look().heard(Instant::now(), &answers, search.quorum);
        match step {
            Step::Wait(waiting) => Err(waiting),
            Step::Ask(addresses, needed) => {
                let hello = Hello { token: self.token, founding: true };
                let replies = ask_all(peers, hello, addresses).await;
                let replies: Vec<HelloReply> = replies.into_values().flatten().collect();
                let waiting = self.look().promised(Instant::now(), &replies, needed);
                waiting.map_or(Ok(Outcome::Found), Err)
            }
            Step::Join(cluster, addresses) => {
                let joined = join(peers, cluster, &addresses, &search.join).await;
                joined.map(Outcome::Joined).map_err(|refusals| {
                    self.look().rejected();
                    Waiting::Admission { cluster, refusals }
                })
            }
        }
    }

    fn look(&self) -> MutexGuard<'_, Formation> {
        self.formation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which cluster a node at `address` belongs to.
///
/// # Errors
/// When nobody answers there who belongs to one; why, in words.
pub async fn cluster_at(peers: &Peers, token: u128, address: &str) -> Result<ClusterId, String> {
    let resolved = resolve(&[address.to_owned()]).await;
    let mut reason = "it belongs to none itself".to_owned();
    for answer in say_hello(peers, token, &resolved).await {
        match answer.outcome {
            Ok(HelloReply { cluster: Some(found), .. }) => return Ok(found.cluster),
            Ok(HelloReply { cluster: None, .. }) => {}
            Err(error) => reason = error,
        }
    }
    Err(format!("no node of a cluster answers at {address}: {reason}"))
}

/// Asks the seeds of a node of `own` where the others of its cluster are, and tells `peers` of those
/// that have moved.
pub async fn find_others(peers: &Peers, token: u128, own: Founded, seeds: &[String]) {
    let resolved = resolve(seeds).await;
    for Answer { address, outcome, .. } in say_hello(peers, token, &resolved).await {
        let Ok(HelloReply { cluster: Some(found), .. }) = outcome else { continue };
        let related = (found.cluster, found.incarnation) == (own.cluster, own.incarnation);
        if !related || found.node == own.node || leads_to(peers, found, &address).await {
            continue;
        }
        tracing::info!(node = %found.node, %address, "a node of the cluster has moved");
        peers.set_address(found.node, &address);
    }
}

/// Whether what is known of where `node` is leads to `address`.
async fn leads_to(peers: &Peers, node: Founded, address: &str) -> bool {
    let Some(known) = peers.address(node.node) else { return false };
    if known == address {
        return true;
    }
    let resolved = resolve(&[known]).await;
    let mut addresses = resolved.into_iter().filter_map(|it| it.addresses.ok()).flatten();
    addresses.any(|known| known.to_string() == address)
}

/// Says hello to every address of every seed, and gives what each said.
async fn say_hello(peers: &Peers, token: u128, resolved: &[Resolved]) -> Vec<Answer> {
    let addresses = resolved.iter().filter_map(|seed| seed.addresses.as_ref().ok()).flatten();
    let addresses: Vec<String> =
        addresses.take(ADDRESSES_MOST).map(SocketAddr::to_string).collect();
    let replies = ask_all(peers, Hello { token, founding: false }, addresses).await;
    let mut answers = Vec::new();
    for Resolved { seed, addresses } in resolved {
        let nowhere = |reason: &str| Answer {
            seed: seed.clone(),
            address: seed.clone(),
            outcome: Err(reason.to_owned()),
        };
        match addresses {
            Err(reason) => answers.push(nowhere(reason)),
            Ok(none) if none.is_empty() => answers.push(nowhere("the name has no address")),
            Ok(some) => answers.extend(some.iter().filter_map(|address| {
                let address = address.to_string();
                let outcome = replies.get(&address)?.clone();
                Some(Answer { seed: seed.clone(), address, outcome })
            })),
        }
    }
    answers
}

/// Asks all `addresses` at the same time.
async fn ask_all(
    peers: &Peers,
    hello: Hello,
    addresses: Vec<String>,
) -> BTreeMap<String, Result<HelloReply, String>> {
    let mut asking = JoinSet::new();
    for address in addresses {
        let peers = peers.clone();
        asking.spawn(async move {
            let reply = peers.hello(&address, hello, HELLO_LIMIT).await;
            (address, reply.map_err(|error| reason(&error)))
        });
    }
    asking.join_all().await.into_iter().collect()
}

/// Asks one after the other to be taken in. What each said if none did.
async fn join(
    peers: &Peers,
    cluster: ClusterId,
    addresses: &[String],
    join: &Join,
) -> Result<JoinReply, Vec<String>> {
    let mut refusals = Vec::new();
    for address in addresses {
        match peers.join(address, join.clone(), JOIN_LIMIT).await {
            Ok(reply) if reply.cluster == cluster => return Ok(reply),
            Ok(reply) => refusals.push(format!("{address}: it is of cluster {}", reply.cluster)),
            Err(error) => refusals.push(format!("{address}: {}", reason(&error))),
        }
    }
    Err(refusals)
}

/// `error` in a few words that stay the same from round to round.
fn reason(error: &PeerError) -> String {
    match error {
        PeerError::NoAddress { .. } => "no usable address".to_owned(),
        PeerError::Gone { .. } => "nobody listens".to_owned(),
        PeerError::Unreachable { .. } => "out of reach".to_owned(),
        PeerError::TimedOut { .. } => "no answer in time".to_owned(),
        PeerError::Stranger { text, .. }
        | PeerError::Unavailable { text, .. }
        | PeerError::Failed { text, .. } => text.clone(),
        PeerError::NotHere { .. }
        | PeerError::UnknownGroup { .. }
        | PeerError::NotLeader { .. } => "it is not in charge".to_owned(),
    }
}
