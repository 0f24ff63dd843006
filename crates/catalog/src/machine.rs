//! The catalog as a replicated machine.

use bytes::Bytes;
use warren_machine::{Applied, Digest, Entry, Machine, RestoreError, SparseRow};
use warren_types::LogIndex;

use crate::{Batch, Catalog, Effect, Refusal, Reply};

impl Machine for Catalog {
    type Reply = Reply;
    type Effect = Effect;

    fn apply(&mut self, entry: &Entry) -> Applied<Reply, Effect> {
        match Batch::decode(&entry.payload) {
            Ok(batch) => self.apply_batch(entry.index, batch),
            Err(error) => {
                let refusal = Refusal::Damaged { what: error.to_string() };
                Applied { reply: vec![Err(refusal)], effects: Vec::new() }
            }
        }
    }

    fn take_over(&mut self) -> Vec<Effect> {
        vec![Effect::Reconcile]
    }

    fn snapshot(&self) -> Vec<Bytes> {
        self.write_snapshot()
    }

    fn restore(pages: &[Bytes]) -> Result<Self, RestoreError> {
        Self::read_snapshot(pages)
    }

    fn digest(&self) -> Digest {
        self.snapshot_digest()
    }

    /// None: a snapshot holds everything.
    fn live_rows(&self, _floor: LogIndex) -> Vec<LogIndex> {
        Vec::new()
    }

    /// None: no row is needed at all.
    fn sparse_rows(&self, _: LogIndex, _: LogIndex, _: usize) -> Vec<SparseRow> {
        Vec::new()
    }

    fn thin(row: &Bytes, _live_offsets: &[u32]) -> Bytes {
        row.clone()
    }
}

#[cfg(test)]
mod tests;
