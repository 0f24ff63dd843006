//! basic.ack, nack, reject and recover.

use warren_amqp::{Reply, ReplyCode};
use warren_queue::{Command, Outcome};
use warren_types::{ChannelNumber, DeliveryTag};

use super::channel::Mode;
use super::holder::Stage;
use super::state::Connection;
use super::transaction::Settle;
use super::unacked::Settled;
use crate::failure::Failure;

impl Connection {
    /// basic.ack
    pub(crate) fn ack(
        &mut self,
        number: ChannelNumber,
        tag: DeliveryTag,
        multiple: bool,
    ) -> Result<(), Failure> {
        self.settle(number, Settle { tag, multiple, outcome: Outcome::Ack })
    }

    /// basic.nack
    pub(crate) fn nack(
        &mut self,
        number: ChannelNumber,
        tag: DeliveryTag,
        multiple: bool,
        requeue: bool,
    ) -> Result<(), Failure> {
        let outcome = if requeue { Outcome::Requeue } else { Outcome::Reject };
        self.settle(number, Settle { tag, multiple, outcome })
    }

    /// basic.reject
    pub(crate) fn reject(
        &mut self,
        number: ChannelNumber,
        tag: DeliveryTag,
        requeue: bool,
    ) -> Result<(), Failure> {
        let outcome = if requeue { Outcome::RejectRequeue } else { Outcome::Reject };
        self.settle(number, Settle { tag, multiple: false, outcome })
    }

    fn settle(&mut self, number: ChannelNumber, settle: Settle) -> Result<(), Failure> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        if let Mode::Transaction(transaction) = &mut channel.mode {
            return if transaction.settle(&channel.unacked, settle) {
                Ok(())
            } else {
                Err(unknown(settle.tag))
            };
        }
        self.settle_now(number, settle)
    }

    /// Settles outside of a transaction, or at its commit.
    pub(crate) fn settle_now(
        &mut self,
        number: ChannelNumber,
        settle: Settle,
    ) -> Result<(), Failure> {
        let Settle { tag, multiple, outcome } = settle;
        let settled =
            self.channel(number).unacked.settle(tag, multiple).map_err(|_| unknown(tag))?;
        self.pass_on(number, settled, outcome);
        self.trace_settle(number, settle);
        Ok(())
    }

    fn pass_on(&mut self, number: ChannelNumber, settled: Vec<Settled>, outcome: Outcome) {
        let mut total = 0_u64;
        for settled in settled {
            let count: u64 = settled
                .ranges
                .iter()
                .map(|range| range.to.0.saturating_sub(range.from.0).saturating_add(1))
                .sum();
            // What a consumer held whose queue has been deleted is gone with the queue.
            if !self.settled_of_stream(settled.holder, count, outcome)
                && !self.settled_of_queue(&settled, count, outcome)
            {
                continue;
            }
            total = total.saturating_add(count);
            if outcome == Outcome::Ack {
                self.broker.counters.acknowledged.add(count);
                if let Some(channel) = self.channels.get_mut(&number) {
                    channel.counts.ack = channel.counts.ack.saturating_add(count);
                }
            }
        }
        let channel = self.channel(number);
        let relieves = channel.channel_prefetch > 0 || channel.was_short(total);
        if relieves && self.relieved.last() != Some(&number) {
            self.relieved.push(number);
        }
    }

    /// Tells a queue what one of its holders has settled; false where there is none of that name.
    fn settled_of_queue(&mut self, settled: &Settled, count: u64, outcome: Outcome) -> bool {
        let Some(holder) = self.holders.get_mut(&settled.holder) else { return false };
        self.staging.settle(holder.slot, holder.number, outcome, &settled.ranges);
        holder.held = holder.held.saturating_sub(count);
        if holder.held == 0 && holder.stage == Stage::Cancelled {
            let consumer = holder.number;
            self.staging.command(holder.slot, &Command::Detach { consumer });
            self.drop_holder(settled.holder);
        }
        true
    }

    /// basic.recover and basic.recover-async
    pub(crate) fn recover(
        &mut self,
        number: ChannelNumber,
        requeue: bool,
        answer: bool,
    ) -> Result<(), Failure> {
        if !requeue {
            return Err(Failure::new(ReplyCode::NotImplemented, "requeue=false"));
        }
        let settled = self.channel(number).unacked.settle_all();
        self.pass_on(number, settled, Outcome::Requeue);
        let all = Settle { tag: DeliveryTag(0), multiple: true, outcome: Outcome::Requeue };
        self.trace_settle(number, all);
        if answer { self.reply(number, &Reply::RecoverOk) } else { Ok(()) }
    }
}

/// `unknown delivery tag 5`
pub(super) fn unknown(tag: DeliveryTag) -> Failure {
    Failure::new(ReplyCode::PreconditionFailed, format_args!("unknown delivery tag {tag}"))
}
