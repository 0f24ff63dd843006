//! When the cluster may give up a node that lives, and with it the sessions of its clients.
//!
//! Then others get what those clients hold, and the clients, whose connections live, get anew. That is
//! as promised; so what was held at a node while something was done to it is not evidence. Nor is what such
//! a node sends afterwards: it may have been in its buffers all the time.

use std::collections::HashMap;

use crate::history::{DAMAGE, Event};

/// Microseconds after the end of a fault until when a node may be found to be given up.
const GRACE: u64 = 15_000_000;

/// What was done to which nodes when.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    nodes: HashMap<String, Vec<Stretch>>,
    is_damaged: bool,
}

#[derive(Debug)]
struct Stretch {
    fault: u64,
    from: u64,
    to: Option<u64>,
}

impl Doubts {
    /// Notes the begin and the end of faults.
    pub(super) fn see(&mut self, at: u64, event: &Event) {
        match event {
            Event::Fault { fault, nodes, what, .. } => {
                self.is_damaged |= what == DAMAGE;
                for node in nodes {
                    let stretch = Stretch { fault: *fault, from: at, to: None };
                    self.nodes.entry(node.clone()).or_default().push(stretch);
                }
            }
            Event::Healed { fault } => {
                let stretches = self.nodes.values_mut().flatten();
                for stretch in stretches.filter(|stretch| stretch.fault == *fault) {
                    stretch.to = Some(at);
                }
            }
            _ => {}
        }
    }

    /// Whether something on a disk was damaged so far.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Whether a node may have been given up in a stretch of time, up to the latest event.
    pub(super) fn touch(&self, node: &str, from: u64, to: u64) -> bool {
        let stretches = self.nodes.get(node).map(Vec::as_slice).unwrap_or_default();
        stretches.iter().rev().any(|stretch| stretch.overlaps(from, to))
    }

    /// Whether a node that was frozen or cut off may send what it had in its buffers before: to a
    /// client that came before the end of that.
    pub(super) fn delay(&self, node: &str, came: u64, at: u64) -> bool {
        let stretches = self.nodes.get(node).map(Vec::as_slice).unwrap_or_default();
        let fits = |stretch: &Stretch| {
            stretch.overlaps(at, at) && stretch.to.is_none_or(|end| came <= end)
        };
        stretches.iter().rev().any(fits)
    }

    /// Whether anything was done to any node in a stretch of time.
    pub(super) fn touch_any(&self, from: u64, to: u64) -> bool {
        self.nodes.values().flatten().any(|stretch| stretch.overlaps(from, to))
    }
}

impl Stretch {
    fn overlaps(&self, from: u64, to: u64) -> bool {
        self.from <= to && self.to.is_none_or(|end| from <= end.saturating_add(GRACE))
    }
}
