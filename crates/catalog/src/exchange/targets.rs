//! What the bindings with one key lead to.

use std::collections::BTreeMap;

use warren_types::QueueId;

use crate::route::Found;
use crate::{Name, Placement, Target};

/// Queues up to which a sorted list is better than a tree: smaller and faster to walk, while
/// inserting moves at most this many.
const FEW: usize = 64;

/// Where one binding leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    Queue(Target),
    Exchange(Name),
}

/// A queue, and how many bindings lead to it: they may differ in their arguments alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    target: Target,
    bindings: u32,
}

/// What the bindings with one key lead to, each once. With one queue, as most keys, it takes little
/// memory; without any, as most nodes of a tree of patterns, none.
#[derive(Clone, Debug, Default)]
pub(crate) enum Targets {
    #[default]
    Nothing,
    One(Box<Bound>),
    Several(Box<Several>),
}

/// What one queue is not enough for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Several {
    queues: Queues,
    /// Sorted by name, with the number of bindings.
    exchanges: Vec<(Name, u32)>,
}

#[derive(Clone, Debug)]
enum Queues {
    /// Sorted by id.
    Few(Vec<Bound>),
    Many(BTreeMap<QueueId, (Placement, u32)>),
}

impl Default for Queues {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Targets {
    pub(crate) fn bind(&mut self, hop: Hop) {
        match (&mut *self, hop) {
            (Self::Nothing, Hop::Queue(target)) => {
                *self = Self::One(Box::new(Bound { target, bindings: 1 }));
            }
            (Self::One(bound), Hop::Queue(target)) if bound.target.queue == target.queue => {
                bound.bindings = bound.bindings.saturating_add(1);
            }
            (_, hop) => self.several().bind(hop),
        }
    }

    pub(crate) fn unbind(&mut self, hop: &Hop) {
        match (&mut *self, hop) {
            (Self::One(bound), Hop::Queue(target)) if bound.target.queue == target.queue => {
                bound.bindings = bound.bindings.saturating_sub(1);
                if bound.bindings == 0 {
                    *self = Self::Nothing;
                }
            }
            (Self::Nothing | Self::One(_), _) => {}
            (Self::Several(several), hop) => {
                several.unbind(hop);
                if several.is_empty() {
                    *self = Self::Nothing;
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    pub(crate) fn route<'a>(&'a self, found: &mut Found<'a, '_>) {
        match self {
            Self::Nothing => {}
            Self::One(bound) => found.targets.push(bound.target),
            Self::Several(several) => several.route(found),
        }
    }

    /// Makes it fit for several.
    fn several(&mut self) -> &mut Several {
        match std::mem::take(self) {
            Self::Nothing => *self = Self::Several(Box::default()),
            Self::One(bound) => {
                let queues = Queues::Few(vec![*bound]);
                *self = Self::Several(Box::new(Several { queues, exchanges: Vec::new() }));
            }
            several @ Self::Several(_) => *self = several,
        }
        match self {
            Self::Several(several) => several,
            Self::Nothing | Self::One(_) => unreachable!("it was just made several"),
        }
    }
}

impl Several {
    fn bind(&mut self, hop: Hop) {
        match hop {
            Hop::Queue(target) => self.queues.bind(target),
            Hop::Exchange(name) => {
                match self.exchanges.binary_search_by(|(known, _)| known.cmp(&name)) {
                    Ok(at) => {
                        if let Some((_, bindings)) = self.exchanges.get_mut(at) {
                            *bindings = bindings.saturating_add(1);
                        }
                    }
                    Err(at) => self.exchanges.insert(at, (name, 1)),
                }
            }
        }
    }

    fn unbind(&mut self, hop: &Hop) {
        match hop {
            Hop::Queue(target) => self.queues.unbind(target.queue),
            Hop::Exchange(name) => {
                let Ok(at) = self.exchanges.binary_search_by(|(known, _)| known.cmp(name)) else {
                    return;
                };
                let Some((_, bindings)) = self.exchanges.get_mut(at) else { return };
                *bindings = bindings.saturating_sub(1);
                if *bindings == 0 {
                    self.exchanges.remove(at);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.queues.is_empty()
    }

    fn route<'a>(&'a self, found: &mut Found<'a, '_>) {
        match &self.queues {
            Queues::Few(bound) => found.targets.extend(bound.iter().map(|bound| bound.target)),
            Queues::Many(bound) => {
                let targets = bound.iter();
                found
                    .targets
                    .extend(targets.map(|(&queue, &(placement, _))| Target { queue, placement }));
            }
        }
        found.exchanges.extend(self.exchanges.iter().map(|(name, _)| name));
    }
}

impl Queues {
    fn bind(&mut self, target: Target) {
        match self {
            Self::Few(bound) => match bound.binary_search_by_key(&target.queue, |b| b.target.queue)
            {
                Ok(at) => {
                    if let Some(bound) = bound.get_mut(at) {
                        bound.bindings = bound.bindings.saturating_add(1);
                    }
                }
                Err(at) if bound.len() < FEW => {
                    // A key has few queues as a rule, and there are many keys: no room beyond twice.
                    bound.reserve_exact(bound.len().max(1));
                    bound.insert(at, Bound { target, bindings: 1 });
                }
                Err(_) => {
                    let known = std::mem::take(bound).into_iter();
                    let known = known.map(|b| (b.target.queue, (b.target.placement, b.bindings)));
                    let mut many: BTreeMap<_, _> = known.collect();
                    many.insert(target.queue, (target.placement, 1));
                    *self = Self::Many(many);
                }
            },
            Self::Many(bound) => {
                let (_, bindings) = bound.entry(target.queue).or_insert((target.placement, 0));
                *bindings = bindings.saturating_add(1);
            }
        }
    }

    fn unbind(&mut self, queue: QueueId) {
        match self {
            Self::Few(few) => {
                let Ok(at) = few.binary_search_by_key(&queue, |b| b.target.queue) else { return };
                let Some(bound) = few.get_mut(at) else { return };
                bound.bindings = bound.bindings.saturating_sub(1);
                if bound.bindings == 0 {
                    few.remove(at);
                }
            }
            Self::Many(many) => {
                let Some((_, bindings)) = many.get_mut(&queue) else { return };
                *bindings = bindings.saturating_sub(1);
                if *bindings == 0 {
                    many.remove(&queue);
                }
                if many.is_empty() {
                    *self = Self::default();
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Few(bound) => bound.is_empty(),
            Self::Many(bound) => bound.is_empty(),
        }
    }
}
