//! Who may speak to this node at all, before a word of what is said is looked at.
//!
//! A [`Guard`] stands in every connection between nodes, at both ends: with TLS, where each shows a
//! certificate for the name of nodes; with a secret, which each proves to know; with both, one
//! inside the other; or with neither, and then it lets everybody through. A connection with a certificate
//! that is denied or revoked later on fails then.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::TcpIncoming;
use warren_tls::{Acceptor, Connector, Opening};

use crate::dialer::{Dialer, Duplex};
use crate::secret::Secrets;

/// What is spoken inside TLS.
pub const PROTOCOL: &str = "h2";

/// How long somebody who calls may take to show who it is.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Connections whose handshake is under way at a time. Whoever comes beyond them takes the place of the one
/// who has been at it longest: a node is done within milliseconds, and a crowd that says nothing takes neither
/// the sockets of others nor the places of nodes.
const HANDSHAKES: u64 = 64;

/// Between two lines about strangers: who is turned away may come back at once.
const SAID_INTERVAL_S: u64 = 5;

/// Keeps strangers out. Cheap to clone; all clones are one guard.
#[derive(Clone, Default)]
pub struct Guard {
    tls: Option<(Acceptor, Connector)>,
    secrets: Arc<ArcSwapOption<Secrets>>,
    /// When somebody was last said to be turned away, seconds since 1970.
    said_s: Arc<AtomicU64>,
    /// How many have come so far.
    arrivals: Arc<watch::Sender<u64>>,
}

impl Guard {
    /// Lets through who shows a certificate, if there is `tls`, and knows one of `secrets`, if there
    /// are any.
    #[must_use]
    pub fn new(tls: Option<(Acceptor, Connector)>, secrets: Option<Secrets>) -> Self {
        let secrets = Arc::new(ArcSwapOption::from_pointee(secrets));
        Self { tls, secrets, said_s: Arc::default(), arrivals: Arc::default() }
    }

    /// Whether it lets everybody through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tls.is_none() && self.secrets.load().is_none()
    }

    /// Other secrets, for connections from here on.
    pub fn set_secrets(&self, secrets: Option<Secrets>) {
        self.secrets.store(secrets.map(Arc::new));
    }

    /// Connections that `dialer` makes, past the other end's guard.
    #[must_use]
    pub fn dialer(&self, dialer: Dialer) -> Dialer {
        let guard = self.clone();
        Dialer::new(move |address| {
            let (guard, dialer, address) = (guard.clone(), dialer.clone(), address.to_owned());
            async move {
                let stream = dialer.dial(&address).await?;
                let outcome = guard.call(stream).await;
                outcome.map_err(|error| guard.told("a node does not let us in", &address, &error))
            }
        })
    }

    /// Connections of `incoming`, with strangers kept out. Who is one shows when the connection is
    /// first read from.
    pub fn incoming<S, I>(
        &self,
        incoming: I,
    ) -> impl Stream<Item = io::Result<Opening<Box<dyn Duplex>>>> + use<S, I>
    where
        S: Duplex,
        I: Stream<Item = io::Result<S>>,
    {
        let guard = self.clone();
        incoming.map(move |stream| stream.map(|stream| guard.admit(stream, "somewhere".to_owned())))
    }

    /// Connections that arrive at `listener`, as in [`Guard::incoming`].
    pub fn listen(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = io::Result<Opening<Box<dyn Duplex>>>> + use<> {
        let guard = self.clone();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        incoming.map(move |stream| {
            let stream = stream?;
            let address = stream.peer_addr()?.to_string();
            Ok(guard.admit(stream, address))
        })
    }

    /// `stream`, which came from `address`, once it is known that it is no stranger's.
    fn admit<S: Duplex>(&self, stream: S, address: String) -> Opening<Box<dyn Duplex>> {
        let guard = self.clone();
        let mut arrivals = self.arrivals.subscribe();
        self.arrivals.send_modify(|count| *count = count.saturating_add(1));
        let last = arrivals.borrow().saturating_add(HANDSHAKES);
        Opening::new(async move {
            let outcome = tokio::select! {
                biased;
                outcome = tokio::time::timeout(HANDSHAKE_LIMIT, guard.answer(stream)) => {
                    outcome.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
                }
                _ = arrivals.wait_for(|count| *count >= last) => {
                    Err(io::Error::other("others have come who are waiting"))
                }
            };
            outcome.map_err(|error| guard.told("a stranger is turned away", &address, &error))
        })
    }

    async fn call(&self, stream: Box<dyn Duplex>) -> io::Result<Box<dyn Duplex>> {
        let mut stream: Box<dyn Duplex> = match &self.tls {
            Some((_, connector)) => Box::new(connector.connect(stream).await?),
            None => stream,
        };
        if let Some(secrets) = self.secrets.load_full() {
            secrets.call(&mut stream).await?;
        }
        Ok(stream)
    }

    async fn answer<S: Duplex>(&self, stream: S) -> io::Result<Box<dyn Duplex>> {
        let mut stream: Box<dyn Duplex> = match &self.tls {
            Some((acceptor, _)) => Box::new(acceptor.admit(stream, HANDSHAKE_LIMIT).await?),
            None => Box::new(stream),
        };
        if let Some(secrets) = self.secrets.load_full() {
            secrets.answer(&mut stream).await?;
        }
        Ok(stream)
    }

    /// Says that somebody did not get through, and why. The error never means that a process is
    /// gone: who is turned away hears the same as from one that dies at that moment.
    fn told(&self, what: &str, address: &str, error: &io::Error) -> io::Error {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (now, last) = (since.as_secs(), self.said_s.load(Ordering::Relaxed));
        let is_due = now.saturating_sub(last) >= SAID_INTERVAL_S || now < last;
        if is_due {
            self.said_s.store(now, Ordering::Relaxed);
            tracing::warn!(%address, %error, "{what}: certificates or secrets do not fit");
        }
        io::Error::new(ErrorKind::PermissionDenied, format!("not let through: {error}"))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}
