//! The node's listeners, open before anything is served on them.
//!
//! Clients that come while the node starts wait in the system's backlog instead of being turned
//! away, and an address that is taken is known before the node has done anything.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use tokio::net::TcpListener;

use crate::config::NodeSection;

/// All listeners of a node.
#[derive(Debug)]
pub struct Doors {
    /// Those of a node that serves.
    pub front: Front,
    /// For health checks and metrics, and whatever else speaks HTTP.
    pub http: TcpListener,
    /// For metrics.
    pub metrics: TcpListener,
    /// Where they listen.
    pub addresses: Addresses,
}

/// The listeners that a node has only while it serves, or is about to.
#[derive(Debug)]
pub struct Front {
    /// For clients.
    pub amqp: TcpListener,
    /// For other nodes.
    pub peer: TcpListener,
}

/// Where a node listens. Shown as in `amqp=… http=… metrics=… peer=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For clients.
    pub amqp: SocketAddr,
    /// For HTTP.
    pub http: SocketAddr,
    /// For metrics.
    pub metrics: SocketAddr,
    /// For other nodes.
    pub peer: SocketAddr,
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key})")]
pub struct DoorError {
    /// The key of the configuration that names it.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    #[source]
    source: io::Error,
}

impl Doors {
    /// Opens all of them.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn open(config: &NodeSection) -> Result<Self, DoorError> {
        let (amqp, amqp_address) = open("amqp", config.amqp).await?;
        let (http, http_address) = open("http", config.http).await?;
        let (metrics, metrics_address) = open("metrics", config.metrics).await?;
        let (peer, peer_address) = open("peer", config.peer).await?;
        let addresses = Addresses {
            amqp: amqp_address,
            http: http_address,
            metrics: metrics_address,
            peer: peer_address,
        };
        Ok(Self { front: Front { amqp, peer }, http, metrics, addresses })
    }
}

impl Front {
    /// Opens them where they were.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn open(addresses: &Addresses) -> Result<Self, DoorError> {
        let (amqp, _) = open("amqp", addresses.amqp).await?;
        let (peer, _) = open("peer", addresses.peer).await?;
        Ok(Self { amqp, peer })
    }
}

/// Another handle of the same listener. Clients wait in the system's backlog while nobody uses any.
///
/// # Errors
/// When the system has no more handles.
pub fn twin(listener: &TcpListener) -> io::Result<TcpListener> {
    let handle = listener.as_fd().try_clone_to_owned()?;
    TcpListener::from_std(handle.into())
}

async fn open(
    key: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), DoorError> {
    let failed = |source| DoorError { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    // The system picks the port where the configuration says 0.
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { amqp, http, metrics, peer } = self;
        write!(f, "amqp={amqp} http={http} metrics={metrics} peer={peer}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ports_that_the_system_picks_are_the_ones_that_are_shown() {
        let doors = Doors::open(&loopback()).await.expect("loopback has free ports");

        assert_ne!(doors.addresses.amqp.port(), 0);
        assert_eq!(doors.addresses.http, doors.http.local_addr().expect("it is bound"));
        let shown = doors.addresses.to_string();
        assert!(shown.starts_with(&format!("amqp={} http=127.0.0.1:", doors.addresses.amqp)));
        assert!(shown.ends_with(&format!(" peer={}", doors.addresses.peer)));
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named_with_its_key() {
        let taken = Doors::open(&loopback()).await.expect("loopback has free ports");
        let mut config = loopback();
        config.metrics = taken.addresses.amqp;

        let error = Doors::open(&config).await.expect_err("somebody listens there");

        let expected = format!("cannot listen on {} (metrics)", taken.addresses.amqp);
        assert_eq!(error.to_string(), expected);
    }

    fn loopback() -> NodeSection {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        NodeSection { amqp: any, http: any, metrics: any, peer: any, ..NodeSection::default() }
    }
}
