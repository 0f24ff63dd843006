//! What rows of queues have in common.
//!
//! A hundred thousand queues have few different arguments, settings and owners; of each there is one
//! copy for all. Nothing else follows from that: replicas that share other parts say the same.

use std::sync::Arc;

use bytes::BytesMut;
use warren_types::{Latest, Table};

use crate::{Common, Queue, Settings};

/// The parts that rows share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    arguments: Latest<Table>,
    settings: Latest<Settings>,
    users: Latest<str>,
    commons: Latest<Common>,
}

impl Shared {
    /// Has a row share what it can with others.
    pub(crate) fn thin(&mut self, row: &mut Queue) {
        row.arguments = self.arguments.share(Arc::clone(&row.arguments), is_same_table);
        let common = Arc::make_mut(&mut row.common);
        common.settings = self.settings.share(Arc::clone(&common.settings), Settings::eq);
        common.user = self.users.share(Arc::clone(&common.user), str::eq);
        row.common = self.commons.share(Arc::clone(&row.common), is_same_common);
    }
}

/// Users and settings of rows that are alike are one copy each by then.
fn is_same_common(one: &Common, other: &Common) -> bool {
    Arc::ptr_eq(&one.user, &other.user)
        && Arc::ptr_eq(&one.settings, &other.settings)
        && one.policy == other.policy
        && one.operator_policy == other.operator_policy
}

/// Equal numbers may have different bytes, as 0 and -0 have.
fn is_same_table(one: &Table, other: &Table) -> bool {
    one == other && bytes(one) == bytes(other)
}

fn bytes(table: &Table) -> BytesMut {
    let mut bytes = BytesMut::new();
    table.encode(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use warren_types::Value;

    use super::*;
    use crate::Command;
    use crate::testing::{Log, VHOST, queue, queue_with};

    #[test]
    fn queues_that_are_declared_alike_share_what_is_alike() {
        let mut log = Log::new();

        log.accept(Command::DeclareQueue(queue("one")));
        log.accept(Command::DeclareQueue(queue_with("other", &[("x-max-length", Value::I32(1))])));
        log.accept(Command::DeclareQueue(queue("two")));

        let row = |name| log.catalog.queue(VHOST, name).expect("it was declared");
        let (one, other, two) = (row("one"), row("other"), row("two"));
        assert!(Arc::ptr_eq(&one.arguments, &two.arguments));
        assert!(Arc::ptr_eq(&one.settings, &two.settings));
        assert!(Arc::ptr_eq(&one.user, &other.user) && Arc::ptr_eq(&one.vhost, &other.vhost));
        assert!(Arc::ptr_eq(&one.common, &two.common));
        assert_ne!(one.settings, other.settings);
    }

    #[test]
    fn a_row_of_a_hundred_thousand_is_small() {
        // With the two counts of its Arc it has 120 bytes: allocators have a size of 128.
        assert!(size_of::<Queue>() <= 112, "{} bytes", size_of::<Queue>());
    }

    #[test]
    fn tables_of_other_bytes_are_not_shared() {
        let number =
            |value| -> Table { [("n".to_owned(), Value::F64(value))].into_iter().collect() };

        assert!(is_same_table(&number(0.0), &number(0.0)));
        assert_eq!(number(0.0), number(-0.0));
        assert!(!is_same_table(&number(0.0), &number(-0.0)));
    }
}
