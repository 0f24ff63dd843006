//! One value of the configuration: how it is read, and how it is shown.
//!
//! A value reaches us as TOML, or as text from the environment or the command line. Both go through
//! [`Setting::read`], so that a key means the same wherever it is given.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;

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

fn text_of(given: Given<'_>) -> Result<String, String> {
    match given {
        Given::Text(text) => Ok(text.to_owned()),
        Given::Toml(DeValue::String(text)) => Ok(text.clone().into_owned()),
        Given::Toml(other) => Err(format!("expected a string, found {}", kind_of(other))),
    }
}

/// What a TOML value is, in words.
fn kind_of(value: &DeValue<'_>) -> &'static str {
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
fn quoted(text: &str) -> String {
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
