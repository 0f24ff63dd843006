//! Messages that are short and would be large, from one who is let in.

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::kit::{Frontend, Host, desk, soon};
use crate::codec::MEMORY_LIMIT_BYTES;
use crate::wire::generated::raft::{AppendReply, AppendRequest, Entry};

/// Far more than are read, and as many bytes as one ordinary batch.
const MANY: usize = MEMORY_LIMIT_BYTES / 64;

/// What the host says to so many empty entries.
async fn beat(host: &Host, entries: usize) -> Status {
    let endpoint = Endpoint::from_shared(format!("http://{}", host.address)).unwrap();
    let mut grpc = Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let request = AppendRequest { entries: vec![Entry::default(); entries], ..Default::default() };
    let path = PathAndQuery::from_static("/warren.raft.v1.Raft/Beat");
    let codec = ProstCodec::<AppendRequest, AppendReply>::default();
    soon(grpc.unary(Request::new(request), path, codec)).await.expect_err("it says who it is not")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_very_many_empty_entries_is_refused_before_it_is_read() {
    let host = Host::start(desk(Frontend::silent())).await;

    let (few, many) = (beat(&host, 1000).await, beat(&host, MANY).await);

    // What can be read is looked at, and comes from nobody.
    assert_eq!(few.code(), Code::PermissionDenied, "{few:?}");
    assert_eq!(many.code(), Code::ResourceExhausted, "{many:?}");
    assert!(many.message().contains("bytes of memory"), "{many:?}");
}
