//! How much goes into one message.

use std::vec;

use bytes::Bytes;
use warren_types::LogIndex;

use crate::frontend::{FrontItem, HostItem};

/// Beyond this a batch is sent as several messages. A message is read as a whole before anything
/// of it is handed on, and the largest one that is read has a limit as well.
pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// What an item, or a part of it, costs beyond its bytes.
const OVERHEAD_BYTES: usize = 32;

/// Knows about how many bytes it takes.
pub(crate) trait Weighed {
    /// Not fewer than it takes.
    fn weight(&self) -> usize;
}

impl Weighed for FrontItem {
    fn weight(&self) -> usize {
        match self {
            Self::Subscribe { .. } => OVERHEAD_BYTES * 2,
            Self::Fragments { fragments, .. } => {
                OVERHEAD_BYTES * 2 + sum(fragments.iter().map(|it| &it.fragment))
            }
            Self::DirectReply(reply) => {
                let parts = [&reply.exchange, &reply.routing_key, &reply.header, &reply.body];
                OVERHEAD_BYTES + sum(parts)
            }
        }
    }
}

impl Weighed for HostItem {
    fn weight(&self) -> usize {
        OVERHEAD_BYTES * 2
            + match self {
                Self::Subscribed { consumers, .. } => consumers.len().saturating_mul(10),
                Self::Refused { .. } => 0,
                Self::Answers { answers, .. } => sum(answers.iter().map(|(_, reply)| reply)),
                Self::Notices { notices, rows, .. } => {
                    sum(notices).saturating_add(sum(rows.iter().map(|(_, row)| row)))
                }
            }
    }
}

impl Weighed for (LogIndex, Bytes) {
    fn weight(&self) -> usize {
        OVERHEAD_BYTES.saturating_add(self.1.len())
    }
}

fn sum<'a>(parts: impl IntoIterator<Item = &'a Bytes>) -> usize {
    let weights = parts.into_iter().map(|part| OVERHEAD_BYTES.saturating_add(part.len()));
    weights.fold(0, usize::saturating_add)
}

/// The same items in the same order, in batches that each fit into one message, or hold one item.
pub(crate) fn split<T: Weighed>(batch: Vec<T>) -> Split<T> {
    let weight = batch.iter().map(Weighed::weight).fold(0, usize::saturating_add);
    if weight <= MESSAGE_BYTES {
        return Split { whole: Some(batch), rest: Vec::new().into_iter() };
    }
    Split { whole: None, rest: batch.into_iter() }
}

/// The batches that [`split`] makes.
pub(crate) struct Split<T> {
    /// A batch that needs no splitting.
    whole: Option<Vec<T>>,
    rest: vec::IntoIter<T>,
}

impl<T: Weighed> Iterator for Split<T> {
    type Item = Vec<T>;

    fn next(&mut self) -> Option<Vec<T>> {
        if let Some(whole) = self.whole.take() {
            return Some(whole);
        }
        let first = self.rest.next()?;
        let mut weight = first.weight();
        let mut batch = vec![first];
        while let Some(next) = self.rest.as_slice().first() {
            weight = weight.saturating_add(next.weight());
            if weight > MESSAGE_BYTES {
                break;
            }
            batch.extend(self.rest.next());
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: u64, bytes: usize) -> (LogIndex, Bytes) {
        (LogIndex(index), Bytes::from(vec![0; bytes]))
    }

    /// How many items each batch has.
    fn sizes(batch: Vec<(LogIndex, Bytes)>) -> Vec<usize> {
        let all = batch.clone();
        let batches: Vec<_> = split(batch).collect();
        let sizes = batches.iter().map(Vec::len).collect();
        assert_eq!(batches.concat(), all, "the same items in the same order");
        sizes
    }

    #[test]
    fn what_fits_stays_together() {
        let most = MESSAGE_BYTES - OVERHEAD_BYTES;

        assert_eq!(sizes(vec![]), [0]);
        assert_eq!(sizes(vec![row(1, most)]), [1]);
        assert_eq!(sizes((0..100).map(|index| row(index, 1000)).collect()), [100]);
    }

    #[test]
    fn what_does_not_fit_is_split_between_items() {
        let most = MESSAGE_BYTES - OVERHEAD_BYTES;
        let half = MESSAGE_BYTES / 2 - OVERHEAD_BYTES;

        assert_eq!(sizes(vec![row(1, most), row(2, 0)]), [1, 1]);
        assert_eq!(sizes((0..5).map(|index| row(index, half)).collect()), [2, 2, 1]);
        assert_eq!(sizes(vec![row(1, 1), row(2, most * 3), row(3, 1)]), [1, 1, 1]);
    }
}
