//! Everything that a broker is told to have, as one file.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde_json::Value;

use super::{CTL, Command, Outcome, Section};
use crate::api::path;
use crate::call::Call;
use crate::failure::{DATA_ERROR, Failure};
use crate::line::Switch;
use crate::show::Output;

pub(super) static COMMANDS: &[Command] = &[
    Command::new(
        "export_definitions",
        Section::Definitions,
        CTL,
        "Writes all definitions into a file, which holds hashes of passwords",
        export,
    )
    .takes("<file_path | \"-\"> [--format <json>] [--timeout <timeout>]", 1, 1)
    .with(&[Switch::word("format")]),
    Command::new(
        "import_definitions",
        Section::Definitions,
        CTL,
        "Makes what a file's definitions say, and removes nothing",
        import,
    )
    .takes("<file_path> [--format <json>] [--skip-if-unchanged] [--timeout <timeout>]", 0, 1)
    .with(&[Switch::word("format"), Switch::flag("skip-if-unchanged")]),
];

/// Stands for stdin and stdout.
const STANDARD: &str = "-";

fn export(call: &Call) -> Outcome {
    let file = call.argument(0);
    only_json(call)?;
    let dir = Path::new(file).parent().filter(|dir| !dir.as_os_str().is_empty());
    if let Some(dir) = dir.filter(|dir| file != STANDARD && !dir.exists()) {
        let text = format!("Directory {} does not exist", dir.display());
        return Err(call.bad_argument(&text));
    }
    let api = call.api()?;
    if file != STANDARD {
        call.say(&format!("Exporting definitions in JSON to a file at \"{file}\" ..."))?;
    }
    let definitions = api.get(&path(&["definitions"]))?.to_string();
    if file == STANDARD {
        return Ok(Output::Document { text: definitions.clone(), value: parsed(&definitions)? });
    }
    write(file, &definitions)
        .map_err(|error| Failure::refused(format!("{file} cannot be written: {error}")))?;
    Ok(Output::Done)
}

/// Hashes of passwords are nobody else's business.
fn write(file: &str, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(file)?.write_all(text.as_bytes())
}

fn import(call: &Call) -> Outcome {
    only_json(call)?;
    let file = call.arguments().first().map(String::as_str).filter(|file| *file != STANDARD);
    if let Some(file) = file.filter(|file| !Path::new(file).exists()) {
        return Err(call.bad_argument(&format!("File {file} does not exist")));
    }
    let api = call.api()?;
    let text = match file {
        Some(file) => {
            call.say(&format!("Importing definitions in JSON from a file at \"{file}\" ..."))?;
            fs::read_to_string(file)
        }
        None => {
            call.say("Importing definitions in JSON from standard input ...")?;
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        }
    };
    let text = text.map_err(|error| Failure::refused(format!("it cannot be read: {error}")))?;
    api.post(&path(&["definitions"]), &parsed(&text)?)?;
    Ok(Output::Said("Successfully imported definitions.".to_owned()))
}

fn parsed(text: &str) -> Result<Value, Failure> {
    // Windows' editors begin files so.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).map_err(|error| {
        let text = format!("Failed to deserialise input (format: JSON) (error: {error})");
        Failure::Refused { exit: DATA_ERROR, text }
    })
}

fn only_json(call: &Call) -> Result<(), Failure> {
    match call.option("format") {
        None | Some("json" | "JSON") => Ok(()),
        Some(_) => {
            Err(call.bad_argument("Format should be either json or erlang, and is json here"))
        }
    }
}
