//! Definitions into the catalog: RabbitMQ's of 3.x and 4.x, and our own.
//!
//! Bringing in adds and never deletes, and doing it twice changes nothing the second time. The whole
//! document is read before the first change, so that one that makes no sense changes nothing. What
//! is there already as something else is left alone, with a warning in the log.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use serde_json::{Map, Value};
use warren_broker::{Actor, Broker, ChangeError};
use warren_catalog::{
    BindingCommand, Command, DEFAULT_EXCHANGE, DeclareExchange, Destination, HashingAlgorithm,
    Name, PolicyLayer, Refusal,
};

use crate::api::answer::Problem;
use crate::api::body::Fields;
use crate::api::queues::{self, Declaration};
use crate::api::{exchanges, limits, parameters, policies, users, vhosts};

/// Changes that are under way at once.
const CHANGES_UNDER_WAY: usize = 1024;

/// Queues that are declared at once: each asks a shard as well.
const QUEUES_UNDER_WAY: usize = 128;

/// Begins the keys of policies for mirrored queues.
const MIRRORING: &str = "ha-";

/// What a document comes to, in the order in which it is done.
#[derive(Default)]
struct Plan {
    vhosts: Vec<Command>,
    users: Vec<Command>,
    permissions: Vec<Command>,
    parameters: Vec<Command>,
    exchanges: Vec<Command>,
    queues: Vec<Declaration>,
    bindings: Vec<Command>,
    /// Virtual hosts that something is for.
    needed: BTreeSet<Name>,
}

/// Brings a document in; with `vhost`, what is in it is for that virtual host. What is made belongs
/// to the actor.
///
/// # Errors
/// When the document makes no sense, or something in it is refused.
pub(crate) async fn bring_in(
    broker: &Broker,
    document: &[u8],
    vhost: Option<Name>,
    by: &Actor,
) -> Result<(), Problem> {
    if document.is_empty() {
        return Ok(());
    }
    let parsed = serde_json::from_slice(document);
    let Ok(Value::Object(document)) = parsed else {
        return Err(Problem::bad_request("failed_to_parse_json"));
    };
    let plan = Reading { document: &document, vhost, by, hashing: broker.hashing() }.plan()?;
    plan.check_vhosts(broker)?;
    let before_queues = [
        ("virtual hosts", plan.vhosts),
        ("users", plan.users),
        ("permissions", plan.permissions),
        ("parameters and policies", plan.parameters),
        ("exchanges", plan.exchanges),
    ];
    for (what, commands) in before_queues {
        change_all(broker, by, what, commands).await?;
    }
    declare_all(broker, plan.queues).await?;
    change_all(broker, by, "bindings", plan.bindings).await
}

impl Plan {
    /// Refuses a document that needs a virtual host which neither it nor the cluster has.
    fn check_vhosts(&self, broker: &Broker) -> Result<(), Problem> {
        let made: BTreeSet<&Name> = self
            .vhosts
            .iter()
            .filter_map(|command| match command {
                Command::PutVhost { vhost, .. } => Some(vhost),
                _ => None,
            })
            .collect();
        let missing = broker.look(|catalog| {
            let mut needed = self.needed.iter();
            needed.find(|vhost| !made.contains(vhost) && catalog.vhost(vhost).is_none()).cloned()
        });
        match missing {
            None => Ok(()),
            Some(vhost) => Err(Problem::bad_request(format!(
                "Please create virtual host \"{vhost}\" prior to importing definitions."
            ))),
        }
    }
}

/// Reads a document as [`bring_in`] does, and does nothing of it.
pub(crate) fn read_through(document: &[u8], vhost: Option<Name>, by: &Actor) {
    if let Ok(Value::Object(document)) = serde_json::from_slice(document) {
        // Passwords that stand in it as they are must not cost what they would.
        let hashing = HashingAlgorithm::Sha256;
        drop(Reading { document: &document, vhost, by, hashing }.plan());
    }
}

/// A document that is being read.
struct Reading<'a> {
    document: &'a Map<String, Value>,
    /// The virtual host that all of it is for.
    vhost: Option<Name>,
    by: &'a Actor,
    /// How passwords are hashed that stand in it as they are.
    hashing: HashingAlgorithm,
}

impl Reading<'_> {
    fn plan(&self) -> Result<Plan, Problem> {
        let mut plan = Plan::default();
        if self.vhost.is_none() {
            self.vhosts(&mut plan)?;
            self.users(&mut plan)?;
            self.permissions(&mut plan)?;
            self.global_parameters(&mut plan)?;
        }
        self.parameters(&mut plan)?;
        self.policies(&mut plan)?;
        self.exchanges(&mut plan)?;
        self.queues(&mut plan)?;
        self.bindings(&mut plan)?;
        Ok(plan)
    }

    /// The objects of a list; none where there is no such list.
    fn rows(&self, key: &str) -> Result<Vec<Fields>, Problem> {
        let rows = match self.document.get(key) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(rows)) => rows,
            Some(_) => return Err(Problem::bad_request(format!("'{key}' is not a list"))),
        };
        let rows = rows.iter().map(|row| {
            Fields::of(row)
                .ok_or_else(|| Problem::bad_request(format!("'{key}' has what is no object")))
        });
        rows.collect()
    }

    /// The virtual host that a row is for.
    fn vhost_of(&self, row: &Fields, plan: &mut Plan) -> Result<Name, Problem> {
        if let Some(vhost) = &self.vhost {
            return Ok(vhost.clone());
        }
        row.need(&["vhost"])?;
        let vhost = row.text("vhost")?;
        plan.needed.insert(vhost.clone());
        Ok(vhost)
    }

    fn vhosts(&self, plan: &mut Plan) -> Result<(), Problem> {
        for row in self.rows("vhosts")? {
            row.need(&["name"])?;
            let vhost = row.text("name")?;
            // What stands beside the metadata is said last.
            let mut meta = warren_catalog::VhostMeta::default();
            for said in [row.value("metadata").and_then(Fields::of), Some(row.clone())] {
                meta = vhosts::read_metadata(&said.unwrap_or_default(), meta)?;
            }
            plan.vhosts.push(Command::PutVhost { vhost: vhost.clone(), meta });
            if let Some(set) = row.value("limits").and_then(Fields::of) {
                plan.parameters.extend(limits::of_vhost(&vhost, &set)?);
            }
        }
        Ok(())
    }

    fn users(&self, plan: &mut Plan) -> Result<(), Problem> {
        for row in self.rows("users")? {
            row.need(&["name"])?;
            let user = row.text("name")?;
            if row.text("hashing_algorithm")?.contains("md5") {
                tracing::warn!(
                    %user,
                    "the user's password is hashed with MD5, which is not checked here: set another"
                );
            }
            plan.users.push(Command::PutUser(users::read(user.clone(), &row, self.hashing)?));
            if let Some(set) = row.value("limits").and_then(Fields::of) {
                plan.permissions.extend(limits::of_user(&user, &set)?);
            }
        }
        Ok(())
    }

    fn permissions(&self, plan: &mut Plan) -> Result<(), Problem> {
        for row in self.rows("permissions")? {
            row.need(&["user", "configure", "write", "read"])?;
            let vhost = self.vhost_of(&row, plan)?;
            plan.permissions.push(Command::SetPermission {
                user: row.text("user")?,
                vhost,
                configure: row.text("configure")?,
                write: row.text("write")?,
                read: row.text("read")?,
            });
        }
        for row in self.rows("topic_permissions")? {
            row.need(&["user", "exchange", "write", "read"])?;
            let vhost = self.vhost_of(&row, plan)?;
            plan.permissions.push(Command::SetTopicPermission {
                user: row.text("user")?,
                vhost,
                exchange: row.text("exchange")?,
                write: row.text("write")?,
                read: row.text("read")?,
            });
        }
        Ok(())
    }

    fn global_parameters(&self, plan: &mut Plan) -> Result<(), Problem> {
        for row in self.rows("global_parameters")? {
            row.need(&["name"])?;
            let value = row.value("value").unwrap_or(&Value::Null).to_string().into();
            plan.parameters.push(Command::PutGlobalParameter { name: row.text("name")?, value });
        }
        Ok(())
    }

    fn parameters(&self, plan: &mut Plan) -> Result<(), Problem> {
        for row in self.rows("parameters")? {
            row.need(&["component", "name", "value"])?;
            let vhost = self.vhost_of(&row, plan)?;
            let (component, name) = (row.text("component")?, row.text("name")?);
            if *component != *parameters::OPERATOR_POLICY && *component != *parameters::VHOST_LIMITS
            {
                tracing::warn!(%vhost, %component, %name, "kept, but nothing here acts on it");
            }
            let value = row.value("value").unwrap_or(&Value::Null);
            plan.parameters.extend(parameters::commands(&vhost, &component, &name, value)?);
        }
        Ok(())
    }

    fn policies(&self, plan: &mut Plan) -> Result<(), Problem> {
        for row in self.rows("policies")? {
            row.need(&["name"])?;
            let vhost = self.vhost_of(&row, plan)?;
            let name = row.text("name")?;
            let policy = policies::read(vhost, PolicyLayer::User, name, &row)?;
            let definition = row.value("definition").and_then(Fields::of).unwrap_or_default();
            if definition.iter().any(|(key, _)| key.starts_with(MIRRORING)) {
                tracing::warn!(
                    vhost = %policy.vhost, policy = %policy.name,
                    "mirroring (ha-*) means nothing here: every durable queue is replicated"
                );
            }
            plan.parameters.push(Command::PutPolicy(policy));
        }
        Ok(())
    }

    fn exchanges(&self, plan: &mut Plan) -> Result<(), Problem> {
        for row in self.rows("exchanges")? {
            row.need(&["name", "type"])?;
            let (vhost, name) = (self.vhost_of(&row, plan)?, row.text("name")?);
            if *name == *DEFAULT_EXCHANGE {
                continue;
            }
            let declare: DeclareExchange =
                exchanges::read(vhost, name, &row, self.by.user.clone())?;
            plan.exchanges.push(Command::DeclareExchange(declare));
        }
        Ok(())
    }

    fn queues(&self, plan: &mut Plan) -> Result<(), Problem> {
        for row in self.rows("queues")? {
            row.need(&["name"])?;
            let (vhost, name) = (self.vhost_of(&row, plan)?, row.text("name")?);
            plan.queues.push(queues::read(vhost, name, &row, self.by)?);
        }
        Ok(())
    }

    fn bindings(&self, plan: &mut Plan) -> Result<(), Problem> {
        for row in self.rows("bindings")? {
            row.need(&["source", "destination", "destination_type"])?;
            let (vhost, source) = (self.vhost_of(&row, plan)?, row.text("source")?);
            if *source == *DEFAULT_EXCHANGE {
                continue;
            }
            let destination = row.text("destination")?;
            let destination = match &*row.text("destination_type")? {
                "exchange" => Destination::Exchange(destination),
                "queue" => Destination::Queue(destination),
                other => {
                    let reason = format!("'{other}' is no destination_type");
                    return Err(Problem::bad_request(reason));
                }
            };
            plan.bindings.push(Command::Bind(BindingCommand {
                vhost,
                source,
                destination,
                routing_key: row.text("routing_key")?,
                arguments: row.table("arguments")?,
                connection: None,
            }));
        }
        Ok(())
    }
}

/// Has changes made that do not depend on each other, or only on those before them.
async fn change_all(
    broker: &Broker,
    by: &Actor,
    what: &str,
    commands: Vec<Command>,
) -> Result<(), Problem> {
    let mut changes = stream::iter(commands)
        .map(|command| Box::pin(broker.change_by(&by.user, by.from, command)))
        .buffered(CHANGES_UNDER_WAY);
    let mut problem = None;
    while let Some(change) = changes.next().await {
        match change {
            Ok(_) => {}
            Err(ChangeError::Refused(refusal)) if is_conflict(&refusal) => {
                tracing::warn!(%refusal, "a definition is left out: there is another of that name");
            }
            Err(ChangeError::Refused(refusal)) => {
                tracing::warn!(what, %refusal, "a definition is refused");
                problem.get_or_insert(Problem::from(&refusal).into_bad_request());
            }
            Err(ChangeError::Full(full)) => {
                tracing::warn!(what, %full, "there is no room for a definition");
                problem.get_or_insert(Problem::bad_request(full.to_string()));
            }
            Err(ChangeError::NotYet(error)) => return Err(Problem::unavailable(error.to_string())),
            Err(ChangeError::Stopped(_)) => {
                return Err(Problem::unavailable("the node is stopping"));
            }
        }
    }
    problem.map_or(Ok(()), Err)
}

async fn declare_all(broker: &Broker, queues: Vec<Declaration>) -> Result<(), Problem> {
    let mut declared = stream::iter(queues)
        .map(|queue| Box::pin(queues::declare(broker, queue)))
        .buffered(QUEUES_UNDER_WAY);
    let mut problem = None;
    while let Some(outcome) = declared.next().await {
        match outcome {
            Ok(_) => {}
            Err(refused) if refused.reason().starts_with("inequivalent arg") => {
                let refusal = refused.reason();
                tracing::warn!(refusal, "a definition is left out: there is another of that name");
            }
            Err(refused) => {
                problem.get_or_insert(refused.into_bad_request());
            }
        }
    }
    problem.map_or(Ok(()), Err)
}

/// Whether something else of that name exists.
fn is_conflict(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Inequivalent(_))
}
