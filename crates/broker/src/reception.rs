//! Where clients come in.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use warren_amqp::ReplyCode;
use warren_tls::Acceptor;

use crate::broker::{Broker, Inner};
use crate::connection::ToConnection;
use crate::limit::Limit;
use crate::registry::Registered;
use crate::{connection, maintenance};

/// What a client hears whose certificate was denied after it had come in.
pub(crate) const CERTIFICATE_REVOKED: &str = "the client's certificate is denied";

/// Clients beyond the limit that are heard at a time, to be told why they cannot come in. Further
/// ones are turned away without a word.
const TOLD_CLIENTS: usize = 64;

/// How long a socket error of `accept` (no file descriptors, say) keeps the next try waiting.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Broker {
    /// Accepts clients until the broker drains. While the node is out of service nobody listens.
    pub async fn serve(&self, listener: TcpListener) {
        self.accept(listener, |stream, peer| {
            let client = connection::serve(self.inner().clone(), stream, peer);
            self.inner().connections.spawn(client);
        })
        .await;
    }

    /// As [`Broker::serve`], with TLS.
    pub async fn serve_tls(&self, listener: TcpListener, acceptor: Acceptor) {
        self.accept(listener, |stream, peer| {
            let acceptor = acceptor.clone();
            let client = connection::serve_tls(self.inner().clone(), acceptor, stream, peer);
            self.inner().connections.spawn(client);
        })
        .await;
    }

    /// Sends those clients away whose certificates were denied or revoked after they had come in.
    pub fn dismiss_revoked(&self) {
        let is_revoked = |registered: &Registered| {
            registered.secured.as_ref().is_some_and(|session| session.is_revoked())
        };
        let close = || ToConnection::Close {
            code: ReplyCode::ConnectionForced,
            text: CERTIFICATE_REVOKED.to_owned(),
        };
        let count = self.inner().registry.send_each(is_revoked, close);
        if count > 0 {
            tracing::warn!(count, "clients are sent away: their certificates are denied");
        }
    }

    async fn accept(&self, mut listener: TcpListener, welcome: impl Fn(TcpStream, SocketAddr)) {
        let inner = self.inner();
        let mut suspended = inner.suspended.subscribe();
        loop {
            let accepted = tokio::select! {
                biased;
                () = inner.draining().cancelled() => return,
                Ok(_) = suspended.wait_for(|suspended| *suspended) => None,
                accepted = listener.accept() => Some(accepted),
            };
            let Some(accepted) = accepted else {
                let Ok(address) = listener.local_addr() else { return };
                drop(listener);
                let again = maintenance::listen_again(inner, address).await;
                let Some(again) = again else { return };
                listener = again;
                continue;
            };
            match accepted {
                Ok((_, peer)) if is_crowded(inner) => {
                    inner.counters.hits.note(Limit::Connections);
                    tracing::warn!(%peer, "connection limit reached, client turned away");
                }
                Ok((stream, peer)) => welcome(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether so many clients are here, those among them that have not logged in, that another one is
/// not even heard.
fn is_crowded(inner: &Inner) -> bool {
    inner.connections.len() >= inner.limits().connections.saturating_add(TOLD_CLIENTS)
}
