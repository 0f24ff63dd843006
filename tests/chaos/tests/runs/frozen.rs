//! Whoever kills a run while a disk of its hangs leaves nothing behind.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::chaos;

/// How long a world that nobody is in any longer may take to be unmade.
const UNMADE: Duration = Duration::from_secs(60);

#[test]
fn a_disk_that_hangs_is_let_go_when_its_run_is_killed() {
    let mut run = Run::begin();
    let Some(image) = run.hang() else {
        eprintln!("left out: a disk that hangs needs a world of its own");
        return;
    };
    assert!(is_used(&image), "its disk is in use");

    run.kill();

    let until = Instant::now() + UNMADE;
    while is_used(&image) {
        assert!(Instant::now() < until, "{image} is still in use after {UNMADE:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A run of the scenario in which the leader's disk hangs.
struct Run(Child);

impl Run {
    fn begin() -> Self {
        let seed = seed();
        let scenario = ["--scenario", "disk-hung-leader", "--seed", &seed, "--seconds", "12"];
        Self(chaos(&scenario).stderr(Stdio::piped()).spawn().expect("warren-chaos can be started"))
    }

    /// Waits until the disk hangs, and says where it is kept.
    fn hang(&mut self) -> Option<String> {
        let said = self.0.stderr.take().expect("a pipe was asked for");
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("hung disk:"))?;
        // What it says later is not to stop it.
        thread::spawn(move || lines.for_each(drop));
        let number = line.rsplit("@n").next().expect("it names a node").trim().to_owned();
        let dir = concat!(env!("CARGO_TARGET_TMPDIR"), "/chaos/W1-disk-hung-leader");
        let image = format!("{dir}-{}/n{number}.img", seed());
        // It says so a moment before it does it.
        let until = Instant::now() + UNMADE;
        while !self.is_frozen() {
            assert!(Instant::now() < until, "nothing hangs");
            thread::sleep(Duration::from_millis(20));
        }
        Some(image)
    }

    /// Whether the program has noted a disk that hangs, in the file that it was given.
    fn is_frozen(&self) -> bool {
        let inside = self.inside();
        let said = inside.iter().filter_map(|pid| fs::read(format!("/proc/{pid}/environ")).ok());
        let files = said.filter_map(|all| {
            let all = String::from_utf8_lossy(&all).into_owned();
            let name =
                all.split('\0').find_map(|pair| pair.strip_prefix("WARREN_CHAOS_FROZEN="))?;
            fs::read_to_string(name).ok()
        });
        files.into_iter().any(|places| !places.is_empty())
    }

    /// Whoever made its world, and the program inside; not who watches them.
    fn inside(&self) -> Vec<u32> {
        let is_maker = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.trim() == "unshare")
        };
        let mut all: Vec<u32> = children(self.0.id()).into_iter().filter(is_maker).collect();
        all.extend(all.clone().into_iter().flat_map(children));
        all
    }

    /// As `kill -9` does, to all of it.
    fn kill(&mut self) {
        let mut all = self.inside();
        all.push(self.0.id());
        let all: Vec<String> = all.iter().map(u32::to_string).collect();
        let done = Command::new("kill").arg("-9").args(all).status();
        assert!(done.is_ok_and(|status| status.success()), "it cannot be killed");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

/// Another one each time, so that nothing of an earlier run is taken for this one's.
fn seed() -> String {
    std::process::id().to_string()
}

fn children(of: u32) -> Vec<u32> {
    let path = format!("/proc/{of}/task/{of}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether a loop device stands on a file.
fn is_used(image: &str) -> bool {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let files = devices
        .filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    files.into_iter().any(|file| file.trim().trim_end_matches(" (deleted)") == image)
}
