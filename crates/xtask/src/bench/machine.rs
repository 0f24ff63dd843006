//! What a result depends on beside the code: the machine, the commit, the day.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;

use super::json::Json;

/// The machine, as far as it tells.
#[derive(Debug)]
pub(super) struct Machine {
    cores: usize,
    processor: String,
    memory: String,
    kernel: String,
    disk: String,
    commit: String,
    date: String,
}

impl Machine {
    /// Looks around; what cannot be seen is called unknown.
    pub(super) fn look() -> Self {
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            processor: field("/proc/cpuinfo", "model name"),
            memory: memory(&field("/proc/meminfo", "MemTotal")),
            kernel: answer("uname", &["-sr"]),
            disk: disk(),
            commit: commit(),
            date: answer("date", &["-u", "+%Y-%m-%d"]),
        }
    }

    /// Names and values, in the order in which a reader asks.
    pub(super) fn facts(&self) -> [(&'static str, String); 7] {
        [
            ("date", self.date.clone()),
            ("commit", self.commit.clone()),
            ("cores", self.cores.to_string()),
            ("processor", self.processor.clone()),
            ("memory", self.memory.clone()),
            ("kernel", self.kernel.clone()),
            ("disk", self.disk.clone()),
        ]
    }

    pub(super) fn json(&self) -> Json {
        let facts = self.facts().into_iter();
        Json::Object(facts.map(|(name, value)| (name.to_owned(), Json::text(value))).collect())
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The value of `name: value` in a file of /proc.
fn field(file: &str, name: &str) -> String {
    let content = fs::read_to_string(file).unwrap_or_default();
    let line = content.lines().find(|line| line.starts_with(name));
    let value =
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned());
    value.unwrap_or_else(unknown)
}

/// "8123456 kB" in whole mebibytes.
fn memory(field: &str) -> String {
    let kibibytes = field.strip_suffix(" kB").and_then(|number| number.parse::<u64>().ok());
    kibibytes.map_or_else(unknown, |number| format!("{} MiB", number / 1024))
}

/// Device, file system and kind of the disk under the temporary directory, where nodes keep
/// their data.
fn disk() -> String {
    let folder = env::temp_dir();
    let folder = folder.to_string_lossy();
    let output = answer("df", &["-PT", folder.as_ref()]);
    let mut words = output.lines().last().unwrap_or_default().split_whitespace();
    let (Some(device), Some(system)) = (words.next(), words.next()) else { return unknown() };
    format!("{device} {system}{}", kind(device))
}

/// Whether a block device turns, as its queue says.
fn kind(device: &str) -> &'static str {
    let Some(name) = device.strip_prefix("/dev/") else { return "" };
    let whole = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    // nvme0n1p2 is a part of nvme0n1, sda2 one of sda.
    let names = [name, whole, whole.strip_suffix('p').unwrap_or(whole)];
    let files = names.iter().map(|name| format!("/sys/block/{name}/queue/rotational"));
    match files.filter_map(|file| fs::read_to_string(file).ok()).next().as_deref().map(str::trim) {
        Some("0") => ", solid state",
        Some("1") => ", rotating or virtual",
        _ => "",
    }
}

/// The commit, marked when the clone differs from it.
fn commit() -> String {
    let commit = answer("git", &["rev-parse", "--short=12", "HEAD"]);
    let changes = Command::new("git").args(["status", "--porcelain"]).output();
    let changed = changes.is_ok_and(|output| !output.stdout.is_empty());
    if changed { format!("{commit} with changes") } else { commit }
}

fn answer(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().ok();
    let output = output.filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).unwrap_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_mebibytes() {
        assert_eq!(memory("8123456 kB"), "7933 MiB");
        assert_eq!(memory("much"), "unknown");
    }

    #[test]
    fn every_fact_has_a_value() {
        for (name, value) in Machine::look().facts() {
            assert!(!value.is_empty(), "{name}");
        }
    }
}
