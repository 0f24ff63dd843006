//! Users and their passwords.

use std::io::{self, Read as _};

use serde_json::{Value, json};

use super::{CTL, Command, LOOK, Outcome, Section, done};
use crate::api::{Api, Problem, path};
use crate::call::Call;
use crate::failure::{DATA_ERROR, Failure, SOFTWARE};
use crate::line::Switch;
use crate::show::{Chosen, Column, Output};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("add_user", Section::Users, CTL, "Makes a user, who may not do anything yet", add)
        .takes("<username> [<password>] [<password_hash> --pre-hashed-password]", 1, 2)
        .with(&[Switch::flag("pre-hashed-password")]),
    Command::new("delete_user", Section::Users, CTL, "Removes a user", delete).takes(
        "<username>",
        1,
        1,
    ),
    Command::new("change_password", Section::Users, CTL, "Gives a user another password", change)
        .takes("<username> [<password>]", 1, 2),
    Command::new("clear_password", Section::Users, CTL, "Takes a user's password away", clear)
        .takes("<username>", 1, 1),
    Command::new("authenticate_user", Section::Users, CTL, "Tries a password", authenticate).takes(
        "<username> [<password>]",
        1,
        2,
    ),
    Command::new("set_user_tags", Section::Users, CTL, "Replaces a user's tags", set_tags).takes(
        "<username> <tag> [...]",
        1,
        super::ANY,
    ),
    Command::new("list_users", Section::Users, LOOK, "Lists users and their tags", list).takes(
        "[--no-table-headers] [--timeout <timeout>]",
        0,
        0,
    ),
    Command::new("hash_password", Section::Users, CTL, "Hashes a password", hash).takes(
        "<cleartext_password>",
        1,
        1,
    ),
];

static COLUMNS: &[Column] = &[Column::from("user", "name"), Column::plain("tags")];

fn add(call: &Call) -> Outcome {
    let name = call.argument(0);
    let api = call.api()?;
    call.say(&format!("Adding user \"{name}\" ..."))?;
    let password = password(call)?;
    if api.find(&path(&["users", name]))?.is_some() {
        let text = format!("User \"{name}\" already exists");
        return Err(Failure::Refused { exit: SOFTWARE, text });
    }
    let body = if call.is("pre-hashed-password") {
        json!({"password_hash": password, "tags": ""})
    } else {
        json!({"password": password, "tags": ""})
    };
    api.put(&path(&["users", name]), &body)?;
    if call.is("quiet") || call.is("silent") {
        return Ok(Output::Done);
    }
    let tool = call.tool.name();
    Ok(Output::Said(format!(
        "Done. Don't forget to grant the user permissions to some virtual hosts! See '{tool} help set_permissions' to learn more."
    )))
}

fn delete(call: &Call) -> Outcome {
    let name = call.argument(0);
    call.say(&format!("Deleting user \"{name}\" ..."))?;
    done(call.api()?.delete(&path(&["users", name])), || Failure::no_such_user(name))
}

fn change(call: &Call) -> Outcome {
    let name = call.argument(0);
    call.say(&format!("Changing password for user \"{name}\" ..."))?;
    let password = password(call)?;
    let api = call.api()?;
    let user = user(api, name)?;
    api.put(&path(&["users", name]), &json!({"password": password, "tags": tags(&user)}))?;
    Ok(Output::Done)
}

fn clear(call: &Call) -> Outcome {
    let name = call.argument(0);
    call.say(&format!("Clearing password for user \"{name}\" ..."))?;
    let api = call.api()?;
    let user = user(api, name)?;
    api.put(&path(&["users", name]), &json!({"password_hash": "", "tags": tags(&user)}))?;
    Ok(Output::Done)
}

fn authenticate(call: &Call) -> Outcome {
    let name = call.argument(0);
    call.say(&format!("Authenticating user \"{name}\" ..."))?;
    let password = password(call)?;
    match call.api()?.as_user(name, &password).get(&path(&["whoami"])) {
        Ok(_) => Ok(Output::Said("Success".to_owned())),
        // Who has no tag is known, and has no business with the API.
        Err(Problem::Refused { status: 401, reason }) if reason.starts_with("Not ") => {
            Ok(Output::Said("Success".to_owned()))
        }
        Err(Problem::Refused { status: 401, .. }) => {
            let text = format!(
                "Error: failed to authenticate user \"{name}\"\nuser '{name}' - invalid credentials"
            );
            Err(Failure::Refused { exit: DATA_ERROR, text })
        }
        Err(problem) => Err(problem.into()),
    }
}

fn set_tags(call: &Call) -> Outcome {
    let name = call.argument(0);
    let given = call.arguments().get(1..).unwrap_or_default();
    call.say(&format!("Setting tags for user \"{name}\" to [{}] ...", given.join(", ")))?;
    let tags: Vec<&str> = given.iter().flat_map(|word| word.split(',')).map(str::trim).collect();
    let tags: Vec<&str> = tags.into_iter().filter(|tag| !tag.is_empty()).collect();
    let api = call.api()?;
    let user = user(api, name)?;
    let field = |name| user.get(name).cloned().unwrap_or(Value::Null);
    let mut body = json!({"password_hash": field("password_hash"), "tags": tags.join(",")});
    if let (Value::String(algorithm), Some(body)) =
        (field("hashing_algorithm"), body.as_object_mut())
    {
        body.insert("hashing_algorithm".to_owned(), Value::String(algorithm));
    }
    api.put(&path(&["users", name]), &body)?;
    Ok(Output::Done)
}

fn list(call: &Call) -> Outcome {
    let api = call.api()?;
    call.say("Listing users ...")?;
    Ok(Chosen::all(COLUMNS).list(&api.list(&path(&["users"]))?))
}

fn hash(call: &Call) -> Outcome {
    let password = call.argument(0);
    call.say(&format!("Will hash password {password}"))?;
    let answer = call.api()?.get(&path(&["auth", "hash_password", password]))?;
    let hash = answer.get("ok").or_else(|| answer.get("password_hash")).and_then(Value::as_str);
    let hash = hash.ok_or_else(|| Failure::senseless("the node sent no hash"))?;
    Ok(Output::Said(hash.to_owned()))
}

/// The user of that name.
pub(super) fn user(api: &Api, name: &str) -> Result<Value, Failure> {
    api.find(&path(&["users", name]))?.ok_or_else(|| Failure::no_such_user(name))
}

fn tags(user: &Value) -> String {
    let tags = user.get("tags").and_then(Value::as_array);
    let tags = tags.into_iter().flatten().filter_map(Value::as_str);
    tags.collect::<Vec<_>>().join(",")
}

/// The second argument, or the first line of what stands at stdin.
fn password(call: &Call) -> Result<String, Failure> {
    if let Some(password) = call.arguments().get(1) {
        return Ok(password.clone());
    }
    let missing = || Failure::Refused {
        exit: DATA_ERROR,
        text: "Password is not provided via argument or stdin".to_owned(),
    };
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|_| missing())?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        Some(_) | None => Err(missing()),
    }
}
