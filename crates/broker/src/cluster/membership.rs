//! From the members that a group has to those that it should have, one step at a time. Pure.
//!
//! **Always holds:** a replica votes only once it has nearly everything; none loses its vote while
//! one of those that should vote lags; a leader hands over before it loses its own.

use std::collections::{BTreeMap, BTreeSet};

use warren_consensus::Status;
use warren_types::{LogIndex, NodeId};

/// Entries that a learner may lack when it becomes a voter: what a busy group commits in less
/// than a second.
const CLOSE_ENTRIES: u64 = 1000;

/// Entries that a replica may lack when it is to lead: what is on its way to a healthy one.
const NEAR_ENTRIES: u64 = 64;

/// What a group should be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Who should vote, in order of preference for the leader.
    pub(super) voters: Vec<NodeId>,
    /// Who should have everything without a vote.
    pub(super) learners: Vec<NodeId>,
    /// Where nodes are.
    pub(super) addresses: BTreeMap<NodeId, String>,
    /// Those that answer; others are not waited for.
    pub(super) alive: BTreeSet<NodeId>,
}

/// What brings a group closer to what it should be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: it is.
    Settled,
    /// Somebody has to catch up first.
    Wait,
    /// A learner is added, or a member is somewhere else.
    Place { node: NodeId, address: String },
    /// These vote.
    Vote(Vec<NodeId>),
    /// This node has no place in the group: another one leads.
    HandOver(NodeId),
    /// These learners go.
    Remove(Vec<NodeId>),
}

/// What its leader, on `here`, does next about the members of a group.
pub(super) fn next_step(here: NodeId, status: &Status, wanted: &Wanted) -> Step {
    if let Some(step) = place(status, wanted) {
        return step;
    }
    let voters: BTreeSet<NodeId> = status.voters.iter().map(|(node, _)| *node).collect();
    let should: BTreeSet<NodeId> = wanted.voters.iter().copied().collect();
    if should.is_empty() {
        return Step::Settled;
    }
    let ready = |node: &NodeId| voters.contains(node) || is_close(status, *node, CLOSE_ENTRIES);
    let (ready, lagging): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
        should.iter().copied().partition(ready);
    let mut target = if lagging.is_empty() { should.clone() } else { &ready | &voters };
    target.insert(here);
    // What lags and lives will be there soon, and one change is cheaper than two.
    let worthwhile = lagging.is_disjoint(&wanted.alive);
    if status.changing || (target != voters && worthwhile) {
        return Step::Vote(target.into_iter().collect());
    }
    if lagging.is_empty() && !should.contains(&here) {
        let successor = wanted.voters.iter().find(|node| can_lead(status, wanted, **node));
        return successor.map_or(Step::Wait, |node| Step::HandOver(*node));
    }
    let stays = |node: &NodeId| should.contains(node) || wanted.learners.contains(node);
    let leaving = status.learners.iter().map(|(node, _)| *node).filter(|node| !stays(node));
    let leaving: Vec<NodeId> = leaving.collect();
    if !leaving.is_empty() {
        return Step::Remove(leaving);
    }
    if lagging.is_empty() { Step::Settled } else { Step::Wait }
}

/// Whether `node` could lead at once: it votes, answers, and has nearly everything.
pub(super) fn can_lead(status: &Status, wanted: &Wanted, node: NodeId) -> bool {
    status.voters.iter().any(|(voter, _)| *voter == node)
        && wanted.alive.contains(&node)
        && is_close(status, node, NEAR_ENTRIES)
}

fn place(status: &Status, wanted: &Wanted) -> Option<Step> {
    let members: BTreeMap<NodeId, &String> =
        status.voters.iter().chain(&status.learners).map(|(node, at)| (*node, at)).collect();
    let belongs = wanted.voters.iter().chain(&wanted.learners).chain(members.keys());
    for node in belongs {
        let Some(address) = wanted.addresses.get(node) else { continue };
        if members.get(node).is_none_or(|known| *known != address) {
            return Some(Step::Place { node: *node, address: address.clone() });
        }
    }
    None
}

fn is_close(status: &Status, node: NodeId, entries: u64) -> bool {
    let matched = status.matched.iter().find(|(other, _)| *other == node).map(|(_, index)| *index);
    matched.unwrap_or(LogIndex(0)).0.saturating_add(entries) >= status.last.0
        && matched.is_some_and(|index| index > LogIndex(0))
}

#[cfg(test)]
mod tests {
    use warren_consensus::Leadership;
    use warren_types::Term;

    use super::*;

    const LAST: u64 = 100_000;

    fn id(node: u64) -> NodeId {
        NodeId(node)
    }

    fn ids(nodes: &[u64]) -> Vec<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    fn at(nodes: &[u64]) -> Vec<(NodeId, String)> {
        nodes.iter().map(|node| (id(*node), address(*node))).collect()
    }

    fn address(node: u64) -> String {
        format!("host-{node}:1")
    }

    /// A group that node 1 leads, in which `matched` have everything.
    fn group(voters: &[u64], learners: &[u64], matched: &[u64]) -> Status {
        Status {
            leadership: Leadership { leader: Some(id(1)), term: Term(1), here: true },
            last: LogIndex(LAST),
            voters: at(voters),
            learners: at(learners),
            matched: voters
                .iter()
                .chain(learners)
                .map(|node| (id(*node), LogIndex(if matched.contains(node) { LAST } else { 1 })))
                .collect(),
            ..Status::default()
        }
    }

    fn wanted(voters: &[u64], learners: &[u64], known: &[u64], alive: &[u64]) -> Wanted {
        Wanted {
            voters: ids(voters),
            learners: ids(learners),
            addresses: at(known).into_iter().collect(),
            alive: ids(alive).into_iter().collect(),
        }
    }

    fn step(status: &Status, wanted: &Wanted) -> Step {
        next_step(id(1), status, wanted)
    }

    #[test]
    fn a_group_of_one_grows_to_three_by_learners_that_catch_up_and_then_vote_together() {
        let want = wanted(&[1, 2, 3], &[], &[1, 2, 3], &[1, 2, 3]);

        let steps = [
            step(&group(&[1], &[], &[1]), &want),
            step(&group(&[1], &[2], &[1]), &want),
            step(&group(&[1], &[2, 3], &[1]), &want),
            step(&group(&[1], &[2, 3], &[1, 2]), &want),
            step(&group(&[1], &[2, 3], &[1, 2, 3]), &want),
            step(&group(&[1, 2, 3], &[], &[1, 2, 3]), &want),
        ];

        assert_eq!(
            steps,
            [
                Step::Place { node: id(2), address: address(2) },
                Step::Place { node: id(3), address: address(3) },
                Step::Wait,
                Step::Wait,
                Step::Vote(ids(&[1, 2, 3])),
                Step::Settled,
            ]
        );
    }

    #[test]
    fn a_node_that_does_not_answer_is_not_waited_for() {
        let want = wanted(&[1, 2, 3], &[], &[1, 2, 3], &[1, 2]);

        assert_eq!(step(&group(&[1], &[2, 3], &[1, 2]), &want), Step::Vote(ids(&[1, 2])));
        assert_eq!(step(&group(&[1, 2], &[3], &[1, 2]), &want), Step::Wait);
    }

    #[test]
    fn a_lost_voter_keeps_its_vote_until_its_substitute_has_everything() {
        let want = wanted(&[1, 2, 4], &[], &[1, 2, 3, 4], &[1, 2, 4]);

        assert_eq!(step(&group(&[1, 2, 3], &[4], &[1, 2]), &want), Step::Wait);
        let caught_up = step(&group(&[1, 2, 3], &[4], &[1, 2, 4]), &want);
        assert_eq!(caught_up, Step::Vote(ids(&[1, 2, 4])));
        let voted = step(&group(&[1, 2, 4], &[3], &[1, 2, 4]), &want);
        assert_eq!(voted, Step::Remove(ids(&[3])));
        assert_eq!(step(&group(&[1, 2, 4], &[], &[1, 2, 4]), &want), Step::Settled);
    }

    #[test]
    fn a_substitute_that_dies_before_it_has_everything_costs_nobody_a_vote() {
        let want = wanted(&[1, 2, 4], &[], &[1, 2, 3, 4], &[1, 2, 3]);

        assert_eq!(step(&group(&[1, 2, 3], &[4], &[1, 2, 3]), &want), Step::Wait);
    }

    #[test]
    fn a_leader_that_has_to_go_hands_over_before_it_loses_its_vote() {
        let want = wanted(&[2, 3, 4], &[], &[1, 2, 3, 4], &[1, 2, 3, 4]);

        let grown = step(&group(&[1, 2, 3], &[4], &[1, 2, 3, 4]), &want);
        assert_eq!(grown, Step::Vote(ids(&[1, 2, 3, 4])));
        let ready = step(&group(&[1, 2, 3, 4], &[], &[1, 3, 4]), &want);
        assert_eq!(ready, Step::HandOver(id(3)), "the first of them that has everything");
        let elsewhere = next_step(id(3), &group(&[1, 2, 3, 4], &[], &[1, 2, 3, 4]), &want);
        assert_eq!(elsewhere, Step::Vote(ids(&[2, 3, 4])));
    }

    #[test]
    fn a_change_that_is_half_done_is_finished_first() {
        let want = wanted(&[1, 2, 3], &[], &[1, 2, 3], &[1, 2, 3]);
        let status = Status { changing: true, ..group(&[1, 2, 3], &[], &[1, 2, 3]) };

        assert_eq!(step(&status, &want), Step::Vote(ids(&[1, 2, 3])));
    }

    #[test]
    fn members_that_moved_are_followed() {
        let mut want = wanted(&[1, 2, 3], &[], &[1, 2, 3], &[1, 2, 3]);
        want.addresses.insert(id(3), "elsewhere:1".to_owned());

        let moved = step(&group(&[1, 2, 3], &[], &[1, 2, 3]), &want);

        assert_eq!(moved, Step::Place { node: id(3), address: "elsewhere:1".to_owned() });
    }

    #[test]
    fn a_forgotten_node_is_removed_without_being_asked() {
        let want = wanted(&[1, 2], &[], &[1, 2], &[1, 2]);

        assert_eq!(step(&group(&[1, 2, 3], &[], &[1, 2]), &want), Step::Vote(ids(&[1, 2])));
        assert_eq!(step(&group(&[1, 2], &[3], &[1, 2]), &want), Step::Remove(ids(&[3])));
    }

    #[test]
    fn learners_that_shall_stay_do_and_need_not_catch_up() {
        let want = wanted(&[1], &[2, 3], &[1, 2, 3], &[1, 2]);

        assert_eq!(step(&group(&[1], &[2, 3], &[1]), &want), Step::Settled);
    }

    /// Whatever the group is like, and whoever leads, it comes to be as wanted, and at no time
    /// does it have voters that lack everything.
    #[test]
    fn every_group_becomes_what_it_should_be() {
        let sets: [&[u64]; 6] = [&[1], &[1, 2], &[2, 3], &[1, 2, 3], &[2, 3, 4], &[3, 4, 5]];
        for from in sets {
            for to in sets {
                let all = [1, 2, 3, 4, 5];
                let want = wanted(to, &[], &all, &all);
                let mut status = group(from, &[], from);
                let mut leader = id(from[0]);
                let mut steps = 0;
                loop {
                    steps += 1;
                    assert!(steps < 20, "{from:?} does not become {to:?}: {status:?}");
                    let step = next_step(leader, &status, &want);
                    match step {
                        Step::Settled => break,
                        Step::Wait => {
                            status.matched.iter_mut().for_each(|it| it.1 = LogIndex(LAST))
                        }
                        Step::Place { node, address } => {
                            status.learners.push((node, address));
                            status.matched.push((node, LogIndex(1)));
                        }
                        Step::Vote(voters) => {
                            let has_all = |node: &NodeId| is_close(&status, *node, CLOSE_ENTRIES);
                            assert!(voters.iter().all(has_all), "{from:?} to {to:?}: {voters:?}");
                            assert!(voters.contains(&leader), "a leader removes itself");
                            let members: Vec<(NodeId, String)> =
                                status.voters.drain(..).chain(status.learners.drain(..)).collect();
                            (status.voters, status.learners) =
                                members.into_iter().partition(|(node, _)| voters.contains(node));
                        }
                        Step::HandOver(node) => leader = node,
                        Step::Remove(gone) => {
                            status.learners.retain(|(node, _)| !gone.contains(node));
                        }
                    }
                }
                let mut voters: Vec<NodeId> = status.voters.iter().map(|it| it.0).collect();
                voters.sort_unstable();
                assert_eq!(voters, ids(to));
                assert_eq!(status.learners, []);
            }
        }
    }
}
