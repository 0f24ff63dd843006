//! Two nodes speak to each other, over sockets and over memory.

mod cluster;
mod front;
mod hostile;
mod kit;
mod simulated;
mod strangers;
