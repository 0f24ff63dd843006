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
use crate::secure::Security;

/// All listeners of a node.
#[derive(Debug)]
pub struct Doors {
    /// Those of a node that serves.
    pub front: Front,
    /// For health checks and metrics, and whatever else speaks HTTP.
    pub http: TcpListener,
    /// For metrics.
    pub metrics: TcpListener,
    /// As `http`, under TLS.
    pub https: Option<TcpListener>,
    /// As `metrics`, under TLS.
    pub metrics_https: Option<TcpListener>,
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
    /// For clients, under TLS.
    pub amqps: Option<TcpListener>,
}

/// Where a node listens. Shown as in `amqp=… http=… metrics=… peer=…`, with what is there under TLS
/// behind it.
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
    /// For clients, under TLS.
    pub amqps: Option<SocketAddr>,
    /// For HTTP, under TLS.
    pub https: Option<SocketAddr>,
    /// For metrics, under TLS.
    pub metrics_https: Option<SocketAddr>,
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
    /// Opens all of them, and those under TLS that `security` has certificates for.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn open(config: &NodeSection, security: &Security) -> Result<Self, DoorError> {
        let (amqp, amqp_address) = open("amqp", config.amqp).await?;
        let (http, http_address) = open("http", config.http).await?;
        let (metrics, metrics_address) = open("metrics", config.metrics).await?;
        let (peer, peer_address) = open("peer", config.peer).await?;
        let (has_amqp, has_web) = (security.amqp().is_some(), security.web().is_some());
        let (amqps, amqps_address) = open_if(has_amqp, "amqps", config.amqps).await?;
        let (https, https_address) = open_if(has_web, "https", config.https).await?;
        let metrics_https = open_if(has_web, "metrics_https", config.metrics_https).await?;
        let (metrics_https, metrics_https_address) = metrics_https;
        let addresses = Addresses {
            amqp: amqp_address,
            http: http_address,
            metrics: metrics_address,
            peer: peer_address,
            amqps: amqps_address,
            https: https_address,
            metrics_https: metrics_https_address,
        };
        Ok(Self {
            front: Front { amqp, peer, amqps },
            http,
            metrics,
            https,
            metrics_https,
            addresses,
        })
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
        let amqps = match addresses.amqps {
            Some(address) => Some(open("amqps", address).await?.0),
            None => None,
        };
        Ok(Self { amqp, peer, amqps })
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

async fn open_if(
    wanted: bool,
    key: &'static str,
    address: SocketAddr,
) -> Result<(Option<TcpListener>, Option<SocketAddr>), DoorError> {
    if wanted {
        open(key, address).await.map(|it| (Some(it.0), Some(it.1)))
    } else {
        Ok((None, None))
    }
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
        let Self { amqp, http, metrics, peer, amqps, https, metrics_https } = self;
        write!(f, "amqp={amqp} http={http} metrics={metrics} peer={peer}")?;
        let secure = [("amqps", amqps), ("https", https), ("metrics_https", metrics_https)];
        for (name, address) in secure {
            if let Some(address) = address {
                write!(f, " {name}={address}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn ports_that_the_system_picks_are_the_ones_that_are_shown() {
        let doors = Doors::open(&loopback(), &plain()).await.expect("loopback has free ports");

        assert_ne!(doors.addresses.amqp.port(), 0);
        assert_eq!(doors.addresses.http, doors.http.local_addr().expect("it is bound"));
        let shown = doors.addresses.to_string();
        assert!(shown.starts_with(&format!("amqp={} http=127.0.0.1:", doors.addresses.amqp)));
        assert!(shown.ends_with(&format!(" peer={}", doors.addresses.peer)));
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named_with_its_key() {
        let taken = Doors::open(&loopback(), &plain()).await.expect("loopback has free ports");
        let mut config = loopback();
        config.metrics = taken.addresses.amqp;

        let error = Doors::open(&config, &plain()).await.expect_err("somebody listens there");

        let expected = format!("cannot listen on {} (metrics)", taken.addresses.amqp);
        assert_eq!(error.to_string(), expected);
    }

    fn plain() -> Security {
        Security::open(&Config::default()).expect("there is nothing to read")
    }

    fn loopback() -> NodeSection {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        NodeSection { amqp: any, http: any, metrics: any, peer: any, ..NodeSection::default() }
    }
}
