//! Many requests at once from a few connections: each channel has one under way.

use std::net::SocketAddr;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};

use crate::wire::{MethodId, Wire};

/// Connections that ask.
pub(super) const CONNECTIONS: usize = 6;

/// Requests that each has under way.
const CHANNELS: u16 = 64;

/// Asks for everything from `first` to `last`, the latter excluded, over all connections; each
/// request is made by `request` from its channel and its number, and answered with `answer`.
pub(super) fn ask(
    hosts: &[SocketAddr],
    (first, last): (usize, usize),
    request: impl Fn(u16, usize) -> Vec<u8> + Sync,
    answer: MethodId,
) -> Result<()> {
    let share = |index: usize| -> Result<()> {
        let mut wire = Wire::open(hosts[index % hosts.len()])?;
        (1..=CHANNELS).try_for_each(|channel| wire.channel(channel))?;
        let mut numbers = (first + index..last).step_by(CONNECTIONS).peekable();
        while numbers.peek().is_some() {
            let batch: Vec<(u16, usize)> = (1..=CHANNELS).zip(&mut numbers).collect();
            let bytes: Vec<u8> =
                batch.iter().flat_map(|(channel, number)| request(*channel, *number)).collect();
            wire.send(&bytes)?;
            for _ in &batch {
                let frame = wire.frame()?;
                ensure!(frame.method() == Some(answer), "the broker said {frame:?}");
            }
        }
        wire.close()
    };
    let share = &share;
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..CONNECTIONS).map(|index| scope.spawn(move || share(index))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow!("a thread that asks panicked"))?
        })
    })
    .context("not everything could be asked for")
}
