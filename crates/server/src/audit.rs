//! The record of who did what: JSON lines, each with the hash of the one before.
//!
//! A line is a JSON object with `sequence`, `time_ms`, `node`, `event`, `user`, `from`, `said`, `before`
//! and, at its end, `hash`: SHA-256 over the line up to the comma in front of it, where `before` is the
//! hash of the line before, across files. So a line that is changed, removed or put in breaks the
//! chain behind it ([`verify`]). Files are called after the number of their first line.
//!
//! **Always holds:** what was written is synced before more is; a line that a crash left half written
//! is cut off and never continued.
//!
//! **Not here:** what is told ([`warren_broker::Deed`]). Whoever can write the files can make the whole
//! chain anew: its end, which the log tells at each new file, belongs where they cannot write.

mod chain;
mod ledger;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warren_broker::{Auditor, Deed};

pub use chain::{AuditError, Verified, verify};
pub use ledger::Ledger;

/// Deeds that are written together.
const BATCH_DEEDS: usize = 256;

/// Between two looks whether deeds were missed.
const LOOK: Duration = Duration::from_secs(10);

/// Writes down what `auditor` is told, until `stop`, and then what still waits.
pub async fn run(
    mut ledger: Ledger,
    auditor: Auditor,
    mut deeds: mpsc::Receiver<Deed>,
    stop: CancellationToken,
) {
    let mut missed = 0;
    let mut is_ending = false;
    loop {
        let mut batch = Vec::new();
        if is_ending {
            deeds.close();
        }
        tokio::select! {
            biased;
            count = deeds.recv_many(&mut batch, BATCH_DEEDS) => if count == 0 { return },
            () = stop.cancelled(), if !is_ending => { is_ending = true; continue }
            () = tokio::time::sleep(LOOK) => {}
        }
        let more = auditor.missed().saturating_sub(missed);
        missed = missed.saturating_add(more);
        // A disk that hangs must not hold up those who serve clients.
        let writing = tokio::task::spawn_blocking(move || {
            let written = ledger.write(&batch, more);
            (ledger, written)
        });
        let Ok((back, written)) = writing.await else { return };
        ledger = back;
        if let Err(error) = written {
            tracing::error!(%error, "the record of who did what is not kept any longer");
            return;
        }
    }
}
