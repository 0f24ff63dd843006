//! Which replica should lead a group, and when the lead is given to it.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use warren_types::NodeId;

/// The shortest time between two transfers that one node asks for: what a shard does not do
/// meanwhile is not missing in all shards at once.
const TRANSFER_PAUSE: Duration = Duration::from_millis(200);

/// Spaces what one node does to its groups.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Waits for a turn.
    pub(super) async fn turn(&self) {
        let mut next = self.next.lock().await;
        if let Some(at) = *next {
            sleep_until(at).await;
        }
        *next = Some(Instant::now() + TRANSFER_PAUSE);
    }
}

/// Remembers for how long another node could have led better than this one.
///
/// A replica that has just come back, or a leadership that has just been given away, is left alone
/// for a while: whoever moved it had a reason.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Preference {
    ready: Option<(NodeId, Instant)>,
}

impl Preference {
    /// To whom the lead goes by now. `better` is who should have it and could take it.
    pub(super) fn due(
        &mut self,
        better: Option<NodeId>,
        now: Instant,
        after: Duration,
    ) -> Option<NodeId> {
        let Some(better) = better else {
            self.ready = None;
            return None;
        };
        match self.ready {
            Some((node, since)) if node == better => {
                (now.saturating_duration_since(since) >= after).then_some(better)
            }
            Some(_) | None => {
                self.ready = Some((better, now));
                after.is_zero().then_some(better)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(3);

    #[test]
    fn the_lead_goes_back_when_the_preferred_node_has_been_well_for_long_enough() {
        let (mut preference, begin) = (Preference::default(), Instant::now());
        let node = Some(NodeId(2));

        let first = preference.due(node, begin, AFTER);
        let early = preference.due(node, begin + AFTER / 2, AFTER);
        let due = preference.due(node, begin + AFTER, AFTER);

        assert_eq!((first, early, due), (None, None, node));
    }

    #[test]
    fn whoever_falls_behind_or_is_another_starts_over() {
        let (mut preference, begin) = (Preference::default(), Instant::now());
        preference.due(Some(NodeId(2)), begin, AFTER);

        preference.due(None, begin + AFTER / 2, AFTER);
        let after_a_lapse = preference.due(Some(NodeId(2)), begin + AFTER, AFTER);
        let another = preference.due(Some(NodeId(3)), begin + AFTER * 2, AFTER);

        assert_eq!((after_a_lapse, another), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn transfers_of_one_node_are_spaced() {
        let (pace, begin) = (Pace::default(), Instant::now());

        for _ in 0..5 {
            pace.turn().await;
        }

        assert_eq!(begin.elapsed(), TRANSFER_PAUSE * 4);
    }
}
