//! Tests of `plan`.

use std::collections::BTreeSet;

use proptest::prelude::*;
use warren_types::{GroupId, NodeId};

use super::*;
use crate::testing::Log;
use crate::{Command, Outcome, RegisterNode};

/// Calls after which a plan has come to rest, far beyond what the largest history takes.
const MANY_CALLS: usize = 2000;

/// Nodes in zones, with the ids that the catalog gave them.
fn cluster(zones: &[&str]) -> (Log, Vec<NodeId>) {
    let mut log = Log::empty();
    let nodes = zones.iter().zip(1..).map(|(zone, token)| join(&mut log, token, zone)).collect();
    (log, nodes)
}

fn join(log: &mut Log, token: u128, zone: &str) -> NodeId {
    let (name, address) = ("n".into(), "n:1".into());
    let node = RegisterNode { token, wanted: None, name, address, zone: zone.into() };
    match log.accept(Command::RegisterNode(node)) {
        Outcome::Node(id) => id,
        other => panic!("a node gets an id, not {other:?}"),
    }
}

fn put(log: &mut Log, group: u32, replicas: &[NodeId]) {
    let replicas = replicas.to_vec();
    log.accept(Command::PutShard { group: GroupId(group), replicas });
}

fn usable(nodes: &[NodeId]) -> PlanInput {
    PlanInput { usable: nodes.to_vec(), ..PlanInput::default() }
}

/// Plans, checks and applies until nothing is left to do; how many calls that took.
fn settle(log: &mut Log, input: &PlanInput) -> usize {
    for calls in 0..MANY_CALLS {
        let commands = plan_shards(&log.catalog, input);
        assert_eq!(commands, plan_shards(&log.catalog, input), "the same question twice");
        if commands.is_empty() {
            return calls;
        }
        for command in commands {
            check_step(log, &command, input);
            assert_eq!(log.accept(command), Outcome::Updated);
        }
    }
    panic!("the plan never rests");
}

/// What may be asked of a group in one step.
fn check_step(log: &Log, command: &Command, input: &PlanInput) {
    let Command::PutShard { group, replicas } = command else { panic!("only shards are planned") };
    let before = log.catalog.shard(*group).expect("only shards that exist are planned");
    let before: BTreeSet<NodeId> = before.replicas.iter().copied().collect();
    let after: BTreeSet<NodeId> = replicas.iter().copied().collect();
    assert_eq!(after.len(), replicas.len(), "no node twice");
    assert!(!input.busy.contains(group), "what is still changing is left alone");
    let (kept, lost) = (before.intersection(&after).count(), before.difference(&after).count());
    assert!(lost <= 1, "{before:?} to {after:?}");
    let is_removal = lost == 1 && after.len() + 1 == before.len();
    assert!(kept >= majority(before.len()) || is_removal || before.is_empty());
    let is_fit = |node: &&NodeId| {
        let row = log.catalog.node(**node).expect("only known nodes are given replicas");
        input.usable.contains(node) && !input.gone.contains(node) && !row.draining
    };
    assert!(after.difference(&before).all(|node| is_fit(&node)), "{before:?} to {after:?}");
    let is_there = |node: &&NodeId| {
        let row = log.catalog.node(**node).expect("replicas are known nodes");
        input.usable.contains(node) || input.gone.contains(node) || row.draining
    };
    assert!(before.difference(&after).all(|node| is_there(&node)), "who is away keeps its place");
}

fn replicas(log: &Log) -> Vec<Vec<NodeId>> {
    log.catalog.shards().map(|shard| shard.replicas.clone()).collect()
}

fn loads(log: &Log, nodes: &[NodeId]) -> Vec<usize> {
    let held = |node| replicas(log).iter().filter(|replicas| replicas.contains(node)).count();
    nodes.iter().map(held).collect()
}

fn firsts(log: &Log, nodes: &[NodeId]) -> Vec<usize> {
    let led = |node| replicas(log).iter().filter(|replicas| replicas.first() == Some(node)).count();
    nodes.iter().map(led).collect()
}

fn spread(counts: &[usize]) -> usize {
    let most = counts.iter().max().copied().unwrap_or_default();
    most - counts.iter().min().copied().unwrap_or_default()
}

#[test]
fn a_single_node_holds_everything_and_nothing_is_planned() {
    let (mut log, nodes) = cluster(&[""]);
    put(&mut log, 1, &nodes);

    assert_eq!(plan_shards(&log.catalog, &usable(&nodes)), []);
}

#[test]
fn the_second_and_third_node_are_given_every_shard_and_a_third_of_the_leaders() {
    let (mut log, nodes) = cluster(&["", "", ""]);
    for group in 1..=6 {
        put(&mut log, group, &nodes[..1]);
    }

    assert_eq!(settle(&mut log, &usable(&nodes)), 1);

    assert_eq!(loads(&log, &nodes), [6, 6, 6]);
    assert_eq!(firsts(&log, &nodes), [2, 2, 2]);
}

#[test]
fn a_fourth_node_is_given_its_share_one_replica_at_a_time() {
    let (mut log, nodes) = cluster(&["", "", "", ""]);
    for group in 1..=4 {
        put(&mut log, group, &nodes[..3]);
    }

    let mut calls = 0;
    loop {
        let commands = plan_shards(&log.catalog, &usable(&nodes));
        let before = loads(&log, &nodes)[3];
        if commands.is_empty() {
            break;
        }
        calls += 1;
        for command in commands {
            check_step(&log, &command, &usable(&nodes));
            log.accept(command);
        }
        assert!(loads(&log, &nodes)[3] <= before + 1);
    }

    assert!(calls <= 4, "{calls} calls for three replicas and the order of leaders");
    assert_eq!(loads(&log, &nodes), [3, 3, 3, 3]);
    assert_eq!(firsts(&log, &nodes), [1, 1, 1, 1]);
}

#[test]
fn a_node_that_is_merely_away_keeps_its_replicas() {
    let (mut log, nodes) = cluster(&["", "", "", ""]);
    put(&mut log, 1, &nodes[..3]);

    let input = usable(&nodes[1..]);

    assert_eq!(plan_shards(&log.catalog, &input), []);
}

#[test]
fn a_node_that_is_gone_is_replaced_once_there_is_a_spare() {
    let (mut log, mut nodes) = cluster(&["", "", ""]);
    put(&mut log, 1, &nodes);
    put(&mut log, 2, &[nodes[1], nodes[2], nodes[0]]);
    let mut input = usable(&nodes[1..]);
    input.gone = vec![nodes[0]];

    settle(&mut log, &input);
    assert_eq!(loads(&log, &nodes), [2, 2, 2], "nobody can take its place");
    assert_eq!(firsts(&log, &nodes), [0, 1, 1], "it leads nothing");

    nodes.push(join(&mut log, 9, ""));
    input.usable.push(nodes[3]);
    settle(&mut log, &input);
    assert_eq!(loads(&log, &nodes), [0, 2, 2, 2]);
}

#[test]
fn a_drained_node_is_emptied_where_others_can_take_what_it_holds() {
    let (mut log, nodes) = cluster(&["", "", "", ""]);
    for group in 1..=8 {
        put(&mut log, group, &nodes[..3]);
    }
    settle(&mut log, &usable(&nodes));

    log.accept(Command::DrainNode { node: nodes[0], draining: true });
    let calls = settle(&mut log, &usable(&nodes));

    assert_eq!(loads(&log, &nodes), [0, 8, 8, 8]);
    assert_eq!(spread(&firsts(&log, &nodes[1..])), 1);
    assert!(calls <= 3, "urgent moves are not throttled, but {calls} calls");
    log.accept(Command::DrainNode { node: nodes[0], draining: false });
    settle(&mut log, &usable(&nodes));
    assert_eq!(loads(&log, &nodes), [6, 6, 6, 6]);
}

#[test]
fn one_replica_alone_goes_only_after_the_other_has_come() {
    let (mut log, nodes) = cluster(&["", ""]);
    put(&mut log, 1, &nodes[..1]);
    log.accept(Command::DrainNode { node: nodes[0], draining: true });
    let input = PlanInput { factor: 1, ..usable(&nodes) };

    let [first] = <[_; 1]>::try_from(plan_shards(&log.catalog, &input)).expect("one command");
    log.accept(first);
    assert_eq!(replicas(&log), [[nodes[1], nodes[0]]]);
    settle(&mut log, &input);

    assert_eq!(replicas(&log), [[nodes[1]]]);
}

#[test]
fn what_is_busy_is_left_alone_and_counts_as_a_move() {
    let (mut log, nodes) = cluster(&["", "", "", ""]);
    for group in 1..=4 {
        put(&mut log, group, &nodes[..3]);
    }
    settle(&mut log, &PlanInput { max_moves: 0, ..usable(&nodes) });
    let busy = BTreeSet::from([GroupId(2)]);

    let none = plan_shards(&log.catalog, &PlanInput { busy: busy.clone(), ..usable(&nodes) });
    let input = PlanInput { busy, max_moves: 2, ..usable(&nodes) };
    let one = plan_shards(&log.catalog, &input);

    assert_eq!(none, []);
    assert!(!one.is_empty());
    for command in one {
        check_step(&log, &command, &input);
    }
}

#[test]
fn replicas_spread_over_zones_even_where_the_nodes_fill_unevenly() {
    let (mut log, nodes) = cluster(&["a", "a", "a", "b", "c"]);
    for group in 1..=6 {
        put(&mut log, group, &nodes[..3]);
    }

    settle(&mut log, &usable(&nodes));

    assert_eq!(loads(&log, &nodes), [2, 2, 2, 6, 6]);
}

#[test]
fn a_shard_without_replicas_is_given_some() {
    let (mut log, nodes) = cluster(&["", "", ""]);
    put(&mut log, 1, &[]);

    settle(&mut log, &usable(&nodes));

    assert_eq!(loads(&log, &nodes), [1, 1, 1]);
}

/// A cluster in any state.
#[derive(Clone, Debug)]
struct Scene {
    zones: Vec<&'static str>,
    /// Per node: usable, away, drained, drained and away, gone.
    states: Vec<u8>,
    /// Per shard, positions of nodes.
    shards: Vec<Vec<prop::sample::Index>>,
    factor: usize,
    max_moves: usize,
}

impl Scene {
    fn build(&self) -> (Log, Vec<NodeId>, PlanInput) {
        let (mut log, nodes) = cluster(&self.zones);
        for (group, shard) in (1..).zip(&self.shards) {
            let mut replicas: Vec<NodeId> = Vec::new();
            for at in shard {
                let node = nodes[at.index(nodes.len())];
                if !replicas.contains(&node) {
                    replicas.push(node);
                }
            }
            put(&mut log, group, &replicas);
        }
        let (factor, max_moves) = (self.factor, self.max_moves);
        let mut input = PlanInput { factor, max_moves, ..PlanInput::default() };
        for (&node, state) in nodes.iter().zip(&self.states) {
            if matches!(state, 0 | 2) {
                input.usable.push(node);
            }
            if matches!(state, 2 | 3) {
                log.accept(Command::DrainNode { node, draining: true });
            }
            if *state == 4 {
                input.gone.push(node);
            }
        }
        (log, nodes, input)
    }
}

fn scene(states: impl Strategy<Value = u8> + Clone + 'static) -> impl Strategy<Value = Scene> {
    let zone = prop_oneof![Just(""), Just("a"), Just("b"), Just("c")];
    let zones = prop_oneof![
        proptest::collection::vec(Just(""), 1..9),
        proptest::collection::vec(zone, 1..9)
    ];
    let shard = proptest::collection::vec(any::<prop::sample::Index>(), 0..5);
    let shards = proptest::collection::vec(shard, 1..17);
    (zones, proptest::collection::vec(states, 8), shards, 1..6_usize, 1..4_usize).prop_map(
        |(zones, states, shards, factor, max_moves)| Scene {
            zones,
            states,
            shards,
            factor,
            max_moves,
        },
    )
}

/// What holds once nothing is left to do.
fn check_rest(log: &Log, nodes: &[NodeId], input: &PlanInput) {
    let view = Nodes::new(&log.catalog, &input.usable, &input.gone);
    let fit: Vec<NodeId> = view.usable().collect();
    let wanted = input.factor.min(view.expected());
    for shard in replicas(log) {
        let spares: Vec<NodeId> =
            fit.iter().copied().filter(|node| !shard.contains(node)).collect();
        assert!(shard.len() >= wanted || spares.is_empty(), "as many as there can be");
        let leaving = shard.iter().any(|node| view.is_leaving(*node));
        assert!(!leaving || spares.is_empty() || shard.len() > input.factor, "none who leaves");
        let is_whole = shard.iter().all(|node| view.is_usable(*node));
        assert!(!is_whole || shard.len() <= input.factor, "none too many");
        assert!(
            shard.first().is_none_or(|first| !view.is_leaving(*first))
                || shard.iter().all(|node| !view.is_usable(*node))
        );
        if is_whole {
            check_zones(&view, &shard, &spares);
        }
    }
    let is_whole = |shard: &Vec<NodeId>| shard.iter().all(|node| view.is_usable(*node));
    if replicas(log).iter().all(is_whole) {
        for zone in ["", "a", "b", "c"] {
            let in_zone =
                |node: &&NodeId| log.catalog.node(**node).is_some_and(|row| &*row.zone == zone);
            let alike: Vec<NodeId> = fit.iter().filter(in_zone).copied().collect();
            assert!(spread(&loads(log, &alike)) <= 1, "even within zone '{zone}'");
        }
        let is_zoned = nodes.iter().any(|node| !log.catalog.node(*node).unwrap().zone.is_empty());
        if !is_zoned {
            assert!(spread(&firsts(log, &fit)) <= 1, "{:?}", replicas(log));
        }
    }
}

/// No exchange of one replica would let fewer share a zone.
fn check_zones(view: &Nodes<'_>, shard: &[NodeId], spares: &[NodeId]) {
    for from in shard {
        let others: Vec<NodeId> = shard.iter().copied().filter(|node| node != from).collect();
        for to in spares {
            assert!(view.neighbours(&others, *to) >= view.neighbours(&others, *from));
        }
    }
}

/// Scenes per run; `WARREN_HISTORIES` asks for more.
fn scenes() -> ProptestConfig {
    let asked = std::env::var("WARREN_HISTORIES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(200)) }
}

proptest! {
    #![proptest_config(scenes())]

    #[test]
    fn plans_rest_balanced_and_spread_where_all_nodes_are_usable(scene in scene(Just(0_u8))) {
        let (mut log, nodes, input) = scene.build();

        settle(&mut log, &input);

        check_rest(&log, &nodes, &input);
        // One node that goes away for a while is no reason for any change.
        for away in &nodes {
            let usable = nodes.iter().copied().filter(|node| node != away).collect();
            let less = PlanInput { usable, ..input.clone() };
            prop_assert_eq!(plan_shards(&log.catalog, &less), []);
        }
    }

    #[test]
    fn plans_rest_whatever_becomes_of_the_nodes(
        scene in scene(0..5_u8),
        later in proptest::collection::vec(0..5_u8, 8),
    ) {
        let (mut log, nodes, input) = scene.build();

        settle(&mut log, &input);
        check_rest(&log, &nodes, &input);
        let (_, _, input) = Scene { states: later, ..scene }.build();
        for (node, input) in nodes.iter().map(|node| (*node, &input)) {
            let draining = input.gone.contains(&node);
            log.accept(Command::DrainNode { node, draining });
        }
        settle(&mut log, &input);

        check_rest(&log, &nodes, &input);
    }
}

#[test]
fn one_two_three_and_five_nodes_vote() {
    let (log, nodes) = cluster(&[""; 7]);
    for (count, voters) in [(1, 1), (2, 2), (3, 3), (4, 3), (5, 5), (6, 5), (7, 5)] {
        let (log, nodes) = if count == 7 {
            (log.catalog.clone(), nodes.clone())
        } else {
            let (log, nodes) = cluster(&vec![""; count]);
            (log.catalog, nodes)
        };

        let planned = plan_voters(&log, &nodes[..1], &nodes, &[]);

        assert_eq!(planned, nodes[..voters], "{count} nodes");
        assert_eq!(plan_voters(&log, &planned, &nodes, &[]), planned);
    }
}

#[test]
fn voters_come_in_pairs_beyond_the_third() {
    let (log, nodes) = cluster(&[""; 5]);

    let planned = plan_voters(&log.catalog, &nodes[..3], &nodes[..4], &[]);

    assert_eq!(planned, nodes[..3], "a fourth voter would help nobody");
    assert_eq!(plan_voters(&log.catalog, &nodes[..1], &nodes[..2], &[]), nodes[..2]);
}

#[test]
fn voters_are_in_zones_of_their_own() {
    let (log, nodes) = cluster(&["a", "a", "a", "b", "c", "c"]);

    let planned = plan_voters(&log.catalog, &nodes[..1], &nodes, &[]);
    let [a, _, _, b, c, _] = nodes[..] else { panic!("six nodes") };
    let three = plan_voters(&log.catalog, &[a], &[a, nodes[1], b, c], &nodes[2..3]);

    assert!(planned.contains(&b) && planned.contains(&c) && planned.len() == 5);
    assert!(three.contains(&b) && three.contains(&c));
}

#[test]
fn a_voter_that_is_merely_away_stays_and_one_that_is_gone_is_replaced() {
    let (log, nodes) = cluster(&[""; 4]);
    let present = &nodes[..3];

    assert_eq!(plan_voters(&log.catalog, present, &nodes[1..], &[]), present);
    assert_eq!(plan_voters(&log.catalog, present, &nodes[1..], &nodes[..1]), nodes[1..]);
}

#[test]
fn a_voter_that_is_gone_stays_while_it_costs_nothing_and_goes_when_it_does() {
    let (log, nodes) = cluster(&[""; 5]);
    let three = &nodes[..3];

    let one_of_three = plan_voters(&log.catalog, three, &nodes[..2], &nodes[2..]);
    let one_of_five = plan_voters(&log.catalog, &nodes, &nodes[..4], &nodes[4..]);
    let two_of_five = plan_voters(&log.catalog, &nodes, three, &nodes[3..]);
    let then = plan_voters(&log.catalog, &two_of_five, three, &nodes[3..]);

    assert_eq!(one_of_three, three);
    assert_eq!(one_of_five, nodes);
    assert_eq!(two_of_five.len(), 4, "one at a time");
    assert_eq!(then, three);
}

#[test]
fn a_drained_voter_is_replaced_or_stays() {
    let (mut log, nodes) = cluster(&[""; 4]);
    log.accept(Command::DrainNode { node: nodes[0], draining: true });

    assert_eq!(plan_voters(&log.catalog, &nodes[..3], &nodes, &[]), nodes[1..]);
    assert_eq!(plan_voters(&log.catalog, &nodes[..3], &nodes[..3], &[]), nodes[..3]);
    assert_eq!(plan_voters(&log.catalog, &nodes, &nodes, &[]), nodes[1..], "too many");
}

#[test]
fn a_forgotten_voter_goes() {
    let (mut log, nodes) = cluster(&[""; 3]);
    log.accept(Command::ForgetNode { node: nodes[2] });

    assert_eq!(plan_voters(&log.catalog, &nodes, &nodes[..2], &[]), nodes[..2]);
}

proptest! {
    #![proptest_config(scenes())]

    #[test]
    fn voters_rest_and_change_with_care(
        scene in scene(0..5_u8),
        current in proptest::collection::btree_set(0..8_usize, 1..6),
    ) {
        let (log, nodes, input) = scene.build();
        let current = current.into_iter().filter_map(|at| nodes.get(at).copied());
        let mut voters: Vec<NodeId> = current.collect();

        for calls in 0.. {
            prop_assert!(calls < 20, "the plan never rests");
            let next = plan_voters(&log.catalog, &voters, &input.usable, &input.gone);
            if next == voters {
                break;
            }
            let kept = voters.iter().filter(|node| next.contains(node)).count();
            let lost = voters.len() - kept;
            prop_assert!(lost <= 1);
            prop_assert!(kept >= majority(voters.len()) || next.len() < voters.len()
                || voters.is_empty());
            let view = Nodes::new(&log.catalog, &input.usable, &input.gone);
            let is_fit = |node: &NodeId| voters.contains(node) || view.is_usable(*node);
            prop_assert!(next.iter().all(is_fit));
            let is_kept = |node: &NodeId| {
                next.contains(node) || view.standing(*node) != Standing::Away
            };
            prop_assert!(voters.iter().all(is_kept));
            voters = next;
        }
        let view = Nodes::new(&log.catalog, &input.usable, &input.gone);
        if voters.iter().all(|node| view.is_usable(*node)) {
            let most = [0, 1, 2, 3, 3, 5, 5, 5, 5][view.expected()];
            prop_assert!(voters.len() <= most);
            prop_assert!(most - voters.len() < 2 || view.usable().count() < voters.len() + 2);
        }
    }
}
