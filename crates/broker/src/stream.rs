//! Streams, as they are read.
//!
//! Who reads a stream is known to nobody but its own node: a reader is a position, and what stands
//! there follows from the log. It is read from this node's own replica of the stream's shard; a node
//! that has none asks one that has.
//!
//! **Always holds:** a reader is given what a replica has applied, and so what is committed, in the
//! order of the offsets and none twice, whoever is asked: the position says what comes next.
//!
//! **Not here:** consumers (`connection/stream.rs`); what a stream keeps (`warren_queue`).

mod books;
mod filter;
mod page;
mod source;
mod start;
mod wire;

pub(crate) use books::Books;
pub(crate) use filter::Filter;
pub(crate) use page::Page;
pub(crate) use source::{Begin, Source};
pub(crate) use start::Start;
pub(crate) use wire::answer;
