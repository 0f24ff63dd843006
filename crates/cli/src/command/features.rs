//! What can be turned on.

use serde_json::{Value, json};

use super::{CTL, Command, LOOK, Outcome, Section};
use crate::api::path;
use crate::call::Call;
use crate::failure::{Failure, USAGE};
use crate::line::Switch;
use crate::show::{Chosen, Column, Output};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("list_feature_flags", Section::Features, LOOK, "Lists feature flags", list)
        .takes("[--detailed] [<column> ...] [--timeout <timeout>]", 0, super::ANY)
        .with(&[Switch::flag("detailed")]),
    Command::new("enable_feature_flag", Section::Features, CTL, "Turns a feature on", enable)
        .takes("[--opt-in] <all | feature_flag>", 1, 1)
        .with(&[Switch::flag("opt-in"), Switch::flag("experimental")]),
    Command::new(
        "list_deprecated_features",
        Section::Features,
        LOOK,
        "Lists features that will go",
        list_deprecated,
    )
    .takes("[--used] [<column> ...]", 0, super::ANY)
    .with(&[Switch::flag("used")]),
];

static FLAGS: &[Column] = &[
    Column::plain("name"),
    Column::plain("state"),
    Column::plain("stability"),
    Column::plain("provided_by"),
    Column::plain("desc"),
    Column::plain("doc_url"),
];

static DEPRECATED: &[Column] = &[
    Column::plain("name"),
    Column::plain("deprecation_phase"),
    Column::plain("state"),
    Column::plain("provided_by"),
    Column::plain("desc"),
    Column::plain("doc_url"),
];

fn list(call: &Call) -> Outcome {
    let chosen = Chosen::by(call, FLAGS, &["name", "state"])?;
    let api = call.api()?;
    call.say("Listing feature flags ...")?;
    Ok(chosen.list(&api.list(&path(&["feature-flags"]))?))
}

fn enable(call: &Call) -> Outcome {
    let wanted = call.argument(0);
    let api = call.api()?;
    let flags = api.list(&path(&["feature-flags"]))?;
    let text = |flag: &Value, field| {
        flag.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if wanted == "all" {
        call.say("Enabling all feature flags ...")?;
        for flag in flags.iter().filter(|flag| text(flag, "state") == "disabled") {
            let name = text(flag, "name");
            api.put(&path(&["feature-flags", &name, "enable"]), &json!({"name": name}))?;
        }
        return Ok(Output::Done);
    }
    call.say(&format!("Enabling feature flag \"{wanted}\" ..."))?;
    match flags.iter().find(|flag| text(flag, "name") == wanted) {
        None => {
            let text = format!("This feature flag is not supported by node {}", call.node()?);
            Err(Failure::Refused { exit: USAGE, text })
        }
        Some(flag) if text(flag, "state") == "enabled" => Ok(Output::Done),
        Some(_) => {
            api.put(&path(&["feature-flags", wanted, "enable"]), &json!({"name": wanted}))?;
            Ok(Output::Done)
        }
    }
}

fn list_deprecated(call: &Call) -> Outcome {
    let chosen = Chosen::by(call, DEPRECATED, &["name", "deprecation_phase", "state"])?;
    let api = call.api()?;
    let rows = if call.is("used") {
        call.say("Listing deprecated features in use ...")?;
        api.list(&path(&["deprecated-features", "used"]))?
    } else {
        call.say("Listing deprecated features ...")?;
        api.list(&path(&["deprecated-features"]))?
    };
    Ok(Output::Boxes(chosen.table(&rows)))
}
