//! Who did what: for whoever keeps a record of it.
//!
//! Every change of the catalog that came about is told once, by the node through which it was
//! asked for; so is every login and every operation that was refused.
//!
//! **Always holds:** a change is not answered before its deed has been handed over, so none is
//! missed while somebody takes them. Refusals do not wait: a stranger who is refused must not hold
//! anybody up. Those for which there is no room are counted.
//!
//! **Not here:** how the record is kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use warren_types::Table;

use crate::broker::{Broker, Inner};
use crate::press::Told;
use crate::queue::batch::wall_clock;

/// Deeds that may wait to be written.
const WAITING_DEEDS: usize = 4096;

/// Something that somebody did, or was not allowed to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// What: the key of RabbitMQ's event, such as `queue.created`, or `operation.refused`.
    pub event: &'static str,
    /// Who.
    pub user: String,
    /// From where, if it was a client.
    pub from: Option<IpAddr>,
    /// To which object, and what else is to be said.
    pub said: Table,
}

/// Takes deeds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Auditor {
    deeds: mpsc::Sender<Deed>,
    missed: Arc<AtomicU64>,
}

impl Auditor {
    /// An auditor, and the deeds that it is told of.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Deed>) {
        let (deeds, waiting) = mpsc::channel(WAITING_DEEDS);
        (Self { deeds, missed: Arc::default() }, waiting)
    }

    /// Deeds that were not recorded since the node's start.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    async fn record(&self, deed: Deed) {
        if self.deeds.send(deed).await.is_err() {
            self.miss();
        }
    }

    fn record_at_once(&self, deed: Deed) {
        if self.deeds.try_send(deed).is_err() {
            self.miss();
        }
    }

    fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Broker {
    /// From here on, `auditor` is told who does what. What is said first holds.
    pub fn set_auditor(&self, auditor: Auditor) {
        drop(self.inner().auditor.set(auditor));
    }

    /// Tells of something that a client was not allowed to do.
    pub fn audit_refusal(&self, user: &str, from: Option<IpAddr>, operation: &str, reason: &str) {
        self.inner().audit_refusal(user, from, operation, reason);
    }
}

impl Inner {
    /// Tells of a change that has come about.
    pub(crate) async fn audit_change(&self, user: &str, from: Option<IpAddr>, told: &Told) {
        let Some(auditor) = self.auditor.get() else { return };
        let (event, said) = (told.key(), told.headers().clone());
        auditor.record(deed(event, user, from, said)).await;
    }

    /// Tells of a login that was refused.
    pub(crate) fn audit_login(&self, user: &str, from: IpAddr, door: &str, reason: &str) {
        let Some(auditor) = self.auditor.get() else { return };
        let told = Told::new("user.authentication.failure");
        let told = told.text("protocol", door).text("error", reason);
        let (event, said) = (told.key(), told.headers().clone());
        auditor.record_at_once(deed(event, user, Some(from), said));
    }

    /// Tells of an operation that was refused.
    pub(crate) fn audit_refusal(
        &self,
        user: &str,
        from: Option<IpAddr>,
        operation: &str,
        reason: &str,
    ) {
        let Some(auditor) = self.auditor.get() else { return };
        let told = Told::new("operation.refused");
        let told = told.text("operation", operation).text("error", reason);
        let (event, said) = (told.key(), told.headers().clone());
        auditor.record_at_once(deed(event, user, from, said));
    }
}

fn deed(event: &'static str, user: &str, from: Option<IpAddr>, said: Table) -> Deed {
    let from = from.map(|from| from.to_canonical());
    Deed { time_ms: wall_clock().0, event, user: user.to_owned(), from, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_what_may_wait_are_counted() {
        let (auditor, mut waiting) = Auditor::new();

        for _ in 0..WAITING_DEEDS + 3 {
            auditor.record_at_once(deed("operation.refused", "ann", None, Table::new()));
        }

        assert_eq!(auditor.missed(), 3);
        assert_eq!(waiting.try_recv().expect("the first waits").user, "ann");
    }
}
