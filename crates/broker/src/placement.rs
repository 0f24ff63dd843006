//! Which shard a queue goes to.
//!
//! A queue's replicas and their leader are its shard's, so the locators of RabbitMQ choose among
//! shards; the sizes of groups that declarations ask for choose nothing.

use warren_catalog::Catalog;
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
    /// Where a queue that can be replicated is wanted: its arguments say so, or its policy does.
    pub(crate) fn of(catalog: &Catalog, vhost: &str, queue: &str, arguments: &Table) -> Self {
        let by_policy = || {
            let policy = catalog.policy_of_new_queue(vhost, queue, arguments, true)?;
            let word = policy.definition.values().get("queue-leader-locator")?;
            word.as_str().map(Self::named)
        };
        Self::asked(arguments).or_else(by_policy).unwrap_or(Self::ClientLocal)
    }

    /// What the arguments of a declaration say, if they say it.
    fn asked(arguments: &Table) -> Option<Self> {
        let word = |name| arguments.value(name).and_then(Value::as_text);
        let asked = word("x-queue-leader-locator").or_else(|| word("x-queue-master-locator"));
        asked.map(Self::named)
    }

    /// The words of older versions mean the same.
    fn named(word: &str) -> Self {
        match word {
            "balanced" | "random" | "least-leaders" | "min-masters" => Self::Balanced,
            _ => Self::ClientLocal,
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
    use warren_catalog::{ApplyTo, Batch, Command, PolicyLayer, PutPolicy, VhostMeta};
    use warren_machine::{Entry, Machine};
    use warren_types::{LogIndex, Term, Timestamp};

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
            assert_eq!(asked("x-queue-leader-locator", word), Some(Locator::Balanced));
        }
        assert_eq!(asked("x-queue-master-locator", "min-masters"), Some(Locator::Balanced));
        let client_local = asked("x-queue-leader-locator", "client-local");
        assert_eq!(client_local, Some(Locator::ClientLocal));
        assert_eq!(Locator::asked(&Table::new()), None);
    }

    #[test]
    fn a_policy_places_a_queue_unless_its_declaration_says_where() {
        let catalog = catalog(&[
            Command::PutVhost { vhost: "/".into(), meta: VhostMeta::default() },
            Command::PutPolicy(PutPolicy {
                vhost: "/".into(),
                layer: PolicyLayer::User,
                name: "spread".into(),
                pattern: "^spread".into(),
                apply_to: ApplyTo::Queues,
                priority: 0,
                definition: r#"{"queue-leader-locator":"balanced"}"#.into(),
            }),
        ]);
        let of = |queue, arguments: &Table| Locator::of(&catalog, "/", queue, arguments);

        assert_eq!(of("spread.1", &Table::new()), Locator::Balanced);
        assert_eq!(of("other", &Table::new()), Locator::ClientLocal);
        let here = table("x-queue-leader-locator", "client-local");
        assert_eq!(of("spread.1", &here), Locator::ClientLocal);
    }

    fn catalog(commands: &[Command]) -> Catalog {
        let mut catalog = Catalog::new();
        let batch = Batch { time: Timestamp(1), commands: commands.to_vec() };
        let entry = Entry { index: LogIndex(1), term: Term(1), payload: batch.encode() };
        assert!(catalog.apply(&entry).reply.iter().all(Result::is_ok));
        catalog
    }
}
