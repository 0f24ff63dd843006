//! What the end-to-end tests and the load generator of warren share.
//!
//! - [`node`]: a real `warren server` process with a data directory and ports of its own.
//! - [`cluster`]: several of them that are one broker.
//! - [`wire`]: a small blocking AMQP client that can also send what no library would.
//! - [`checker`]: judges a history of publishes, confirms and deliveries.
//! - [`history`] and [`traffic`]: clients at a steady pace, whose every step is recorded.
//! - [`failover`]: what happens to nodes meanwhile; [`measure`]: how long that takes, and what
//!   queues cost, behind `warren-measure`.
//! - [`collector`]: keeps the spans that nodes send.
//! - [`ctl`]: `warrenctl`, also under the names of RabbitMQ's tools.
//! - [`http`]: asks a node's management API.
//! - [`tools`]: programs that not every machine has.
//! - [`python`]: pika in several versions and Celery, installed on demand.
//! - [`packages`]: what else is installed on demand: rabbitmqadmin, clients of the API.
//! - [`load`]: the load generator behind `warren-load`.
//!
//! The tests themselves are in `tests/tests`, the Python programs in `tests/python`.

pub mod blocked;
pub mod checker;
pub mod cluster;
pub mod collector;
pub mod ctl;
pub mod failover;
pub mod history;
pub mod http;
pub mod load;
pub mod measure;
pub mod node;
pub mod packages;
pub mod python;
pub mod tools;
pub mod traffic;
pub mod wire;
