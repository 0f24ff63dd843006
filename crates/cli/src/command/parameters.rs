//! Parameters: of a virtual host, and of the whole cluster.

use serde_json::{Value, json};

use super::policies::{cleared, document};
use super::{CTL, Command, LOOK, Outcome, Section, done};
use crate::api::path;
use crate::call::Call;
use crate::failure::Failure;
use crate::show::{Chosen, Column, Output, Shape};

pub(super) static COMMANDS: &[Command] =
    &[
        Command::new("set_parameter", Section::Parameters, CTL, "Sets a parameter", set).takes(
            "[--vhost <vhost>] <component_name> <name> <value>",
            3,
            3,
        ),
        Command::new("clear_parameter", Section::Parameters, CTL, "Removes a parameter", clear)
            .takes("[--vhost <vhost>] <component_name> <name>", 2, 2),
        Command::new("list_parameters", Section::Parameters, LOOK, "Lists parameters", list).takes(
            "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
            0,
            0,
        ),
        Command::new(
            "set_global_parameter",
            Section::Parameters,
            CTL,
            "Sets a parameter of the cluster",
            set_global,
        )
        .takes("<name> <value>", 2, 2),
        Command::new(
            "clear_global_parameter",
            Section::Parameters,
            CTL,
            "Removes a parameter of the cluster",
            clear_global,
        )
        .takes("<name>", 1, 1),
        Command::new(
            "list_global_parameters",
            Section::Parameters,
            LOOK,
            "Lists the parameters of the cluster",
            list_global,
        )
        .takes("[--no-table-headers] [--timeout <timeout>]", 0, 0),
    ];

static COLUMNS: &[Column] = &[
    Column::plain("component"),
    Column::plain("name"),
    Column::plain("value").shaped(Shape::Document),
];

static GLOBAL: &[Column] = &[Column::plain("name"), Column::plain("value").shaped(Shape::Document)];

fn set(call: &Call) -> Outcome {
    let (vhost, component, name) = (call.vhost(), call.argument(0), call.argument(1));
    let value = call.argument(2);
    call.say(&format!(
        "Setting runtime parameter \"{name}\" for component \"{component}\" to \"{value}\" in vhost \"{vhost}\" ..."
    ))?;
    let body = json!({"value": document(value)?});
    done(call.api()?.put(&path(&["parameters", component, vhost, name]), &body), || {
        Failure::no_such_vhost(vhost)
    })
}

fn clear(call: &Call) -> Outcome {
    let (vhost, component, name) = (call.vhost(), call.argument(0), call.argument(1));
    call.say(&format!(
        "Clearing runtime parameter \"{name}\" for component \"{component}\" on vhost \"{vhost}\" ..."
    ))?;
    cleared(call, &path(&["parameters", component, vhost, name]))
}

fn list(call: &Call) -> Outcome {
    let vhost = call.vhost();
    let api = call.api()?;
    call.say(&format!("Listing runtime parameters for vhost \"{vhost}\" ..."))?;
    if api.find(&path(&["vhosts", vhost]))?.is_none() {
        return Err(Failure::no_such_vhost(vhost));
    }
    let mut rows = api.list(&path(&["parameters"]))?;
    rows.retain(|row| row.get("vhost").and_then(Value::as_str) == Some(vhost));
    Ok(Chosen::all(COLUMNS).list(&rows))
}

fn set_global(call: &Call) -> Outcome {
    let (name, value) = (call.argument(0), call.argument(1));
    call.say(&format!("Setting global runtime parameter \"{name}\" to \"{value}\" ..."))?;
    let body = json!({"name": name, "value": document(value)?});
    call.api()?.put(&path(&["global-parameters", name]), &body)?;
    Ok(Output::Done)
}

fn clear_global(call: &Call) -> Outcome {
    let name = call.argument(0);
    call.say(&format!("Clearing global runtime parameter \"{name}\" ..."))?;
    cleared(call, &path(&["global-parameters", name]))
}

fn list_global(call: &Call) -> Outcome {
    let api = call.api()?;
    call.say("Listing global runtime parameters ...")?;
    Ok(Chosen::all(GLOBAL).list(&api.list(&path(&["global-parameters"]))?))
}
