//! What a queue's arguments, its policy and its operator policy together come to.

use serde_json::{Map, Value as Json};
use warren_types::{Table, Value};

use crate::arguments::{
    CONSUMER_DISCONNECTED_TIMEOUT, CONSUMER_TIMEOUT, CONSUMER_TIMEOUT_ACTION, DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_ROUTING_KEY, DEAD_LETTER_STRATEGY, DEDUP_HEADER, DEDUP_LIMIT, DEDUP_WINDOW,
    DELAYED_RETRY_MAX, DELAYED_RETRY_MIN, DELAYED_RETRY_TYPE, DELIVERY_LIMIT, EXPIRES, MAX_AGE,
    MAX_LENGTH, MAX_LENGTH_BYTES, MAX_PRIORITY, MESSAGE_TTL, OVERFLOW, RETRY, RETRY_JITTER,
    SEGMENT_SIZE, SINGLE_ACTIVE_CONSUMER, delays_of, delays_of_json, parse_max_age,
};
use crate::defaults::Defaults;
use crate::{Name, QueueKind};

/// Failed deliveries of a quorum queue's message when nothing says otherwise.
const DEFAULT_DELIVERY_LIMIT: i64 = 20;

/// What happens to messages beyond a queue's length limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Overflow {
    /// The oldest goes.
    #[default]
    DropHead,
    /// The newest is refused.
    RejectPublish,
    /// The newest is refused and dead-lettered.
    RejectPublishDlx,
}

/// How sure dead-lettering is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadLetterStrategy {
    /// Republished without confirms.
    #[default]
    AtMostOnce,
    /// Kept in the source until the target has it.
    AtLeastOnce,
}

/// Which returned messages wait before they are delivered again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DelayedRetryKind {
    /// None.
    #[default]
    Disabled,
    /// All.
    All,
    /// Those whose delivery failed.
    Failed,
    /// Those that were given back without failure.
    Returned,
}

/// Which returns count towards a quorum queue's delivery limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryCounting {
    /// basic.reject with requeue, and the loss of the consumer (RabbitMQ 4.3).
    #[default]
    Failures,
    /// All, basic.nack included (RabbitMQ 4.0 to 4.2).
    Returns,
}

/// What becomes of a delivery that stays unsettled for longer than it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeoutAction {
    /// It goes back with all that its consumer holds, and the consumer is cancelled (a quorum queue
    /// of RabbitMQ 4.3). The channel of a client that cannot be told so is closed.
    #[default]
    Cancel,
    /// It goes back with all that its consumer holds, and the channel is closed (a classic queue of
    /// RabbitMQ, and all before 4.3).
    Close,
    /// It goes back alone.
    Return,
}

impl TimeoutAction {
    /// The words for them.
    pub(crate) const WORDS: [&'static str; 3] = ["cancel", "close", "return"];

    /// What RabbitMQ does with queues of a kind.
    pub(crate) fn usual(kind: QueueKind) -> Self {
        match kind {
            QueueKind::Classic => Self::Close,
            QueueKind::Quorum | QueueKind::Stream => Self::Cancel,
        }
    }

    /// The action that a word stands for.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "cancel" => Some(Self::Cancel),
            "close" => Some(Self::Close),
            "return" => Some(Self::Return),
            _ => None,
        }
    }
}

/// How long returned messages wait: `min(min_ms * delivery count, max_ms)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelayedRetry {
    /// Which messages.
    pub kind: DelayedRetryKind,
    /// The wait after the first delivery.
    pub min_ms: u64,
    /// The longest wait.
    pub max_ms: u64,
}

/// How a queue tells what it has taken already.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dedup {
    /// How long it does not take a message again.
    pub window_ms: u64,
    /// The header that names a message; where there is none, the message-id does.
    pub header: Option<Name>,
    /// Messages that it remembers at most, unless what the broker thinks right.
    pub limit: Option<u64>,
}

/// How often, and after what times, a message is tried again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Retry {
    /// The wait after the first attempt, after the second, and so on; behind the last it is dead.
    pub delays_ms: Vec<u64>,
    /// By how much of itself a wait may become longer.
    pub jitter_percent: u8,
}

/// The rules that a queue follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The longest time a message stays.
    pub message_ttl_ms: Option<u64>,
    /// How long the queue stays unused before it goes.
    pub expires_ms: Option<u64>,
    /// The most ready messages.
    pub max_length: Option<u64>,
    /// The most bytes of ready bodies.
    pub max_length_bytes: Option<u64>,
    /// What happens beyond these.
    pub overflow: Overflow,
    /// Where dead letters go; the empty name is the default exchange.
    pub dead_letter_exchange: Option<Name>,
    /// The routing key they get instead of their own.
    pub dead_letter_routing_key: Option<Name>,
    /// How sure that is.
    pub dead_letter_strategy: DeadLetterStrategy,
    /// Failed deliveries after which a message is dead-lettered; none for no limit.
    pub delivery_limit: Option<u64>,
    /// Which returns count towards it.
    pub delivery_counting: DeliveryCounting,
    /// The highest priority of a classic queue with priorities.
    pub max_priority: Option<u8>,
    /// One consumer at a time.
    pub single_active_consumer: bool,
    /// How long a delivery may stay unsettled; 0 is for ever.
    pub consumer_timeout_ms: Option<u64>,
    /// What becomes of one that stays for longer.
    pub timeout_action: TimeoutAction,
    /// How long a consumer on an unreachable node keeps its messages.
    pub consumer_disconnected_timeout_ms: Option<u64>,
    /// Whether and how long returned messages wait.
    pub delayed_retry: DelayedRetry,
    /// How old a stream's messages become.
    pub max_age_ms: Option<u64>,
    /// How large a stream's segments become, unless what the broker thinks right.
    pub segment_bytes: Option<u64>,
    /// Whether and how it takes a message once.
    pub dedup: Option<Dedup>,
    /// Whether and how it tries messages again.
    pub retry: Option<Retry>,
}

impl Settings {
    /// What `arguments` and the policies' merged `definition` come to for a queue of `kind`, where
    /// `defaults` hold.
    pub(crate) fn new(
        kind: QueueKind,
        arguments: &Table,
        definition: &Map<String, Json>,
        defaults: Defaults,
    ) -> Self {
        let sources = Sources { arguments, definition };
        let overflow = sources.overflow(kind);
        let dead_letter_exchange = sources.text_of_argument_first(DEAD_LETTER_EXCHANGE);
        let routing_key = sources.text_of_argument_first(DEAD_LETTER_ROUTING_KEY);
        Self {
            message_ttl_ms: sources.lesser(MESSAGE_TTL),
            expires_ms: sources.lesser(EXPIRES).filter(|&ms| ms > 0),
            max_length: sources.lesser(MAX_LENGTH),
            max_length_bytes: sources.max_length_bytes(kind),
            segment_bytes: sources.size_of_policy_first(SEGMENT_SIZE),
            overflow,
            // Without an exchange there is nothing to send with the key.
            dead_letter_routing_key: routing_key.filter(|_| dead_letter_exchange.is_some()),
            dead_letter_exchange,
            dead_letter_strategy: sources.dead_letter_strategy(kind, overflow),
            delivery_limit: sources.delivery_limit(kind),
            delivery_counting: defaults.delivery_counting,
            max_priority: sources.integer_argument(MAX_PRIORITY).and_then(|n| u8::try_from(n).ok()),
            single_active_consumer: sources.is_set(SINGLE_ACTIVE_CONSUMER),
            consumer_timeout_ms: sources.consumer_timeout_ms(kind, defaults),
            timeout_action: sources.timeout_action(kind, defaults),
            consumer_disconnected_timeout_ms: sources.lesser(CONSUMER_DISCONNECTED_TIMEOUT),
            delayed_retry: sources.delayed_retry(),
            max_age_ms: sources.text_of_policy_first(MAX_AGE).and_then(|age| parse_max_age(&age)),
            dedup: sources.dedup(),
            retry: sources.retry(),
        }
    }
}

/// Where settings come from. A policy's key is the argument's without `x-`.
#[derive(Clone, Copy)]
struct Sources<'a> {
    arguments: &'a Table,
    definition: &'a Map<String, Json>,
}

impl Sources<'_> {
    fn policy(&self, argument: &str) -> Option<&Json> {
        self.definition.get(argument.strip_prefix("x-").unwrap_or(argument))
    }

    fn integer_argument(&self, argument: &str) -> Option<i64> {
        self.arguments.value(argument).and_then(Value::as_integer)
    }

    fn integer_policy(&self, argument: &str) -> Option<i64> {
        self.policy(argument).and_then(Json::as_i64)
    }

    fn lesser(&self, argument: &str) -> Option<u64> {
        let both = [self.integer_argument(argument), self.integer_policy(argument)];
        both.into_iter().flatten().min().and_then(|number| u64::try_from(number).ok())
    }

    fn text_argument(&self, argument: &str) -> Option<Name> {
        self.arguments.value(argument).and_then(Value::as_text).map(Name::from)
    }

    fn text_policy(&self, argument: &str) -> Option<Name> {
        self.policy(argument).and_then(Json::as_str).map(Name::from)
    }

    fn text_of_argument_first(&self, argument: &str) -> Option<Name> {
        self.text_argument(argument).or_else(|| self.text_policy(argument))
    }

    fn text_of_policy_first(&self, argument: &str) -> Option<Name> {
        self.text_policy(argument).or_else(|| self.text_argument(argument))
    }

    fn size_of_policy_first(&self, argument: &str) -> Option<u64> {
        let policy = self.integer_policy(argument);
        let size = policy.or_else(|| self.integer_argument(argument));
        size.and_then(|number| u64::try_from(number).ok())
    }

    fn is_set(&self, argument: &str) -> bool {
        self.arguments.value(argument).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A stream keeps what its policy says; of a queue's limits, the lesser counts.
    fn max_length_bytes(&self, kind: QueueKind) -> Option<u64> {
        match kind {
            QueueKind::Classic | QueueKind::Quorum => self.lesser(MAX_LENGTH_BYTES),
            QueueKind::Stream => self.size_of_policy_first(MAX_LENGTH_BYTES),
        }
    }

    /// A classic queue's argument goes before the policy, a quorum queue's behind it.
    fn overflow(&self, kind: QueueKind) -> Overflow {
        let word = match kind {
            QueueKind::Classic => self.text_of_argument_first(OVERFLOW),
            QueueKind::Quorum | QueueKind::Stream => self.text_of_policy_first(OVERFLOW),
        };
        match (word.as_deref(), kind) {
            (Some("reject-publish"), _) => Overflow::RejectPublish,
            (Some("reject-publish-dlx"), QueueKind::Classic) => Overflow::RejectPublishDlx,
            _ => Overflow::DropHead,
        }
    }

    /// Being sure needs a quorum queue that refuses instead of dropping.
    fn dead_letter_strategy(&self, kind: QueueKind, overflow: Overflow) -> DeadLetterStrategy {
        let word = self.text_of_argument_first(DEAD_LETTER_STRATEGY);
        let is_sure = word.as_deref() == Some("at-least-once")
            && kind == QueueKind::Quorum
            && overflow == Overflow::RejectPublish;
        if is_sure { DeadLetterStrategy::AtLeastOnce } else { DeadLetterStrategy::AtMostOnce }
    }

    fn delivery_limit(&self, kind: QueueKind) -> Option<u64> {
        if kind != QueueKind::Quorum {
            return None;
        }
        let argument = self.integer_argument(DELIVERY_LIMIT);
        let limit = match (argument, self.integer_policy(DELIVERY_LIMIT)) {
            (Some(one), Some(other)) => stricter_delivery_limit(one, other),
            (Some(limit), None) | (None, Some(limit)) => limit,
            (None, None) => DEFAULT_DELIVERY_LIMIT,
        };
        u64::try_from(limit).ok()
    }

    /// As in RabbitMQ 4.3, classic queues wait for ever unless they are told otherwise.
    fn consumer_timeout_ms(&self, kind: QueueKind, defaults: Defaults) -> Option<u64> {
        let default = (kind == QueueKind::Quorum).then_some(defaults.consumer_timeout_ms);
        self.lesser(CONSUMER_TIMEOUT).or(default)
    }

    /// Unless told otherwise, as RabbitMQ does with queues of the kind.
    fn timeout_action(&self, kind: QueueKind, defaults: Defaults) -> TimeoutAction {
        let word = self.text_of_argument_first(CONSUMER_TIMEOUT_ACTION);
        let own = word.and_then(|word| TimeoutAction::parse(&word)).or(defaults.timeout_action);
        own.unwrap_or(TimeoutAction::usual(kind))
    }

    /// A queue's own arguments go before its policy.
    fn dedup(&self) -> Option<Dedup> {
        let number = |argument| {
            let own = self.integer_argument(argument);
            own.or_else(|| self.integer_policy(argument)).and_then(|number| number.try_into().ok())
        };
        let window_ms = number(DEDUP_WINDOW).filter(|&ms: &u64| ms > 0)?;
        let header = self.text_of_argument_first(DEDUP_HEADER);
        Some(Dedup { window_ms, header, limit: number(DEDUP_LIMIT) })
    }

    /// A queue's own arguments go before its policy.
    fn retry(&self) -> Option<Retry> {
        let own = self.arguments.value(RETRY).and_then(delays_of);
        let policy = || self.policy(RETRY).and_then(delays_of_json);
        let delays_ms = own.or_else(policy)?;
        let jitter = self.integer_argument(RETRY_JITTER);
        let jitter = jitter.or_else(|| self.integer_policy(RETRY_JITTER)).unwrap_or(0);
        Some(Retry { delays_ms, jitter_percent: u8::try_from(jitter).unwrap_or(0) })
    }

    fn delayed_retry(&self) -> DelayedRetry {
        let kind = match self.text_of_policy_first(DELAYED_RETRY_TYPE).as_deref() {
            Some("all") => DelayedRetryKind::All,
            Some("failed") => DelayedRetryKind::Failed,
            Some("returned") => DelayedRetryKind::Returned,
            _ => return DelayedRetry::default(),
        };
        let Some(min_ms) = self.lesser(DELAYED_RETRY_MIN).filter(|&ms| ms > 0) else {
            return DelayedRetry::default();
        };
        let max_ms = self.lesser(DELAYED_RETRY_MAX).filter(|&ms| ms > 0).unwrap_or(min_ms);
        DelayedRetry { kind, min_ms, max_ms }
    }
}

/// Of two limits the lesser, unless one of them is negative, which means no limit.
pub(crate) fn stricter_delivery_limit(one: i64, other: i64) -> i64 {
    if one < 0 || other < 0 { one.max(other) } else { one.min(other) }
}

#[cfg(test)]
mod tests;
