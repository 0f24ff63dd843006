//! Virtual hosts: made with their predeclared exchanges, deleted with all that is in them.

use super::{Step, check_name};
use crate::catalog::VhostState;
use crate::{
    Catalog, DEFAULT_EXCHANGE, Effect, ExchangeKind, Name, Outcome, Refusal, RemovalReason, Vhost,
    VhostLimit, VhostLimits, VhostMeta,
};

/// The exchanges that every virtual host has; the last one is for the broker alone.
const PREDECLARED: &[(&str, ExchangeKind, bool)] = &[
    (DEFAULT_EXCHANGE, ExchangeKind::Direct, false),
    ("amq.direct", ExchangeKind::Direct, false),
    ("amq.fanout", ExchangeKind::Fanout, false),
    ("amq.topic", ExchangeKind::Topic, false),
    ("amq.headers", ExchangeKind::Headers, false),
    ("amq.match", ExchangeKind::Headers, false),
    ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
];

impl Catalog {
    pub(super) fn put_vhost(
        &mut self,
        step: &Step<'_>,
        vhost: Name,
        meta: VhostMeta,
    ) -> Result<Outcome, Refusal> {
        check_name("vhost name", &vhost)?;
        if let Some(state) = self.vhosts.row_mut(&vhost) {
            if state.row.meta == meta {
                return Ok(Outcome::Unchanged);
            }
            state.row.meta = meta;
            self.note_tracing(&vhost);
            self.changed(step);
            return Ok(Outcome::Updated);
        }
        let limits = VhostLimits::default();
        let row = Vhost { name: vhost.clone(), meta, limits, created: step.time };
        self.vhosts.insert(vhost.clone(), VhostState::new(row));
        self.note_tracing(&vhost);
        for &(name, kind, internal) in PREDECLARED {
            self.insert_own_exchange(&vhost, name.into(), kind, internal, step.time);
        }
        self.rerouted(step);
        Ok(Outcome::Created)
    }

    pub(super) fn delete_vhost(
        &mut self,
        step: &mut Step<'_>,
        vhost: &Name,
    ) -> Result<Outcome, Refusal> {
        let Some(state) = self.vhosts.row(vhost) else { return Ok(Outcome::Missing) };
        if state.row.meta.protected_from_deletion {
            return Err(Refusal::ProtectedVhost { vhost: vhost.clone() });
        }
        let Some(state) = self.vhosts.remove(vhost) else { return Ok(Outcome::Missing) };
        self.note_tracing(vhost);
        for queue in state.queues.iter() {
            self.forget_queue(queue);
            let reason = RemovalReason::VhostDeleted;
            step.effects.push(Effect::QueueRemoved { queue: queue.clone(), reason });
        }
        for user in self.users.values_mut() {
            user.permissions.remove(vhost);
            user.topic_permissions.remove(vhost);
        }
        step.effects.push(Effect::VhostRemoved(vhost.clone()));
        self.rerouted(step);
        Ok(Outcome::Removed)
    }

    pub(super) fn set_vhost_limit(
        &mut self,
        step: &Step<'_>,
        vhost: Name,
        limit: VhostLimit,
        value: Option<u64>,
    ) -> Result<Outcome, Refusal> {
        let Some(state) = self.vhosts.row_mut(&vhost) else {
            return Err(Refusal::NoVhost { vhost });
        };
        let known = match limit {
            VhostLimit::MaxConnections => &mut state.row.limits.max_connections,
            VhostLimit::MaxQueues => &mut state.row.limits.max_queues,
        };
        if *known == value {
            return Ok(Outcome::Unchanged);
        }
        *known = value;
        self.changed(step);
        Ok(Outcome::Updated)
    }

    /// Has a virtual host among the traced ones exactly as long as its row says so.
    pub(crate) fn note_tracing(&mut self, vhost: &Name) {
        if self.vhost(vhost).is_some_and(|row| row.meta.tracing) {
            self.traced.insert(vhost.clone());
        } else {
            self.traced.remove(vhost);
        }
    }

    /// The virtual host, or the refusal that there is none.
    pub(super) fn known_vhost(&self, vhost: &Name) -> Result<&VhostState, Refusal> {
        self.vhosts.row(vhost).ok_or_else(|| Refusal::NoVhost { vhost: vhost.clone() })
    }
}

#[cfg(test)]
mod tests {
    use warren_machine::Machine;

    use super::*;
    use crate::Command;
    use crate::testing::{Log, VHOST};

    fn traced(catalog: &Catalog) -> Vec<&str> {
        catalog.traced_vhosts().map(|name| &**name).collect()
    }

    fn put(log: &mut Log, vhost: &str, tracing: bool) {
        let meta = VhostMeta { tracing, ..VhostMeta::default() };
        log.apply(Command::PutVhost { vhost: vhost.into(), meta }).expect("it is put");
    }

    #[test]
    fn traced_virtual_hosts_are_those_that_say_so_also_after_a_snapshot() {
        let mut log = Log::new();
        put(&mut log, "b", true);
        put(&mut log, "c", false);
        put(&mut log, VHOST, true);
        put(&mut log, "a", true);

        put(&mut log, VHOST, false);
        log.apply(Command::DeleteVhost { vhost: "a".into() }).expect("it is deleted");

        assert_eq!(traced(&log.catalog), ["b"]);
        let restored = Catalog::restore(&log.catalog.snapshot()).expect("it was written here");
        assert_eq!(traced(&restored), ["b"]);
    }
}
