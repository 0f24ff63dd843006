//! What the scopes of a token allow, as RabbitMQ reads them.
//!
//! A scope of this cluster is `<prefix><permission>:<vhost>/<name>[/<routing key>]` or
//! `<prefix>tag:<tag>`. The three parts are patterns with `*`. `{claim}` in a scope stands for what
//! the token says there, and `{vhost}` for the virtual host that is asked about.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::authority::{Question, What};
use crate::settings::ResourceServer;
use crate::wildcard;

/// Scopes of one token, after all that they stand for.
const SCOPES_MOST: usize = 2048;

/// Where Keycloak has them in the tokens of requesting parties.
const REQUESTING_PARTY: &str = "authorization.permissions.scopes";

/// What a user's tags begin with among the scopes.
const TAG: &str = "tag:";

/// What stands for the virtual host that is asked about.
const VHOST: &str = "{vhost}";

/// The scopes of one token that mean this cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scopes {
    grants: Vec<Grant>,
    tags: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Grant {
    /// The same for every virtual host.
    Fixed(Pattern<String>),
    /// Its text, with the virtual host to be filled in.
    ByVhost(String),
}

/// What is allowed with what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern<T> {
    permission: T,
    vhost: T,
    name: T,
    routing_key: Option<T>,
}

impl Scopes {
    /// Those in `claims`; none if they are too many.
    pub(crate) fn of(server: &ResourceServer, claims: &Map<String, Value>) -> Option<Self> {
        let all = collected(server, claims);
        if all.len() > SCOPES_MOST {
            return None;
        }
        let tags = all.iter().filter_map(|scope| scope.strip_prefix(TAG)).map(str::to_owned);
        let tags = tags.collect();
        let grants = all.iter().filter_map(|scope| Grant::of(&filled_in(scope, claims))).collect();
        Some(Self { grants, tags })
    }

    /// The user's tags, sorted.
    pub(crate) fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Whether they allow what is asked.
    pub(crate) fn allow(&self, question: &Question<'_>) -> bool {
        self.grants.iter().any(|grant| match grant {
            Grant::Fixed(pattern) => {
                let Pattern { permission, vhost, name, routing_key } = pattern;
                let routing_key = routing_key.as_ref();
                Pattern { permission, vhost, name, routing_key }.allows(question)
            }
            Grant::ByVhost(scope) => {
                let scope = scope.replace(VHOST, &question.vhost);
                Pattern::parse(&scope).is_some_and(|pattern| pattern.allows(question))
            }
        })
    }
}

impl Grant {
    /// A scope with everything filled in that does not depend on the question.
    fn of(scope: &str) -> Option<Self> {
        if scope.contains(VHOST) {
            return Some(Self::ByVhost(scope.to_owned()));
        }
        let Pattern { permission, vhost, name, routing_key } = Pattern::parse(scope)?;
        Some(Self::Fixed(Pattern {
            permission: permission.to_owned(),
            vhost: vhost.to_owned(),
            name: name.to_owned(),
            routing_key: routing_key.map(str::to_owned),
        }))
    }
}

impl<'a> Pattern<&'a str> {
    fn parse(scope: &'a str) -> Option<Self> {
        let (permission, rest) = scope.split_once(':')?;
        if !["configure", "write", "read"].contains(&permission) {
            return None;
        }
        let mut parts = rest.split('/');
        let (vhost, name, routing_key) = (parts.next()?, parts.next()?, parts.next());
        parts.next().is_none().then_some(Self { permission, vhost, name, routing_key })
    }
}

impl<T: AsRef<str>> Pattern<T> {
    fn allows(&self, question: &Question<'_>) -> bool {
        let matches = |subject: &str, pattern: &T| wildcard::matches(subject, pattern.as_ref());
        if !matches(&question.vhost, &self.vhost) {
            return false;
        }
        let allowed = |permission: &str| self.permission.as_ref() == permission;
        match &question.what {
            What::Vhost => true,
            What::Queue { name, permission } | What::Exchange { name, permission } => {
                allowed(permission) && matches(name, &self.name)
            }
            What::Topic { exchange, routing_key, permission } => {
                let key = self.routing_key.as_ref();
                allowed(permission)
                    && matches(exchange, &self.name)
                    && key.is_some_and(|pattern| matches(routing_key, pattern))
            }
        }
    }
}

/// All scopes that mean this cluster, without their prefix, each once.
fn collected(server: &ResourceServer, claims: &Map<String, Value>) -> BTreeSet<String> {
    let id = &server.id;
    let mut all = Vec::new();
    if let Some(scopes) = claims.get("scope") {
        words_of(scopes, &mut all);
    }
    let further = server.additional_scopes_key.split_whitespace();
    for path in std::iter::once(REQUESTING_PARTY).chain(further) {
        let path: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
        gather(claims, &path, id, &mut all);
    }
    let aliased: Vec<String> =
        all.iter().filter_map(|scope| server.scope_aliases.get(scope)).flatten().cloned().collect();
    let prefix = server.prefix();
    let ours = all.into_iter().chain(aliased);
    ours.filter_map(|scope| scope.strip_prefix(&prefix).map(str::to_owned)).collect()
}

/// The words of a text, or the texts of a list.
fn words_of(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.extend(text.split_whitespace().map(str::to_owned)),
        Value::Array(parts) => {
            into.extend(parts.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

/// Scopes at the end of a path through objects, and through lists of objects. At its end may be an
/// object that has them by the id of the resource server, then without the prefix.
fn gather(object: &Map<String, Value>, path: &[&str], id: &str, into: &mut Vec<String>) {
    let Some((first, rest)) = path.split_first() else { return };
    match (object.get(*first), rest.is_empty()) {
        (Some(Value::Object(by_id)), true) => {
            let mut words = Vec::new();
            words_of(by_id.get(id).unwrap_or(&Value::Null), &mut words);
            into.extend(words.into_iter().map(|word| format!("{id}.{word}")));
        }
        (Some(value), true) => words_of(value, into),
        (Some(Value::Object(inner)), false) => gather(inner, rest, id, into),
        (Some(Value::Array(parts)), false) => {
            for inner in parts.iter().filter_map(Value::as_object) {
                gather(inner, rest, id, into);
            }
        }
        (Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)), false)
        | (None, _) => {}
    }
}

/// `scope` with each `{claim}` replaced by what the token says there, or by the claim's name where
/// it says nothing that is text. Braces that are not closed, or are around more than a name, make
/// the scope mean nothing. `{vhost}` stays.
fn filled_in<'a>(scope: &'a str, claims: &Map<String, Value>) -> Cow<'a, str> {
    if !scope.contains('{') {
        return Cow::Borrowed(scope);
    }
    let mut filled = String::with_capacity(scope.len());
    let mut rest = scope;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, after)) = behind.split_once('}') else { return Cow::Borrowed("") };
        if name.contains(['.', '*', '{']) {
            return Cow::Borrowed("");
        }
        match name {
            "vhost" => filled.push_str(VHOST),
            name => filled.push_str(claims.get(name).and_then(Value::as_str).unwrap_or(name)),
        }
        rest = after;
    }
    filled.push_str(rest);
    Cow::Owned(filled)
}

#[cfg(test)]
mod tests;
