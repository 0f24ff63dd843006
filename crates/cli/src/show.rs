//! What a command found out, and how it is printed.

mod cell;
mod column;
mod list;
mod pretty;

use std::io::Write as _;

use serde_json::{Value, json};

use crate::call::Call;

pub(crate) use cell::Cell;
pub(crate) use column::{Chosen, Column, Shape};
pub(crate) use list::List;

/// How output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tabs between columns.
    Table,
    /// JSON.
    Json,
    /// Everything in quotes, commas between columns.
    Csv,
    /// Boxes.
    Pretty,
    /// Erlang's terms.
    Erlang,
}

impl Format {
    /// The format of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "table" | "string" => Some(Self::Table),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "pretty_table" => Some(Self::Pretty),
            "erlang" => Some(Self::Erlang),
            _ => None,
        }
    }

    /// Whether a program reads it, which a banner would disturb.
    pub(crate) fn is_for_machines(self) -> bool {
        match self {
            Self::Json | Self::Csv => true,
            Self::Table | Self::Pretty | Self::Erlang => false,
        }
    }
}

/// What a command found out.
#[derive(Debug)]
pub(crate) enum Output {
    /// It is done, and that is all.
    Done,
    /// It is done, and there is something to say.
    Said(String),
    /// Something for people, and the same for programs.
    Document {
        /// For people.
        text: String,
        /// For programs.
        value: Value,
    },
    /// Rows and columns.
    List(List),
    /// Rows and columns that are drawn with boxes unless another format is asked for.
    Boxes(List),
}

/// Prints it.
pub(crate) fn print(call: &Call, output: &Output) {
    let format = call.format().unwrap_or(Format::Table);
    let text = match (output, format) {
        (Output::Done, _) => None,
        (Output::Said(text), Format::Json) => {
            Some(json!({"result": "ok", "message": text}).to_string())
        }
        (Output::Said(text), _) => Some(text.clone()),
        (Output::Document { value, .. }, Format::Json) => Some(value.to_string()),
        (Output::Document { text, .. }, _) => Some(text.clone()),
        (Output::List(list), _) => list.text(format, call.has_header()),
        (Output::Boxes(list), _) => match call.option("formatter") {
            Some(_) => list.text(format, call.has_header()),
            None => list.text(Format::Pretty, call.has_header()),
        },
    };
    if let Some(text) = text {
        line(&text);
    }
}

/// Prints a line. Whoever reads no further, as `head` does, has had enough: the program ends.
pub(crate) fn line(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}
