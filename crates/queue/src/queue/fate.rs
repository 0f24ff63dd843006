//! What becomes of messages that leave their consumer, or the backlog unasked.

use warren_types::Timestamp;

use crate::clock::{Clock, NEVER};
use crate::queue::aside::{Aside, Death};
use crate::queue::{Backlog, Queue};
use crate::rare::Rare;
use crate::rows::Rows;
use crate::run::Run;
use crate::{DeathReason, DeliveryCounting, Outcome, QueueSettings, Retry};

use super::Consumers;

/// The entry that is being applied, as a queue sees it.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) clock: Clock,
    pub(crate) rows: &'a mut Rows,
}

/// All that decides about a message, and all places it can go to.
#[derive(Debug)]
pub(super) struct Fate<'a, 'm> {
    settings: &'a QueueSettings,
    ready: &'a mut Rare<Backlog>,
    aside: &'a mut Option<Box<Aside>>,
    moment: &'a mut Moment<'m>,
}

impl Queue {
    /// The consumers, and the fate of what they hold.
    #[inline]
    pub(super) fn fate<'a, 'm>(
        &'a mut self,
        moment: &'a mut Moment<'m>,
    ) -> (&'a mut Rare<Consumers>, Fate<'a, 'm>) {
        let (ready, aside) = (&mut self.ready, &mut self.aside);
        let fate = Fate { settings: &self.settings, ready, aside, moment };
        (&mut self.consumers, fate)
    }
}

impl Fate<'_, '_> {
    /// Does with messages what the outcome says.
    #[inline]
    pub(super) fn settle(&mut self, run: Run, outcome: Outcome) {
        match outcome {
            Outcome::Ack => self.moment.rows.release(&run),
            Outcome::Reject => self.die(run, DeathReason::Rejected),
            Outcome::Requeue => self.come_back(run, false),
            Outcome::RejectRequeue => self.come_back(run, true),
            Outcome::Release => self.ready.put_back(run),
            Outcome::Extend => unreachable!("what stays with its consumer is not taken from it"),
        }
    }

    /// Takes messages back that were given out. That is counted at this moment: what is held says
    /// with how many returns it was given out, so that it is shown alike after a change of leader.
    pub(super) fn come_back(&mut self, mut run: Run, has_failed: bool) {
        let retry = self.settings.retry.as_ref();
        let is_failure = match self.settings.delivery_counting {
            _ if retry.is_some() => true,
            DeliveryCounting::Failures => has_failed,
            DeliveryCounting::Returns => true,
        };
        run.acquired = run.acquired.saturating_add(1);
        run.failed = run.failed.saturating_add(u32::from(is_failure));
        if let Some(retry) = retry {
            return self.try_again(run, retry);
        }
        if self.settings.delivery_limit.is_some_and(|limit| run.failed > limit) {
            return self.die(run, DeathReason::DeliveryLimit);
        }
        let delay_ms = self.settings.retry_delay_ms(is_failure, run.failed);
        self.wait(run, delay_ms);
    }

    /// Has messages wait for their next attempt, each for itself, unless there is none.
    fn try_again(&mut self, run: Run, retry: &Retry) {
        for single in run.singles() {
            match retry.delay_ms(single.failed, single.number.0) {
                None => self.die(single, DeathReason::DeliveryLimit),
                Some(delay_ms) => self.wait(single, delay_ms),
            }
        }
    }

    fn wait(&mut self, run: Run, delay_ms: u64) {
        if delay_ms == 0 {
            return self.ready.put_back(run);
        }
        let due = self.moment.clock.now.plus_ms(delay_ms).min(Timestamp(NEVER.0 - 1));
        self.aside.get_or_insert_default().delayed.push(due, run);
    }

    /// Ends messages: they are put on their way elsewhere, or dropped.
    pub(super) fn die(&mut self, run: Run, reason: DeathReason) {
        if self.settings.target(reason).is_none() {
            return self.moment.rows.release(&run);
        }
        let death = Death { reason, time: self.moment.clock.stamp };
        self.aside.get_or_insert_default().dead.push(run, death);
    }
}
