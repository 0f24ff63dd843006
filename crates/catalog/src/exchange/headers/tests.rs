//! Tests of `exchange/headers`.

use proptest::prelude::*;
use warren_types::{GroupId, QueueId};

use super::*;
use crate::testing::table;
use crate::{Destination, Placement, Target};

fn goes(arguments: &Table, headers: &Table) -> bool {
    let destination = Destination::Queue("q".into());
    let binding = Arc::new(Binding::new("x".into(), destination, "".into(), arguments));
    let target = Target { queue: QueueId(1), placement: Placement::Shard(GroupId(1)) };
    let mut exchange = Headers::default();
    exchange.bind(&binding, Hop::Queue(target));
    let (mut targets, mut exchanges) = (Vec::new(), Vec::new());
    let mut found = Found { targets: &mut targets, exchanges: &mut exchanges };
    exchange.route(Message { routing_key: b"", extra_keys: &[], headers }, &mut found);
    !targets.is_empty()
}

#[test]
fn bindings_match_as_the_rules_say() {
    let text = Value::text;
    let one = || Value::I32(1);
    let rule = |rule: &str| ("x-match", Value::text(rule));
    type Case<'a> = (&'a str, Vec<(&'a str, Value)>, Vec<(&'a str, Value)>, bool);
    let cases: Vec<Case<'_>> = vec![
        ("no rule means all", vec![("a", one()), ("b", one())], vec![("a", one())], false),
        ("all fit", vec![("a", one())], vec![("a", one()), ("c", one())], true),
        ("any fits", vec![rule("any"), ("a", one()), ("b", one())], vec![("b", one())], true),
        ("none fits", vec![rule("any"), ("a", one())], vec![("a", Value::I32(2))], false),
        ("all of nothing", vec![], vec![], true),
        ("any of nothing", vec![rule("any")], vec![("a", one())], false),
        ("width is nothing", vec![("a", one())], vec![("a", Value::I64(1))], true),
        ("1 is not 1.0", vec![("a", one())], vec![("a", Value::F64(1.0))], false),
        ("1 is not \"1\"", vec![("a", one())], vec![("a", text("1"))], false),
        (
            "fractions of any width",
            vec![("a", Value::F32(0.5))],
            vec![("a", Value::F64(0.5))],
            true,
        ),
        (
            "bytes of either type",
            vec![("a", text("x"))],
            vec![("a", Value::Bytes(b"x".to_vec()))],
            true,
        ),
        ("void asks for presence", vec![("a", Value::Void)], vec![("a", text("x"))], true),
        ("void and absent", vec![("a", Value::Void)], vec![], false),
        ("x- is skipped", vec![("x-a", one()), ("a", one())], vec![("a", one())], true),
        ("nothing but x-", vec![("x-a", one())], vec![], true),
        ("any, nothing but x-", vec![rule("any"), ("x-a", one())], vec![("x-a", one())], false),
        ("with x", vec![rule("all-with-x"), ("x-a", one())], vec![], false),
        ("any with x", vec![rule("any-with-x"), ("x-a", one())], vec![("x-a", one())], true),
    ];
    for (what, arguments, headers, expected) in cases {
        assert_eq!(goes(&table(&arguments), &table(&headers)), expected, "{what}");
    }
}

#[test]
fn a_rule_that_means_nothing_is_refused_in_rabbitmqs_words() {
    let unknown = check_arguments(&table(&[("x-match", Value::text("some"))]));
    let number = check_arguments(&table(&[("x-match", Value::I32(3))]));

    let expected =
        "Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x";
    assert_eq!(unknown, Err(expected.to_owned()));
    let expected = "Invalid x-match field type signedint (value 3); expected longstr";
    assert_eq!(number, Err(expected.to_owned()));
    assert_eq!(check_arguments(&Table::new()), Ok(()));
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_i32..3).prop_map(Value::I32),
        (0_i64..3).prop_map(Value::I64),
        (0_u8..3).prop_map(|number| Value::F64(f64::from(number))),
        Just(Value::text("1")),
        Just(Value::Bool(true)),
        Just(Value::Void),
    ]
}

fn entries() -> impl Strategy<Value = Vec<(String, Value)>> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c"), Just("x-a"), Just("x-b")];
    let entry = (name.prop_map(str::to_owned), value());
    proptest::collection::vec(entry, 0..5).prop_map(|mut entries| {
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        entries.dedup_by(|one, other| one.0 == other.0);
        entries
    })
}

/// What a value means, in a form that compares.
fn meaning(value: &Value) -> String {
    match value {
        Value::I32(number) => format!("integer {number}"),
        Value::I64(number) => format!("integer {number}"),
        other => format!("{other:?}"),
    }
}

/// As the rule is told: count what fits of what counts.
fn naive(rule: &str, arguments: &[(String, Value)], headers: &[(String, Value)]) -> bool {
    let counted: Vec<_> = arguments
        .iter()
        .filter(|(name, _)| rule.ends_with("-with-x") || !name.starts_with("x-"))
        .collect();
    let fitting = counted
        .iter()
        .filter(|(name, wanted)| {
            let header = headers.iter().find(|(known, _)| known == name);
            header.is_some_and(|(_, found)| {
                *wanted == Value::Void || meaning(wanted) == meaning(found)
            })
        })
        .count();
    if rule.starts_with("any") { fitting > 0 } else { fitting == counted.len() }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(5000)
    })]

    #[test]
    fn matching_is_what_counting_what_fits_says(
        rule in prop_oneof![Just("all"), Just("any"), Just("all-with-x"), Just("any-with-x")],
        arguments in entries(),
        headers in entries(),
    ) {
        let expected = naive(rule, &arguments, &headers);
        let mut arguments: Table = arguments.into_iter().collect();
        arguments.insert("x-match", Value::text(rule));
        let headers: Table = headers.into_iter().collect();
        prop_assert_eq!(goes(&arguments, &headers), expected);
    }
}
