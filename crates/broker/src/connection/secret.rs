//! What the client has shown may end, and be replaced: tokens.
//!
//! A connection whose token ends is closed. Before that the client can show another one for the same
//! user (connection.update-secret): what it may do follows from that from then on, also for consumers
//! that it has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use warren_amqp::{MethodId, Reply, ReplyCode};
use warren_catalog::Access;
use warren_queue::CancelReason;
use warren_types::{ChannelNumber, ConsumerNumber};

use super::holder::Stage;
use super::operation::Finish;
use super::state::{Client, Connection};
use crate::doorkeeper::{Credentials, Door};
use crate::failure::Failure;
use crate::grants::{Identity, Kind, vhost_question};

/// What a client hears whose token has ended.
const EXPIRED: &str = "credential expired";

impl Connection {
    /// Has the connection closed when what the client has shown ends.
    pub(crate) fn watch_expiry(&mut self) {
        let expires_s = self.client().grants.expires_s();
        match &self.expiry {
            Some(expiry) => drop(expiry.send_replace(expires_s)),
            None if expires_s.is_none() => {}
            None => {
                let (expiry, changes) = watch::channel(expires_s);
                self.expiry = Some(expiry);
                // No method of the client's has brought it about.
                self.begin_apart(MethodId::NONE, async move {
                    expired(changes).await;
                    Err(Failure::new(ReplyCode::ConnectionForced, EXPIRED))
                });
            }
        }
    }

    /// connection.update-secret: a password is checked again, as at the login, and what a token
    /// allows is what the client may do from here on.
    pub(crate) fn update_secret(&mut self, secret: Vec<u8>) {
        let (broker, peer) = (self.broker.clone(), self.peer.ip());
        let Client { user, vhost, .. } = self.client().clone();
        self.begin_apart(MethodId::CONNECTION_UPDATE_SECRET, async move {
            let refused = || {
                Failure::new(
                    ReplyCode::NotAllowed,
                    format_args!("New secret was refused by one of the backends for user '{user}'"),
                )
            };
            let shown = Credentials::Password(&secret);
            let known = broker.login(Door::Amqp, peer, &user, shown).await;
            let known = known.map_err(|why| {
                tracing::warn!("secret update was refused for user '{user}': {why}");
                refused()
            })?;
            if known.name != user {
                tracing::warn!("not allowed to change username on refreshed token: '{user}'");
                return Err(refused());
            }
            let Identity { grants, .. } = &known;
            let opens = broker.directory.look(|catalog| grants.opens(catalog, &user, &vhost));
            let question = vhost_question(&vhost);
            let opens = opens == Some(true) || grants.ask(&question).await == Ok(true);
            if !opens {
                let text = format!("access to vhost '{vhost}' refused for user '{user}'");
                return Err(Failure::new(ReplyCode::NotAllowed, text));
            }
            let finish: Finish = Box::new(move |connection| {
                connection.renew_grants(known);
                connection.reply(ChannelNumber(0), &Reply::UpdateSecretOk)
            });
            Ok(finish)
        });
    }

    fn renew_grants(&mut self, identity: Identity) {
        let Some(client) = &mut self.client else { return };
        let Identity { tags, grants, .. } = identity;
        let is_other = client.grants != grants;
        client.tags = tags;
        client.grants = grants;
        self.watch_expiry();
        if is_other {
            // Where messages may go was worked out with what was allowed before.
            self.plans.clear();
            self.cancel_forbidden();
        }
    }

    /// Cancels the consumers of queues that the client may not read.
    fn cancel_forbidden(&mut self) {
        let client = self.client();
        let live = self.holders.values();
        let live = live.filter(|holder| !holder.is_getter && holder.stage == Stage::Live);
        let forbidden: Vec<ConsumerNumber> = self.broker.directory.look(|catalog| {
            let may_read = |queue| match catalog.queue_by_id(queue) {
                // Where somebody has to be asked, what was begun goes on.
                Some(row) => {
                    client.may(catalog, Kind::Queue, &row.name, Access::Read) != Some(false)
                }
                None => true,
            };
            live.filter(|holder| !may_read(holder.queue)).map(|holder| holder.number).collect()
        });
        for consumer in forbidden {
            self.cancelled(consumer, CancelReason::QueueDeleted);
        }
    }
}

/// Waits until the time has come that was said last, seconds since 1970.
async fn expired(mut changes: watch::Receiver<Option<u64>>) {
    loop {
        let expires_s = *changes.borrow_and_update();
        let wait = async {
            match expires_s {
                Some(expires_s) => tokio::time::sleep(until(expires_s)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() {
                // The connection has ended, and whoever waited for this with it.
                return;
            },
            () = wait => {
                // The clock may have been put back meanwhile.
                if expires_s.is_some_and(|expires_s| until(expires_s).is_zero()) {
                    return;
                }
            }
        }
    }
}

/// How long it is until then.
fn until(time_s: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(time_s).saturating_sub(now)
}
