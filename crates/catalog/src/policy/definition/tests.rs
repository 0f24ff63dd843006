//! Tests of `policy/definition`.

use super::*;

fn refusal(text: &str, layer: PolicyLayer) -> String {
    Definition::parse(&text.into(), layer).expect_err("it is nonsense").to_string()
}

#[test]
fn nonsense_is_refused_in_rabbitmqs_words() {
    let cases = [
        ("{}", "no policy provided"),
        (r#"{"foo": 1}"#, "[{<<\"foo\">>,1}] are not recognised policy settings"),
        (r#"{"message-ttl": -1}"#, "-1 is not a valid message TTL"),
        (r#"{"message-ttl": "x"}"#, "<<\"x\">> is not a valid message TTL"),
        (r#"{"expires": 0}"#, "0 is not a valid queue expiry"),
        (r#"{"max-length": 1.5}"#, "1.5 is not a valid maximum length"),
        (r#"{"max-length-bytes": null}"#, "null is not a valid maximum length in bytes"),
        (r#"{"overflow": "x"}"#, "<<\"x\">> is not a valid overflow value"),
        (r#"{"dead-letter-exchange": 1}"#, "1 is not a valid dead letter exchange name"),
        (r#"{"alternate-exchange": [1]}"#, "[1] is not a valid alternate exchange name"),
        (r#"{"queue-version": 3}"#, "3 is not a valid queue-version value"),
        (r#"{"retry": [1, -5]}"#, "[1,-5] is not a valid list of retry delays"),
        (r#"{"retry-jitter": 101}"#, "101 is not a valid retry jitter"),
        (r#"{"dedup-window": 0}"#, "0 is not a valid deduplication window"),
        (r#"{"max-age": "1d"}"#, "<<\"1d\">> is not a valid max age"),
        (
            r#"{"delayed-retry-type": "all"}"#,
            "delayed-retry-min is required when delayed-retry-type is all",
        ),
        (
            r#"{"delayed-retry-min": 5, "delayed-retry-max": 4}"#,
            "delayed-retry-max (4) must not be smaller than delayed-retry-min (5)",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text, PolicyLayer::User), expected);
    }
    assert!(refusal("[", PolicyLayer::User).starts_with("could not parse JSON document"));
    assert!(refusal("[]", PolicyLayer::User).starts_with("could not parse JSON document"));
}

#[test]
fn operators_set_less_than_users() {
    let text = r#"{"dead-letter-exchange": "x"}"#;

    assert!(Definition::parse(&text.into(), PolicyLayer::User).is_ok());
    let expected = "[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings";
    assert_eq!(refusal(text, PolicyLayer::Operator), expected);
}

#[test]
fn keys_of_older_releases_are_accepted() {
    let text = r#"{"ha-mode": "all", "ha-sync-mode": "automatic", "queue-mode": "lazy"}"#;

    let definition = Definition::parse(&text.into(), PolicyLayer::User).expect("accepted");

    assert!(definition.is_applicable_to(QueueKind::Classic));
    assert!(!definition.is_applicable_to(QueueKind::Quorum));
}

#[test]
fn where_both_layers_set_a_key_its_own_rule_decides() {
    let parse = |text: &str, layer| Definition::parse(&text.into(), layer).expect("a definition");
    let user = parse(
        r#"{"max-length": 5, "delayed-retry-min": 5, "delayed-retry-max": 9, "overflow": "drop-head",
            "target-group-size": 3, "delivery-limit": -1, "consumer-timeout": 4}"#,
        PolicyLayer::User,
    );
    let operator = parse(
        r#"{"max-length": 6, "delayed-retry-min": 6, "delayed-retry-max": 8,
            "overflow": "reject-publish", "target-group-size": 5, "delivery-limit": 10}"#,
        PolicyLayer::Operator,
    );

    let merged = Json::Object(merge(Some(&user), Some(&operator)));

    let expected = serde_json::json!({
        "max-length": 5,
        "delayed-retry-min": 6,
        "delayed-retry-max": 8,
        "overflow": "reject-publish",
        "target-group-size": 5,
        "delivery-limit": 10,
        "consumer-timeout": 4,
    });
    assert_eq!(merged, expected);
}
