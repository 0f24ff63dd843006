//! One value of the configuration: how it is read, and how it is shown.
//!
//! A value reaches us as TOML, or as text from the environment or the command line. Both go through
//! [`Setting::read`], so that a key means the same wherever it is given.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;
use warren_broker::HashingAlgorithm;
use warren_storage::LogEngine;

/// A value as it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given<'a> {
    /// From a TOML file, with its type.
    Toml(&'a DeValue<'a>),
    /// From the environment or the command line.
    Text(&'a str),
}

/// A type that a configuration key can have.
pub(crate) trait Setting: Sized {
    /// Whether nobody may be shown its values.
    const IS_SECRET: bool = false;

    /// The value that was given, or why it cannot be one: a clause such as `expected a number`.
    fn read(given: Given<'_>) -> Result<Self, String>;

    /// The value as TOML.
    fn show(&self) -> String;
}

/// Text that never appears in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For eyes.
    Human,
    /// One JSON object per line.
    Json,
}

/// A share, from nothing to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// How many of a million.
    millionths: u32,
}

impl Ratio {
    /// Nothing.
    pub const NONE: Self = Self { millionths: 0 };

    /// From 0 to 1.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.millionths) / 1e6
    }
}

impl std::str::FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a number from 0 to 1, found '{text}'");
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let has_digits = text.bytes().any(|byte| byte.is_ascii_digit());
        let is_number = has_digits && [whole, fraction].iter().all(|digits| is_digits(digits));
        // What is beyond a millionth does not count.
        let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
        let millionths = format!("0{whole}{digits}").parse().ok();
        let ratio = millionths.filter(|millionths| is_number && *millionths <= 1_000_000);
        ratio.map(|millionths| Self { millionths }).ok_or_else(wrong)
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Which messages are traced, by OpenTelemetry's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A share of all.
    TraceIdRatio,
    /// As clients say, and all of which they say nothing.
    ParentBasedAlwaysOn,
    /// As clients say, and none of which they say nothing.
    ParentBasedAlwaysOff,
    /// As clients say, and a share of those of which they say nothing.
    ParentBasedTraceIdRatio,
}

impl Sampler {
    const ALL: [(Self, &'static str); 6] = [
        (Self::AlwaysOn, "always_on"),
        (Self::AlwaysOff, "always_off"),
        (Self::TraceIdRatio, "traceidratio"),
        (Self::ParentBasedAlwaysOn, "parentbased_always_on"),
        (Self::ParentBasedAlwaysOff, "parentbased_always_off"),
        (Self::ParentBasedTraceIdRatio, "parentbased_traceidratio"),
    ];
}

pub(super) fn text_of(given: Given<'_>) -> Result<String, String> {
    match given {
        Given::Text(text) => Ok(text.to_owned()),
        Given::Toml(DeValue::String(text)) => Ok(text.clone().into_owned()),
        Given::Toml(other) => Err(format!("expected a string, found {}", kind_of(other))),
    }
}

/// What a TOML value is, in words.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// `text` as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Setting for String {
    fn read(given: Given<'_>) -> Result<Self, String> {
        text_of(given)
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Setting for Secret {
    const IS_SECRET: bool = true;

    fn read(given: Given<'_>) -> Result<Self, String> {
        text_of(given).map(Self)
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

impl Setting for PathBuf {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let text = text_of(given)?;
        if text.is_empty() {
            return Err("expected a path, found nothing".to_owned());
        }
        Ok(Self::from(text))
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Setting for SocketAddr {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let text = text_of(given)?;
        text.parse().map_err(|_| {
            format!(
                "expected an address and a port such as 0.0.0.0:5672 or [::]:5672, found '{text}'"
            )
        })
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// A list; as text, its parts stand between commas.
impl Setting for Vec<String> {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match given {
            Given::Text(text) => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()),
            Given::Toml(DeValue::Array(parts)) => {
                parts.iter().map(|part| text_of(Given::Toml(part.get_ref()))).collect()
            }
            Given::Toml(other) => {
                Err(format!("expected a list of strings, found {}", kind_of(other)))
            }
        }
    }

    fn show(&self) -> String {
        let parts: Vec<String> = self.iter().map(|part| quoted(part)).collect();
        format!("[{}]", parts.join(", "))
    }
}

impl Setting for bool {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match given {
            Given::Toml(DeValue::Boolean(value)) => Ok(*value),
            Given::Text("true") => Ok(true),
            Given::Text("false") => Ok(false),
            Given::Text(text) => Err(format!("expected true or false, found '{text}'")),
            Given::Toml(other) => Err(format!("expected true or false, found {}", kind_of(other))),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for LogFormat {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match text_of(given)?.as_str() {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            other => Err(format!("expected \"human\" or \"json\", found '{other}'")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Human => quoted("human"),
            Self::Json => quoted("json"),
        }
    }
}

const HASHING: [(HashingAlgorithm, &str); 3] = [
    (HashingAlgorithm::Argon2id, "argon2id"),
    (HashingAlgorithm::Sha256, "sha256"),
    (HashingAlgorithm::Sha512, "sha512"),
];

impl Setting for HashingAlgorithm {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let text = text_of(given)?;
        let found = HASHING.iter().find(|(_, name)| *name == text);
        found.map(|(algorithm, _)| *algorithm).ok_or_else(|| {
            format!("expected \"argon2id\", \"sha256\" or \"sha512\", found '{text}'")
        })
    }

    fn show(&self) -> String {
        let found = HASHING.iter().find(|(algorithm, _)| algorithm == self);
        quoted(found.map_or("", |(_, name)| name))
    }
}

impl Setting for LogEngine {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match text_of(given)?.as_str() {
            "rocksdb" => Ok(Self::Rocksdb),
            "segments" => Ok(Self::Segments),
            other => Err(format!("expected \"rocksdb\" or \"segments\", found '{other}'")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Rocksdb => quoted("rocksdb"),
            Self::Segments => quoted("segments"),
        }
    }
}

impl Setting for Ratio {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match given {
            Given::Text(text) => text.parse(),
            Given::Toml(DeValue::Float(number)) => number.as_str().parse(),
            Given::Toml(DeValue::Integer(number)) => number.as_str().parse(),
            Given::Toml(other) => {
                Err(format!("expected a number from 0 to 1, found {}", kind_of(other)))
            }
        }
    }

    fn show(&self) -> String {
        format!("{:?}", self.value())
    }
}

impl Setting for Sampler {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let text = text_of(given)?;
        let found = Self::ALL.into_iter().find(|(_, name)| *name == text);
        found.map(|(sampler, _)| sampler).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!("expected one of {}, found '{text}'", names.join(", "))
        })
    }

    fn show(&self) -> String {
        let found = Self::ALL.iter().find(|(sampler, _)| sampler == self);
        quoted(found.map_or("", |(_, name)| name))
    }
}

macro_rules! whole_numbers {
    ($($number:ty),+) => {
        $(impl Setting for $number {
            fn read(given: Given<'_>) -> Result<Self, String> {
                let value = whole_number(given)?;
                Self::try_from(value).map_err(|_| {
                    format!("expected a number from {} to {}, found {value}", Self::MIN, Self::MAX)
                })
            }

            fn show(&self) -> String {
                self.to_string()
            }
        })+
    };
}

whole_numbers!(u16, u32, u64, usize);

fn whole_number(given: Given<'_>) -> Result<i128, String> {
    let found = match given {
        Given::Text(text) => text.parse().map_err(|_| format!("'{text}'")),
        Given::Toml(DeValue::Integer(digits)) => {
            i128::from_str_radix(digits.as_str(), digits.radix()).map_err(|_| format!("'{digits}'"))
        }
        Given::Toml(other) => Err(kind_of(other).to_owned()),
    };
    found.map_err(|found| format!("expected a whole number, found {found}"))
}
