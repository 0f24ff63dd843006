//! Groups as a whole, on both engines and over real sockets.

mod cluster;
mod kit;
mod single;
mod speed;
mod suite;
