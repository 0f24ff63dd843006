//! Which shard a queue goes to.
//!
//! A queue's replicas and their leader are its shard's, so the locators of RabbitMQ choose among
//! shards; the sizes of groups that declarations ask for choose nothing.

use warren_types::{GroupId, Table, Value};

/// By how many queues a shard that this node leads may be fuller than the emptiest, and still get
/// the queues that are declared here.
const PREFERENCE_QUEUES: usize = 16;

/// Where the leader of a queue is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locator {
    /// `client-local`: on the node where it is declared, if that is not much fuller than others.
    ClientLocal,
    /// `balanced`: where there is least.
    Balanced,
}

impl Locator {
    /// What the arguments of a declaration say. The words of older versions mean the same.
    pub(crate) fn asked(arguments: &Table) -> Self {
        let word = |name| arguments.value(name).and_then(Value::as_text);
        let asked = word("x-queue-leader-locator").or_else(|| word("x-queue-master-locator"));
        match asked {
            Some("balanced" | "random" | "least-leaders" | "min-masters") => Self::Balanced,
            Some(_) | None => Self::ClientLocal,
        }
    }
}

/// A shard that may be chosen; the emptiest is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub(crate) queues: usize,
    pub(crate) leads_here: bool,
    pub(crate) group: GroupId,
}

/// The emptiest shard, or one that this node leads and that is about as empty.
pub(crate) fn chosen(candidates: &[Candidate], locator: Locator) -> Option<GroupId> {
    let emptiest = candidates.iter().min()?;
    let own = match locator {
        Locator::ClientLocal => candidates.iter().filter(|one| one.leads_here).min(),
        Locator::Balanced => None,
    };
    let limit = emptiest.queues.saturating_add(PREFERENCE_QUEUES);
    Some(own.filter(|own| own.queues <= limit).unwrap_or(emptiest).group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(own: usize) -> [Candidate; 3] {
        let candidate = |group, queues, leads_here| {
            let group = GroupId(group);
            Candidate { queues, leads_here, group }
        };
        [candidate(1, 7, false), candidate(2, own, true), candidate(3, 5, false)]
    }

    fn table(name: &str, word: &str) -> Table {
        let mut table = Table::new();
        table.insert(name, Value::text(word));
        table
    }

    #[test]
    fn a_queue_stays_where_it_is_declared_unless_that_is_much_fuller() {
        let locator = Locator::ClientLocal;

        assert_eq!(chosen(&candidates(5 + PREFERENCE_QUEUES), locator), Some(GroupId(2)));
        assert_eq!(chosen(&candidates(6 + PREFERENCE_QUEUES), locator), Some(GroupId(3)));
    }

    #[test]
    fn a_balanced_queue_goes_where_there_is_least() {
        assert_eq!(chosen(&candidates(6), Locator::Balanced), Some(GroupId(3)));
        assert_eq!(chosen(&candidates(4), Locator::Balanced), Some(GroupId(2)));
    }

    #[test]
    fn a_locator_is_asked_for_in_the_words_of_all_versions() {
        let asked = |name, word| Locator::asked(&table(name, word));

        for word in ["balanced", "random", "least-leaders"] {
            assert_eq!(asked("x-queue-leader-locator", word), Locator::Balanced);
        }
        assert_eq!(asked("x-queue-master-locator", "min-masters"), Locator::Balanced);
        assert_eq!(asked("x-queue-leader-locator", "client-local"), Locator::ClientLocal);
        assert_eq!(Locator::asked(&Table::new()), Locator::ClientLocal);
    }
}
