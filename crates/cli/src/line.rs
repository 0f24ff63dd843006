//! The command line: which command, with what.
//!
//! Switches may stand anywhere, as in RabbitMQ's tools, and mistakes are told in their words. The
//! command is the first word that is neither a switch nor its value.

use std::collections::BTreeMap;

use crate::call::Call;
use crate::command::{self, Command};
use crate::failure::{DATA_ERROR, USAGE};
use crate::help;
use crate::nearest::nearest;
use crate::tool::Tool;

/// Something beginning with a dash.
#[derive(Debug)]
pub(crate) struct Switch {
    name: &'static str,
    short: Option<char>,
    kind: Kind,
}

/// What follows a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing: it is there, or it is there with `no-` in front.
    Flag,
    /// A word.
    Word,
    /// A whole number.
    Number,
    /// A whole number of seconds, or `infinity`.
    Seconds,
}

impl Switch {
    /// One that is there or not.
    pub(crate) const fn flag(name: &'static str) -> Self {
        Self { name, short: None, kind: Kind::Flag }
    }

    /// One with a word.
    pub(crate) const fn word(name: &'static str) -> Self {
        Self { name, short: None, kind: Kind::Word }
    }

    /// One with a whole number.
    pub(crate) const fn number(name: &'static str) -> Self {
        Self { name, short: None, kind: Kind::Number }
    }

    /// The same with a single letter beside its name.
    pub(crate) const fn or(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    fn takes(&self, value: &str) -> bool {
        match self.kind {
            Kind::Flag => matches!(value, "true" | "false"),
            Kind::Word => true,
            Kind::Number => value.parse::<i64>().is_ok(),
            Kind::Seconds => value == "infinity" || value.parse::<u32>().is_ok(),
        }
    }
}

/// What every command takes.
static EVERYWHERE: &[Switch] = &[
    Switch::word("node").or('n'),
    Switch::word("vhost").or('p'),
    Switch::flag("quiet").or('q'),
    Switch::flag("silent").or('s'),
    Switch { name: "timeout", short: Some('t'), kind: Kind::Seconds },
    Switch::word("formatter"),
    Switch::flag("table-headers"),
    Switch::flag("help").or('?'),
    Switch::flag("longnames").or('l'),
    Switch::flag("dry-run"),
    Switch::flag("print-stacktrace"),
    Switch::word("erlang-cookie"),
    Switch::word("script-name"),
    Switch::word("url"),
    Switch::word("username").or('u'),
    Switch::word("password"),
    Switch::word("data-dir"),
    Switch::word("cacertfile"),
    Switch::word("certfile"),
    Switch::word("keyfile"),
];

/// The same as `--formatter`, where a command has no `--format` of its own.
static FORMAT: Switch = Switch::word("format");

/// What switches say, by their long names.
pub(crate) type Options = BTreeMap<&'static str, String>;

/// What is wanted.
pub(crate) enum Wish {
    /// A text about commands.
    Help(String),
    /// A command.
    Call(Box<Call>),
}

/// A command line that makes no sense.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// The exit code.
    pub(crate) exit: u8,
    /// What to say.
    pub(crate) text: String,
}

/// A command line, taken apart.
#[derive(Default)]
pub(crate) struct Line {
    plain: Vec<String>,
    options: Options,
    /// Switches that do not exist, or not so.
    invalid: Vec<(String, String)>,
}

impl Line {
    /// Finds out what is wanted.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub(crate) fn parse(tool: Tool, words: Vec<String>) -> Result<Wish, Mistake> {
        let every: Vec<&Switch> = EVERYWHERE.iter().collect();
        let first = Self::read(&words, &every);
        let Some(name) = first.plain.first() else {
            return match words.first().map(String::as_str) {
                Some("--version") => Ok(Wish::Help(command::VERSION.to_owned())),
                Some("--help" | "-?") => Ok(Wish::Help(help::all(tool))),
                _ => Err(Mistake { exit: USAGE, text: help::all(tool) }),
            };
        };
        if name == "help" {
            return Ok(Wish::Help(wanted_help(tool, first.plain.get(1))?));
        }
        let Some(command) = command::find(tool, name) else { return Err(unknown(tool, name)) };
        let mut switches: Vec<&Switch> = command.switches.iter().chain(every).collect();
        if !command.switches.iter().any(|switch| switch.name == FORMAT.name) {
            switches.push(&FORMAT);
        }
        let mut line = Self::read(&words, &switches);
        if line.options.contains_key("help") {
            return Ok(Wish::Help(help::one(tool, command)));
        }
        if let (None, Some(format)) = (line.options.get("formatter"), line.options.get("format")) {
            line.options.insert("formatter", format.clone());
        }
        let Self { plain, options, invalid } = line;
        let arguments: Vec<String> = plain.into_iter().skip(1).collect();
        let call = Call::new(tool, command, arguments, options, words);
        match mistake_in(command, call.arguments().len(), &invalid) {
            Some(text) => Err(validation(&call, USAGE, &text)),
            None => Ok(Wish::Call(Box::new(call))),
        }
    }

    fn read(words: &[String], switches: &[&'static Switch]) -> Self {
        let mut line = Self::default();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            let Some(given) = given(word, switches) else {
                if word == "--" {
                    line.plain.extend(words.by_ref().cloned());
                } else if word.len() > 1 && word.starts_with('-') {
                    line.invalid.push((word.clone(), String::new()));
                } else {
                    line.plain.push(word.clone());
                }
                continue;
            };
            let (switch, value) = given;
            let value = match (value, switch.kind) {
                (Some(value), _) => Some(value),
                (None, Kind::Flag) => Some("true".to_owned()),
                (None, Kind::Word | Kind::Number | Kind::Seconds) => {
                    words.next_if(|next| !next.starts_with("--")).cloned()
                }
            };
            match value {
                Some(value) if switch.takes(&value) => {
                    line.options.insert(switch.name, value);
                }
                other => line.invalid.push((word.clone(), other.unwrap_or_default())),
            }
        }
        line
    }
}

/// The switch that a word is, and its value if that is part of the word.
fn given(word: &str, switches: &[&'static Switch]) -> Option<(&'static Switch, Option<String>)> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let name = name.replace('_', "-");
        if let Some(switch) = switches.iter().find(|switch| switch.name == name) {
            return Some((switch, value));
        }
        let name = name.strip_prefix("no-")?;
        let flags = switches.iter().filter(|switch| switch.kind == Kind::Flag);
        let switch = flags.into_iter().find(|switch| switch.name == name)?;
        return Some((switch, Some("false".to_owned())));
    }
    let mut letters = word.strip_prefix('-')?.chars();
    let (letter, None) = (letters.next()?, letters.next()) else { return None };
    let switch = switches.iter().find(|switch| switch.short == Some(letter))?;
    Some((switch, None))
}

fn wanted_help(tool: Tool, name: Option<&String>) -> Result<String, Mistake> {
    let Some(name) = name else { return Ok(help::all(tool)) };
    match command::find(tool, name) {
        Some(command) => Ok(help::one(tool, command)),
        None => Err(unknown(tool, name)),
    }
}

fn unknown(tool: Tool, name: &str) -> Mistake {
    let known = command::known_to(tool).map(|command| command.name);
    let text = match nearest(name, known) {
        Some(meant) => {
            format!("\nCommand '{name}' not found. \nDid you mean '{meant}'? \n")
        }
        None => format!("\nCommand '{name}' not found. \n{}", help::all(tool)),
    };
    Mistake { exit: USAGE, text }
}

fn mistake_in(command: &Command, arguments: usize, invalid: &[(String, String)]) -> Option<String> {
    if !invalid.is_empty() {
        let lines: Vec<String> =
            invalid.iter().map(|(switch, value)| format!("{switch} : {value}")).collect();
        return Some(format!("Invalid options for this command:\n{}", lines.join("\n")));
    }
    let (least, most) = command.arguments;
    if arguments < least {
        Some("not enough arguments.".to_owned())
    } else if arguments > most {
        Some("too many arguments.".to_owned())
    } else {
        None
    }
}

/// What is said of a command line that cannot be so.
pub(crate) fn validation(call: &Call, exit: u8, text: &str) -> Mistake {
    let text = if exit == DATA_ERROR { format!("Bad argument: {text}") } else { text.to_owned() };
    let words = call.words().join(" ");
    let usage = help::usage(call.tool, call.command);
    let text = format!("Error (argument validation): {text}\nArguments given:\n\t{words}\n{usage}");
    Mistake { exit, text }
}
