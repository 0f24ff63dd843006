//! Patterns of scopes: `*` stands for any text, and parts are encoded as in a URL.

/// Whether `subject` matches `pattern`. A pattern that is wrongly encoded matches nothing.
///
/// What follows a `*` is looked for once, from the left, and never again further on: `*b` does not
/// match `abab`. That is how RabbitMQ reads the same token, and to allow more would surprise.
pub(crate) fn matches(subject: &str, pattern: &str) -> bool {
    let parts: Option<Vec<Vec<u8>>> = pattern.split('*').map(decoded).collect();
    let Some(parts) = parts else { return false };
    let Some((first, rest)) = parts.split_first() else { return false };
    let Some(mut left) = subject.as_bytes().strip_prefix(&**first) else { return false };
    let mut rest = rest.iter().peekable();
    while let Some(part) = rest.next() {
        if part.is_empty() {
            if rest.peek().is_none() {
                return true;
            }
            if left.is_empty() {
                return false;
            }
            continue;
        }
        let Some(at) = left.windows(part.len()).position(|window| window == part) else {
            return false;
        };
        left = left.get(at.saturating_add(part.len())..).unwrap_or_default();
    }
    left.is_empty()
}

/// What `text` stands for in a URL's query: `+` is a space, `%` and two digits are a byte.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text_and_everything_else_for_itself() {
        for (subject, pattern, expected) in [
            ("orders", "orders", true),
            ("orders", "order", false),
            ("orders", "*", true),
            ("", "*", true),
            ("", "", true),
            ("orders", "", false),
            ("orders", "ord*", true),
            ("orders", "*ers", true),
            ("orders", "o*e*s", true),
            ("orders", "o**s", true),
            ("orders", "x*", false),
            ("orders", "**", true),
            ("Orders", "orders", false),
        ] {
            assert_eq!(matches(subject, pattern), expected, "'{subject}' and '{pattern}'");
        }
    }

    #[test]
    fn parts_are_encoded_as_in_a_url() {
        assert!(matches("/", "%2F"));
        assert!(matches("a*b", "a%2Ab"));
        assert!(!matches("axb", "a%2Ab"));
        assert!(matches("a b", "a+b"));
        assert!(matches("größe", "gr%C3%B6%C3%9Fe"));
    }

    #[test]
    fn a_pattern_that_is_wrongly_encoded_matches_nothing() {
        for pattern in ["%", "%2", "%zz", "a*%"] {
            assert!(!matches(pattern, pattern), "{pattern}");
        }
    }

    #[test]
    fn what_follows_a_star_is_looked_for_once_as_rabbitmq_does() {
        assert!(!matches("abab", "*b"));
        assert!(matches("aab", "*b"));
    }
}
