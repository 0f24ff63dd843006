//! By equal routing key.

use super::targets::{Hop, Targets};
use crate::Message;
use crate::lookup::Lookup;
use crate::route::Found;

/// The bindings of a direct exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Direct {
    keys: Lookup<Box<[u8]>, Targets>,
}

impl Direct {
    pub(crate) fn bind(&mut self, key: &[u8], hop: Hop) {
        match self.keys.value_mut(key) {
            Some(targets) => targets.bind(hop),
            None => {
                let mut targets = Targets::default();
                targets.bind(hop);
                self.keys.insert(Box::from(key), targets);
            }
        }
    }

    pub(crate) fn unbind(&mut self, key: &[u8], hop: &Hop) {
        let Some(targets) = self.keys.value_mut(key) else { return };
        targets.unbind(hop);
        if targets.is_empty() {
            self.keys.remove(key);
        }
    }

    pub(crate) fn route<'a>(&'a self, message: Message<'_>, found: &mut Found<'a, '_>) {
        for targets in message.keys().filter_map(|key| self.keys.value(key)) {
            targets.route(found);
        }
    }
}
