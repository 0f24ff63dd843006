//! What an exchange is bound to, for those that choose one of all.
//!
//! **Always holds:** the order, and so every choice, follows from the bindings alone and not from
//! when they were made: replicas that were restored from a snapshot choose as the others do.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hash::{hash, mix, rarity};
use super::targets::Hop;
use crate::route::Found;
use crate::{Binding, Destination};

/// The greatest weight that a binding may have, as in RabbitMQ.
const WEIGHT_MAX: u32 = 10_000;

/// The weight of a binding whose key is none, which declarations do not let in.
const PLAIN_WEIGHT: u32 = 1;

/// A destination, and all bindings that lead to it.
#[derive(Clone, Debug)]
struct Member {
    destination: Destination,
    hop: Hop,
    /// The hash of its name.
    seed: u64,
    bindings: BTreeSet<Arc<Binding>>,
}

impl Member {
    /// What its first binding says. More than one do not make it weigh more.
    fn weight(&self) -> u32 {
        let key = self.bindings.first().map(|binding| &*binding.routing_key);
        key.and_then(|key| weight(key).ok()).unwrap_or(PLAIN_WEIGHT)
    }
}

/// All destinations, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    /// By destination.
    members: Vec<Member>,
}

impl Pool {
    pub(crate) fn bind(&mut self, binding: &Arc<Binding>, hop: Hop) {
        match self.place(&binding.destination) {
            Ok(at) => {
                if let Some(member) = self.members.get_mut(at) {
                    member.bindings.insert(Arc::clone(binding));
                }
            }
            Err(at) => {
                let destination = binding.destination.clone();
                let kind = hash(destination.type_name().as_bytes());
                let seed = mix(kind ^ hash(destination.name().as_bytes()));
                let bindings = BTreeSet::from([Arc::clone(binding)]);
                self.members.insert(at, Member { destination, hop, seed, bindings });
            }
        }
    }

    pub(crate) fn unbind(&mut self, binding: &Binding) {
        let Ok(at) = self.place(&binding.destination) else { return };
        let Some(member) = self.members.get_mut(at) else { return };
        member.bindings.remove(binding);
        if member.bindings.is_empty() {
            self.members.remove(at);
        }
    }

    /// Routes along one of all bindings, each as likely as the others, if `number` may be any.
    pub(crate) fn route_evenly<'a>(&'a self, number: u64, found: &mut Found<'a, '_>) {
        let bindings = |member: &Member| u64::try_from(member.bindings.len()).unwrap_or(u64::MAX);
        let count = self.members.iter().map(bindings).sum();
        let Some(mut at) = number.checked_rem(count) else { return };
        for member in &self.members {
            let Some(behind) = at.checked_sub(bindings(member)) else {
                return add(member, found);
            };
            at = behind;
        }
    }

    /// Routes to one of all, by weight. The same key finds the same one; when bindings come or go,
    /// no more keys move than have to.
    pub(crate) fn route_by_weight<'a>(&'a self, key: u64, found: &mut Found<'a, '_>) {
        let mut best: Option<(u128, u128, &Member)> = None;
        for member in &self.members {
            let (rarity, weight) = (rarity(mix(key ^ member.seed)), member.weight());
            let (rarity, weight) = (u128::from(rarity), u128::from(weight));
            let is_better = best.is_none_or(|(least, of, _)| rarity * of < least * weight);
            if is_better {
                best = Some((rarity, weight, member));
            }
        }
        if let Some((_, _, member)) = best {
            add(member, found);
        }
    }

    fn place(&self, destination: &Destination) -> Result<usize, usize> {
        self.members.binary_search_by(|member| member.destination.cmp(destination))
    }
}

fn add<'a>(member: &'a Member, found: &mut Found<'a, '_>) {
    match &member.hop {
        Hop::Queue(target) => found.targets.push(*target),
        Hop::Exchange(name) => found.exchanges.push(name),
    }
}

/// The weight that a binding's key gives, or what is wrong with it in RabbitMQ's words.
pub(crate) fn weight(key: &str) -> Result<u32, String> {
    let digits = key.strip_prefix(['+', '-']).unwrap_or(key);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let shown = if key.is_empty() { String::new() } else { format!("\"{key}\"") };
        return Err(format!("The binding key must be an integer: <<{shown}>>"));
    }
    if key.starts_with('-') || digits.bytes().all(|byte| byte == b'0') {
        return Err("The binding key must be greater than 0".into());
    }
    let weight = digits.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
    weight.ok_or_else(|| format!("The binding key must not exceed {WEIGHT_MAX}"))
}
