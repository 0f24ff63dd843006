//! What a policy sets: a JSON object whose keys are known and whose values are checked.

use serde_json::{Map, Value as Json};

use crate::arguments::{
    LONGEST_DEDUP_WINDOW_MS, MOST_DEDUP_KEYS, MOST_JITTER_PERCENT, delays_of_json, parse_max_age,
};
use crate::settings::stricter_delivery_limit;
use crate::{Name, PolicyLayer, QueueKind, TimeoutAction};

/// The largest segment of a stream.
const LARGEST_SEGMENT_BYTES: i64 = 3_000_000_000;

/// A policy that sets nonsense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// Not a JSON object.
    #[error("could not parse JSON document: {0}")]
    NotAnObject(String),
    /// Sets nothing.
    #[error("no policy provided")]
    Empty,
    /// Keys that no policy of this layer has.
    #[error("[{0}] are not recognised policy settings")]
    UnknownKeys(String),
    /// A value that its key cannot have.
    #[error("{0}")]
    Value(String),
}

/// What a policy sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    text: Name,
    values: Map<String, Json>,
}

/// What a key's value may be.
#[derive(Clone, Copy)]
enum Rule {
    Integer,
    AtLeast(i64),
    Between(i64, i64),
    Text,
    FilledText,
    Word(&'static [&'static str]),
    Age,
    Delays,
    /// Of an older RabbitMQ: accepted, so that its definitions can be imported, and ignored.
    Ignored,
}

/// Who may set a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    Users,
    Both,
}

struct Key {
    name: &'static str,
    rule: Rule,
    audience: Audience,
    /// What the value is not, in RabbitMQ's words.
    noun: &'static str,
}

const fn key(name: &'static str, rule: Rule, audience: Audience, noun: &'static str) -> Key {
    Key { name, rule, audience, noun }
}

const KEYS: &[Key] = {
    use Audience::{Both, Users};
    use Rule::{Age, AtLeast, Between, Delays, FilledText, Ignored, Integer, Text, Word};
    &[
        key("alternate-exchange", Text, Users, "alternate exchange name"),
        key("consumer-disconnected-timeout", AtLeast(0), Users, "consumer disconnected timeout"),
        key("consumer-timeout", AtLeast(0), Users, "consumer timeout"),
        key(
            "consumer-timeout-action",
            Word(&TimeoutAction::WORDS),
            Users,
            "consumer timeout action",
        ),
        key("dead-letter-exchange", Text, Users, "dead letter exchange name"),
        key("dead-letter-routing-key", Text, Users, "dead letter routing key"),
        key(
            "dead-letter-strategy",
            Word(&["at-most-once", "at-least-once"]),
            Users,
            "dead letter strategy",
        ),
        key("dedup-limit", Between(1, MOST_DEDUP_KEYS), Both, "number of remembered messages"),
        key("dedup-window", Between(1, LONGEST_DEDUP_WINDOW_MS), Both, "deduplication window"),
        key("deduplication-header", FilledText, Users, "deduplication header"),
        key("delayed-retry-max", AtLeast(1), Both, "delayed retry maximum delay"),
        key("delayed-retry-min", AtLeast(1), Both, "delayed retry minimum delay"),
        key(
            "delayed-retry-type",
            Word(&["all", "failed", "returned", "disabled"]),
            Both,
            "delayed retry type",
        ),
        key("delivery-limit", Integer, Both, "delivery limit"),
        key("expires", AtLeast(1), Both, "queue expiry"),
        key("federation-upstream", Text, Users, "upstream name"),
        key("federation-upstream-set", Text, Users, "upstream set name"),
        key("ha-mode", Ignored, Users, ""),
        key("ha-params", Ignored, Users, ""),
        key("ha-promote-on-failure", Ignored, Users, ""),
        key("ha-promote-on-shutdown", Ignored, Users, ""),
        key("ha-sync-batch-size", Ignored, Users, ""),
        key("ha-sync-mode", Ignored, Users, ""),
        key("initial-cluster-size", AtLeast(0), Users, "cluster size"),
        key("max-age", Age, Users, "max age"),
        key("max-in-memory-bytes", AtLeast(0), Both, "maximum memory in bytes"),
        key("max-in-memory-length", AtLeast(0), Both, "maximum memory in bytes"),
        key("max-length", AtLeast(0), Both, "maximum length"),
        key("max-length-bytes", AtLeast(0), Both, "maximum length in bytes"),
        key("member-placement-tag", FilledText, Both, "member-placement-tag value"),
        key("message-ttl", AtLeast(0), Both, "message TTL"),
        key(
            "overflow",
            Word(&["drop-head", "reject-publish", "reject-publish-dlx"]),
            Both,
            "overflow value",
        ),
        key(
            "queue-leader-locator",
            Word(&["client-local", "balanced", "random", "least-leaders"]),
            Users,
            "queue leader locator value",
        ),
        key("queue-master-locator", Ignored, Users, ""),
        key("queue-mode", Word(&["default", "lazy"]), Users, "queue-mode value"),
        key("queue-version", Between(1, 2), Both, "queue-version value"),
        key("retry", Delays, Users, "list of retry delays"),
        key("retry-jitter", Between(0, MOST_JITTER_PERCENT), Users, "retry jitter"),
        key("stream-filter-size-bytes", Between(16, 255), Users, "filter size"),
        key(
            "stream-max-segment-size-bytes",
            Between(0, LARGEST_SEGMENT_BYTES),
            Users,
            "segment size",
        ),
        key("target-group-size", AtLeast(1), Both, "qq target count value"),
    ]
};

/// Keys that keep a policy from applying to a queue of this kind at all.
fn foreign_keys(kind: QueueKind) -> &'static [&'static str] {
    match kind {
        QueueKind::Classic => &[
            "max-age",
            "stream-max-segment-size-bytes",
            "initial-cluster-size",
            "delivery-limit",
            "dead-letter-strategy",
            "max-in-memory-length",
            "max-in-memory-bytes",
            "target-group-size",
        ],
        QueueKind::Quorum => &[
            "queue-mode",
            "ha-mode",
            "ha-params",
            "ha-sync-mode",
            "ha-promote-on-shutdown",
            "ha-promote-on-failure",
            "queue-master-locator",
            "max-age",
            "stream-max-segment-size-bytes",
            "initial-cluster-size",
        ],
        QueueKind::Stream => &[
            "dedup-window",
            "retry",
            "expires",
            "message-ttl",
            "dead-letter-exchange",
            "dead-letter-routing-key",
            "max-length",
            "max-in-memory-length",
            "max-in-memory-bytes",
            "overflow",
            "queue-mode",
            "delivery-limit",
            "ha-mode",
            "ha-params",
            "ha-sync-mode",
            "ha-promote-on-shutdown",
            "ha-promote-on-failure",
            "queue-master-locator",
            "dead-letter-strategy",
            "target-group-size",
        ],
    }
}

impl Definition {
    /// Reads and checks a JSON object.
    ///
    /// # Errors
    /// When it is none, sets nothing, or sets something that cannot be set.
    pub fn parse(text: &Name, layer: PolicyLayer) -> Result<Self, DefinitionError> {
        let values = match serde_json::from_str(text) {
            Ok(Json::Object(values)) => values,
            Ok(other) => return Err(DefinitionError::NotAnObject(term(&other))),
            Err(error) => return Err(DefinitionError::NotAnObject(error.to_string())),
        };
        if values.is_empty() {
            return Err(DefinitionError::Empty);
        }
        check(&values, layer)?;
        Ok(Self { text: text.clone(), values })
    }

    /// A stored definition, which was checked when it was set.
    pub(crate) fn restored(text: &Name) -> Self {
        let values = match serde_json::from_str(text) {
            Ok(Json::Object(values)) => values,
            Ok(_) | Err(_) => Map::new(),
        };
        Self { text: text.clone(), values }
    }

    /// The JSON text, as it was set.
    #[must_use]
    pub fn text(&self) -> &Name {
        &self.text
    }

    /// The settings.
    #[must_use]
    pub fn values(&self) -> &Map<String, Json> {
        &self.values
    }

    /// Whether nothing is set that queues of `kind` do not know.
    #[must_use]
    pub fn is_applicable_to(&self, kind: QueueKind) -> bool {
        foreign_keys(kind).iter().all(|key| !self.values.contains_key(*key))
    }
}

/// What two policies on one object come to; where both set a key, mostly the stricter wins.
pub(crate) fn merge(user: Option<&Definition>, operator: Option<&Definition>) -> Map<String, Json> {
    let mut merged = user.map(|definition| definition.values.clone()).unwrap_or_default();
    for (key, value) in operator.into_iter().flat_map(|definition| &definition.values) {
        let value = match merged.get(key) {
            Some(known) => merge_value(key, known, value),
            None => value.clone(),
        };
        merged.insert(key.clone(), value);
    }
    merged
}

fn merge_value(key: &str, user: &Json, operator: &Json) -> Json {
    let (Some(one), Some(other)) = (user.as_i64(), operator.as_i64()) else {
        return operator.clone();
    };
    let number = match key {
        "delivery-limit" => stricter_delivery_limit(one, other),
        "target-group-size" | "delayed-retry-min" => one.max(other),
        "queue-version" => other,
        _ => one.min(other),
    };
    Json::from(number)
}

fn check(values: &Map<String, Json>, layer: PolicyLayer) -> Result<(), DefinitionError> {
    let is_known = |name: &str| {
        KEYS.iter().any(|key| {
            key.name == name && (layer == PolicyLayer::User || key.audience == Audience::Both)
        })
    };
    let unknown: Vec<String> = values
        .iter()
        .filter(|(name, _)| !is_known(name))
        .map(|(name, value)| format!("{{<<\"{name}\">>,{}}}", term(value)))
        .collect();
    for key in KEYS {
        if let Some(value) = values.get(key.name).filter(|value| !key.rule.allows(value)) {
            let text = format!("{} is not a valid {}", term(value), key.noun);
            return Err(DefinitionError::Value(text));
        }
    }
    if !unknown.is_empty() {
        return Err(DefinitionError::UnknownKeys(unknown.join(",")));
    }
    check_delayed_retry(values)
}

fn check_delayed_retry(values: &Map<String, Json>) -> Result<(), DefinitionError> {
    let kind = values.get("delayed-retry-type").and_then(Json::as_str);
    let min = values.get("delayed-retry-min").and_then(Json::as_i64);
    let max = values.get("delayed-retry-max").and_then(Json::as_i64);
    if let (Some(kind), None) = (kind.filter(|kind| *kind != "disabled"), min) {
        let text = format!("delayed-retry-min is required when delayed-retry-type is {kind}");
        return Err(DefinitionError::Value(text));
    }
    match (min, max) {
        (Some(min), Some(max)) if max < min => Err(DefinitionError::Value(format!(
            "delayed-retry-max ({max}) must not be smaller than delayed-retry-min ({min})"
        ))),
        _ => Ok(()),
    }
}

impl Rule {
    fn allows(self, value: &Json) -> bool {
        match self {
            Self::Integer => value.as_i64().is_some(),
            Self::AtLeast(least) => value.as_i64().is_some_and(|number| number >= least),
            Self::Between(least, most) => {
                value.as_i64().is_some_and(|number| (least..=most).contains(&number))
            }
            Self::Text => value.is_string(),
            Self::FilledText => value.as_str().is_some_and(|text| !text.is_empty()),
            Self::Word(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Age => value.as_str().and_then(parse_max_age).is_some(),
            Self::Delays => delays_of_json(value).is_some(),
            Self::Ignored => true,
        }
    }
}

/// A JSON value as RabbitMQ's error texts show it.
fn term(value: &Json) -> String {
    match value {
        Json::Null => "null".into(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => format!("<<\"{text}\">>"),
        Json::Array(values) => {
            let values: Vec<String> = values.iter().map(term).collect();
            format!("[{}]", values.join(","))
        }
        Json::Object(values) => {
            let entries = values.iter();
            let entries: Vec<String> =
                entries.map(|(name, value)| format!("<<\"{name}\">> => {}", term(value))).collect();
            format!("#{{{}}}", entries.join(","))
        }
    }
}

#[cfg(test)]
mod tests;
