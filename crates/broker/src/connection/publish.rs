//! basic.publish: may it, where does it go, who waits for it.

use std::sync::Arc;

use bytes::Bytes;
use warren_amqp::{Body, MethodId, ReplyCode};
use warren_catalog::{Access, Catalog, Message, Routed, TopicAccess};
use warren_types::ChannelNumber;

use super::channel::Mode;
use super::dedup::{Once, keys};
use super::message::{Properties, Wishes, wishes};
use super::operation::Finish;
use super::plan::Plan;
use super::staging::Origin;
use super::state::{Client, Connection};
use crate::broker::Inner;
use crate::failure::Failure;

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
    /// It may not be published.
    Refused(Failure),
}

impl Connection {
    /// Makes plans of an older catalog void. Once per burst: what one burst of frames sees is
    /// the catalog at its beginning, or later.
    pub(crate) fn begin_burst(&mut self) {
        let revision = self.broker.directory.look(Catalog::revision);
        self.plans.renew(revision);
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
        let (publish, mut wishes) = self.examine(number, publish)?;
        if let Some(address) = super::reply_to::address(&publish) {
            // Replies pass the default exchange, as everything does that names none.
            let permitted = self
                .broker
                .directory
                .look(|catalog| permit(catalog, self.client(), "", &publish, &wishes));
            return match permitted {
                Ok(()) => self.publish_reply(number, address, &publish, &wishes),
                Err(failure) if freshness == Freshness::CaughtUp => Err(failure),
                Err(_) => self.ask_again(number, publish),
            };
        }
        let plan = match self.plan(&publish, &wishes) {
            Route::Known { plan, lasting } => {
                if lasting {
                    self.plans.keep(&publish.exchange, &publish.routing_key, plan.clone());
                }
                plan
            }
            Route::Refused(failure) if freshness == Freshness::CaughtUp => return Err(failure),
            Route::Refused(_) => return self.ask_again(number, publish),
        };
        if let Some(traced) = &mut wishes.traced {
            traced.note_route();
        }
        if plan.shards.is_empty() && freshness == Freshness::Local && !self.knows_all() {
            return self.ask_again(number, publish);
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
            && self.broker.directory.look(|catalog| {
                catalog.user(&user).is_some_and(|user| user.has_tag("impersonator"))
            });
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
            Err(failure) => Route::Refused(failure),
        }
    }

    /// Whether the local copy of the catalog cannot be behind what any client was told.
    pub(crate) fn knows_all(&self) -> bool {
        self.broker.directory.is_alone()
    }

    /// What this node knows says no; another node may know better.
    fn ask_again(&mut self, number: ChannelNumber, publish: Publish) -> Result<(), Failure> {
        let directory = self.broker.directory.clone();
        // What waits behind it was read before the catalog is asked: it need not be asked again.
        let covered = self.channel(number).backlog.len();
        let work = async move {
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
) -> Result<(Plan, bool), Failure> {
    let exchange = exchange_of(publish);
    broker.directory.look(|catalog| permit(catalog, client, exchange, publish, wishes))?;
    route_permitted(broker, client, publish, wishes)
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
) -> Result<(), Failure> {
    let Client { user, vhost, .. } = client;
    if !client.may(catalog, exchange, Access::Write) {
        let shown = if exchange.is_empty() { "amq.default" } else { exchange };
        return Err(refused("write", format_args!("exchange '{shown}'"), client));
    }
    let Some(row) = catalog.exchange(vhost, exchange) else {
        return if exchange.is_empty() { Ok(()) } else { Err(no_exchange(exchange, vhost)) };
    };
    if row.internal {
        return Err(Failure::new(
            ReplyCode::AccessRefused,
            format_args!("cannot publish to internal exchange '{exchange}' in vhost '{vhost}'"),
        ));
    }
    if row.routing_kind() == warren_catalog::ExchangeKind::Topic {
        let check = client.topics(catalog, exchange, TopicAccess::Write);
        let keys = std::iter::once(&*publish.routing_key)
            .chain(wishes.extra_keys.iter().map(Vec::as_slice));
        for key in keys {
            if !check.allows(key) {
                let key = String::from_utf8_lossy(key);
                return Err(Failure::new(
                    ReplyCode::AccessRefused,
                    format_args!(
                        "write access to topic '{key}' in exchange '{exchange}' in vhost \
                         '{vhost}' refused for user '{user}'"
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// `write access to exchange 'x' in vhost 'v' refused for user 'u'`
pub(crate) fn refused(access: &str, what: impl std::fmt::Display, client: &Client) -> Failure {
    let Client { user, vhost, .. } = client;
    Failure::new(
        ReplyCode::AccessRefused,
        format_args!("{access} access to {what} in vhost '{vhost}' refused for user '{user}'"),
    )
}

/// `no exchange 'x' in vhost 'v'`
pub(crate) fn no_exchange(exchange: &str, vhost: &str) -> Failure {
    Failure::new(ReplyCode::NotFound, format_args!("no exchange '{exchange}' in vhost '{vhost}'"))
}
