//! Tests of `formation`.

use warren_rpc::Incarnation;
use warren_types::NodeId;

use super::*;

const CLUSTER: ClusterId = ClusterId(77);

#[test]
fn too_few_empty_nodes_wait_and_say_who_is_missing() {
    let mut node = Formation::new(1, None);

    let step = node.heard(start(), &[own(1), silent_at("b:1"), silent_at("c:1")], Quorum::Seeds(3));

    let Step::Wait(waiting) = step else { panic!("{step:?}") };
    assert_eq!(
        waiting.to_string(),
        "waiting for 3 empty nodes, 1 there; no answer from b:1 (nobody listens), c:1 (nobody listens)"
    );
}

#[test]
fn the_lowest_of_enough_empty_nodes_asks_the_others_and_founds_when_all_promise() {
    let mut node = Formation::new(1, None);
    let answers = [own(1), empty("b:1", 2), empty("c:1", 3)];

    let step = node.heard(start(), &answers, Quorum::Seeds(3));
    let outcome = node.promised(start(), &[promise(2), promise(3)], 2);

    assert_eq!(step, Step::Ask(vec!["b:1".to_owned(), "c:1".to_owned()], 2));
    assert_eq!(outcome, None);
}

#[test]
fn any_other_of_them_waits_for_the_lowest() {
    let mut node = Formation::new(2, None);

    let step = node.heard(start(), &[empty("a:1", 1), own(2), empty("c:1", 3)], Quorum::Seeds(3));

    assert_eq!(step, Step::Wait(Waiting::Founder { address: "a:1".to_owned() }));
}

#[test]
fn a_node_that_is_none_of_its_seeds_counts_itself_as_well() {
    let answers = [empty("b:1", 2), empty("c:1", 3)];

    let outside = Formation::new(1, None).heard(start(), &answers, Quorum::Seeds(2));
    let too_few = Formation::new(1, None).heard(start(), &answers[..1], Quorum::Seeds(2));

    assert!(matches!(outside, Step::Ask(_, 2)), "{outside:?}");
    let Step::Wait(Waiting::Nodes { there, needed, .. }) = too_few else { panic!("{too_few:?}") };
    assert_eq!((there, needed), (2, 3));
}

#[test]
fn two_addresses_of_one_node_are_one_node() {
    let mut node = Formation::new(1, None);

    let step = node.heard(start(), &[own(1), empty("b:1", 2), empty("b:2", 2)], Quorum::Nodes(3));

    assert!(matches!(step, Step::Wait(Waiting::Nodes { there: 2, .. })), "{step:?}");
}

#[test]
fn nobody_founds_when_nobody_knows_how_many_are_to_come() {
    let mut node = Formation::new(1, None);

    let step = node.heard(start(), &[own(1)], Quorum::Unknown);

    let Step::Wait(waiting) = step else { panic!("{step:?}") };
    assert!(waiting.to_string().contains("bootstrap_expect"), "{waiting}");
}

#[test]
fn a_cluster_that_is_there_is_joined_however_many_are_empty() {
    let mut node = Formation::new(1, None);
    let answers = [own(1), empty("b:1", 2), member("c:1", CLUSTER)];

    let step = node.heard(start(), &answers, Quorum::Seeds(3));

    assert_eq!(step, Step::Join(CLUSTER, vec!["c:1".to_owned()]));
}

#[test]
fn two_clusters_are_nobodys_choice() {
    let mut node = Formation::new(1, None);
    let answers = [member("b:1", CLUSTER), member("c:1", ClusterId(78))];

    let step = node.heard(start(), &answers, Quorum::Seeds(3));

    let clusters = vec![CLUSTER, ClusterId(78)];
    assert_eq!(step, Step::Wait(Waiting::OneCluster { clusters }));
}

#[test]
fn a_wiped_node_alone_waits_for_those_that_are_merely_down() {
    let mut wiped = Formation::new(1, None);
    let down = [own(1), silent_at("b:1"), silent_at("c:1")];
    let one_is_back = [own(1), member("b:1", CLUSTER), silent_at("c:1")];

    let before = wiped.heard(start(), &down, Quorum::Seeds(3));
    let after = wiped.heard(start(), &one_is_back, Quorum::Seeds(3));

    assert!(matches!(before, Step::Wait(Waiting::Nodes { .. })), "{before:?}");
    assert_eq!(after, Step::Join(CLUSTER, vec!["b:1".to_owned()]));
}

#[test]
fn a_promise_is_given_to_one_founder_at_a_time() {
    let mut node = Formation::new(9, None);

    let first = node.answer(start(), &founding(2));
    let again = node.answer(start() + Duration::from_secs(1), &founding(2));
    // The second one renewed it.
    let other = node.answer(start() + PROMISE_LASTS, &founding(1));
    let later = node.answer(start() + PROMISE_LASTS + Duration::from_secs(1), &founding(1));

    let given = [first, again, other, later].map(|reply| reply.promised);
    assert_eq!(given, [true, true, false, true]);
}

#[test]
fn a_look_asks_for_no_promise() {
    let mut node = Formation::new(9, None);

    let reply = node.answer(start(), &Hello { token: 1, founding: false });

    assert_eq!(reply, HelloReply { token: 9, cluster: None, promised: false });
}

#[test]
fn nobody_promises_to_a_token_above_one_it_knows() {
    let mut knows_a_lower = Formation::new(9, None);
    knows_a_lower.heard(start(), &[empty("a:1", 2), own(9)], Quorum::Seeds(3));
    let mut is_lower = Formation::new(3, None);

    assert!(!knows_a_lower.answer(start(), &founding(5)).promised);
    assert!(knows_a_lower.answer(start(), &founding(2)).promised);
    assert!(!is_lower.answer(start(), &founding(5)).promised);
}

#[test]
fn nobody_promises_who_founds_joins_or_knows_of_a_cluster() {
    let mut founds = Formation::new(5, None);
    founds.heard(start(), &[own(5), empty("c:1", 6)], Quorum::Seeds(2));
    let mut joins = Formation::new(5, None);
    joins.heard(start(), &[member("c:1", CLUSTER)], Quorum::Seeds(2));
    let mut failed_to_join = Formation::new(5, None);
    failed_to_join.heard(start(), &[member("c:1", CLUSTER)], Quorum::Seeds(2));
    failed_to_join.rejected();
    let mut belongs = Formation::new(5, Some(founded(CLUSTER)));

    for node in [&mut founds, &mut joins, &mut failed_to_join, &mut belongs] {
        assert!(!node.answer(start(), &founding(1)).promised, "{node:?}");
    }
    assert_eq!(belongs.answer(start(), &founding(1)).cluster, Some(founded(CLUSTER)));
}

#[test]
fn whoever_has_promised_does_not_found_meanwhile() {
    let mut node = Formation::new(5, None);
    node.answer(start(), &founding(1));
    let answers = [own(5), empty("c:1", 6)];

    let bound = node.heard(start() + Duration::from_secs(1), &answers, Quorum::Seeds(2));
    let free = node.heard(start() + PROMISE_LASTS, &answers, Quorum::Seeds(2));

    assert!(matches!(bound, Step::Wait(Waiting::Promises { .. })), "{bound:?}");
    assert!(matches!(free, Step::Ask(..)), "{free:?}");
}

#[test]
fn too_few_promises_or_late_ones_make_no_founder() {
    let in_time = start() + FOUND_WITHIN;
    let late = in_time + Duration::from_millis(1);
    let replies = [promise(2), promise(3)];
    let refused = [promise(2), HelloReply { promised: false, ..promise(3) }];
    let twice = [promise(2), promise(2)];
    let meanwhile =
        [promise(2), promise(3), HelloReply { cluster: Some(founded(CLUSTER)), ..promise(4) }];

    assert_eq!(asking().promised(in_time, &replies, 2), None);
    for (now, replies) in
        [(late, &replies[..]), (in_time, &refused), (in_time, &twice), (in_time, &meanwhile)]
    {
        let mut node = asking();

        assert!(node.promised(now, replies, 2).is_some(), "{replies:?}");
        assert!(node.answer(now, &founding(0)).promised, "it looks on");
    }
}

#[test]
fn among_generated_nodes_that_hear_each_other_at_will_at_most_one_founds() {
    for seed in 0..2000_u64 {
        let mut chance = Chance(seed);
        let count = 2 + chance.below(4);
        let needed = count / 2 + 1 + chance.below(count - count / 2);
        let mut nodes: Vec<Formation> =
            (0..count).map(|_| Formation::new(chance.next().into(), None)).collect();
        let mut founders = 0;
        for _round in 0..12 {
            let now = start();
            let who = chance.below(count);
            if nodes[who].state != State::Looking {
                continue;
            }
            let answers: Vec<Answer> = (0..count)
                .filter(|_| chance.below(4) > 0)
                .map(|other| {
                    let token = nodes[who].token;
                    let reply = nodes[other].answer(now, &Hello { token, founding: false });
                    answer(&other.to_string(), Ok(reply))
                })
                .collect();
            let Step::Ask(asked, promises) = nodes[who].heard(now, &answers, Quorum::Nodes(needed))
            else {
                nodes[who].state = State::Looking;
                continue;
            };
            let hello = founding(nodes[who].token);
            let mut replies = Vec::new();
            for address in asked {
                if chance.below(4) == 0 {
                    continue;
                }
                let other: usize = address.parse().expect("addresses are numbers here");
                // Others may move between two questions.
                let bystander = chance.below(count);
                if bystander != who && nodes[bystander].state == State::Looking {
                    let token = nodes[bystander].token;
                    nodes[bystander].heard(
                        now,
                        &[answer("x", Ok(reply_of(token)))],
                        Quorum::Nodes(needed),
                    );
                    nodes[bystander].state = State::Looking;
                }
                replies.push(nodes[other].answer(now, &hello));
            }
            if nodes[who].promised(now, &replies, promises).is_none() {
                founders += 1;
                // Its disk is slow, and nobody hears of its cluster.
            }
        }
        assert!(founders <= 1, "seed {seed}: {founders} founders");
    }
}

/// Numbers that look like chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("small");
        usize::try_from(self.next() % limit).expect("small")
    }
}

/// A node with token 1 that has asked two others.
fn asking() -> Formation {
    let mut node = Formation::new(1, None);
    let step = node.heard(start(), &[own(1), empty("b:1", 2), empty("c:1", 3)], Quorum::Seeds(3));
    assert!(matches!(step, Step::Ask(_, 2)), "{step:?}");
    node
}

/// One moment, the same in all of a test.
fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now)
}

fn founding(token: u128) -> Hello {
    Hello { token, founding: true }
}

fn promise(token: u128) -> HelloReply {
    HelloReply { token, cluster: None, promised: true }
}

fn reply_of(token: u128) -> HelloReply {
    HelloReply { token, cluster: None, promised: false }
}

fn founded(cluster: ClusterId) -> Founded {
    Founded { cluster, incarnation: Incarnation(1), node: NodeId(4) }
}

fn answer(address: &str, outcome: Result<HelloReply, String>) -> Answer {
    Answer { seed: address.to_owned(), address: address.to_owned(), outcome }
}

fn own(token: u128) -> Answer {
    answer("self:1", Ok(reply_of(token)))
}

fn empty(address: &str, token: u128) -> Answer {
    answer(address, Ok(reply_of(token)))
}

fn member(address: &str, cluster: ClusterId) -> Answer {
    answer(address, Ok(HelloReply { cluster: Some(founded(cluster)), ..reply_of(8) }))
}

fn silent_at(seed: &str) -> Answer {
    answer(seed, Err("nobody listens".to_owned()))
}
