//! Between the generated messages and our own.
//!
//! What is missing or without meaning in a message from outside is an error here, so that
//! nobody further in has to doubt a value.

mod cluster;
pub(crate) mod frontend;
mod raft;

/// The messages and services as they are generated, by package.
// tidy: expect(allow) which of these the generated code needs changes with its generator
#[allow(
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "generated code"
)]
pub(crate) mod generated {
    pub(crate) mod cluster {
        tonic::include_proto!("warren.cluster.v1");
    }
    pub(crate) mod frontend {
        tonic::include_proto!("warren.frontend.v1");
    }
    pub(crate) mod raft {
        tonic::include_proto!("warren.raft.v1");
    }
}

/// A message lacks something, or carries something without meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing or means nothing")]
pub struct Senseless(pub(crate) &'static str);

/// Through bytes, as another node would see it.
#[cfg(test)]
fn sent<W: prost::Message + Default>(message: impl Into<W>) -> W {
    W::decode(message.into().encode_to_vec().as_slice()).expect("its own bytes")
}
