//! Work that may wait for the disk, kept from the threads on which nothing may wait.

use tokio::task::JoinError;

/// Does `act` on a thread that may block; or here and at once, where the storage works `inline`: a
/// simulation must not depend on which thread is faster.
pub(crate) async fn run<R: Send + 'static>(
    inline: bool,
    act: impl FnOnce() -> R + Send + 'static,
) -> Result<R, JoinError> {
    if inline {
        return Ok(act());
    }
    tokio::task::spawn_blocking(act).await
}
