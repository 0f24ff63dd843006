//! What its publisher calls a message, for queues that take a message once.
//!
//! The name is the message-id, or the header that the queue's `x-deduplication-header` names: text,
//! bytes or a whole number. The shard is given a hash of it that is the same on every node and in
//! every release.
//!
//! **Not here:** what a queue has taken; its shard knows that.

use sha2::{Digest, Sha256};
use warren_amqp::header;
use warren_catalog::{Name, Queue};
use warren_queue::{DEDUP_KEY_BYTES, DedupKey};
use warren_types::{QueueId, Value};

use super::message::Wishes;
use crate::queue::handle::ShardSlot;

/// The first byte of what is hashed.
const BY_MESSAGE_ID: u8 = 0;
const BY_HEADER: u8 = 1;

/// A queue that takes a message once, and what it goes by.
#[derive(Clone, Debug)]
pub(crate) struct Once {
    slot: ShardSlot,
    queue: QueueId,
    header: Option<Name>,
}

impl Once {
    /// The queue, where it is such a one.
    pub(crate) fn of(queue: &Queue, slot: ShardSlot) -> Option<Self> {
        let dedup = queue.settings.dedup.as_ref()?;
        Some(Self { slot, queue: queue.id, header: dedup.header.clone() })
    }
}

/// What tells a message from others in those of `queues` that `slot` has.
pub(crate) fn keys(queues: &[Once], slot: ShardSlot, wishes: &Wishes) -> Vec<(QueueId, DedupKey)> {
    let here = queues.iter().filter(|once| once.slot == slot);
    here.filter_map(|once| Some((once.queue, key(wishes, once.header.as_deref())?))).collect()
}

/// None for a message that has no name: it is taken as often as it comes.
fn key(wishes: &Wishes, by: Option<&str>) -> Option<DedupKey> {
    let hash = Sha256::new();
    let hash = match by {
        None => {
            let id = header::message_id(&wishes.header).filter(|id| !id.is_empty())?;
            hash.chain_update([BY_MESSAGE_ID]).chain_update(id)
        }
        Some(by) => {
            let value = wishes.headers.as_ref()?.value(by)?;
            let number = value.as_integer().map(|number| number.to_string());
            let name: &[u8] = match value {
                Value::LongString(bytes) | Value::Bytes(bytes) => bytes,
                _ => number.as_deref()?.as_bytes(),
            };
            hash.chain_update([BY_HEADER]).chain_update(by).chain_update([0]).chain_update(name)
        }
    };
    let hash: [u8; 32] = hash.finalize().into();
    let (key, _) = hash.split_first_chunk::<DEDUP_KEY_BYTES>().expect("a hash is longer");
    Some(DedupKey(*key))
}

#[cfg(test)]
mod tests {
    use warren_amqp::header::Properties;
    use warren_types::Table;

    use super::*;
    use crate::connection::message::wishes;

    fn message(id: Option<&str>, headers: &[(&str, Value)]) -> Wishes {
        let table: Table =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let properties = Properties {
            message_id: id.map(str::to_owned),
            headers: (!headers.is_empty()).then_some(table),
            ..Properties::default()
        };
        wishes(properties.encode(), "user", false).expect("sound properties")
    }

    #[test]
    fn a_name_has_one_key_for_ever() {
        let by_id = key(&message(Some("order-1"), &[]), None).expect("it has a name");
        let by_header = [Value::text("7"), Value::I32(7), Value::I64(7)]
            .map(|value| key(&message(None, &[("order", value)]), Some("order")));

        let hex = by_id.0.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex, "6a46def5c5698e967717b55abac5d972");
        assert_eq!(by_header[0], by_header[1]);
        assert_eq!(by_header[1], by_header[2]);
        assert_ne!(by_header[0], Some(by_id));
        assert_ne!(by_header[0], key(&message(None, &[("other", Value::I32(7))]), Some("other")));
    }

    #[test]
    fn a_message_without_a_name_has_no_key() {
        let nameless = [
            (message(None, &[]), None),
            (message(Some(""), &[]), None),
            (message(Some("id"), &[]), Some("order")),
            (message(Some("id"), &[("order", Value::Void)]), Some("order")),
        ];

        assert!(nameless.iter().all(|(wishes, by)| key(wishes, *by).is_none()));
    }
}
