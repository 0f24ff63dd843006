//! How commands change the catalog.
//!
//! Total: each command ends in an outcome or a refusal, and a refused command changes nothing.
//! The commands of a batch stand alone; that one is refused means nothing to the next.

mod binding;
mod cluster;
mod exchange;
mod parameter;
mod policy;
mod queue;
mod user;
mod vhost;

use warren_machine::Applied;
use warren_types::{LogIndex, Timestamp};

use crate::{Batch, Catalog, Command, Effect, Name, Outcome, Refusal, Reply};

/// Bytes of the longest name: what AMQP's short strings carry.
const NAME_LIMIT_BYTES: usize = 255;

/// One command's place in the log, and what it brings about.
pub(crate) struct Step<'a> {
    pub(crate) index: LogIndex,
    pub(crate) ordinal: u16,
    pub(crate) time: Timestamp,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Catalog {
    pub(crate) fn apply_batch(&mut self, index: LogIndex, batch: Batch) -> Applied<Reply, Effect> {
        let mut effects = Vec::new();
        let mut reply = Vec::with_capacity(batch.commands.len());
        for (ordinal, command) in batch.commands.into_iter().enumerate() {
            let ordinal = u16::try_from(ordinal).expect("decoding bounds the batch");
            let mut step = Step { index, ordinal, time: batch.time, effects: &mut effects };
            reply.push(self.apply_command(&mut step, command));
        }
        Applied { reply, effects }
    }

    fn apply_command(&mut self, step: &mut Step<'_>, command: Command) -> Result<Outcome, Refusal> {
        match command {
            Command::FoundCluster(cluster) => self.found_cluster(step, cluster),
            Command::RegisterNode(node) => self.register_node(step, node),
            Command::StartNode { node, boot, speaks } => self.start_node(step, node, boot, speaks),
            Command::LoseNode { node, boot } => self.lose_node(step, node, boot),
            Command::ForgetNode { node } => self.forget_node(step, node),
            Command::DrainNode { node, draining } => self.drain_node(step, node, draining),
            Command::PutShard { group, replicas } => self.put_shard(step, group, replicas),
            Command::RaiseVersion { version } => self.raise_version(step, version),
            Command::PutVhost { vhost, meta } => self.put_vhost(step, vhost, meta),
            Command::DeleteVhost { vhost } => self.delete_vhost(step, &vhost),
            Command::SetVhostLimit { vhost, limit, value } => {
                self.set_vhost_limit(step, vhost, limit, value)
            }
            Command::PutUser(user) => self.put_user(step, user),
            Command::DeleteUser { user } => self.delete_user(step, &user),
            Command::SetUserLimit { user, limit, value } => {
                self.set_user_limit(step, user, limit, value)
            }
            Command::SetPermission { user, vhost, configure, write, read } => {
                self.set_permission(step, user, vhost, [configure, write, read])
            }
            Command::ClearPermission { user, vhost } => self.clear_permission(step, user, vhost),
            Command::SetTopicPermission { user, vhost, exchange, write, read } => {
                self.set_topic_permission(step, user, vhost, exchange, [write, read])
            }
            Command::ClearTopicPermission { user, vhost, exchange } => {
                self.clear_topic_permission(step, user, vhost, exchange)
            }
            Command::DeclareExchange(wanted) => self.declare_exchange(step, wanted),
            Command::PredeclareExchange { vhost, exchange } => {
                self.predeclare_exchange(step, vhost, exchange)
            }
            Command::DeleteExchange { vhost, exchange, if_unused } => {
                self.delete_exchange(step, vhost, exchange, if_unused)
            }
            Command::DeclareQueue(wanted) => self.declare_queue(step, wanted),
            Command::DeleteQueue { queue, reason } => self.delete_queue(step, queue, reason),
            Command::CloseConnection { owner } => self.close_connection(step, owner),
            Command::Bind(binding) => self.bind(step, binding),
            Command::Unbind(binding) => self.unbind(step, binding),
            Command::PutPolicy(policy) => self.put_policy(step, policy),
            Command::DeletePolicy { vhost, layer, name } => {
                self.delete_policy(step, vhost, layer, &name)
            }
            Command::PutParameter { vhost, component, name, value } => {
                self.put_parameter(step, vhost, component, name, value)
            }
            Command::DeleteParameter { vhost, component, name } => {
                self.delete_parameter(step, vhost, &component, &name)
            }
            Command::PutGlobalParameter { name, value } => {
                self.put_global_parameter(step, name, value)
            }
            Command::DeleteGlobalParameter { name } => self.delete_global_parameter(step, &name),
        }
    }

    /// Something changed that routing does not look at.
    fn changed(&mut self, step: &Step<'_>) {
        self.revision = step.index;
    }

    /// Something changed that may alter where a message goes.
    fn rerouted(&mut self, step: &Step<'_>) {
        self.revision = step.index;
        self.topology_revision = step.index;
    }
}

/// Whether `name` can be carried and is one at all.
fn check_name(what: &'static str, name: &Name) -> Result<(), Refusal> {
    match name.len() {
        1..=NAME_LIMIT_BYTES => Ok(()),
        bytes => Err(Refusal::InvalidName { what: what.into(), bytes }),
    }
}

#[cfg(test)]
mod tests;
