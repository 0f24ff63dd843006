//! Clients that come back: what they held when their connection broke is kept for them.
//!
//! A client that has `session_id` among its client properties, a text of its own choice, is known by
//! it and by its user on every node. Its consumers register with a [`Claim`]; when their connection
//! ends otherwise than by connection.close, what they held waits for the client
//! (`limits.session_grace_ms`), and comes to its first consumer on the same queue before anything else.
//! A second connection with the same name takes the consumers of the first over, queue by queue, as it
//! consumes: it is the same client, whose former connection is dead and has not been found to be.
//!
//! **Not here:** what is kept, and until when. The shards know that.

use sha2::{Digest, Sha256};
use warren_queue::{CLAIM_KEY_BYTES, Claim, ClaimKey, Command};
use warren_types::{ConsumerNumber, Table};

use super::state::{Client, Connection};
use crate::feature::Feature;

/// The client property.
const SESSION_ID: &str = "session_id";

impl Connection {
    /// Takes note of what the client calls itself.
    pub(crate) fn note_session(&mut self, client_properties: &Table) {
        let id = client_properties.value(SESSION_ID).and_then(|value| value.as_text());
        self.session_id = id.filter(|id| !id.is_empty()).map(str::to_owned);
    }

    /// What the client's consumers register with.
    pub(crate) fn claim_of(&self, client: &Client) -> Option<Claim> {
        let session_id = self.session_id.as_deref();
        let session_id = session_id.filter(|_| self.broker.directory.knows(Feature::Continuity))?;
        let grace = self.limits().session_grace;
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let connection = u64::from(self.id.0);
        (grace_ms > 0).then(|| Claim { key: key(&client.user, session_id), connection, grace_ms })
    }

    /// How a consumer ends whose connection does.
    pub(crate) fn end_of(&self, consumer: ConsumerNumber) -> Command {
        if self.is_lost && self.claim.is_some() {
            return Command::Lose { consumer };
        }
        Command::Detach { consumer }
    }
}

/// No two clients have the same, whatever they call themselves.
fn key(user: &str, session_id: &str) -> ClaimKey {
    let hash = Sha256::new().chain_update(user).chain_update([0]).chain_update(session_id);
    let hash: [u8; 32] = hash.finalize().into();
    let (key, _) = hash.split_first_chunk::<CLAIM_KEY_BYTES>().expect("a hash is longer");
    ClaimKey(*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_key_for_ever_and_no_other_user_has_it() {
        let mine = key("guest", "worker-1");

        let hex = mine.0.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex, "eedc4be554b67b8de5e723986f530ab9");
        assert_ne!(mine, key("guest", "worker-2"));
        assert_ne!(mine, key("guestw", "orker-1"));
    }
}
