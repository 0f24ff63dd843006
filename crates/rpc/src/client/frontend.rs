//! What a front asks of the node that hosts its queues.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use warren_types::{BootId, GroupId, LogIndex, NodeId};

use super::Call;
use crate::batch;
use crate::error::PeerError;
use crate::flow::Flow;
use crate::frontend::{Followed, FrontItem, HostItem, Place};
use crate::identity;
use crate::peers::{MESSAGE_LIMIT_BYTES, Peers, Purpose};
use crate::wire::Senseless;
use crate::wire::frontend::{rows_received, wanted_sent};
use crate::wire::generated::frontend as wire;
use crate::wire::generated::frontend::frontend_client::FrontendClient;

impl Peers {
    /// Opens a stream of items to `node` and gives the boot of the process that answers, and what
    /// it says.
    ///
    /// Each batch of `items` is one message, so a sender hands over all that is queued; a batch of
    /// more than [`MESSAGE_BYTES`](crate::MESSAGE_BYTES) is sent as several. One item must fit into
    /// a message. While the other end does not read, `items` is not polled.
    ///
    /// `limit` bounds the setup. The stream lasts until `items` end, what is returned is dropped,
    /// the other end lets go, or it breaks, which is an error after which nothing follows.
    ///
    /// # Errors
    /// When the stream cannot be set up.
    pub async fn front(
        &self,
        node: NodeId,
        items: impl Stream<Item = Vec<FrontItem>> + Send + 'static,
        limit: Duration,
    ) -> Result<(BootId, Flow<Result<Vec<HostItem>, PeerError>>), PeerError> {
        let call = Call::within_cluster(self, node, None);
        let mut client = self.frontend(node, Purpose::FrontEnd)?;
        // The transport keeps sending for as long as there are items, also when nobody listens.
        let over = CancellationToken::new();
        let items = items.take_until(over.clone().cancelled_owned());
        let over = over.drop_guard();
        let batches = items.flat_map(|batch| stream::iter(batch::split(batch)));
        let request = call.stamped(batches.map(wire::FrontBatch::from));
        let response = call.response_within(limit, client.converse(request)).await?;
        let boot = identity::boot(response.metadata());
        let boot = boot.ok_or_else(|| call.senseless(Senseless("a boot")))?;
        let answers = response.into_inner().map(move |batch| match batch {
            Ok(batch) => batch.try_into().map_err(|error| call.senseless(error)),
            Err(status) => Err(call.failed(&status)),
        });
        let answers = answers.scan(false, move |broken, batch| {
            let _ends_with_the_answers = &over;
            let after_the_end = std::mem::replace(broken, batch.is_err());
            std::future::ready((!after_the_end).then_some(batch))
        });
        Ok((boot, Box::pin(answers)))
    }

    /// Asks `node` for rows of the log of `place`, thinned to the records at the given offsets.
    /// Rows that it does not have are left out.
    ///
    /// # Errors
    /// When not everything came in time.
    pub async fn rows(
        &self,
        node: NodeId,
        place: Place,
        wanted: Vec<(LogIndex, Vec<u32>)>,
        limit: Duration,
    ) -> Result<Vec<(LogIndex, Bytes)>, PeerError> {
        let call = Call::within_cluster(self, node, group(place));
        let mut client = self.frontend(node, Purpose::FrontEnd)?;
        let request = wire::RowsRequest { place: Some(place.into()), wanted: wanted_sent(wanted) };
        let request = call.stamped(request);
        let gathering = async {
            let mut replies = client.rows(request).await?.into_inner();
            let mut rows = Vec::new();
            while let Some(reply) = replies.message().await? {
                rows.extend(rows_received(reply.rows));
            }
            Ok(rows)
        };
        match tokio::time::timeout(limit, gathering).await {
            Ok(gathered) => gathered.map_err(|status| call.failed(&status)),
            Err(_) => Err(call.timed_out(limit)),
        }
    }

    /// Asks `node` what stands in a stream at `place`, or where.
    ///
    /// # Errors
    /// When not everything came in time.
    pub async fn follow(
        &self,
        node: NodeId,
        place: Place,
        question: Bytes,
        limit: Duration,
    ) -> Result<Followed, PeerError> {
        let call = Call::within_cluster(self, node, group(place));
        let mut client = self.frontend(node, Purpose::FrontEnd)?;
        let request = call.stamped(wire::FollowRequest { place: Some(place.into()), question });
        let gathering = async {
            let mut replies = client.follow(request).await?.into_inner();
            let mut followed = Followed::default();
            while let Some(reply) = replies.message().await? {
                if !reply.head.is_empty() {
                    followed.head = reply.head;
                }
                followed.rows.extend(rows_received(reply.rows));
            }
            Ok(followed)
        };
        match tokio::time::timeout(limit, gathering).await {
            Ok(gathered) => gathered.map_err(|status| call.failed(&status)),
            Err(_) => Err(call.timed_out(limit)),
        }
    }

    /// Asks `node` whether somebody there waits for direct replies under `nonce`.
    ///
    /// # Errors
    /// When no answer came in time.
    pub async fn listens(
        &self,
        node: NodeId,
        nonce: u64,
        limit: Duration,
    ) -> Result<bool, PeerError> {
        let call = Call::within_cluster(self, node, None);
        let mut client = self.frontend(node, Purpose::Control)?;
        let request = call.stamped(wire::ListensRequest { nonce });
        Ok(call.within(limit, client.listens(request)).await?.listens)
    }

    /// Asks `node` what an operator wants to know of it, or to have done there.
    ///
    /// # Errors
    /// When not everything came in time. What was to be done may have been.
    pub async fn survey(
        &self,
        node: NodeId,
        question: Bytes,
        limit: Duration,
    ) -> Result<Bytes, PeerError> {
        let call = Call::within_cluster(self, node, None);
        let mut client = self.frontend(node, Purpose::Survey)?;
        let request = call.stamped(wire::SurveyRequest { question });
        let gathering = async {
            let mut replies = client.survey(request).await?.into_inner();
            let mut answer = BytesMut::new();
            while let Some(reply) = replies.message().await? {
                answer.extend_from_slice(&reply.piece);
            }
            Ok(answer.freeze())
        };
        match tokio::time::timeout(limit, gathering).await {
            Ok(gathered) => gathered.map_err(|status| call.failed(&status)),
            Err(_) => Err(call.timed_out(limit)),
        }
    }

    fn frontend(
        &self,
        node: NodeId,
        purpose: Purpose,
    ) -> Result<FrontendClient<Channel>, PeerError> {
        let channel = self.channel(node, purpose)?;
        Ok(FrontendClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT_BYTES))
    }
}

fn group(place: Place) -> Option<GroupId> {
    match place {
        Place::Shard(group) => Some(group),
        Place::Local { .. } => None,
    }
}
