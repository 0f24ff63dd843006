//! An amount of memory or disk: bytes, or a share of the memory that the node may use.

use super::setting::{Given, Setting, quoted, text_of};

/// How much of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the memory that the node may use.
    Percent(u32),
}

/// Units as RabbitMQ has them: a thousand with a B, 1,024 with an i, and without a B as well.
const UNITS: [(&str, u64); 19] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("ki", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mi", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gi", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("ti", 1 << 40),
    ("tb", 1_000_000_000_000),
    ("pb", 1_000_000_000_000_000),
];

impl Amount {
    /// In bytes, where `memory_bytes` are what the node may use.
    #[must_use]
    pub fn bytes(self, memory_bytes: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => (memory_bytes / 100).saturating_mul(u64::from(percent)),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(percent) = text.strip_suffix('%') {
            return percent.trim().parse().ok().map(Self::Percent);
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits)?;
        let unit = unit.trim().to_ascii_lowercase();
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        number.parse::<u64>().ok()?.checked_mul(factor).map(Self::Bytes)
    }
}

impl Setting for Amount {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let text = text_of(given)?;
        Self::parse(text.trim()).ok_or_else(|| {
            format!("expected an amount such as 50MB, 2GiB or 60% of the memory, found '{text}'")
        })
    }

    fn show(&self) -> String {
        match self {
            Self::Bytes(bytes) => {
                let whole = |(_, factor): &&(&str, u64)| {
                    bytes % factor == 0 && *bytes >= *factor && *factor % 1_000 == 0
                };
                let unit = UNITS.iter().filter(whole).max_by_key(|(_, factor)| *factor);
                match unit {
                    Some((name, factor)) => {
                        let number = bytes.checked_div(*factor).unwrap_or_default();
                        quoted(&format!("{number}{}", name.to_uppercase()))
                    }
                    None => quoted(&bytes.to_string()),
                }
            }
            Self::Percent(percent) => quoted(&format!("{percent}%")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_rabbitmq_reads_them() {
        for (text, bytes) in [
            ("50MB", 50_000_000),
            ("50 mb", 50_000_000),
            ("2GiB", 2 << 30),
            ("1k", 1024),
            ("123456", 123_456),
            ("0", 0),
        ] {
            assert_eq!(Amount::read(Given::Text(text)), Ok(Amount::Bytes(bytes)), "{text}");
        }
        assert_eq!(Amount::read(Given::Text("60%")), Ok(Amount::Percent(60)));
        for text in ["", "MB", "5 apples", "-1", "60 %%"] {
            assert!(Amount::read(Given::Text(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn an_amount_is_shown_as_it_can_be_given() {
        for text in ["50MB", "2GB", "60%", "1025"] {
            let amount = Amount::parse(text).expect("it makes sense");

            assert_eq!(amount.show(), format!("\"{text}\""));
        }
    }

    #[test]
    fn a_share_is_one_of_the_memory() {
        assert_eq!(Amount::Percent(60).bytes(1_000), 600);
        assert_eq!(Amount::Percent(150).bytes(1_000), 1_500);
        assert_eq!(Amount::Bytes(7).bytes(1_000), 7);
    }
}
