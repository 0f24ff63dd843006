//! The management API: RabbitMQ's paths, fields and words.
//!
//! Every request takes the same way: [`router`] finds the [`route::Route`], [`door`] finds out who
//! asks and whether they may, a handler makes a [`answer::Answer`] of what the broker says. The
//! handlers are sorted by what they are about, each with its routes on top.
//!
//! **Not here:** state. Two requests never disagree because one was answered from memory.

mod access;
mod answer;
mod attempts;
mod bindings;
mod body;
mod browse;
mod call;
mod chaos;
mod checks;
mod clients;
mod cluster;
mod counts;
mod definitions;
mod door;
mod exchanges;
mod features;
mod life;
mod limits;
mod list;
mod messages;
mod nodes;
mod openapi;
mod parameters;
mod permissions;
mod policies;
mod probe;
mod queue_lists;
mod queues;
mod refusal;
mod route;
mod router;
mod samples;
mod scheduled;
mod table;
mod tally;
mod text;
mod users;
mod vhosts;
mod whoami;

pub(crate) use definitions::import::bring_in;
pub(crate) use door::Peer;
pub use probe::{probe_bodies, probe_definitions};
pub(crate) use router::router;
pub use table::to_json;

use route::Route;

/// Everything that can be asked.
fn routes() -> Vec<Route> {
    [
        whoami::routes(),
        vhosts::routes(),
        users::routes(),
        attempts::routes(),
        permissions::routes(),
        policies::routes(),
        parameters::routes(),
        limits::routes(),
        exchanges::routes(),
        bindings::routes(),
        queue_lists::routes(),
        queues::routes(),
        browse::routes(),
        scheduled::routes(),
        clients::routes(),
        nodes::routes(),
        cluster::routes(),
        life::routes(),
        chaos::routes(),
        checks::routes(),
        features::routes(),
        definitions::routes(),
    ]
    .concat()
}
