//! Tests of `header`.

use proptest::prelude::*;

use super::*;
use crate::{MethodId, ReplyCode};

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-zü/ ]{0,20}")
}

fn headers() -> impl Strategy<Value = Option<Table>> {
    let entries = proptest::collection::vec(("[a-zA-Z-]{0,10}", any::<i64>()), 0..4);
    proptest::option::of(entries.prop_map(|entries| {
        entries.into_iter().map(|(name, value)| (name, Value::I64(value))).collect()
    }))
}

fn any_properties() -> impl Strategy<Value = Properties> {
    let first =
        (text(), text(), headers(), any::<Option<u8>>(), any::<Option<u8>>(), text(), text());
    let second = (text(), text(), any::<Option<u64>>(), text(), text(), text(), text());
    (first, second).prop_map(|(first, second)| {
        let (
            content_type,
            content_encoding,
            headers,
            delivery_mode,
            priority,
            correlation_id,
            reply_to,
        ) = first;
        let (expiration, message_id, timestamp, kind, user_id, app_id, cluster_id) = second;
        Properties {
            content_type,
            content_encoding,
            headers,
            delivery_mode,
            priority,
            correlation_id,
            reply_to,
            expiration,
            message_id,
            timestamp,
            kind,
            user_id,
            app_id,
            cluster_id,
        }
    })
}

proptest! {
    #[test]
    fn properties_survive_the_wire(properties in any_properties()) {
        let header = properties.encode();

        prop_assert_eq!(check(&header), Ok(()));
        prop_assert_eq!(Properties::decode(&header), Ok(properties.clone()));
        prop_assert_eq!(delivery_mode(&header), properties.delivery_mode);
        prop_assert_eq!(priority(&header), properties.priority);
        prop_assert_eq!(expiration(&header), properties.expiration.as_deref());
        prop_assert_eq!(user_id(&header), properties.user_id.as_deref());
        prop_assert_eq!(reply_to(&header), properties.reply_to.as_deref());
        let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
        prop_assert_eq!(message_id(&header).map(<[u8]>::to_vec), bytes(&properties.message_id));
        let answered = correlation_id(&header).map(<[u8]>::to_vec);
        prop_assert_eq!(answered, bytes(&properties.correlation_id));
        prop_assert_eq!(timestamp(&header), properties.timestamp);
        prop_assert_eq!(has_headers(&header), properties.headers.is_some());
        prop_assert_eq!(headers_table(&header), Ok(properties.headers));
    }

    #[test]
    fn an_exchange_touches_one_property(
        properties in any_properties(),
        headers in headers(),
        reply_to in text(),
        seconds in any::<u64>(),
    ) {
        let header = properties.encode();
        let decoded = |header: Bytes| Properties::decode(&header);

        let other = Properties { headers: headers.clone(), ..properties.clone() };
        prop_assert_eq!(decoded(replace_headers(&header, headers.as_ref())), Ok(other));
        let other = Properties { reply_to: reply_to.clone(), ..properties.clone() };
        prop_assert_eq!(decoded(replace_reply_to(&header, reply_to.as_deref())), Ok(other));
        let other = Properties { timestamp: Some(seconds), ..properties.clone() };
        prop_assert_eq!(decoded(replace_timestamp(&header, seconds)), Ok(other));
        let other = Properties { expiration: None, ..properties.clone() };
        prop_assert_eq!(decoded(remove_expiration(&header)), Ok(other));
        prop_assert_eq!(replace_headers(&header, properties.headers.as_ref()), header);
    }

    #[test]
    fn a_number_comes_to_the_headers_and_changes_nothing_else(
        properties in any_properties(),
        number in any::<i64>(),
        earlier in any::<bool>(),
    ) {
        const NAME: &str = "x-stream-offset";
        let mut properties = properties;
        if earlier {
            properties.headers.get_or_insert_default().insert(NAME, Value::text("an earlier one"));
        }
        let header = properties.encode();
        let mut out = BytesMut::from(&b"before"[..]);

        put_with_number(&mut out, &header, NAME, number);

        let mut expected = properties.clone();
        expected.headers.get_or_insert_default().insert(NAME, Value::I64(number));
        prop_assert_eq!(Properties::decode(&out[6..]), Ok(expected));
        prop_assert_eq!(may_have(&header, NAME), earlier);
        prop_assert!(may_have(&out[6..], NAME));
        prop_assert_eq!(check(&out[6..]), Ok(()));
    }

    #[test]
    fn a_header_cut_short_is_refused(properties in any_properties(), cut in any::<prop::sample::Index>()) {
        let header = properties.encode();

        let outcome = check(&header[..cut.index(header.len())]);

        prop_assert_eq!(outcome.map_err(|error| error.code()), Err(ReplyCode::FrameError));
    }
}

#[test]
fn the_flags_stand_where_the_specification_has_them() {
    let properties = Properties {
        content_type: Some("a".into()),
        delivery_mode: Some(2),
        cluster_id: Some("z".into()),
        ..Properties::default()
    };

    assert_eq!(*properties.encode(), [0b1001_0000, 0b0000_0100, 1, b'a', 2, 1, b'z']);
}

#[test]
fn malformed_headers_are_refused_as_broken_frames() {
    let undecodable = "FRAME_ERROR - cannot decode content header: ";
    let not_text = "FRAME_ERROR - Malformed UTF-8 in shortstr";
    let cases: [(&str, &[u8], MethodId, &str); 8] = [
        ("nothing", &[], MethodId::NONE, undecodable),
        ("a continuation", &[0, 1, 0, 0], MethodId::NONE, undecodable),
        ("an unknown flag", &[0, 2], MethodId::NONE, undecodable),
        ("bytes behind the end", &[0, 0, 0], MethodId::NONE, undecodable),
        ("headers that are no table", &[0x20, 0, 0, 0, 0, 1, 9], MethodId::NONE, undecodable),
        ("an expiration that is no text", &[1, 0, 1, 0xFF], MethodId::BASIC_PUBLISH, not_text),
        ("a user that is no text", &[0, 0x10, 1, 0xFF], MethodId::BASIC_PUBLISH, not_text),
        ("a reply-to that is no text", &[2, 0, 1, 0xFF], MethodId::BASIC_PUBLISH, not_text),
    ];

    for (case, header, method, text) in cases {
        let error = check(header).expect_err(case);
        assert_eq!((error.code(), error.method()), (ReplyCode::FrameError, method), "{case}");
        assert!(error.text().starts_with(text), "{case}: {error}");
    }
}

#[test]
fn a_correlation_id_may_be_any_bytes() {
    let header = [4, 0, 2, 0xFF, 0xFE];

    assert_eq!(check(&header), Ok(()));
    let properties = Properties::decode(&header).expect("well-formed");
    assert_eq!(properties.correlation_id.as_deref(), Some("\u{FFFD}\u{FFFD}"));
    let changed = replace_headers(&header, Some(&Table::new()));
    assert_eq!(*changed, [0x24, 0, 0, 0, 0, 0, 2, 0xFF, 0xFE], "its bytes are kept");
}

#[test]
fn headers_that_nest_too_deep_are_refused() {
    let mut value = Value::Array(vec![]);
    for _ in 0..64 {
        value = Value::Array(vec![value]);
    }
    let mut headers = Table::new();
    headers.insert("deep", value);
    let header = Properties { headers: Some(headers), ..Properties::default() }.encode();

    let error = check(&header).expect_err("too deep");

    assert_eq!(error.code(), ReplyCode::FrameError);
}
