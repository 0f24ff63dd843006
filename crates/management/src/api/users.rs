//! Users, their passwords and tags.

use serde_json::{Map, Value, json};
use warren_catalog::{
    Catalog, Command, HashingAlgorithm, Name, Outcome as Changed, PasswordHash, PutUser, User,
    UserLimits,
};

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::{Call, removed};
use super::permissions;
use super::route::{Kind, Route, delete, get, may, must, post, put};

pub(super) fn routes() -> Vec<Route> {
    let routes = vec![
        get("/api/users", "All users", list).list(),
        get("/api/users/without-permissions", "Users that may open no virtual host", idle).list(),
        post("/api/users/bulk-delete", "Deletes several users", delete_several)
            .fields(&[must("users", Kind::List)]),
        get("/api/users/{user}", "One user", one),
        put("/api/users/{user}", "Makes a user, or changes one", put_one).fields(&[
            may("password", Kind::Text),
            may("password_hash", Kind::Text),
            may("hashing_algorithm", Kind::Text),
            must("tags", Kind::List),
        ]),
        delete("/api/users/{user}", "Deletes a user", delete_one),
        get("/api/users/{user}/permissions", "What a user may do", permissions::of_user).list(),
        get(
            "/api/users/{user}/topic-permissions",
            "Which routing keys a user may use",
            permissions::topics_of_user,
        )
        .list(),
        get("/api/auth/hash_password/{password}", "Hashes a password", hash),
    ];
    routes.into_iter().map(|route| route.role(Role::Administrator)).collect()
}

/// A user, as lists and definitions have it.
pub(super) fn row(user: &User) -> Value {
    json!({
        "name": &*user.name,
        "password_hash": user.password.to_base64(),
        "hashing_algorithm": user.password.algorithm.as_str(),
        "tags": user.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(),
        "limits": limits(&user.limits),
    })
}

/// The limits of a user that are set.
pub(super) fn limits(limits: &UserLimits) -> Map<String, Value> {
    let both = [("max-connections", limits.max_connections), ("max-channels", limits.max_channels)];
    both.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?.into()))).collect()
}

/// What a request or a definition says about a user. A user without a password, or with an empty
/// hash, cannot log in by password.
///
/// # Errors
/// When it makes no sense.
pub(super) fn read(
    user: Name,
    fields: &Fields,
    hashing: HashingAlgorithm,
) -> Result<PutUser, Problem> {
    let tags = fields.names("tags")?.ok_or_else(|| Problem::bad_request("tags_not_present"))?;
    let algorithm = HashingAlgorithm::parse(&fields.text("hashing_algorithm")?);
    let password = match (fields.value("password"), fields.value("password_hash")) {
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("both_password_and_password_hash_are_provided"));
        }
        (Some(_), None) => {
            let password = fields.text("password")?;
            PasswordHash::new(algorithm.unwrap_or(hashing), rand::random(), &password)
        }
        (None, Some(_)) => {
            let text = fields.text("password_hash")?;
            // RabbitMQ takes what it does not know for its own.
            PasswordHash::parse(algorithm.unwrap_or_default(), &text)
                .ok_or_else(|| Problem::bad_request(json!(["not_base64", &*text])))?
        }
        (None, None) => PasswordHash::none(),
    };
    // Who is not held to this machine when made stays as it is when changed.
    Ok(PutUser { user, password: Some(password), tags: Some(tags), loopback_only: None })
}

async fn list(call: Call) -> Outcome {
    let rows = call.look(|catalog| catalog.users().map(row).collect());
    call.list(rows)
}

async fn idle(call: Call) -> Outcome {
    let rows = call.look(|catalog| {
        let is_idle = |user: &&User| !catalog.permissions().any(|row| *row.user == user.name);
        catalog.users().filter(is_idle).map(row).collect()
    });
    call.list(rows)
}

fn find_user(catalog: &Catalog, name: &str) -> Option<Value> {
    catalog.user(name).map(row)
}

async fn one(call: Call) -> Outcome {
    let name = call.at("user");
    let found = call.find(|catalog| find_user(catalog, name)).await;
    call.one(found)
}

async fn put_one(call: Call) -> Outcome {
    let (user, fields, hashing) = (call.name_at("user"), call.fields()?, call.broker.hashing());
    // A hash may take long, and others are served by this task's thread.
    let reading = tokio::task::spawn_blocking(move || read(user, &fields, hashing)).await;
    let command = reading.map_err(|_| Problem::unavailable("the node is stopping"))??;
    let changed = call.change(Command::PutUser(command)).await?;
    Ok(Answer::made(changed == Changed::Created))
}

async fn delete_one(call: Call) -> Outcome {
    let user = call.name_at("user");
    call.find(|catalog| find_user(catalog, &user)).await.ok_or_else(Problem::absent)?;
    removed(&call.change(Command::DeleteUser { user }).await?)
}

async fn delete_several(call: Call) -> Outcome {
    let fields = call.fields()?;
    fields.need(&["users"])?;
    for user in fields.names("users")?.unwrap_or_default() {
        call.change(Command::DeleteUser { user }).await?;
    }
    Ok(Answer::Done)
}

async fn hash(call: Call) -> Outcome {
    let algorithm = HashingAlgorithm::default();
    let hash = PasswordHash::new(algorithm, rand::random(), call.at("password"));
    Ok(Answer::Value(json!({ "ok": hash.to_base64() })))
}
