//! How much memory the process may use: what its control groups allow, of version 1 or 2, and what
//! the machine has.

use std::fs;
use std::path::Path;

/// Bytes in what Linux calls kB.
const KB: u64 = 1024;

/// Memory that this process may use, bytes.
#[must_use]
pub fn allowed_bytes() -> Option<u64> {
    allowed_under(Path::new("/"))
}

/// As [`allowed_bytes`], with the system's files under `root`.
fn allowed_under(root: &Path) -> Option<u64> {
    let machine = machine_bytes(root);
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| group_limit(root, line));
    limits.chain(machine).min()
}

fn machine_bytes(root: &Path) -> Option<u64> {
    let facts = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = facts.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(KB)
}

/// The limit of one of the process's groups, as a line of `/proc/self/cgroup` names it.
fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (mount, file) = if controllers.is_empty() {
        (root.join("sys/fs/cgroup"), "memory.max")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        (root.join("sys/fs/cgroup/memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    // In a container the path may be the host's, of which only the end is to be seen here: each
    // group above counts as well.
    let path = Path::new(path.trim_start_matches('/'));
    let limits = path.ancestors().filter_map(|group| {
        let text = fs::read_to_string(mount.join(group).join(file)).ok()?;
        // "max", and a number that no machine has, stand for no limit.
        text.trim().parse().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("there is room");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("there is room");
            fs::write(path, text).expect("there is room");
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 5 kB\n");

    #[test]
    fn without_groups_it_is_what_the_machine_has() {
        let root = system(&[MEMINFO]);

        assert_eq!(allowed_under(root.path()), Some(1_024_000));
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts_in_version_2() {
        let root = system(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/pods/mine\n"),
            ("sys/fs/cgroup/pods/mine/memory.max", "max\n"),
            ("sys/fs/cgroup/pods/memory.max", "300000\n"),
        ]);

        assert_eq!(allowed_under(root.path()), Some(300_000));
    }

    #[test]
    fn the_controller_for_memory_counts_in_version_1() {
        let root = system(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu,cpuacct:/mine\n4:memory:/mine\n"),
            ("sys/fs/cgroup/memory/mine/memory.limit_in_bytes", "200000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);

        assert_eq!(allowed_under(root.path()), Some(200_000));
    }

    #[test]
    fn a_limit_beyond_the_machine_is_none() {
        let root = system(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "9000000000\n"),
        ]);

        assert_eq!(allowed_under(root.path()), Some(1_024_000));
    }
}
