//! Watches the node's disk and memory, and tells the broker what runs out.
//!
//! The watch is a thread of its own: when the disk hangs, tasks may hang with it.
//!
//! **Not here:** what follows from it. See `cluster/distress.rs` and `pressure.rs` of the broker.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use warren_broker::{Broker, Distress};
use warren_storage::Store;

use crate::config::LimitsSection;
use crate::heap::Heap;
use crate::{memory, process};

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A disk that has been at one batch for so long hangs: the slowest of healthy ones are done within
/// a second, and the others must lead within ten.
const STALLED_AFTER: Duration = Duration::from_secs(3);

/// Where alarms begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Bytes of the disk that should be free.
    pub disk_free: u64,
    /// Bytes of memory that the process should not exceed; 0: no limit.
    pub memory_used: u64,
}

impl Marks {
    /// What the configuration says, on this machine.
    #[must_use]
    pub fn new(limits: &LimitsSection) -> Self {
        let memory = memory::allowed_bytes().unwrap_or_default();
        Self {
            disk_free: limits.disk_free_limit.bytes(memory),
            memory_used: limits.vm_memory_high_watermark.bytes(memory),
        }
    }
}

/// What was seen last, for whoever shows it.
#[derive(Debug)]
pub struct Levels {
    marks: RwLock<Marks>,
    disk_free: AtomicU64,
    memory_used: AtomicU64,
}

impl Levels {
    /// Where alarms begin.
    #[must_use]
    pub fn marks(&self) -> Marks {
        *self.marks.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has alarms begin elsewhere.
    pub fn set_marks(&self, marks: Marks) {
        *self.marks.write().unwrap_or_else(PoisonError::into_inner) = marks;
    }

    /// What runs out.
    #[must_use]
    pub fn distress(&self) -> Distress {
        self.judge(Duration::ZERO)
    }

    fn judge(&self, stalled_for: Duration) -> Distress {
        let Marks { disk_free, memory_used } = self.marks();
        Distress {
            disk: self.disk_free.load(Ordering::Relaxed) < disk_free,
            memory: memory_used > 0 && self.memory_used.load(Ordering::Relaxed) > memory_used,
            stalled: stalled_for >= STALLED_AFTER,
        }
    }
}

/// The watch over one node. Ends when it is dropped.
pub struct Gauge {
    stop: Option<SyncSender<()>>,
    watch: Option<JoinHandle<()>>,
    levels: Arc<Levels>,
}

impl Gauge {
    /// Watches the disk of `data_dir` and `store`, and tells `broker`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        marks: Marks,
        data_dir: PathBuf,
        store: Store,
        broker: Broker,
    ) -> std::io::Result<Self> {
        let levels = Arc::new(Levels {
            marks: RwLock::new(marks),
            disk_free: AtomicU64::new(u64::MAX),
            memory_used: AtomicU64::new(0),
        });
        let (stop, stopped) = sync_channel::<()>(1);
        let seen = Arc::clone(&levels);
        let watch = thread::Builder::new().name("gauge".to_owned()).spawn(move || {
            let mut heap = Heap::new();
            loop {
                // What cannot be seen alarms nobody.
                let disk_free = process::disk_available_bytes(&data_dir).unwrap_or(u64::MAX);
                let memory_used = process::resident_memory_bytes().unwrap_or_default();
                seen.disk_free.store(disk_free, Ordering::Relaxed);
                seen.memory_used.store(memory_used, Ordering::Relaxed);
                heap.note(memory_used, seen.marks().memory_used);
                broker.set_distress(seen.judge(store.stalled_for()));
                match stopped.recv_timeout(LOOK_INTERVAL) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { stop: Some(stop), watch: Some(watch), levels })
    }

    /// What was seen last.
    #[must_use]
    pub fn levels(&self) -> Arc<Levels> {
        Arc::clone(&self.levels)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(watch) = self.watch.take() {
            // A panic ends the process.
            drop(watch.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(disk_free: u64, memory_used: u64) -> Levels {
        Levels {
            marks: RwLock::new(Marks { disk_free: 100, memory_used: 1_000 }),
            disk_free: AtomicU64::new(disk_free),
            memory_used: AtomicU64::new(memory_used),
        }
    }

    #[test]
    fn an_alarm_begins_where_a_mark_is_passed() {
        let fine = Distress::default();

        assert_eq!(levels(100, 1_000).judge(Duration::ZERO), fine);
        assert_eq!(levels(99, 0).judge(Duration::ZERO), Distress { disk: true, ..fine });
        assert_eq!(levels(100, 1_001).judge(Duration::ZERO), Distress { memory: true, ..fine });
        assert_eq!(levels(100, 0).judge(STALLED_AFTER), Distress { stalled: true, ..fine });
    }

    #[test]
    fn no_limit_is_never_exceeded() {
        let unlimited = levels(0, u64::MAX);

        unlimited.set_marks(Marks { disk_free: 0, memory_used: 0 });

        assert_eq!(unlimited.judge(Duration::ZERO), Distress::default());
    }
}
