//! connection.blocked: a client that publishes to what a node in distress leads is not read.
//!
//! What was read already is taken. The client learns of it if it said that it understands; any
//! other merely finds its socket full.

use warren_amqp::Reply;
use warren_rpc::Distress;
use warren_types::ChannelNumber;

use super::plan::Plan;
use super::state::Connection;
use crate::queue::handle::ShardSlot;

impl Connection {
    /// The client publishes by `plan`: it may have to wait before it goes on.
    pub(crate) fn feel_pressure(&mut self, plan: &Plan) {
        for (slot, _) in &plan.shards {
            let Some(distress) = self.broker.pressure_on(*slot) else { continue };
            if self.held_up_by.contains(slot) {
                continue;
            }
            self.held_up_by.push(*slot);
            if self.held_up_by.len() == 1 && self.capabilities.connection_blocked {
                let reason = reason(distress);
                self.out.reply(ChannelNumber(0), &Reply::Blocked { reason });
            }
        }
    }

    /// Leads have moved, perhaps, or a node has recovered.
    pub(crate) fn look_at_pressure(&mut self) {
        if self.held_up_by.is_empty() {
            return;
        }
        let broker = &self.broker;
        let is_held = |slot: &ShardSlot| broker.pressure_on(*slot).is_some();
        self.held_up_by.retain(is_held);
        if self.held_up_by.is_empty() && self.capabilities.connection_blocked {
            self.out.reply(ChannelNumber(0), &Reply::Unblocked);
        }
    }
}

/// In the words of RabbitMQ, which clients show.
fn reason(distress: Distress) -> String {
    match (distress.memory, distress.disk) {
        (true, true) => "low on memory & disk".to_owned(),
        (true, false) => "low on memory".to_owned(),
        (false, true | false) => "low on disk".to_owned(),
    }
}
