//! What holds for queues where neither their arguments nor a policy says otherwise.
//!
//! Set for the whole cluster, as global parameters, so that every replica decides alike; a change
//! acts on the queues that exist at once.
//!
//! | Parameter | Value | Unless set |
//! | --- | --- | --- |
//! | `delivery_counting` | `"4.3"`: failed deliveries count towards the delivery limit; `"4.0"`: all returns | `"4.3"` |
//! | `consumer_timeout` | milliseconds that a quorum queue's delivery may stay unsettled; 0 for ever | 30 minutes |
//! | `consumer_timeout_action` | what then becomes of it: `"cancel"`, `"close"`, `"return"` | `"cancel"`; `"close"` on classic queues |

use serde_json::Value as Json;

use crate::{Catalog, DeliveryCounting, TimeoutAction};

/// The global parameter that says which returns count towards delivery limits.
pub const DELIVERY_COUNTING: &str = "delivery_counting";

/// The global parameter that says how long deliveries may stay unsettled.
pub const CONSUMER_TIMEOUT: &str = "consumer_timeout";

/// The global parameter that says what becomes of those that stay for longer.
pub const CONSUMER_TIMEOUT_ACTION: &str = "consumer_timeout_action";

/// All of them.
const NAMES: [&str; 3] = [DELIVERY_COUNTING, CONSUMER_TIMEOUT, CONSUMER_TIMEOUT_ACTION];

/// RabbitMQ's consumer timeout.
const CONSUMER_TIMEOUT_MS: u64 = 30 * 60 * 1000;

/// What the global parameters come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Defaults {
    pub(crate) delivery_counting: DeliveryCounting,
    pub(crate) consumer_timeout_ms: u64,
    pub(crate) timeout_action: Option<TimeoutAction>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            delivery_counting: DeliveryCounting::Failures,
            consumer_timeout_ms: CONSUMER_TIMEOUT_MS,
            timeout_action: None,
        }
    }
}

impl Defaults {
    /// Takes note of a global parameter. Returns whether its value is one that it may have; what is
    /// none of the defaults may have any.
    pub(crate) fn set(&mut self, name: &str, value: &Json) -> bool {
        match name {
            DELIVERY_COUNTING => match value.as_str() {
                Some("4.3") => self.delivery_counting = DeliveryCounting::Failures,
                Some("4.0") => self.delivery_counting = DeliveryCounting::Returns,
                Some(_) | None => return false,
            },
            CONSUMER_TIMEOUT => match value.as_u64() {
                Some(timeout_ms) => self.consumer_timeout_ms = timeout_ms,
                None => return false,
            },
            CONSUMER_TIMEOUT_ACTION => match value.as_str().and_then(TimeoutAction::parse) {
                Some(action) => self.timeout_action = Some(action),
                None => return false,
            },
            _ => {}
        }
        true
    }
}

impl Catalog {
    /// What holds in the cluster.
    pub(crate) fn defaults(&self) -> Defaults {
        let mut defaults = Defaults::default();
        for name in NAMES {
            let value = self.global_parameters.get(name);
            if let Some(Ok(value)) = value.map(|value| serde_json::from_str(value)) {
                // It was checked when it was set.
                defaults.set(name, &value);
            }
        }
        defaults
    }
}

#[cfg(test)]
mod tests;
