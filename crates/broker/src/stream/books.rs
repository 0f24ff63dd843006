//! How much streams are read by the clients of this node.
//!
//! A stream's shard knows nothing of its readers, so their node counts them. What is counted of a
//! stream stays until it is deleted, as a queue's own counts do.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use warren_types::QueueId;

/// What has happened to one stream here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Consumers there are.
    pub(crate) consumers: u64,
    /// Messages that were delivered.
    pub(crate) delivered: u64,
    /// Messages that were acknowledged.
    pub(crate) acknowledged: u64,
}

/// All streams that were read here.
#[derive(Debug, Default)]
pub(crate) struct Books {
    accounts: Mutex<BTreeMap<QueueId, Account>>,
}

impl Books {
    /// A consumer has come.
    pub(crate) fn begin(&self, stream: QueueId) {
        let mut accounts = self.accounts();
        let account = accounts.entry(stream).or_default();
        account.consumers = account.consumers.saturating_add(1);
    }

    /// A consumer has gone.
    pub(crate) fn end(&self, stream: QueueId) {
        if let Some(account) = self.accounts().get_mut(&stream) {
            account.consumers = account.consumers.saturating_sub(1);
        }
    }

    /// A consumer was given so many messages.
    pub(crate) fn give(&self, stream: QueueId, count: u64) {
        if let Some(account) = self.accounts().get_mut(&stream) {
            account.delivered = account.delivered.saturating_add(count);
        }
    }

    /// A consumer has acknowledged so many.
    pub(crate) fn acknowledge(&self, stream: QueueId, count: u64) {
        if let Some(account) = self.accounts().get_mut(&stream) {
            account.acknowledged = account.acknowledged.saturating_add(count);
        }
    }

    /// What was counted of the streams for which `is_there` holds; the others are forgotten.
    pub(crate) fn take_stock(&self, is_there: impl Fn(QueueId) -> bool) -> Vec<(QueueId, Account)> {
        let mut accounts = self.accounts();
        accounts.retain(|stream, account| account.consumers > 0 || is_there(*stream));
        accounts.iter().map(|(stream, account)| (*stream, *account)).collect()
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<QueueId, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_counted_until_it_is_gone() {
        let (books, stream, other) = (Books::default(), QueueId(1), QueueId(2));
        books.begin(stream);
        books.begin(stream);
        books.give(stream, 10);
        books.acknowledge(stream, 3);
        books.end(stream);
        books.begin(other);
        books.end(other);

        let kept = books.take_stock(|queue| queue == stream);

        let account = Account { consumers: 1, delivered: 10, acknowledged: 3 };
        assert_eq!(kept, [(stream, account)]);
        assert_eq!(books.take_stock(|_| false), [(stream, account)], "somebody reads it");
        books.end(stream);
        assert_eq!(books.take_stock(|_| false), []);
    }
}
