//! All messages that wait, by priority.
//!
//! Most messages have none and stand at level 0, which costs what a list costs. The other levels
//! exist while somebody waits there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use warren_types::{Location, LogIndex, MessageNumber};

use super::Ready;
use crate::rare::Empty;
use crate::run::Run;

/// Waiting messages; those of the highest level first, and there the oldest.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    ordinary: Ready,
    others: Option<Box<Others>>,
}

/// Messages at levels other than 0.
#[derive(Debug, Default)]
struct Others {
    /// None of them is empty.
    levels: BTreeMap<i16, Ready>,
    count: u64,
    bytes: u64,
}

impl Empty for Backlog {
    const EMPTY: &'static Self = &Self { ordinary: Ready::new(), others: None };
}

impl Backlog {
    /// Adds at the end of its level.
    pub(crate) fn push(&mut self, run: Run) {
        if run.level == 0 { self.ordinary.push(run) } else { self.at_level(&run).push(run) }
    }

    /// Adds a plain message to the last one, if it is alike.
    #[inline]
    pub(crate) fn extend(&mut self, number: MessageNumber, at: Location, size: u32) -> bool {
        self.ordinary.extend(number, at, size)
    }

    /// Adds messages at the place they were taken from.
    pub(crate) fn put_back(&mut self, run: Run) {
        if run.level == 0 { self.ordinary.put_back(run) } else { self.at_level(&run).put_back(run) }
    }

    /// Takes up to `limit` of the first messages, as many as are alike.
    #[inline]
    pub(crate) fn take(&mut self, limit: u64) -> Option<Run> {
        if self.others.is_none() {
            return self.ordinary.take(limit);
        }
        self.take_by_level(limit)
    }

    /// Takes out one message, wherever it stands, if its record is at `at`.
    pub(crate) fn pick(&mut self, level: i16, number: MessageNumber, at: Location) -> Option<Run> {
        if level == 0 {
            return self.ordinary.pick(number, at);
        }
        let picked = self.others.as_mut()?.levels.get_mut(&level)?.pick(number, at)?;
        self.note_taken(&picked);
        Some(picked)
    }

    /// The first ones that are alike.
    #[inline]
    pub(crate) fn first(&self) -> Option<&Run> {
        let Some(others) = &self.others else { return self.ordinary.first() };
        let (level, highest) = others.levels.last_key_value()?;
        if *level > 0 {
            return highest.first();
        }
        self.ordinary.first().or_else(|| highest.first())
    }

    /// The newest ones without priority that are alike and were never given out.
    pub(crate) fn last(&self) -> Option<&Run> {
        self.ordinary.last()
    }

    /// Takes all.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(Run)) {
        self.ordinary.drain(&mut visit);
        for mut ready in
            self.others.take().into_iter().flat_map(|others| others.levels.into_values())
        {
            ready.drain(&mut visit);
        }
    }

    /// Messages.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.ordinary.len() + self.others.as_ref().map_or(0, |others| others.count)
    }

    /// Bytes of their bodies.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.ordinary.bytes() + self.others.as_ref().map_or(0, |others| others.bytes)
    }

    /// Whether none waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.ordinary.is_empty() && self.others.is_none()
    }

    /// All of them, level by level from the lowest up, in order within each.
    pub(crate) fn levels(&self) -> impl Iterator<Item = &Ready> {
        let others = self.others.as_deref();
        let below = others.into_iter().flat_map(|others| others.levels.range(..0));
        let above = others.into_iter().flat_map(|others| others.levels.range(0..));
        let below = below.map(|(_, ready)| ready);
        below.chain([&self.ordinary]).chain(above.map(|(_, ready)| ready))
    }

    /// All of them as they will be given out, or those from one on, by its level and number: the
    /// first run possibly in part.
    pub(crate) fn runs_in_turn(
        &self,
        from: Option<(i16, MessageNumber)>,
    ) -> impl Iterator<Item = Cow<'_, Run>> {
        let others = self.others.as_deref();
        let above = others.into_iter().flat_map(|others| others.levels.range(0..).rev());
        let below = others.into_iter().flat_map(|others| others.levels.range(..0).rev());
        let all = above.chain([(&0, &self.ordinary)]).chain(below);
        let wanted = all.filter(move |(level, _)| from.is_none_or(|(first, _)| **level <= first));
        wanted.flat_map(move |(level, ready)| {
            let from = from.filter(|(first, _)| first == level);
            ready.runs_behind(from.map_or(MessageNumber(0), |(_, number)| number))
        })
    }

    /// All of them.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Cow<'_, Run>> {
        self.levels().flat_map(Ready::runs)
    }

    /// All that stand in rows from `first` on, and those that came back from any.
    pub(crate) fn runs_from(&self, first: LogIndex) -> impl Iterator<Item = Cow<'_, Run>> {
        self.levels().flat_map(move |ready| ready.runs_from(first))
    }

    /// Puts back what a snapshot has, as it was.
    pub(crate) fn restore(&mut self, run: Run, is_returned: bool) {
        if run.level == 0 {
            self.ordinary.restore(run, is_returned);
        } else {
            self.at_level(&run).restore(run, is_returned);
        }
    }

    /// Whether something that was never given out waits at a level.
    pub(crate) fn has_fresh(&self, level: i16) -> bool {
        self.level(level).is_some_and(|ready| ready.fresh().next().is_some())
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        let levels = self.others.iter().map(|others| others.levels.len()).sum::<usize>();
        let each = self.levels().map(Ready::memory_bytes).sum::<usize>();
        each + levels * size_of::<(i16, Ready)>()
    }

    /// Whether the counts of the levels are those of what stands there; for checks.
    pub(crate) fn is_counted(&self) -> bool {
        let Some(others) = &self.others else { return true };
        let count: u64 = others.levels.values().map(Ready::len).sum();
        let bytes: u64 = others.levels.values().map(Ready::bytes).sum();
        let is_none_empty = !others.levels.values().any(Ready::is_empty);
        is_none_empty && !others.levels.is_empty() && (others.count, others.bytes) == (count, bytes)
    }

    fn level(&self, level: i16) -> Option<&Ready> {
        if level == 0 {
            return Some(&self.ordinary);
        }
        self.others.as_ref()?.levels.get(&level)
    }

    /// The level of `run`, which is about to be added there.
    fn at_level(&mut self, run: &Run) -> &mut Ready {
        let others = self.others.get_or_insert_default();
        others.count += u64::from(run.count);
        others.bytes += run.bytes();
        others.levels.entry(run.level).or_default()
    }

    #[cold]
    fn take_by_level(&mut self, limit: u64) -> Option<Run> {
        let others = self.others.as_mut()?;
        let mut highest = others.levels.last_entry()?;
        if *highest.key() < 0 && !self.ordinary.is_empty() {
            return self.ordinary.take(limit);
        }
        let taken = highest.get_mut().take(limit)?;
        self.note_taken(&taken);
        Some(taken)
    }

    /// Counts what was taken from a level other than 0, which may be empty.
    fn note_taken(&mut self, taken: &Run) {
        let Some(others) = &mut self.others else { return };
        others.count -= u64::from(taken.count);
        others.bytes -= taken.bytes();
        if others.levels.get(&taken.level).is_some_and(Ready::is_empty) {
            others.levels.remove(&taken.level);
        }
        if others.levels.is_empty() {
            self.others = None;
        }
    }
}
