//! What the operating system says about this process.

use std::fs;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes in what Linux calls kB.
const KB: u64 = 1024;

/// Name of this machine, as far as it is known.
#[must_use]
pub fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Memory that the process uses, bytes.
#[must_use]
pub fn resident_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(KB)
}

/// Files and sockets that the process has open.
#[must_use]
pub fn open_files() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    // The directory that is being read is one of them, and closed afterwards.
    u64::try_from(count.saturating_sub(1)).ok()
}

/// Files and sockets that the process may have open; nothing if there is no limit.
#[must_use]
pub fn open_files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Space that is left for us where `path` is, bytes.
#[must_use]
pub fn disk_available_bytes(path: &Path) -> Option<u64> {
    let space = statvfs(path).ok()?;
    space.f_bavail.checked_mul(space.f_frsize)
}

/// Keeps the system from backing the heap with pages of 2 MiB. A node's heap is many small things
/// of different ages, and a huge page stays whole for the sake of a single one: an idle node would
/// take twice the memory.
#[cfg(target_os = "linux")]
pub fn avoid_huge_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages cannot be switched off");
    }
}

/// Other systems do not decide about huge pages behind a program's back.
#[cfg(not(target_os = "linux"))]
pub fn avoid_huge_pages() {}

/// Allows the process as many open files as it may allow itself. Every client is one, and the limit
/// that a shell hands down is made for programs with a handful.
pub fn raise_open_files_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, ?current, "the limit of open files cannot be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_something_about_each() {
        assert!(!host_name().is_empty());
        assert!(resident_memory_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(open_files().is_some_and(|files| files >= 3));
        assert!(disk_available_bytes(Path::new("/")).is_some());
        assert_eq!(disk_available_bytes(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn the_limit_of_open_files_is_raised_to_what_is_allowed() {
        raise_open_files_limit();

        assert_eq!(getrlimit(Resource::Nofile).current, getrlimit(Resource::Nofile).maximum);
    }
}
