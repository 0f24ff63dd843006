//! Answers the fronts of other nodes.

use std::future::Future;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use warren_types::LogIndex;

use super::{Service, senseless};
use crate::batch;
use crate::error::Refusal;
use crate::flow::Flow;
use crate::frontend::{Followed, FrontItem, HostItem, Place};
use crate::identity::{self, Caller};
use crate::wire::frontend::{place, rows_sent, wanted_received};
use crate::wire::generated::frontend as wire;
use crate::wire::generated::frontend::frontend_server::Frontend;

/// Bytes of an answer to a survey that travel in one message.
const SURVEY_PIECE_BYTES: usize = 256 * 1024;

/// What the queues of this node answer to the fronts of other nodes.
pub trait FrontendHandler: Send + Sync + 'static {
    /// Takes a front's items as they come, and tells it what it must know.
    ///
    /// The items end when the front lets go of the stream, or is gone; what is returned is dropped
    /// then, as far as the items are read. Where one batch ends and the next begins means nothing;
    /// a batch is one message, so a sender hands over all that is queued. While the front does not
    /// read, what is returned is not polled.
    fn converse(&self, caller: Caller, items: Flow<Vec<FrontItem>>) -> Flow<Vec<HostItem>>;

    /// Rows of the log of `place`, thinned to the records at the given offsets. Rows that are not
    /// here are left out.
    fn rows(
        &self,
        caller: Caller,
        place: Place,
        wanted: Vec<(LogIndex, Vec<u32>)>,
    ) -> impl Future<Output = Result<Vec<(LogIndex, Bytes)>, Refusal>> + Send;

    /// Says what stands in a stream at `place`, or where; waits where there is nothing yet.
    fn follow(
        &self,
        caller: Caller,
        place: Place,
        question: Bytes,
    ) -> impl Future<Output = Result<Followed, Refusal>> + Send;

    /// Whether somebody here waits for direct replies under `nonce`.
    fn listens(
        &self,
        caller: Caller,
        nonce: u64,
    ) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// Answers what an operator wants to know of this node, or has it done.
    fn survey(
        &self,
        caller: Caller,
        question: Bytes,
    ) -> impl Future<Output = Result<Bytes, Refusal>> + Send;
}

#[tonic::async_trait]
impl<R, F, C> Frontend for Service<R, F, C>
where
    R: Send + Sync + 'static,
    F: FrontendHandler,
    C: Send + Sync + 'static,
{
    type ConverseStream = Flow<Result<wire::HostBatch, Status>>;
    type RowsStream = Flow<Result<wire::RowsReply, Status>>;
    type FollowStream = Flow<Result<wire::FollowReply, Status>>;
    type SurveyStream = Flow<Result<wire::SurveyReply, Status>>;

    async fn converse(
        &self,
        request: Request<Streaming<wire::FrontBatch>>,
    ) -> Result<Response<Self::ConverseStream>, Status> {
        let caller = self.check(&request)?;
        let handler = self.frontend()?;
        // The transport notices only when there is something to say that nobody listens.
        let over = CancellationToken::new();
        let when_over = over.clone().cancelled_owned();
        let items = request.into_inner().map(|batch| batch.ok()?.try_into().ok());
        let ended = stream::once(std::future::ready(None));
        let items = items.chain(ended).scan(over, |over, batch| {
            if batch.is_none() {
                over.cancel();
            }
            std::future::ready(batch)
        });
        let batches = handler.converse(caller, Box::pin(items)).take_until(when_over);
        let batches = batches.flat_map(|batch| stream::iter(batch::split(batch)));
        let batches = batches.map(|batch| Ok(batch.into()));
        let mut response: Response<Self::ConverseStream> = Response::new(Box::pin(batches));
        identity::put_boot(response.metadata_mut(), self.identity()?.boot);
        Ok(response)
    }

    async fn rows(
        &self,
        request: Request<wire::RowsRequest>,
    ) -> Result<Response<Self::RowsStream>, Status> {
        let caller = self.check(&request)?;
        let wire::RowsRequest { place: at, wanted } = request.into_inner();
        let at = place(at).map_err(senseless)?;
        let rows = self.frontend()?.rows(caller, at, wanted_received(wanted)).await;
        let batches = stream::iter(batch::split(rows.map_err(Refusal::into_status)?));
        let replies = batches.map(|rows| Ok(wire::RowsReply { rows: rows_sent(rows) }));
        Ok(Response::new(Box::pin(replies)))
    }

    async fn follow(
        &self,
        request: Request<wire::FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let caller = self.check(&request)?;
        let wire::FollowRequest { place: at, question } = request.into_inner();
        let at = place(at).map_err(senseless)?;
        let followed = self.frontend()?.follow(caller, at, question).await;
        let Followed { mut head, rows } = followed.map_err(Refusal::into_status)?;
        let replies = batch::split(rows).map(move |rows| {
            Ok(wire::FollowReply { head: std::mem::take(&mut head), rows: rows_sent(rows) })
        });
        Ok(Response::new(Box::pin(stream::iter(replies))))
    }

    async fn listens(
        &self,
        request: Request<wire::ListensRequest>,
    ) -> Result<Response<wire::ListensReply>, Status> {
        let caller = self.check(&request)?;
        let nonce = request.into_inner().nonce;
        let listens = self.frontend()?.listens(caller, nonce).await;
        let listens = listens.map_err(Refusal::into_status)?;
        Ok(Response::new(wire::ListensReply { listens }))
    }

    async fn survey(
        &self,
        request: Request<wire::SurveyRequest>,
    ) -> Result<Response<Self::SurveyStream>, Status> {
        let caller = self.check(&request)?;
        let answer = self.frontend()?.survey(caller, request.into_inner().question).await;
        let mut rest = answer.map_err(Refusal::into_status)?;
        let pieces = std::iter::from_fn(move || {
            let piece = rest.split_to(rest.len().min(SURVEY_PIECE_BYTES));
            (!piece.is_empty()).then_some(Ok(wire::SurveyReply { piece }))
        });
        Ok(Response::new(Box::pin(stream::iter(pieces))))
    }
}
