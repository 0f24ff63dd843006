//! basic.publish: may it, where does it go, who waits for it.

use std::sync::Arc;

use bytes::Bytes;
use warren_amqp::{Body, MethodId, ReplyCode};
use warren_auth::{Question, What};
use warren_catalog::{Access, Catalog, Message, Routed, TopicAccess};
use warren_types::ChannelNumber;

use super::channel::Mode;
use super::dedup::{Once, keys};
use super::lease::Leases;
use super::message::{Properties, Wishes, wishes};
use super::operation::Finish;
use super::plan::Plan;
use super::staging::Origin;
use super::state::{Client, Connection};
use crate::broker::Inner;
use crate::failure::Failure;
use crate::grants::{Kind, topic_question};

/// A message as its client sent it.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) exchange: Bytes,
    pub(crate) routing_key: Bytes,
    pub(crate) mandatory: bool,
    pub(crate) immediate: bool,
    pub(crate) header: Bytes,
    pub(crate) body: Body,
}

/// What the local copy of the catalog says about a publish.
enum Route {
    /// It goes there, perhaps nowhere. `lasting` when messages with the same keys do so too.
    Known { plan: Arc<Plan>, lasting: bool },
    /// It may not be published, or that is not known.
    Barred(Bar),
}

/// Why something may not be published.
pub(crate) enum Bar {
    /// It is forbidden, or goes nowhere.
    Refused(Failure),
    /// This has to be asked first.
    Unasked(Question<'static>),
}

impl Connection {
    /// Makes plans of an older catalog void. Once per burst: what one burst of frames sees is
    /// the catalog at its beginning, or later.
    pub(crate) fn begin_burst(&mut self) {
        let revision = self.broker.directory.look(Catalog::revision);
        self.plans.renew(revision);
        if self.client.as_ref().is_some_and(|client| client.grants.renew()) {
            self.plans.clear();
        }
    }

    /// basic.publish
    pub(crate) fn publish(
        &mut self,
        number: ChannelNumber,
        publish: Publish,
    ) -> Result<(), Failure> {
        if publish.immediate {
            return Err(Failure::new(ReplyCode::NotImplemented, "immediate=true"));
        }
        self.broker.counters.published.add(1);
        let channel = self.channel(number);
        channel.counts.publish = channel.counts.publish.saturating_add(1);
        let (is_first, is_covered) = (channel.counts.publish == 1, channel.is_covered);
        if is_first {
            self.broker.counters.publishers.add(1);
        }
        self.published_bytes.count(u64::try_from(publish.body.len()).unwrap_or(u64::MAX));
        let freshness = if is_covered { Freshness::CaughtUp } else { Freshness::Local };
        self.publish_by(number, publish, freshness)
    }

    /// Publishes, or holds the publish back for the commit of a transaction.
    fn publish_by(
        &mut self,
        number: ChannelNumber,
        publish: Publish,
        freshness: Freshness,
    ) -> Result<(), Failure> {
        if let Some(leases) = Leases::of(&publish) {
            self.extend_leases(number, leases, &publish);
            return Ok(());
        }
        let (publish, mut wishes) = self.examine(number, publish)?;
        if let Some(address) = super::reply_to::address(&publish) {
            // Replies pass the default exchange, as everything does that names none.
            let permitted = self
                .broker
                .directory
                .look(|catalog| permit(catalog, self.client(), "", &publish, &wishes));
            return match permitted {
                Ok(()) => self.publish_reply(number, address, &publish, &wishes),
                Err(bar) => self.barred(number, publish, bar, freshness),
            };
        }
        let plan = match self.plan(&publish, &wishes) {
            Route::Known { plan, lasting } => {
                if lasting {
                    self.plans.keep(&publish.exchange, &publish.routing_key, plan.clone());
                }
                plan
            }
            Route::Barred(bar) => return self.barred(number, publish, bar, freshness),
        };
        if let Some(traced) = &mut wishes.traced {
            traced.note_route();
        }
        if plan.shards.is_empty() && freshness == Freshness::Local && !self.knows_all() {
            return self.ask_again(number, publish, None);
        }
        self.feel_pressure(&plan);
        if let Mode::Transaction(_) = self.channel(number).mode {
            return self.hold_publish(number, publish, wishes, plan);
        }
        self.stage_publish(number, &publish, &wishes, &plan);
        Ok(())
    }

    /// Looks at the properties, and fills in the address for direct replies.
    pub(crate) fn examine(
        &mut self,
        number: ChannelNumber,
        mut publish: Publish,
    ) -> Result<(Publish, Wishes), Failure> {
        if let Some(header) = self.with_reply_address(number, &publish.header)? {
            publish.header = header;
        }
        let client = self.client();
        let user = client.user.clone();
        let impersonates = warren_amqp::header::user_id(&publish.header).is_some()
            && self.broker.directory.look(|catalog| client.is_impersonator(catalog));
        let mut wishes = wishes(publish.header.clone(), &user, impersonates)?;
        self.trace_publish(&mut wishes);
        Ok((publish, wishes))
    }

    fn plan(&self, publish: &Publish, wishes: &Wishes) -> Route {
        let cacheable = wishes.extra_keys.is_empty();
        if cacheable && let Some(plan) = self.plans.find(&publish.exchange, &publish.routing_key) {
            return Route::Known { plan, lasting: false };
        }
        match route(&self.broker, self.client(), publish, wishes) {
            Ok((plan, varies)) => {
                Route::Known { plan: Arc::new(plan), lasting: cacheable && !varies }
            }
            Err(bar) => Route::Barred(bar),
        }
    }

    /// Whether the local copy of the catalog cannot be behind what any client was told.
    pub(crate) fn knows_all(&self) -> bool {
        self.broker.directory.is_alone()
    }

    fn barred(
        &mut self,
        number: ChannelNumber,
        publish: Publish,
        bar: Bar,
        freshness: Freshness,
    ) -> Result<(), Failure> {
        match (bar, freshness) {
            (Bar::Refused(failure), Freshness::CaughtUp) => Err(failure),
            (Bar::Refused(_), Freshness::Local) => self.ask_again(number, publish, None),
            (Bar::Unasked(question), Freshness::Local | Freshness::CaughtUp) => {
                self.ask_again(number, publish, Some(question))
            }
        }
    }

    /// What this node knows says no; another node, or whoever is to be asked, may know better.
    fn ask_again(
        &mut self,
        number: ChannelNumber,
        publish: Publish,
        question: Option<Question<'static>>,
    ) -> Result<(), Failure> {
        let directory = self.broker.directory.clone();
        let client = self.client().clone();
        // What waits behind it was read before the catalog is asked: it need not be asked again.
        let covered = self.channel(number).backlog.len();
        let work = async move {
            if let Some(question) = &question {
                ask(&client, question).await?;
            }
            directory.catch_up().await.map_err(Failure::unavailable)?;
            let finish: Finish = Box::new(move |connection| {
                connection.begin_burst();
                connection.channel(number).covered = covered;
                connection.publish_by(number, publish, Freshness::CaughtUp)
            });
            Ok(finish)
        };
        self.begin(number, MethodId::BASIC_PUBLISH, "the catalog".to_owned(), work);
        Ok(())
    }

    /// Adds a publish to what the burst asks of the shards.
    pub(crate) fn stage_publish(
        &mut self,
        number: ChannelNumber,
        publish: &Publish,
        wishes: &Wishes,
        plan: &Plan,
    ) {
        plan.count();
        if self.is_overheard() {
            self.copy_publish(number, publish, wishes, plan);
        }
        if plan.shards.is_empty() {
            self.unroutable(number, publish, wishes);
        }
        let channel = self.channel(number);
        let generation = channel.generation;
        let tag = match &mut channel.mode {
            Mode::Confirm(confirms) => Some(confirms.publish(plan.answers())),
            Mode::Plain | Mode::Transaction(_) => None,
        };
        if tag.is_some() && plan.shards.is_empty() {
            self.note_confirms(number);
        }
        if tag.is_some() {
            self.broker.counters.published_confirm.add(1);
        }
        let origin = Origin { channel: number, generation, tag };
        let span = self.open_publish(publish, wishes, plan);
        for (slot, queues) in &plan.shards {
            if let Some(span) = &span {
                self.staging.follow_publish(self.open_commit(span, *slot));
            }
            let keys = keys(&plan.once, *slot, wishes);
            let parts = wishes.parts(publish, queues, &keys);
            let broker = &self.broker;
            self.staging.publish(*slot, &parts, &publish.body, origin, || broker.upload());
        }
    }

    fn unroutable(&mut self, number: ChannelNumber, publish: &Publish, wishes: &Wishes) {
        let counts = &mut self.channel(number).counts;
        if !publish.mandatory {
            counts.drop_unroutable = counts.drop_unroutable.saturating_add(1);
            self.broker.counters.unroutable_dropped.add(1);
            return;
        }
        counts.return_unroutable = counts.return_unroutable.saturating_add(1);
        self.broker.counters.returned.add(1);
        self.out.basic_return(
            number,
            ReplyCode::NoRoute,
            &publish.exchange,
            &publish.routing_key,
            &wishes.header,
            &publish.body,
            self.frame_max,
        );
    }
}

/// How recent the catalog is by which a publish is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As this node has it.
    Local,
    /// As any node had it when the publish came.
    CaughtUp,
}

/// Where a message goes by the local copy of the catalog, and whether others with its keys may go
/// elsewhere.
pub(crate) fn route(
    broker: &Inner,
    client: &Client,
    publish: &Publish,
    wishes: &Wishes,
) -> Result<(Plan, bool), Bar> {
    let exchange = exchange_of(publish);
    broker.directory.look(|catalog| permit(catalog, client, exchange, publish, wishes))?;
    route_permitted(broker, client, publish, wishes).map_err(Bar::Refused)
}

fn exchange_of(publish: &Publish) -> &str {
    std::str::from_utf8(&publish.exchange).expect("names were checked when read")
}

/// As [`route`], for whoever may publish anywhere.
pub(crate) fn route_permitted(
    broker: &Inner,
    client: &Client,
    publish: &Publish,
    wishes: &Wishes,
) -> Result<(Plan, bool), Failure> {
    let exchange = exchange_of(publish);
    broker.directory.look(|catalog| {
        let extra_keys: Vec<&[u8]> = wishes.extra_keys.iter().map(Vec::as_slice).collect();
        let properties = Properties { header: &wishes.header, headers: wishes.headers.as_ref() };
        let message = Message {
            routing_key: &publish.routing_key,
            extra_keys: &extra_keys,
            headers: &properties,
        };
        let mut routed = Routed::new();
        catalog
            .route(&client.vhost, exchange, message, &mut routed)
            .map_err(|_| no_exchange(exchange, &client.vhost))?;
        let passage = broker.throughput.of(&client.vhost, exchange);
        let mut plan = Plan { passage, ..Plan::default() };
        for target in routed.targets() {
            let row = catalog.queue_by_id(target.queue);
            let placed = row.and_then(|row| Some((row, broker.ensure(row)?)));
            if let Some((row, slot)) = placed {
                plan.add(slot, target.queue);
                plan.once.extend(Once::of(row, slot));
            }
        }
        Ok((plan, routed.varies()))
    })
}

fn permit(
    catalog: &Catalog,
    client: &Client,
    exchange: &str,
    publish: &Publish,
    wishes: &Wishes,
) -> Result<(), Bar> {
    let vhost = &client.vhost;
    match client.may(catalog, Kind::Exchange, exchange, Access::Write) {
        Some(true) => {}
        found => {
            let question = Kind::Exchange.question(vhost, exchange, Access::Write);
            return Err(bar(found, question, client));
        }
    }
    let Some(row) = catalog.exchange(vhost, exchange) else {
        let is_default = exchange.is_empty();
        return if is_default { Ok(()) } else { Err(Bar::Refused(no_exchange(exchange, vhost))) };
    };
    if row.internal {
        return Err(Bar::Refused(Failure::new(
            ReplyCode::AccessRefused,
            format_args!("cannot publish to internal exchange '{exchange}' in vhost '{vhost}'"),
        )));
    }
    if row.routing_kind() == warren_catalog::ExchangeKind::Topic {
        let check = client.topics(catalog, exchange, TopicAccess::Write);
        let keys = std::iter::once(&*publish.routing_key)
            .chain(wishes.extra_keys.iter().map(Vec::as_slice));
        for key in keys {
            match check.allows(key) {
                Some(true) => {}
                found => {
                    let question = topic_question(vhost, exchange, key, Access::Write);
                    return Err(bar(found, question, client));
                }
            }
        }
    }
    Ok(())
}

/// What stands in the way of something that is not known to be allowed.
fn bar(found: Option<bool>, question: Question<'_>, client: &Client) -> Bar {
    match found {
        Some(_) => Bar::Refused(forbidden(&question, client, None)),
        None => Bar::Unasked(question.into_owned()),
    }
}

/// Asks what is not known.
///
/// # Errors
/// When it is forbidden.
pub(crate) async fn ask(client: &Client, question: &Question<'_>) -> Result<(), Failure> {
    match client.grants.ask(question).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(forbidden(question, client, None)),
        Err(why) => Err(forbidden(question, client, Some(&why))),
    }
}

/// What a client hears that may not do what was asked.
fn forbidden(question: &Question<'_>, client: &Client, why: Option<&str>) -> Failure {
    let vhost = &client.vhost;
    match &question.what {
        What::Vhost => {
            let user = &client.user;
            let text = format!("access to vhost '{vhost}' refused for user '{user}'");
            Failure::new(ReplyCode::NotAllowed, text)
        }
        What::Queue { name, permission } => {
            refused(permission, format_args!("queue '{name}'"), client, why)
        }
        What::Exchange { name, permission } => {
            refused(permission, format_args!("exchange '{name}'"), client, why)
        }
        What::Topic { exchange, routing_key, permission } => {
            let what = format_args!("topic '{routing_key}' in exchange '{exchange}'");
            refused(permission, what, client, why)
        }
    }
}

/// `write access to exchange 'x' in vhost 'v' refused for user 'u'`
pub(crate) fn refused(
    access: &str,
    what: impl std::fmt::Display,
    client: &Client,
    why: Option<&str>,
) -> Failure {
    let Client { user, vhost, .. } = client;
    let why = why.map(|why| format!(", a backend returned an error: {why}")).unwrap_or_default();
    Failure::new(
        ReplyCode::AccessRefused,
        format_args!("{access} access to {what} in vhost '{vhost}' refused for user '{user}'{why}"),
    )
}

/// `no exchange 'x' in vhost 'v'`
pub(crate) fn no_exchange(exchange: &str, vhost: &str) -> Failure {
    Failure::new(ReplyCode::NotFound, format_args!("no exchange '{exchange}' in vhost '{vhost}'"))
}
