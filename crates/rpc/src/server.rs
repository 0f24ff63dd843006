//! Answers the other nodes.
//!
//! A [`Desk`] says who this node is and who answers what; [`serve`] checks who calls and hands
//! everything on to whom the desk names. It ends when it is told to, having given open calls a
//! short while to finish.

mod cluster;
mod desk;
mod frontend;
mod raft;
mod socket;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

pub use cluster::ClusterHandler;
pub use desk::{Desk, Nobody};
pub use frontend::FrontendHandler;
pub use raft::RaftHandler;

use crate::dialer::Duplex;
use crate::identity::{Caller, Identity};
use crate::peers::{
    CONNECTION_WINDOW_BYTES, MESSAGE_LIMIT_BYTES, PING_INTERVAL, PING_LIMIT, STREAM_WINDOW_BYTES,
};
use crate::wire::Senseless;
use crate::wire::generated::cluster::cluster_server::ClusterServer;
use crate::wire::generated::frontend::frontend_server::FrontendServer;
use crate::wire::generated::raft::raft_server::RaftServer;

/// How long open calls may go on after the server was told to stop.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// The server ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("the peer listener failed")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Answers calls that arrive at `listener` until `stop` is ready.
///
/// # Errors
/// When the listener fails.
pub async fn serve<R, F, C>(
    listener: TcpListener,
    desk: Arc<Desk<R, F, C>>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError>
where
    R: RaftHandler,
    F: FrontendHandler,
    C: ClusterHandler,
{
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    serve_streams(incoming, desk, stop).await
}

/// As [`serve`], on connections that were accepted in any way.
///
/// # Errors
/// When `incoming` ends.
pub async fn serve_streams<R, F, C, S>(
    incoming: impl Stream<Item = io::Result<S>> + Send,
    desk: Arc<Desk<R, F, C>>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError>
where
    R: RaftHandler,
    F: FrontendHandler,
    C: ClusterHandler,
    S: Duplex,
{
    let cut = CancellationToken::new();
    let draining = CancellationToken::new();
    let service = Arc::new(Service { desk });
    let cluster = ClusterServer::from_arc(Arc::clone(&service));
    let frontend = FrontendServer::from_arc(Arc::clone(&service));
    let raft = RaftServer::from_arc(service);
    let serving = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_LIMIT))
        .add_service(raft.max_decoding_message_size(MESSAGE_LIMIT_BYTES))
        .add_service(frontend.max_decoding_message_size(MESSAGE_LIMIT_BYTES))
        .add_service(cluster.max_decoding_message_size(MESSAGE_LIMIT_BYTES))
        .serve_with_incoming_shutdown(
            socket::cuttable(incoming, cut.clone()),
            draining.clone().cancelled_owned(),
        );
    // Streams between nodes never end by themselves, so waiting for them has a limit.
    let _cut_on_drop = cut.clone().drop_guard();
    let stopping = async {
        stop.await;
        draining.cancel();
        tokio::time::sleep(DRAIN_LIMIT).await;
        cut.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = serving => outcome.map_err(|error| ServeError::Transport(Box::new(error))),
        () = stopping => Ok(()),
    }
}

/// What the generated services call.
struct Service<R, F, C> {
    desk: Arc<Desk<R, F, C>>,
}

impl<R, F, C> Service<R, F, C> {
    /// Who calls, if it may.
    fn check<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.identity()?.check(request.metadata()).map_err(|status| *status)
    }

    fn identity(&self) -> Result<Identity, Status> {
        self.desk.identity().ok_or_else(|| Status::unavailable("this node belongs to no cluster"))
    }

    fn raft(&self) -> Result<&R, Status> {
        self.desk.raft().ok_or_else(|| Status::unavailable("its groups do not run"))
    }

    fn frontend(&self) -> Result<&F, Status> {
        self.desk.frontend().ok_or_else(|| Status::unavailable("its broker does not run"))
    }

    fn cluster(&self) -> Result<&C, Status> {
        self.desk.cluster().ok_or_else(|| Status::unavailable("it does not take part yet"))
    }
}

fn senseless(error: Senseless) -> Status {
    Status::invalid_argument(error.to_string())
}
