//! Which run it is: what happens in it, by which seed, and what is wrong on purpose.

use std::fmt;
use std::str::FromStr;

use warren_consensus::Config;

use super::chance::Chance;

/// Which run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) seed: u64,
    pub(super) plant: Plant,
}

/// What happens in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Three nodes break and come back; then all is mended.
    Storm,
    /// Nodes also come, go, lose their disks and are drained.
    Members,
    /// Three nodes break; then two are mended, and have to do without the third.
    Core,
}

/// What is wrong on purpose, so that it can be seen to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plant {
    Nothing,
    /// Some deliveries are lost between broker and client.
    Drop,
    /// Some deliveries come twice.
    Repeat,
    /// Disks say that they have synced, and have not.
    Lie,
    /// The majority is left as broken as the rest.
    Leave,
    /// A node is given up that all others see.
    Blame,
}

const KINDS: [(Kind, &str); 3] =
    [(Kind::Storm, "storm"), (Kind::Members, "members"), (Kind::Core, "core")];

const PLANTS: [(Plant, &str); 6] = [
    (Plant::Nothing, "nothing"),
    (Plant::Drop, "drop"),
    (Plant::Repeat, "repeat"),
    (Plant::Lie, "lie"),
    (Plant::Leave, "leave"),
    (Plant::Blame, "blame"),
];

impl Plan {
    /// What all chance of the run follows from: runs of different kinds differ from the beginning.
    pub(super) fn salted(self) -> u64 {
        let kind = u64::try_from(self.kind.name().len()).expect("names are short");
        self.seed.wrapping_mul(16).wrapping_add(kind)
    }
}

impl Kind {
    /// Its name, as it is asked for.
    pub(super) fn name(self) -> &'static str {
        named(&KINDS, self)
    }
}

fn named<T: Copy + PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
    names.iter().find(|(known, _)| *known == value).expect("all have names").1
}

fn by_name<T: Copy>(names: &[(T, &str)], name: &str) -> Option<T> {
    names.iter().find(|(_, known)| *known == name).map(|(value, _)| *value)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind.name(), self.seed, named(&PLANTS, self.plant))
    }
}

impl FromStr for Plan {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or("a plan has three words");
        let (kind, seed, plant) = (word()?, word()?, word()?);
        Ok(Self {
            kind: by_name(&KINDS, kind).ok_or("nobody knows this kind")?,
            seed: seed.parse().map_err(|_| "a seed is a number")?,
            plant: by_name(&PLANTS, plant).ok_or("nobody knows this plant")?,
        })
    }
}

/// How the nodes of a run are configured: narrow bounds, so that what is rare happens.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) consensus: Config,
    /// Bytes of rows in memory: few, so that bodies are read from the disk as well.
    pub(super) recent_bytes: usize,
    /// Seconds until the first of a shard's replicas takes the lead back.
    pub(super) lead_return_s: u64,
}

impl Settings {
    /// Those of a seed. What all nodes must agree on does not vary.
    pub(super) fn new(mut chance: Chance) -> Self {
        let consensus = Config {
            heartbeat_ms: 200,
            election_min_ms: 1000,
            election_max_ms: 2000,
            keep_entries: chance.pick(&[1, 20, 100]),
            keep_bytes: chance.pick(&[1, 64]) * 1024,
            snapshot_after_entries: chance.pick(&[25, 100, 500]),
            ..Config::default()
        };
        let recent_bytes = chance.pick(&[1, 16, 256]) * 1024;
        Self { consensus, recent_bytes, lead_return_s: chance.pick(&[1, 2, 10]) }
    }
}
