//! The lives of a node: a process can run one after another.
//!
//! A life begins by opening the data directory and ends with its storage closed. What an operator
//! resets ends, is erased, and begins anew as a node that belongs to nobody and waits, with nothing
//! but HTTP, until it is told to start. HTTP's listeners outlive all lives, so that whoever asks in
//! between waits and is not turned away.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep};
use warren_management::{Surface, Wish};
use warren_storage::OpenError;

use super::{Node, NodeError, open};
use crate::config::{Config, Inputs};
use crate::doors::{Doors, Front, twin};
use crate::formation::talk::cluster_at;
use crate::observer::Operator;
use crate::reload::Reloader;
use crate::secure::Security;
use crate::settings;
use crate::signals::Signals;
use crate::tools;
use crate::wishes::{Asked, Wishes};

/// How long the last life's storage may take to be free, once everything is told to stop.
const ERASE_LIMIT: Duration = Duration::from_secs(10);

/// Between two looks whether it is.
const ERASE_PAUSE: Duration = Duration::from_millis(20);

/// How a life ends.
enum Ending {
    /// By a signal.
    Signal(&'static str),
    /// An operator wants the process to end.
    Asked,
    /// An operator wants a node that belongs to nobody, and perhaps other seeds for it.
    Erase(Option<Vec<String>>),
}

/// Runs a node until a signal or an operator asks it to end.
///
/// # Errors
/// When it does not start, or is not allowed to end in order.
pub async fn run(config: &Config, inputs: &Inputs) -> Result<(), NodeError> {
    let mut signals = Signals::catch().map_err(NodeError::Signals)?;
    let (wishes, mut asked) = Wishes::new();
    let security = Security::open(config)?;
    let address = config.node.peer;
    if security.guard().is_open() && !config.peers.insecure && !address.ip().is_loopback() {
        return Err(NodeError::Unguarded { address });
    }
    let hangup = Signals::hangup().map_err(NodeError::Signals)?;
    let reloader = Reloader::new(inputs.clone(), config.clone(), security.clone(), hangup);
    let mut config = config.clone();
    let (mut store, mut record) = open::open(&config).await?;
    let doors = Doors::open(&config.node, &security).await?;
    let Doors { front, http, metrics, https, metrics_https, addresses } = doors;
    let secret = tools::announce(&config.node.data_dir, &addresses).map_err(NodeError::Tools)?;
    let mut front = Some(front);
    loop {
        config = reloader.applied_to(config);
        let operator = Operator {
            browser_login: settings::browser_login(&config).map(Arc::new),
            settings: settings::shown(&config),
            wishes: wishes.clone(),
            security: security.clone(),
        };
        let mut node =
            Node::new(config.clone(), store, record, addresses, secret.clone(), operator);
        let listeners =
            [(&http, &https, Surface::Management), (&metrics, &metrics_https, Surface::Metrics)];
        for (plain, secure, surface) in listeners {
            node.serve_http(twin(plain).map_err(NodeError::Handles)?, surface);
            if let Some(listener) = secure {
                node.serve_https(twin(listener).map_err(NodeError::Handles)?, surface);
            }
        }
        node.keep_reading(&reloader);
        let outcome = tokio::select! {
            ending = node.live(front.take(), &mut asked) => ending,
            signal = signals.next() => Ok(Ending::Signal(signal)),
        };
        match &outcome {
            Ok(Ending::Signal(signal)) => tracing::info!(signal, "the node stops"),
            Ok(Ending::Asked) => tracing::info!("the node stops: an operator wants it to"),
            Ok(Ending::Erase(_)) => tracing::info!("the node stops to be erased"),
            Err(_) => tracing::info!("the node stops"),
        }
        // What runs is stopped in order even when the rest did not start.
        tokio::select! {
            () = node.stop() => {}
            _ = signals.next() => return Err(NodeError::Hurried),
        }
        match outcome? {
            Ending::Signal(_) | Ending::Asked => return Ok(()),
            Ending::Erase(seeds) => config.node.seeds = seeds.unwrap_or(config.node.seeds),
        }
        drop(node);
        erase(&config.node.data_dir).await?;
        (store, record) = open::open(&config).await?;
    }
}

impl Node {
    /// Starts and serves, at once if it has a `front`, or else when it is told to. Until somebody
    /// wants it to end.
    async fn live(
        &mut self,
        front: Option<Front>,
        asked: &mut Receiver<Asked>,
    ) -> Result<Ending, NodeError> {
        let front = match front {
            Some(front) => front,
            None => {
                self.observer.set_stopped();
                tracing::info!("the node belongs to nobody and waits to be told to start");
                if let Some(ending) = self.wait(asked).await {
                    return Ok(ending);
                }
                self.observer.set_starting();
                Front::open(&self.addresses).await?
            }
        };
        self.serve_peers(front.peer);
        let (peers, token) = (self.peers.clone(), self.record.token);
        let own = self.record.membership.map(|membership| membership.identity.cluster);
        let heard = async {
            loop {
                let request = next(asked).await;
                match request.wish.clone() {
                    Wish::Start => request.answer(Ok(())),
                    Wish::End => {
                        request.answer(Ok(()));
                        return Ending::Asked;
                    }
                    Wish::Erase => {
                        request.answer(Ok(()));
                        return Ending::Erase(None);
                    }
                    Wish::Join { address } => match cluster_at(&peers, token, &address).await {
                        Ok(cluster) if Some(cluster) == own => {
                            request.answer(Err("the node is a member of that cluster".to_owned()));
                        }
                        Ok(_) => {
                            request.answer(Ok(()));
                            return Ending::Erase(Some(vec![address]));
                        }
                        Err(reason) => request.answer(Err(reason)),
                    },
                }
            }
        };
        let mut heard = std::pin::pin!(heard);
        tokio::select! {
            started = self.start(front.amqp, front.amqps) => started?,
            ending = &mut heard => return Ok(ending),
        }
        Ok(heard.await)
    }

    /// Has its files read again when they change, for as long as it lives.
    fn keep_reading(&self, reloader: &Reloader) {
        let reloader = reloader.clone();
        let (observer, closing) = (Arc::downgrade(&self.observer), self.closing.clone());
        self.tasks.spawn(closing.run_until_cancelled_owned(reloader.run(observer)));
    }

    /// Waits until it is told to start, or to end.
    async fn wait(&mut self, asked: &mut Receiver<Asked>) -> Option<Ending> {
        loop {
            let request = next(asked).await;
            match request.wish.clone() {
                Wish::Start => {
                    request.answer(Ok(()));
                    return None;
                }
                Wish::End => {
                    request.answer(Ok(()));
                    return Some(Ending::Asked);
                }
                // There is nothing to erase.
                Wish::Erase => request.answer(Ok(())),
                Wish::Join { address } => {
                    let found = cluster_at(&self.peers, self.record.token, &address).await;
                    if found.is_ok() {
                        self.config.node.seeds = vec![address];
                    }
                    request.answer(found.map(drop));
                }
            }
        }
    }
}

async fn next(asked: &mut Receiver<Asked>) -> Asked {
    asked.recv().await.expect("whoever runs the lives keeps a way for wishes")
}

/// Makes the data directory empty, once the life before has let go of it.
async fn erase(data_dir: &Path) -> Result<(), NodeError> {
    let deadline = Instant::now() + ERASE_LIMIT;
    loop {
        let dir = data_dir.to_owned();
        let erased = open::blocking(move || Ok(warren_storage::erase(&dir))).await?;
        match erased {
            Err(OpenError::Locked { .. }) if Instant::now() < deadline => sleep(ERASE_PAUSE).await,
            other => return other.map_err(open::failed_to_open),
        }
    }
}
