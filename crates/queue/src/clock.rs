//! What time it is, by the entries' stamps.
//!
//! A leader stamps entries with its time of day. That jumps, and the next leader's is another one:
//! taken at its word, a stamp one hour ahead would kill every message with a time to live, and one
//! an hour behind would stop time for as long. So a shard counts its own time: it goes on by what
//! the leader says has passed since the entry before, which it measures with a clock that does not
//! jump, beginning where it was given the last entry of the leader before. It never goes back, and
//! never on by more than [`MAX_ADVANCE_MS`] in one entry.
//!
//! Entries up to version 5 do not say what has passed. There it is what lies between a stamp and the
//! one before: a jump ahead costs [`MAX_ADVANCE_MS`], and after a jump back time goes on with the
//! entry that follows.
//!
//! In turn the leader must let an entry come at least that often while anything is due, which
//! [`Shard::next_deadline`](crate::Shard::next_deadline) sees to. Where no entry comes for longer,
//! because the shard has no leader, its time stands still: nothing dies because of an outage.

use warren_types::Timestamp;

/// The most that time goes on in one entry. Longer than a failover takes; short against the
/// times that people give messages to live.
pub(crate) const MAX_ADVANCE_MS: u64 = 10_000;

/// A leader proposes a tick after so long while anything is due: half of what counts, so that one
/// that is a little late costs nothing.
pub(crate) const TICK_MS: u64 = MAX_ADVANCE_MS / 2;

/// What is due at this time is never due.
pub(crate) const NEVER: Timestamp = Timestamp(u64::MAX);

/// The time of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// The shard's own time. Starts with the first stamp, and falls behind the stamps.
    pub(crate) now: Timestamp,
    /// The last stamp: the leader's time of day.
    pub(crate) stamp: Timestamp,
}

impl Clock {
    /// Takes note of an entry's stamp, and of what its leader says has passed since the one before.
    pub(crate) fn advance(&mut self, stamp: Timestamp, passed_ms: Option<u16>) {
        if *self == Self::default() {
            *self = Self { now: stamp, stamp };
            return;
        }
        let between = stamp.0.saturating_sub(self.stamp.0);
        let passed = passed_ms.map_or(between, u64::from).min(MAX_ADVANCE_MS);
        // What is never due stays beyond any time.
        self.now = self.now.plus_ms(passed).min(Timestamp(NEVER.0 - 1));
        self.stamp = stamp;
    }

    /// How long after the last entry a tick is due for what is due at `due`.
    pub(crate) fn tick_in_ms(&self, due: Timestamp) -> u64 {
        due.0.saturating_sub(self.now.0).min(TICK_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn after(stamps: &[u64]) -> u64 {
        let mut clock = Clock::default();
        stamps.iter().for_each(|stamp| clock.advance(Timestamp(*stamp), None));
        clock.now.0
    }

    #[test]
    fn time_follows_the_stamps() {
        assert_eq!(after(&[5_000_000, 5_000_010, 5_000_010, 5_003_000]), 5_003_000);
    }

    #[test]
    fn a_jump_ahead_counts_for_little_and_time_goes_on_from_there() {
        let jumped = [5_000_000, 5_000_000 + HOUR_MS, 5_000_007 + HOUR_MS];

        assert_eq!(after(&jumped), 5_000_007 + MAX_ADVANCE_MS);
    }

    #[test]
    fn a_jump_back_does_not_stop_time() {
        let jumped = [HOUR_MS + 5_000_000, 5_000_000, 5_000_007];

        assert_eq!(after(&jumped), HOUR_MS + 5_000_007);
    }

    #[test]
    fn what_the_leader_measured_counts_and_no_time_of_day() {
        let mut clock = Clock::default();
        let stamps = [(5_000_000, 0), (5_000_000 + HOUR_MS, 20), (4_000_000, 30), (0, u16::MAX)];

        stamps.iter().for_each(|(stamp, passed)| clock.advance(Timestamp(*stamp), Some(*passed)));

        assert_eq!(clock.now.0, 5_000_050 + MAX_ADVANCE_MS);
        assert_eq!(clock.stamp.0, 0);
    }

    #[test]
    fn a_stamp_at_the_end_of_time_does_no_harm() {
        assert_eq!(after(&[u64::MAX - 5, u64::MAX, u64::MAX]), u64::MAX - 1);
    }

    #[test]
    fn ticks_come_often_enough_for_time_not_to_be_lost() {
        let mut clock = Clock::default();
        clock.advance(Timestamp(1000), None);

        assert_eq!(clock.tick_in_ms(Timestamp(1250)), 250);
        assert_eq!(clock.tick_in_ms(Timestamp(900)), 0);
        assert_eq!(clock.tick_in_ms(Timestamp(1000 + HOUR_MS)), TICK_MS);
    }
}
