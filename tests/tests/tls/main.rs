//! TLS between clients and a node, and between nodes: certificates from `warrenctl generate_certs`,
//! clients in several languages, files that change while everybody stays connected.

mod certificates;
mod clients;
mod lapin;
mod peers;
mod reload;
