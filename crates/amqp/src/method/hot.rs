//! The methods of which there is one per message, decoded by hand and without allocation.

use super::arguments::{ArgumentError, Arguments};
use crate::MethodId;

/// A method that comes once per message; its names are slices of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HotMethod<'a> {
    Publish { exchange: &'a str, routing_key: &'a str, mandatory: bool, immediate: bool },
    Ack { tag: u64, multiple: bool },
    Nack { tag: u64, multiple: bool, requeue: bool },
    Reject { tag: u64, requeue: bool },
    Get { queue: &'a str, no_ack: bool },
}

impl<'a> HotMethod<'a> {
    /// Decodes `arguments` if `method` is one of these.
    pub(crate) fn decode(
        method: MethodId,
        arguments: &'a [u8],
    ) -> Option<Result<Self, ArgumentError>> {
        let arguments = Arguments::new(arguments);
        match method {
            MethodId::BASIC_PUBLISH => Some(publish(arguments)),
            MethodId::BASIC_ACK => {
                Some(settle(arguments, |tag, bits| Self::Ack { tag, multiple: bits & 1 != 0 }))
            }
            MethodId::BASIC_NACK => Some(settle(arguments, |tag, bits| Self::Nack {
                tag,
                multiple: bits & 1 != 0,
                requeue: bits & 2 != 0,
            })),
            MethodId::BASIC_REJECT => {
                Some(settle(arguments, |tag, bits| Self::Reject { tag, requeue: bits & 1 != 0 }))
            }
            MethodId::BASIC_GET => Some(get(arguments)),
            _ => None,
        }
    }
}

fn publish(mut arguments: Arguments<'_>) -> Result<HotMethod<'_>, ArgumentError> {
    arguments.short()?;
    let exchange = arguments.short_string()?;
    let routing_key = arguments.short_string()?;
    let bits = arguments.octet()?;
    arguments.finish()?;
    let (mandatory, immediate) = (bits & 1 != 0, bits & 2 != 0);
    Ok(HotMethod::Publish { exchange, routing_key, mandatory, immediate })
}

fn settle<'a>(
    mut arguments: Arguments<'a>,
    method: impl FnOnce(u64, u8) -> HotMethod<'a>,
) -> Result<HotMethod<'a>, ArgumentError> {
    let tag = arguments.long_long()?;
    let bits = arguments.octet()?;
    arguments.finish()?;
    Ok(method(tag, bits))
}

fn get(mut arguments: Arguments<'_>) -> Result<HotMethod<'_>, ArgumentError> {
    arguments.short()?;
    let queue = arguments.short_string()?;
    let bits = arguments.octet()?;
    arguments.finish()?;
    Ok(HotMethod::Get { queue, no_ack: bits & 1 != 0 })
}
