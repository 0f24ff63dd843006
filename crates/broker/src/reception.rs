//! Where clients come in.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use warren_tls::Acceptor;

use crate::broker::Broker;
use crate::{connection, maintenance};

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
                // Those that have not logged in count as well.
                Ok((_, peer)) if inner.connections.len() >= inner.limits().connections => {
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
