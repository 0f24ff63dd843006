//! All.

use super::targets::{Hop, Targets};
use crate::route::Found;

/// The bindings of a fanout exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fanout {
    targets: Targets,
}

impl Fanout {
    pub(crate) fn bind(&mut self, hop: Hop) {
        self.targets.bind(hop);
    }

    pub(crate) fn unbind(&mut self, hop: &Hop) {
        self.targets.unbind(hop);
    }

    pub(crate) fn route<'a>(&'a self, found: &mut Found<'a, '_>) {
        self.targets.route(found);
    }
}
