//! I10: what nodes say of one object of the directory has an order that explains all of it.
//!
//! Objects do not depend on each other, so each has a search of its own, in a history of some dozen
//! operations. What was asked and not answered may have been done at any time after, or never.
//!
//! What is there is told from a node's own copy, and what is not only after all nodes were heard: nobody
//! misses what was declared, and what was deleted may be seen for a moment longer.

use std::collections::{BTreeMap, HashMap};

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action as Act, History};
use todc_utils::specifications::Specification;

use super::report::Report;
use super::world::World;
use super::{Family, Step};
use crate::history::{Action, Event, Outcome};

/// Operations on one object that are searched: what takes longer says nothing.
const LONGEST: usize = 400;

/// Microseconds for which a node may not have heard that something is gone.
const STALE: u64 = 2_000_000;

/// The same where something is broken, or was a while ago.
const STALE_BROKEN: u64 = 40_000_000;

/// When something happened: the time, and its line where times are equal.
type Turn = (u64, u64);

/// What was asked of whom.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    objects: BTreeMap<String, Vec<Operation>>,
    open: HashMap<u64, (String, usize)>,
}

#[derive(Debug)]
struct Operation {
    action: Action,
    node: String,
    asked: Turn,
    answered: Option<(Turn, Outcome)>,
    /// Microseconds before the question from which the answer may be.
    stale: u64,
}

/// An object: what it is, if it is there.
#[derive(Debug)]
struct Object;

/// What was asked, and what the answer was.
#[derive(Clone, Copy, Debug)]
struct Asked {
    action: Action,
    outcome: Option<Outcome>,
}

impl Specification for Object {
    type State = Option<u32>;
    type Operation = Asked;

    fn init() -> Self::State {
        None
    }

    fn apply(operation: &Asked, state: &Self::State) -> (bool, Self::State) {
        match (operation.action, operation.outcome, *state) {
            (Action::Declare(kind), None, _) => (true, Some(state.unwrap_or(kind))),
            (Action::Declare(kind), Some(Outcome::Done | Outcome::Present), is) => {
                (is.is_none_or(|is| is == kind), Some(kind))
            }
            (Action::Declare(kind), Some(Outcome::Different), is) => {
                (is.is_some_and(|is| is != kind), is)
            }
            (Action::Declare(_), Some(Outcome::Absent), is) => (false, is),
            (Action::Delete, None | Some(Outcome::Done), _) => (true, None),
            (Action::Delete, Some(Outcome::Absent), is) => (is.is_none(), None),
            (Action::Delete, Some(Outcome::Present | Outcome::Different), is) => (false, is),
            (Action::Look, None, is) => (true, is),
            (Action::Look, Some(Outcome::Absent), is) => (is.is_none(), is),
            (Action::Look, Some(_), is) => (is.is_some(), is),
        }
    }
}

impl Family for Metadata {
    fn see(&mut self, step: Step<'_>, _report: &mut Report) {
        let turn = (step.spot.at, step.spot.line);
        match step.event {
            Event::Operate { operation, object, action, node } => {
                let operations = self.objects.entry(object.clone()).or_default();
                self.open.insert(*operation, (object.clone(), operations.len()));
                operations.push(Operation {
                    action: *action,
                    node: node.clone(),
                    asked: turn,
                    answered: None,
                    stale: 0,
                });
            }
            Event::Answer { operation, outcome } => {
                let Some((object, at)) = self.open.remove(operation) else { return };
                let operations = self.objects.get_mut(&object);
                if let Some(asked) = operations.and_then(|operations| operations.get_mut(at)) {
                    asked.answered = Some((turn, *outcome));
                    let is_seen = asked.action == Action::Look && *outcome != Outcome::Absent;
                    let from = asked.asked.0.saturating_sub(STALE_BROKEN);
                    asked.stale = match is_seen {
                        true if step.world.doubts.touch_any(from, step.spot.at) => STALE_BROKEN,
                        true => STALE,
                        false => 0,
                    };
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _world: &World, report: &mut Report) {
        for (object, operations) in &self.objects {
            if operations.len() <= LONGEST && !has_order(operations) {
                report.blame("I10", format!("{object}: no order explains {}", tale(operations)));
            }
        }
    }
}

/// Whether the operations can have happened one after the other, each between its question and its answer.
fn has_order(operations: &[Operation]) -> bool {
    let is_told =
        |operation: &&Operation| operation.answered.is_some() || operation.action != Action::Look;
    let mut acts = Vec::new();
    for (process, operation) in operations.iter().filter(is_told).enumerate() {
        let outcome = operation.answered.map(|(_, outcome)| outcome);
        let step = Asked { action: operation.action, outcome };
        let answered = operation.answered.map_or((u64::MAX, u64::MAX), |(turn, _)| turn);
        let (at, line) = operation.asked;
        acts.push(((at.saturating_sub(operation.stale), line), process, Act::Call(step)));
        acts.push((answered, process, Act::Response(step)));
    }
    acts.sort_by_key(|(turn, ..)| *turn);
    let acts: Vec<_> = acts.into_iter().map(|(_, process, act)| (process, act)).collect();
    acts.is_empty() || WGLChecker::<Object>::is_linearizable(History::from_actions(acts))
}

fn tale(operations: &[Operation]) -> String {
    let told: Vec<String> = operations
        .iter()
        .map(|operation| {
            let Operation { action, node, asked: (_, line), answered, .. } = operation;
            match answered {
                Some(((_, end), outcome)) => {
                    format!("{action:?} at {node} → {outcome:?} ({line}-{end})")
                }
                None => format!("{action:?} at {node} → ? ({line}-)"),
            }
        })
        .collect();
    told.join(", ")
}
