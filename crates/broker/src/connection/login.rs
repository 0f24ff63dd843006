//! Who comes in: from connection.start-ok to connection.open.

use warren_amqp::{
    ClientCapabilities, Config as Offer, ConnectionError, LoginRefusal, MethodId, ReplyCode, sasl,
};
use warren_catalog::{Catalog, Name};
use warren_types::{Table, Value};

use super::operation::Finish;
use super::state::{Client, Connection, Phase};
use crate::admin::LoginError;
use crate::config::{Config, Limits};
use crate::doorkeeper::{Credentials, Door};
use crate::failure::Failure;
use crate::grants::{Grants, Identity, vhost_question};
use crate::limit::Limit;
use crate::reception::CERTIFICATE_REVOKED;
use crate::registry::Registered;
use crate::survey::Whose;

/// The mechanisms on offer, by preference.
const MECHANISMS: &str = "PLAIN AMQPLAIN";

/// The same for a client whose certificate was verified.
const MECHANISMS_WITH_CERTIFICATE: &str = "EXTERNAL PLAIN AMQPLAIN";

/// The smallest frame size that a client may ask for: AMQP's own minimum.
const FRAME_MIN_BYTES: u32 = 4096;

/// The largest frame before the client has logged in: a token may be long.
const HANDSHAKE_FRAME_BYTES: u32 = 128 * 1024;

/// What the broker can do, as clients ask for it.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

/// What a client is offered.
pub(crate) fn offer(config: &Config, limits: &Limits, has_certificate: bool) -> Offer {
    let mut capabilities = Table::new();
    for name in CAPABILITIES {
        capabilities.insert(name, Value::Bool(true));
    }
    let mut properties = Table::new();
    properties.insert("capabilities", Value::Table(capabilities));
    properties.insert("cluster_name", Value::text(&config.cluster_name));
    properties.insert("copyright", Value::text("The warren authors"));
    properties.insert("information", Value::text("Licensed under the Apache License 2.0"));
    properties.insert("platform", Value::text("Rust"));
    properties.insert("product", Value::text("warren"));
    properties.insert("version", Value::text(env!("CARGO_PKG_VERSION")));
    let mechanisms = if has_certificate { MECHANISMS_WITH_CERTIFICATE } else { MECHANISMS };
    Offer {
        server_properties: properties,
        mechanisms: mechanisms.to_owned(),
        locales: "en_US".to_owned(),
        frame_max: limits.frame_max_bytes,
        min_frame_max: FRAME_MIN_BYTES,
        channel_max: limits.channel_max,
        heartbeat_s: limits.heartbeat_s,
        max_message_bytes: limits.message_max_bytes,
        handshake_frame_max: HANDSHAKE_FRAME_BYTES,
        max_unfinished_bytes: limits.message_max_bytes.saturating_mul(4),
    }
}

impl Connection {
    /// connection.start-ok
    pub(crate) fn start_ok(
        &mut self,
        mechanism: &str,
        response: &[u8],
        client_properties: &Table,
    ) -> Result<(), Failure> {
        self.capabilities = ClientCapabilities::of(client_properties);
        self.facts.introduced(mechanism, client_properties);
        self.note_session(client_properties);
        let certified = self.secured.as_ref().and_then(|session| session.login_name.clone());
        let (user, password) = match (mechanism, certified) {
            ("PLAIN", _) => shown(sasl::plain(response)?),
            ("AMQPLAIN", _) => shown(sasl::amqplain(response)?),
            ("EXTERNAL", Some(name)) => (name, None),
            (other, _) => {
                let text = format!("unknown authentication mechanism '{other}'");
                return Err(Failure::new(ReplyCode::CommandInvalid, text));
            }
        };
        let (broker, peer, mechanism) = (self.broker.clone(), self.peer.ip(), mechanism.to_owned());
        self.begin_apart(MethodId::CONNECTION_START_OK, async move {
            let shown = match &password {
                Some(password) => Credentials::Password(password),
                None => Credentials::Certificate,
            };
            let known = broker.login(Door::Amqp, peer, &user, shown).await;
            let finish: Finish = Box::new(move |connection| {
                match known {
                    Ok(known) => connection.welcome(&mechanism, known),
                    Err(why) => connection.refuse(&mechanism, &user, why),
                }
                Ok(())
            });
            Ok(finish)
        });
        Ok(())
    }

    fn welcome(&mut self, mechanism: &str, identity: Identity) {
        self.tell_login(mechanism, &identity.name, None);
        self.user = Some(identity.name.clone());
        self.identity = Some(identity);
        self.wire.accept_login(&mut self.out);
    }

    fn refuse(&mut self, mechanism: &str, user: &str, why: LoginError) {
        tracing::warn!("{mechanism} login refused: user '{user}' - {why}");
        // Who listens to events is no stranger: other than the client, it is told the reason.
        self.tell_login(mechanism, user, Some(&why.to_string()));
        let text = format!(
            "Login was refused using authentication mechanism {mechanism}. \
             For details see the broker logfile."
        );
        match self.wire.refuse_login(text, &mut self.out) {
            LoginRefusal::Closing => {}
            LoginRefusal::HoldThenDrop => self.phase = Phase::Held,
        }
    }

    /// connection.open
    pub(crate) fn open(&mut self, vhost: &str) -> Result<(), Failure> {
        let identity = self.identity.take().expect("a virtual host is opened after the login");
        match self.broker.directory.look(|catalog| admit(catalog, &identity, vhost)) {
            Ok(vhost) => self.enter(identity, vhost),
            Err(error)
                if identity.grants == Grants::Catalog && self.broker.directory.is_alone() =>
            {
                Err(error.into())
            }
            Err(_) => {
                self.ask_again_for(identity, vhost.to_owned());
                Ok(())
            }
        }
    }

    /// Another node may have made the virtual host, or given a permission in it, a moment ago; or
    /// somebody else has to say who may open it.
    fn ask_again_for(&mut self, identity: Identity, vhost: String) {
        let directory = self.broker.directory.clone();
        let limit = self.limits().operation_timeout;
        self.begin_apart(MethodId::CONNECTION_OPEN, async move {
            if identity.grants != Grants::Catalog
                && let Err(why) = identity.grants.ask(&vhost_question(&vhost)).await
            {
                tracing::warn!(why, vhost, "nobody says whether a client may open a vhost");
            }
            // Without a majority the local copy is the best there is.
            let _caught_up = tokio::time::timeout(limit, directory.catch_up()).await;
            let finish: Finish = Box::new(move |connection| {
                let admit = |catalog: &Catalog| admit(catalog, &identity, &vhost);
                let vhost = connection.broker.directory.look(admit)?;
                connection.enter(identity.clone(), vhost)
            });
            Ok(finish)
        });
    }

    fn enter(&mut self, identity: Identity, vhost: Name) -> Result<(), Failure> {
        let from = Some(self.peer.ip());
        let Identity { name: user, tags, grants } = identity;
        let client = Client { user: user.clone(), vhost: vhost.clone(), from, tags, grants };
        let name = self.name();
        let (mailbox, secured) = (self.mailbox.clone(), self.secured.clone());
        let channels = self.channel_count.clone();
        let registered = Registered { mailbox, vhost, user, name, secured, channels };
        // Whoever is counted first is seen by whoever counts later, on whichever node: of clients
        // that come at once none is let in beyond a limit.
        self.broker.registry.enter(self.id, registered);
        self.check_certificate()?;
        self.check_connections_of_node()?;
        let limits = self.broker.directory.look(|catalog| Quota::of(catalog, &client));
        if limits.is_empty() {
            self.opened(client);
            return Ok(());
        }
        let broker = self.broker.clone();
        self.begin_apart(MethodId::CONNECTION_OPEN, async move {
            for limit in &limits {
                let count = broker.count_connections(limit.whose.clone()).await;
                if count > limit.connections {
                    return Err(limit.refusal(&client));
                }
            }
            let finish: Finish = Box::new(move |connection| {
                connection.opened(client);
                Ok(())
            });
            Ok(finish)
        });
        Ok(())
    }

    /// Refuses a client whose certificate was denied after it had been shown: nobody looks at those
    /// again who are not registered.
    fn check_certificate(&self) -> Result<(), Failure> {
        if self.secured.as_ref().is_some_and(|session| session.is_revoked()) {
            return Err(Failure::new(ReplyCode::ConnectionForced, CERTIFICATE_REVOKED));
        }
        Ok(())
    }

    /// Refuses a client beyond those that the node may have.
    fn check_connections_of_node(&self) -> Result<(), Failure> {
        let limit = self.broker.limits().connections;
        if self.broker.registry.len() <= limit {
            return Ok(());
        }
        self.broker.counters.hits.note(Limit::Connections);
        Err(Failure::new(
            ReplyCode::NotAllowed,
            format_args!("connection refused: node connection limit ({limit}) is reached"),
        ))
    }

    fn opened(&mut self, client: Client) {
        self.claim = self.claim_of(&client);
        self.client = Some(client);
        self.phase = Phase::Open;
        self.wire.accept_open(&mut self.out);
        if let Some(Client { user, vhost, .. }) = &self.client {
            tracing::info!("user '{user}' authenticated and granted access to vhost '{vhost}'");
        }
        self.tell_opened();
        self.watch_expiry();
    }
}

fn shown(credentials: sasl::Credentials) -> (String, Option<Vec<u8>>) {
    (credentials.user, Some(credentials.password))
}

/// How many connections somebody may have, over all nodes.
#[derive(Debug)]
struct Quota {
    whose: Whose,
    connections: u64,
}

impl Quota {
    /// Those that a client falls under.
    fn of(catalog: &Catalog, client: &Client) -> Vec<Self> {
        let Client { user, vhost, .. } = client;
        let of_vhost = catalog.vhost(vhost).and_then(|vhost| vhost.limits.max_connections);
        let of_user = catalog.user(user).and_then(|user| user.limits.max_connections);
        let limits =
            [(Whose::Vhost(vhost.to_string()), of_vhost), (Whose::User(user.to_string()), of_user)];
        let set = limits.into_iter().filter_map(|(whose, limit)| Some((whose, limit?)));
        set.map(|(whose, connections)| Self { whose, connections }).collect()
    }

    fn refusal(&self, client: &Client) -> Failure {
        let (Client { user, vhost, .. }, limit) = (client, self.connections);
        match self.whose {
            Whose::User(_) => Failure::new(
                ReplyCode::NotAllowed,
                format_args!(
                    "connection refused for user '{user}': user connection limit ({limit}) is reached"
                ),
            ),
            Whose::Vhost(_) | Whose::Name(_) | Whose::All => Failure::new(
                ReplyCode::NotAllowed,
                format_args!(
                    "access to vhost '{vhost}' refused for user '{user}': \
                     connection limit ({limit}) is reached"
                ),
            ),
        }
    }
}

fn admit(catalog: &Catalog, identity: &Identity, vhost: &str) -> Result<Name, ConnectionError> {
    let user = &identity.name;
    let Some(row) = catalog.vhost(vhost) else {
        return Err(ConnectionError::new(
            ReplyCode::NotAllowed,
            format_args!("vhost {vhost} not found"),
        ));
    };
    if identity.grants.opens(catalog, user, vhost) != Some(true) {
        return Err(ConnectionError::new(
            ReplyCode::NotAllowed,
            format_args!("access to vhost '{vhost}' refused for user '{user}'"),
        ));
    }
    Ok(row.name.clone())
}
