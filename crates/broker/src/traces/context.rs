//! A message's place in a trace, as the W3C has it written.
//!
//! `traceparent` is `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`: version, trace, parent
//! and flags, of which the lowest says whether the trace is kept. Later versions may say more
//! behind it.

use warren_amqp::header;
use warren_types::{Table, Value};

/// The header that says which trace a message belongs to.
const PARENT: &str = "traceparent";

/// The header for what tracing systems have to say beside it.
const STATE: &str = "tracestate";

/// The longest state that is carried on; the W3C asks for no more.
const STATE_MAX_BYTES: usize = 512;

/// The flag of a trace that is kept.
const SAMPLED: u8 = 1;

/// Where a span belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    /// The trace.
    pub(crate) trace: u128,
    /// The span that it follows from; 0 where there is none.
    pub(crate) parent: u64,
    /// What tracing systems have written beside it.
    pub(crate) state: String,
    /// Whether the trace is kept.
    pub(crate) sampled: bool,
    /// Whether the parent was made by a client.
    pub(crate) is_remote: bool,
}

impl Context {
    /// A trace of its own.
    pub(crate) fn random() -> Self {
        let trace = rand::random::<u128>().max(1);
        Self { trace, parent: 0, state: String::new(), sampled: true, is_remote: false }
    }

    /// What a message's properties say.
    pub(crate) fn of_header(properties: &[u8]) -> Option<Self> {
        let bytes = header::headers_bytes(properties)?;
        // Most messages have none, and their headers need not be decoded to know it.
        if !bytes.windows(PARENT.len()).any(|bytes| bytes == PARENT.as_bytes()) {
            return None;
        }
        Self::of_headers(&Table::decode(bytes).ok()?)
    }

    fn of_headers(headers: &Table) -> Option<Self> {
        let mut context = parse(headers.value(PARENT)?.as_text()?)?;
        let state = headers.value(STATE).and_then(Value::as_text).unwrap_or_default();
        if state.len() <= STATE_MAX_BYTES {
            state.clone_into(&mut context.state);
        }
        Some(context)
    }

    /// The headers that say that what follows belongs here.
    pub(crate) fn write(&self, headers: &mut Table) {
        let Self { trace, parent, .. } = self;
        let text = format!("00-{trace:032x}-{parent:016x}-{SAMPLED:02x}");
        headers.insert(PARENT, Value::text(&text));
    }
}

/// A random id that is none of "no id".
pub(crate) fn random_id() -> u64 {
    rand::random::<u64>().max(1)
}

fn parse(text: &str) -> Option<Context> {
    let mut parts = text.splitn(5, '-');
    let version = number(parts.next()?, 2)?;
    let trace = number(parts.next()?, 32)?;
    let parent = u64::try_from(number(parts.next()?, 16)?).ok()?;
    let flags = u8::try_from(number(parts.next()?, 2)?).ok()?;
    let says_more = parts.next().is_some();
    if version == 0xff || (version == 0 && says_more) || trace == 0 || parent == 0 {
        return None;
    }
    let sampled = flags & SAMPLED != 0;
    Some(Context { trace, parent, state: String::new(), sampled, is_remote: true })
}

/// A number of exactly so many hexadecimal digits, in small letters.
fn number(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == digits && text.bytes().all(is_digit);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn context(parent: &str, state: Option<&str>) -> Option<Context> {
        let mut headers = Table::new();
        headers.insert(PARENT, Value::text(parent));
        if let Some(state) = state {
            headers.insert(STATE, Value::text(state));
        }
        Context::of_header(&header::replace_headers(&[0, 0], Some(&headers)))
    }

    #[test]
    fn a_context_is_read_from_a_messages_headers() {
        let read = context(&format!("00-{TRACE}-{SPAN}-01"), Some("vendor=1"));

        let expected = Context {
            trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            parent: 0xb7ad_6b71_6920_3331,
            state: "vendor=1".to_owned(),
            sampled: true,
            is_remote: true,
        };
        assert_eq!(read, Some(expected));
    }

    #[test]
    fn flags_and_later_versions_are_understood() {
        let sampled = |text: String| context(&text, None).map(|context| context.sampled);

        assert_eq!(sampled(format!("00-{TRACE}-{SPAN}-00")), Some(false));
        assert_eq!(sampled(format!("00-{TRACE}-{SPAN}-03")), Some(true));
        assert_eq!(sampled(format!("cc-{TRACE}-{SPAN}-01-more-to-come")), Some(true));
    }

    #[test]
    fn a_context_that_is_none_is_passed_over() {
        let none = "0".repeat(32);
        for text in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{none}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-+af7651916cd43dd8448eb211c80319c-{SPAN}-01"),
        ] {
            assert_eq!(context(&text, None), None, "{text}");
        }
        assert_eq!(Context::of_header(&[0, 0]), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let context = Context { parent: 5, ..Context::random() };
        let mut headers = Table::new();

        context.write(&mut headers);

        let read = Context::of_headers(&headers);
        assert_eq!(read, Some(Context { is_remote: true, ..context }));
    }
}
