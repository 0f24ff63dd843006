//! The arguments of queue declarations: which kind knows which, and what they may say.
//!
//! An argument that one kind knows and another does not is refused on the other; what no kind
//! knows is kept and means nothing.

use serde_json::Value as Json;
use warren_types::{Table, Value};

use crate::queue::QUEUE_TYPE;
use crate::{QueueKind, Refusal, Resource, TimeoutAction};

pub(crate) const EXPIRES: &str = "x-expires";
pub(crate) const MESSAGE_TTL: &str = "x-message-ttl";
pub(crate) const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
pub(crate) const DEAD_LETTER_ROUTING_KEY: &str = "x-dead-letter-routing-key";
pub(crate) const DEAD_LETTER_STRATEGY: &str = "x-dead-letter-strategy";
pub(crate) const MAX_LENGTH: &str = "x-max-length";
pub(crate) const MAX_LENGTH_BYTES: &str = "x-max-length-bytes";
pub(crate) const MAX_PRIORITY: &str = "x-max-priority";
pub(crate) const OVERFLOW: &str = "x-overflow";
pub(crate) const SINGLE_ACTIVE_CONSUMER: &str = "x-single-active-consumer";
pub(crate) const CONSUMER_TIMEOUT: &str = "x-consumer-timeout";
pub(crate) const CONSUMER_TIMEOUT_ACTION: &str = "x-consumer-timeout-action";
pub(crate) const CONSUMER_DISCONNECTED_TIMEOUT: &str = "x-consumer-disconnected-timeout";
pub(crate) const DELIVERY_LIMIT: &str = "x-delivery-limit";
pub(crate) const DELAYED_RETRY_TYPE: &str = "x-delayed-retry-type";
pub(crate) const DELAYED_RETRY_MIN: &str = "x-delayed-retry-min";
pub(crate) const DELAYED_RETRY_MAX: &str = "x-delayed-retry-max";
pub(crate) const DEDUP_WINDOW: &str = "x-dedup-window";
pub(crate) const DEDUP_HEADER: &str = "x-deduplication-header";
pub(crate) const DEDUP_LIMIT: &str = "x-dedup-limit";
pub(crate) const RETRY: &str = "x-retry";
pub(crate) const RETRY_JITTER: &str = "x-retry-jitter";
pub(crate) const MAX_AGE: &str = "x-max-age";

pub(crate) const SEGMENT_SIZE: &str = "x-stream-max-segment-size-bytes";
const FILTER_SIZE: &str = "x-stream-filter-size-bytes";

/// The longest time that may be asked for: ten years.
const LONGEST_MS: i64 = 315_360_000_000;

/// The longest window in which a queue takes a message once: a week.
pub(crate) const LONGEST_DEDUP_WINDOW_MS: i64 = 604_800_000;

/// The most messages that a queue may remember: less than a gigabyte.
pub(crate) const MOST_DEDUP_KEYS: i64 = 10_000_000;

/// The most attempts that a queue may be told to make besides the first.
const MOST_RETRIES: usize = 100;

/// The most by which a wait may become longer: twice itself.
pub(crate) const MOST_JITTER_PERCENT: i64 = 100;

/// The highest priority that a classic queue may have.
const HIGHEST_PRIORITY: i64 = 255;

/// The largest segment of a stream.
const LARGEST_SEGMENT_BYTES: i64 = 3_000_000_000;

const CLASSIC: &[&str] = &[
    EXPIRES,
    MESSAGE_TTL,
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_ROUTING_KEY,
    MAX_LENGTH,
    MAX_LENGTH_BYTES,
    MAX_PRIORITY,
    OVERFLOW,
    "x-queue-mode",
    "x-queue-version",
    SINGLE_ACTIVE_CONSUMER,
    QUEUE_TYPE,
    CONSUMER_TIMEOUT_ACTION,
    "x-queue-master-locator",
    "x-queue-leader-locator",
    DEDUP_WINDOW,
    DEDUP_HEADER,
    DEDUP_LIMIT,
    RETRY,
    RETRY_JITTER,
];

const QUORUM: &[&str] = &[
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_ROUTING_KEY,
    DEAD_LETTER_STRATEGY,
    EXPIRES,
    MAX_LENGTH,
    MAX_LENGTH_BYTES,
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    OVERFLOW,
    SINGLE_ACTIVE_CONSUMER,
    QUEUE_TYPE,
    "x-quorum-initial-group-size",
    "x-member-placement-tag",
    DELIVERY_LIMIT,
    MESSAGE_TTL,
    "x-queue-leader-locator",
    CONSUMER_DISCONNECTED_TIMEOUT,
    CONSUMER_TIMEOUT,
    CONSUMER_TIMEOUT_ACTION,
    DELAYED_RETRY_TYPE,
    DELAYED_RETRY_MIN,
    DELAYED_RETRY_MAX,
    DEDUP_WINDOW,
    DEDUP_HEADER,
    DEDUP_LIMIT,
    RETRY,
    RETRY_JITTER,
];

const STREAM: &[&str] = &[
    MAX_LENGTH_BYTES,
    QUEUE_TYPE,
    MAX_AGE,
    SEGMENT_SIZE,
    FILTER_SIZE,
    "x-initial-cluster-size",
    "x-queue-leader-locator",
];

/// How one argument is checked; the error is the tail of RabbitMQ's text.
type Check = fn(&Value, &Table) -> Result<(), String>;

/// In the order in which they are checked.
const CHECKS: &[(&str, Check)] = &[
    (EXPIRES, check_expires),
    (MESSAGE_TTL, check_duration),
    (DEAD_LETTER_EXCHANGE, check_text),
    (DEAD_LETTER_ROUTING_KEY, check_dead_letter_routing_key),
    (DEAD_LETTER_STRATEGY, check_dead_letter_strategy),
    (MAX_LENGTH, check_not_negative),
    (MAX_LENGTH_BYTES, check_not_negative),
    ("x-max-in-memory-length", check_not_negative),
    ("x-max-in-memory-bytes", check_not_negative),
    (MAX_PRIORITY, check_max_priority),
    (OVERFLOW, check_overflow),
    ("x-queue-version", check_queue_version),
    (SINGLE_ACTIVE_CONSUMER, check_bool),
    (CONSUMER_TIMEOUT, check_not_negative),
    (CONSUMER_TIMEOUT_ACTION, check_timeout_action),
    (CONSUMER_DISCONNECTED_TIMEOUT, check_not_negative),
    ("x-quorum-initial-group-size", check_positive),
    (MAX_AGE, check_max_age),
    (SEGMENT_SIZE, check_not_negative),
    (FILTER_SIZE, check_not_negative),
    ("x-initial-cluster-size", check_positive),
    ("x-queue-leader-locator", check_leader_locator),
    ("x-member-placement-tag", check_placement_tag),
    (DEDUP_WINDOW, check_dedup_window),
    (DEDUP_HEADER, check_text),
    (DEDUP_LIMIT, check_dedup_limit),
    (RETRY, check_retry),
    (RETRY_JITTER, check_retry_jitter),
];

/// The arguments that mean something to `kind`.
pub(crate) fn known_arguments(kind: QueueKind) -> &'static [&'static str] {
    match kind {
        QueueKind::Classic => CLASSIC,
        QueueKind::Quorum => QUORUM,
        QueueKind::Stream => STREAM,
    }
}

/// `arguments` with the kind of queue filled in where none is asked for: `default`, unless only
/// a classic queue can be what is asked for.
pub(crate) fn complete(arguments: &Table, default: QueueKind, replicable: bool) -> Table {
    let mut arguments = arguments.clone();
    // It shaped the name that the broker chose, and is no property of the queue.
    arguments.remove("x-name-prefix");
    let is_given = match arguments.value(QUEUE_TYPE) {
        None => false,
        Some(value) => !matches!(value.as_text(), Some("" | "undefined")),
    };
    if !is_given {
        let kind = if replicable { default } else { QueueKind::Classic };
        arguments.insert(QUEUE_TYPE, Value::text(kind.as_str()));
    }
    arguments
}

/// The kind of queue that a declaration's completed arguments ask for, if they make sense.
pub(crate) fn kind(arguments: &Table) -> Option<QueueKind> {
    parse_kind(arguments.value(QUEUE_TYPE)?).ok()
}

/// Checks a declaration's completed arguments and returns the kind of queue they ask for.
pub(crate) fn check(queue: &Resource, arguments: &Table) -> Result<QueueKind, Refusal> {
    if let Some(value) = arguments.value(DEAD_LETTER_EXCHANGE).filter(|value| !is_text(value)) {
        let argument = DEAD_LETTER_EXCHANGE;
        return Err(Refusal::ArgumentType {
            resource: queue.clone(),
            argument: argument.into(),
            given: value.type_name().into(),
        });
    }
    let invalid = |argument: &str, reason: String| Refusal::InvalidArgument {
        resource: queue.clone(),
        argument: argument.into(),
        reason,
    };
    let kind = match arguments.value(QUEUE_TYPE) {
        None => QueueKind::Classic,
        Some(value) => parse_kind(value).map_err(|reason| invalid(QUEUE_TYPE, reason))?,
    };
    let known = known_arguments(kind);
    for (argument, check) in CHECKS.iter().filter(|(argument, _)| known.contains(argument)) {
        if let Some(value) = arguments.value(argument) {
            check(value, arguments).map_err(|reason| invalid(argument, reason))?;
        }
    }
    let foreign = arguments.iter().map(|(argument, _)| argument).find(|argument| {
        !known.contains(argument)
            && [CLASSIC, QUORUM, STREAM].iter().any(|other| other.contains(argument))
    });
    match foreign {
        Some(argument) => {
            let argument = argument.to_owned();
            Err(Refusal::UnsupportedArgument { resource: queue.clone(), argument, kind })
        }
        None if kind == QueueKind::Stream => check_stream_sizes(arguments).map(|()| kind),
        None => Ok(kind),
    }
}

fn check_stream_sizes(arguments: &Table) -> Result<(), Refusal> {
    let size = |argument| arguments.value(argument).and_then(Value::as_integer);
    if size(SEGMENT_SIZE).is_some_and(|bytes| bytes > LARGEST_SEGMENT_BYTES) {
        return Err(Refusal::SegmentTooLarge);
    }
    if size(FILTER_SIZE).is_some_and(|bytes| !(16..=255).contains(&bytes)) {
        return Err(Refusal::FilterSize);
    }
    Ok(())
}

fn parse_kind(value: &Value) -> Result<QueueKind, String> {
    match value {
        Value::LongString(bytes) => {
            std::str::from_utf8(bytes).ok().and_then(QueueKind::parse).ok_or_else(|| {
                format!("\"unsupported queue type '{}'\"", String::from_utf8_lossy(bytes))
            })
        }
        other => Err(unacceptable(other)),
    }
}

fn is_text(value: &Value) -> bool {
    matches!(value, Value::LongString(_))
}

fn unacceptable(value: &Value) -> String {
    format!("{{unacceptable_type,{}}}", value.type_name())
}

fn integer(value: &Value) -> Result<i64, String> {
    value.as_integer().ok_or_else(|| format!("\"expected integer, got {}\"", value.type_name()))
}

fn not_negative(value: &Value) -> Result<i64, String> {
    match integer(value)? {
        number if number < 0 => Err(format!("{{value_negative,{number}}}")),
        number => Ok(number),
    }
}

fn check_not_negative(value: &Value, _: &Table) -> Result<(), String> {
    not_negative(value).map(|_| ())
}

fn check_positive(value: &Value, _: &Table) -> Result<(), String> {
    match not_negative(value)? {
        0 => Err("{value_zero,0}".into()),
        _ => Ok(()),
    }
}

fn check_duration(value: &Value, _: &Table) -> Result<(), String> {
    match not_negative(value)? {
        ms if ms > LONGEST_MS => Err(format!("{{value_too_large,{ms}}}")),
        _ => Ok(()),
    }
}

/// A week at most: what came in the window is kept in memory.
fn check_dedup_window(value: &Value, _: &Table) -> Result<(), String> {
    check_between(value, 1, LONGEST_DEDUP_WINDOW_MS)
}

fn check_dedup_limit(value: &Value, _: &Table) -> Result<(), String> {
    check_between(value, 1, MOST_DEDUP_KEYS)
}

fn check_retry(value: &Value, _: &Table) -> Result<(), String> {
    match value {
        Value::Array(_) => {
            delays_of(value).map(|_| ()).ok_or_else(|| "invalid_retry_delays".into())
        }
        other => Err(unacceptable(other)),
    }
}

fn check_retry_jitter(value: &Value, arguments: &Table) -> Result<(), String> {
    check_between(value, 0, MOST_JITTER_PERCENT)?;
    match arguments.value(RETRY) {
        Some(_) => Ok(()),
        None => Err("jitter_but_no_retry_defined".into()),
    }
}

fn check_between(value: &Value, least: i64, most: i64) -> Result<(), String> {
    match integer(value)? {
        number if number < least => Err(format!("{{value_too_small,{number}}}")),
        number if number > most => Err(format!("{{value_too_large,{number}}}")),
        _ => Ok(()),
    }
}

fn check_expires(value: &Value, arguments: &Table) -> Result<(), String> {
    match integer(value)? {
        0 => Err("{value_zero,0}".into()),
        _ => check_duration(value, arguments),
    }
}

fn check_max_priority(value: &Value, _: &Table) -> Result<(), String> {
    match not_negative(value)? {
        number if number > HIGHEST_PRIORITY => Err(format!("{{max_value_exceeded,{number}}}")),
        _ => Ok(()),
    }
}

/// Version 1 is gone in RabbitMQ, but old definitions ask for it; it makes no difference here.
fn check_queue_version(value: &Value, _: &Table) -> Result<(), String> {
    match not_negative(value)? {
        1 | 2 => Ok(()),
        other => Err(format!("\"unsupported queue version '{other}'\"")),
    }
}

fn check_bool(value: &Value, _: &Table) -> Result<(), String> {
    match value {
        Value::Bool(_) => Ok(()),
        other => Err(unacceptable(other)),
    }
}

fn check_text(value: &Value, _: &Table) -> Result<(), String> {
    if is_text(value) { Ok(()) } else { Err(unacceptable(value)) }
}

fn check_dead_letter_routing_key(value: &Value, arguments: &Table) -> Result<(), String> {
    check_text(value, arguments)?;
    match arguments.value(DEAD_LETTER_EXCHANGE) {
        Some(_) => Ok(()),
        None => Err("routing_key_but_no_dlx_defined".into()),
    }
}

fn check_word(value: &Value, words: &[&str], otherwise: &str) -> Result<(), String> {
    match value {
        Value::LongString(text) if words.iter().any(|word| word.as_bytes() == text) => Ok(()),
        Value::LongString(_) => Err(otherwise.into()),
        other => Err(unacceptable(other)),
    }
}

fn check_dead_letter_strategy(value: &Value, _: &Table) -> Result<(), String> {
    check_word(value, &["at-most-once", "at-least-once"], "invalid_dlx_strategy")
}

fn check_overflow(value: &Value, _: &Table) -> Result<(), String> {
    let words = ["drop-head", "reject-publish", "reject-publish-dlx"];
    check_word(value, &words, "invalid_overflow")
}

fn check_timeout_action(value: &Value, _: &Table) -> Result<(), String> {
    check_word(value, &TimeoutAction::WORDS, "invalid_consumer_timeout_action")
}

fn check_leader_locator(value: &Value, _: &Table) -> Result<(), String> {
    let words = ["client-local", "balanced", "random", "least-leaders"];
    check_word(value, &words, "invalid_queue_locator_arg")
}

fn check_placement_tag(value: &Value, _: &Table) -> Result<(), String> {
    match value {
        Value::LongString(text) if !text.is_empty() => Ok(()),
        Value::LongString(_) => Err("invalid_member_placement_tag_arg".into()),
        other => Err(unacceptable(other)),
    }
}

fn check_max_age(value: &Value, _: &Table) -> Result<(), String> {
    match value {
        Value::LongString(text) => {
            let age = std::str::from_utf8(text).ok().and_then(parse_max_age);
            age.map(|_| ()).ok_or_else(|| "invalid_max_age".into())
        }
        other => Err(unacceptable(other)),
    }
}

/// The waits of a retry, in milliseconds: at least one, and not too many or too long.
pub(crate) fn delays_of(value: &Value) -> Option<Vec<u64>> {
    let Value::Array(values) = value else { return None };
    delays(values.iter().map(Value::as_integer))
}

/// As [`delays_of`], of a policy.
pub(crate) fn delays_of_json(value: &Json) -> Option<Vec<u64>> {
    delays(value.as_array()?.iter().map(Json::as_i64))
}

fn delays(values: impl ExactSizeIterator<Item = Option<i64>>) -> Option<Vec<u64>> {
    if !(1..=MOST_RETRIES).contains(&values.len()) {
        return None;
    }
    let delays = values.map(|ms| u64::try_from(ms.filter(|ms| *ms <= LONGEST_MS)?).ok());
    delays.collect()
}

/// The milliseconds that a retention, or an age, such as `7D` comes to.
#[must_use]
pub fn parse_max_age(text: &str) -> Option<u64> {
    const SECOND: u64 = 1000;
    const HOUR: u64 = 3600 * SECOND;
    const DAY: u64 = 24 * HOUR;
    let unit = text.chars().next_back()?;
    let ms = match unit {
        'Y' => 365 * DAY,
        'M' => 30 * DAY,
        'D' => DAY,
        'h' => HOUR,
        'm' => 60 * SECOND,
        's' => SECOND,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // A number beyond 64 bits is still a number: that is forever.
    let count = digits.parse().unwrap_or(u64::MAX);
    (count > 0).then(|| ms.saturating_mul(count))
}

#[cfg(test)]
mod tests;
