//! Conversations, byte for byte.

mod channels;
mod content;
mod errors;
mod fuzz;
mod handshake;
mod output;
mod peer;
mod replies;
mod requests;
mod splits;
mod wire;
