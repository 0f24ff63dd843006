//! Conversations, byte for byte.

mod channels;
mod content;
mod fuzz;
mod handshake;
mod output;
mod peer;
mod replies;
mod requests;
mod splits;
mod wire;
