//! Tests of `exchange/topic`.

use proptest::prelude::*;
use warren_types::{GroupId, QueueId};

use super::*;
use crate::{Placement, Target};

/// Cases per property; `WARREN_CASES` asks for more.
fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("WARREN_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases.unwrap_or(usual))
    }
}

fn hop(queue: u64) -> Hop {
    Hop::Queue(Target { queue: QueueId(queue), placement: Placement::Shard(GroupId(1)) })
}

fn found(topic: &Topic, key: &str) -> Vec<u64> {
    let mut targets = Vec::new();
    let mut exchanges = Vec::new();
    let mut scratch = TopicScratch::default();
    let mut out = Found { targets: &mut targets, exchanges: &mut exchanges };
    topic.route(Message::with_key(key.as_bytes()), &mut scratch, &mut out);
    let mut queues: Vec<u64> = targets.into_iter().map(|target| target.queue.0).collect();
    queues.sort_unstable();
    queues.dedup();
    queues
}

fn split(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split('.').collect() }
}

/// As the rule is told: one word at a time, every way to read a `#`.
fn fits(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], []) => true,
        ([], _) => false,
        (["#", rest @ ..], _) => (0..=key.len()).any(|skip| fits(rest, &key[skip..])),
        (_, []) => false,
        (["*", rest @ ..], [_, key @ ..]) => fits(rest, key),
        ([word, rest @ ..], [first, key @ ..]) => word == first && fits(rest, key),
    }
}

#[test]
fn patterns_match_as_the_book_says() {
    let table: &[(&str, &str, bool)] = &[
        ("a.b.c", "a.b.c", true),
        ("a.b.c", "a.b", false),
        ("a.*.c", "a.b.c", true),
        ("a.*.c", "a.c", false),
        ("a.*.c", "a..c", true),
        ("*", "", false),
        ("#", "", true),
        ("", "", true),
        ("", "a", false),
        ("#", "a.b.c.d", true),
        ("a.#", "a", true),
        ("a.#", "a.b.c", true),
        ("#.a", "a", true),
        ("#.a", "b.a", true),
        ("#.a", "a.b", false),
        ("#.#", "", true),
        ("#.*", "", false),
        ("#.*.#", "x", true),
        ("#.a.#.b.#", "x.a.y.b.z", true),
        ("#.a.#.b.#", "x.b.y.a.z", false),
        ("*.*", "a..b", false),
        ("*.*.*", "a..b", true),
        (".", ".", true),
        ("*.*", ".", true),
        ("a*", "a*", true),
        ("a*", "ab", false),
    ];
    for &(pattern, key, expected) in table {
        let mut topic = Topic::default();

        topic.bind(pattern.as_bytes(), hop(1));

        assert_eq!(!found(&topic, key).is_empty(), expected, "'{pattern}' and '{key}'");
    }
}

#[test]
fn a_queue_bound_twice_with_one_pattern_stays_until_it_is_unbound_twice() {
    let mut topic = Topic::default();
    topic.bind(b"a.*", hop(1));
    topic.bind(b"a.*", hop(1));

    topic.unbind(b"a.*", &hop(1));
    let after_one = found(&topic, "a.b");
    topic.unbind(b"a.*", &hop(1));

    assert_eq!(after_one, [1]);
    assert_eq!(found(&topic, "a.b"), [0_u64; 0]);
}

#[test]
fn nothing_is_left_of_bindings_that_are_gone() {
    let patterns = ["a.b.c", "a.#.c", "#.#", "*.*.x", "", "a.b"];
    let mut topic = Topic::default();
    for pattern in patterns {
        topic.bind(pattern.as_bytes(), hop(1));
    }

    for pattern in patterns {
        topic.unbind(pattern.as_bytes(), &hop(1));
    }

    assert_eq!(topic.nodes.len(), 1, "the root alone");
    assert_eq!(topic.branches.len(), 0);
    assert_eq!(topic.words.len(), 0);
    assert_eq!(topic.numbers.len(), 0);
}

#[test]
fn many_wildcards_cost_their_number_and_not_their_combinations() {
    let mut topic = Topic::default();
    let pattern = ["#", "a"].repeat(30).join(".");
    topic.bind(pattern.as_bytes(), hop(1));
    let key = vec!["a"; 120].join(".");

    // With every combination tried, this would not end.
    assert_eq!(found(&topic, &key), [1]);
    assert_eq!(found(&topic, &format!("{key}.b")), [0_u64; 0]);
}

fn pattern() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => Just("a"), 3 => Just("b"), 1 => Just("c"), 1 => Just(""), 3 => Just("*"), 3 => Just("#")
    ];
    proptest::collection::vec(word, 0..6).prop_map(|words| words.join("."))
}

fn key() -> impl Strategy<Value = String> {
    let word =
        prop_oneof![3 => Just("a"), 3 => Just("b"), 1 => Just("c"), 1 => Just(""), 1 => Just("d")];
    proptest::collection::vec(word, 0..7).prop_map(|words| words.join("."))
}

proptest! {
    #![proptest_config(cases(4000))]

    /// Each case is 12 keys against up to 12 patterns, before and after half are unbound.
    #[test]
    fn the_tree_finds_what_reading_each_pattern_finds(
        patterns in proptest::collection::vec(pattern(), 0..12),
        keys in proptest::collection::vec(key(), 12),
    ) {
        let mut topic = Topic::default();
        for (number, pattern) in (0..).zip(&patterns) {
            topic.bind(pattern.as_bytes(), hop(number));
        }
        let naive = |key: &str, from: usize| -> Vec<u64> {
            let numbered = (0..).zip(&patterns).skip(from);
            let fitting = numbered.filter(|(_, pattern)| fits(&split(pattern), &split(key)));
            fitting.map(|(number, _)| number).collect()
        };
        for key in &keys {
            prop_assert_eq!(found(&topic, key), naive(key, 0));
        }
        let half = patterns.len() / 2;
        for (number, pattern) in (0..).zip(&patterns).take(half) {
            topic.unbind(pattern.as_bytes(), &hop(number));
        }
        for key in &keys {
            prop_assert_eq!(found(&topic, key), naive(key, half));
        }
    }
}
