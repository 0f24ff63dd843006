//! What the broker refuses, as HTTP says it.

use warren_broker::AdminError;

use super::answer::Problem;

/// AMQP's code for what somebody may not do.
const ACCESS_REFUSED: u16 = 403;

/// AMQP's code for what is not there.
const NOT_FOUND: u16 = 404;

/// A refusal without AMQP's code: RabbitMQ's management declares and deletes by itself.
pub(super) fn in_short(error: AdminError) -> Problem {
    match error {
        AdminError::Refused { code: ACCESS_REFUSED, .. } => Problem::access_refused(),
        AdminError::Refused { code: NOT_FOUND, .. } => Problem::absent(),
        AdminError::Refused { text, .. } => {
            let detail = text.split_once(" - ").map_or(text.as_str(), |(_, detail)| detail);
            Problem::bad_request(detail)
        }
        AdminError::Late { .. } | AdminError::Stopped => Problem::unavailable(error.to_string()),
    }
}

/// A refusal with AMQP's code: RabbitMQ's management publishes and fetches as a client does.
pub(super) fn in_full(error: AdminError) -> Problem {
    match error {
        AdminError::Refused { code, text } => Problem::bad_request(format!("{code} {text}")),
        AdminError::Late { .. } | AdminError::Stopped => Problem::unavailable(error.to_string()),
    }
}

/// The same, where RabbitMQ tells who lacks a permission that it is for want of one.
pub(super) fn in_full_or_unauthorised(error: AdminError) -> Problem {
    match error {
        AdminError::Refused { code: ACCESS_REFUSED, text } => Problem::not_authorised(text),
        other => in_full(other),
    }
}

/// What the path names, for operations that say which part of it is not there.
pub(super) fn must_exist<R>(found: Option<R>, otherwise: &'static str) -> Result<R, Problem> {
    found.ok_or_else(|| Problem::not_found(otherwise))
}
