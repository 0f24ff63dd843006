//! Groups as a whole, on both engines and over real sockets.

mod cluster;
mod disk;
mod kit;
mod lagging;
mod single;
mod speed;
mod suite;
