//! One request, as the handlers see it: who asks for what, and the broker to ask.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::Value;
use warren_broker::{Actor, Broker, ChangeError, Kind};
use warren_catalog::{Access, Catalog, Command, Name, Outcome as Changed};

use super::access::Caller;
use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::list::{Listing, Query};
use crate::node::Node;

/// How long a change may take before the caller is told that it may or may not be made.
const CHANGE_LIMIT: Duration = Duration::from_secs(15);

/// How long to wait for what other nodes have acknowledged, before the local copy must do.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(2);

/// A request.
pub(crate) struct Call {
    /// The node that is asked.
    pub(crate) node: Arc<dyn Node>,
    /// Its broker.
    pub(crate) broker: Broker,
    /// Who asks.
    pub(crate) caller: Caller,
    /// What the path's variables stand for, decoded.
    pub(crate) variables: Vec<(String, String)>,
    /// What is behind the path's question mark.
    pub(crate) query: Query,
    /// The request's headers.
    pub(crate) headers: HeaderMap,
    /// The request's body.
    pub(crate) body: Bytes,
}

/// A request to a node, which may have no broker.
pub(crate) struct NodeCall {
    /// The node that is asked.
    pub(crate) node: Arc<dyn Node>,
    /// Its broker, if it serves.
    pub(crate) broker: Option<Broker>,
    /// What the path's variables stand for, decoded.
    pub(crate) variables: Vec<(String, String)>,
    /// The request's body.
    pub(crate) body: Bytes,
}

impl NodeCall {
    /// A variable of the path.
    ///
    /// # Panics
    /// When the route has no such variable.
    pub(crate) fn at(&self, variable: &str) -> &str {
        variable_of(&self.variables, variable)
    }

    /// What the body says.
    ///
    /// # Errors
    /// When it is no object.
    pub(crate) fn fields(&self) -> Result<Fields, Problem> {
        Fields::parse(&self.body)
    }
}

fn variable_of<'a>(variables: &'a [(String, String)], variable: &str) -> &'a str {
    let found = variables.iter().find(|(known, _)| known == variable);
    found.map(|(_, value)| value.as_str()).expect("the route has that variable")
}

/// What the path says.
impl Call {
    /// A variable of the path.
    ///
    /// # Panics
    /// When the route has no such variable.
    pub(crate) fn at(&self, variable: &str) -> &str {
        variable_of(&self.variables, variable)
    }

    /// A variable of the path, to be shared with the catalog.
    pub(crate) fn name_at(&self, variable: &str) -> Name {
        Name::from(self.at(variable))
    }

    /// The exchange that the path names.
    pub(crate) fn exchange_at(&self, variable: &str) -> Name {
        match self.at(variable) {
            warren_catalog::DEFAULT_EXCHANGE_ALIAS => warren_catalog::DEFAULT_EXCHANGE.into(),
            name => name.into(),
        }
    }

    /// What the body says.
    ///
    /// # Errors
    /// When it is no object.
    pub(crate) fn fields(&self) -> Result<Fields, Problem> {
        Fields::parse(&self.body)
    }
}

/// Whom the broker does it for.
impl Call {
    /// The caller, as the broker asks for permissions.
    pub(crate) fn actor(&self) -> Actor {
        let Caller { name, tags, grants, is_local_tool, from } = self.caller.clone();
        Actor { user: name, tags, grants, trusted: is_local_tool, from }
    }
}

/// What the catalog says.
impl Call {
    /// Looks at the local copy of the catalog.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Catalog) -> R) -> R {
        self.broker.look(look)
    }

    /// Looks for something that another node may have made a moment ago.
    pub(crate) async fn find<R>(&self, look: impl Fn(&Catalog) -> Option<R>) -> Option<R> {
        let found = self.look(&look);
        if found.is_some() {
            return found;
        }
        catch_up(&self.broker).await;
        self.look(&look)
    }

    /// The virtual host that the path names, if there is one that the caller may see.
    ///
    /// # Errors
    /// When not.
    pub(crate) async fn vhost(&self) -> Result<Name, Problem> {
        let wanted = self.at("vhost");
        let found = self
            .find(|catalog| {
                let vhost = catalog.vhost(wanted)?;
                Some((vhost.name.clone(), self.caller.sees(catalog, wanted)))
            })
            .await;
        match found {
            Some((vhost, true)) => Ok(vhost),
            Some((_, false)) => Err(Problem::hidden()),
            None => Err(Problem::absent()),
        }
    }

    /// The same, where something is to be made in it.
    ///
    /// # Errors
    /// When there is none, or the caller may not see it.
    pub(crate) async fn vhost_to_change(&self) -> Result<Name, Problem> {
        let vhost = self.vhost().await;
        vhost.map_err(|problem| match problem == Problem::absent() {
            true => Problem::not_found("vhost_not_found"),
            false => problem,
        })
    }

    /// Whether the caller may do that with an exchange or queue.
    ///
    /// # Errors
    /// When not.
    pub(crate) async fn may(
        &self,
        vhost: &str,
        (kind, name): (Kind, &str),
        access: Access,
    ) -> Result<(), Problem> {
        let Caller { name: user, grants, is_local_tool, .. } = &self.caller;
        let known = self.look(|catalog| grants.may(catalog, (user, vhost), (kind, name), access));
        let is_allowed = *is_local_tool
            || match known {
                Some(is_allowed) => is_allowed,
                None => grants.ask(&kind.question(vhost, name, access)).await == Ok(true),
            };
        if is_allowed { Ok(()) } else { Err(Problem::access_refused()) }
    }

    /// The virtual hosts that the caller may see.
    pub(crate) fn visible_vhosts(&self) -> Vec<Name> {
        self.look(|catalog| {
            let vhosts = catalog.vhosts().map(|vhost| vhost.name.clone());
            vhosts.filter(|vhost| self.caller.sees(catalog, vhost)).collect()
        })
    }

    /// Has a change made.
    ///
    /// # Errors
    /// When it is refused, or does not come to an end in time.
    pub(crate) async fn change(&self, command: Command) -> Result<Changed, Problem> {
        change(&self.broker, &self.caller, command).await
    }
}

/// What the caller is told.
impl Call {
    /// A list, as it is asked for.
    ///
    /// # Errors
    /// When a page is asked for that there is not.
    pub(crate) fn list(&self, rows: Vec<Value>) -> Outcome {
        Ok(Answer::Value(Listing::parse(&self.query)?.of(rows)?))
    }

    /// The same where rows are many and costly: only those are rendered that are shown, unless a
    /// field decides the order. Rows come in the order of their names.
    ///
    /// # Errors
    /// When a page is asked for that there is not.
    pub(crate) fn list_lazily<R>(
        &self,
        rows: Vec<R>,
        name: impl Fn(&R) -> &str,
        render: impl Fn(&R) -> Value,
    ) -> Outcome {
        let listing = Listing::parse(&self.query)?;
        let part = listing.pick(rows, name);
        if listing.sorted_by().is_some() || listing.is_reversed() {
            let mut part = part.map(|row| render(&row));
            listing.order(&mut part.rows);
            return Ok(Answer::Value(listing.answer(listing.cut(part)?)));
        }
        Ok(Answer::Value(listing.answer(listing.cut(part)?.map(|row| render(&row)))))
    }

    /// One row, as it is asked for.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn one(&self, row: Option<Value>) -> Outcome {
        let row = row.ok_or_else(Problem::absent)?;
        Ok(Answer::Value(Listing::parse(&self.query)?.one(row)))
    }
}

/// Waits for what other nodes have acknowledged. Without a majority that cannot be had, and the
/// local copy is the best there is.
pub(crate) async fn catch_up(broker: &Broker) {
    let _caught_up = tokio::time::timeout(CATCH_UP_LIMIT, Box::pin(broker.catch_up())).await;
}

/// Has a change made on behalf of `caller`.
///
/// # Errors
/// When it is refused, or does not come to an end in time.
async fn change(broker: &Broker, caller: &Caller, command: Command) -> Result<Changed, Problem> {
    match within(CHANGE_LIMIT, Box::pin(broker.change_by(&caller.name, caller.from, command)))
        .await?
    {
        Ok(changed) => Ok(changed),
        Err(ChangeError::Refused(refusal)) => Err(Problem::from(&refusal)),
        Err(ChangeError::Full(full)) => Err(Problem::bad_request(full.to_string())),
        Err(ChangeError::NotYet(error)) => Err(Problem::unavailable(error.to_string())),
        Err(ChangeError::Stopped(_)) => Err(Problem::unavailable("the node is stopping")),
    }
}

/// What `doing` comes to.
///
/// # Errors
/// When it takes longer than `limit`.
pub(crate) async fn within<R>(
    limit: Duration,
    doing: impl Future<Output = R>,
) -> Result<R, Problem> {
    let done = tokio::time::timeout(limit, doing).await;
    done.map_err(|_| {
        Problem::unavailable(
            "not done in time: the cluster may have no majority, or be busy; a retry may work",
        )
    })
}

/// Whether a deletion found something to delete.
///
/// # Errors
/// When not.
pub(crate) fn removed(changed: &Changed) -> Outcome {
    match changed {
        Changed::Missing => Err(Problem::absent()),
        Changed::Created
        | Changed::Updated
        | Changed::Unchanged
        | Changed::Removed
        | Changed::Node(_)
        | Changed::QueueCreated(_)
        | Changed::QueueExists(_)
        | Changed::QueuesRemoved(_)
        | Changed::ExchangeCreated(_)
        | Changed::ExchangeExists(_) => Ok(Answer::Done),
    }
}
