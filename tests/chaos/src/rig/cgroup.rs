//! Control groups (version 1) that make a node's disk or processor slow.
//!
//! They outlive namespaces: what an earlier run left is swept away at the start.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// What all of ours begin with.
const PREFIX: &str = "warren-chaos-";

/// The kinds that are used.
const KINDS: [&str; 2] = ["blkio", "cpu"];

/// One node's groups.
#[derive(Debug)]
pub struct Cgroup {
    name: String,
}

impl Cgroup {
    /// Groups for a node; whatever of them the machine has.
    pub fn make(node: usize) -> Self {
        // The run's namespace has process ids of its own, so these tell runs apart.
        let place = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let place: String = place.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        let cgroup = Self { name: format!("{PREFIX}{place}-n{}", node + 1) };
        for kind in KINDS {
            drop(fs::create_dir(cgroup.dir(kind)));
        }
        cgroup
    }

    /// Puts a process into them.
    pub fn take(&self, pid: u32) {
        for kind in KINDS {
            // Another run's sweep takes groups in which nobody is.
            drop(fs::create_dir(self.dir(kind)));
            drop(fs::write(self.dir(kind).join("cgroup.procs"), pid.to_string()));
        }
    }

    /// At most so many writes a second to a device; none says as many as it can.
    ///
    /// # Errors
    ///
    /// When the machine has no such groups.
    pub fn limit_writes(&self, device: &str, per_second: Option<u64>) -> Result<()> {
        let file = self.dir("blkio").join("blkio.throttle.write_iops_device");
        fs::write(&file, format!("{device} {}", per_second.unwrap_or(0)))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// At most so many percent of one processor; none says all.
    ///
    /// # Errors
    ///
    /// When the machine has no such groups.
    pub fn limit_cpu(&self, percent: Option<u64>) -> Result<()> {
        const PERIOD_US: u64 = 100_000;
        let quota =
            percent.map_or("-1".to_owned(), |percent| (PERIOD_US / 100 * percent).to_string());
        let file = self.dir("cpu").join("cpu.cfs_quota_us");
        fs::write(&file, quota).with_context(|| format!("cannot write {}", file.display()))
    }

    fn dir(&self, kind: &str) -> PathBuf {
        Path::new("/sys/fs/cgroup").join(kind).join(&self.name)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for kind in KINDS {
            drop(fs::remove_dir(self.dir(kind)));
        }
    }
}

/// Removes what killed runs left; a group with processes in it stays.
pub fn sweep() {
    for kind in KINDS {
        let dirs =
            fs::read_dir(Path::new("/sys/fs/cgroup").join(kind)).into_iter().flatten().flatten();
        for dir in dirs.filter(|dir| dir.file_name().to_string_lossy().starts_with(PREFIX)) {
            drop(fs::remove_dir(dir.path()));
        }
    }
}
