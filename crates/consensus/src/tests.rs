//! Groups as a whole, on both engines and over real sockets.

mod cluster;
mod disk;
mod kit;
mod lagging;
mod recall;
mod single;
mod speed;
mod suite;
