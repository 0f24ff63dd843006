//! What the manifests say: arrows, fences and bans.

use super::Finding;
use super::files::{Files, crate_of};
use super::walls::{ARROWS, BANS, FENCES, TEST_ARROWS, TestArrow};

/// A line that makes a crate depend on a package.
#[derive(Debug, PartialEq, Eq)]
struct Dependency {
    line: usize,
    package: String,
    for_tests: bool,
}

pub(super) fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, content) in files.manifests() {
        let krate = crate_of(path);
        for dependency in dependencies(content) {
            let texts = [
                arrow(krate, &dependency),
                fence(krate, &dependency.package),
                ban(krate, &dependency),
            ];
            for (rule, text) in texts.into_iter().flatten() {
                findings.push(Finding { path: path.to_owned(), line: dependency.line, rule, text });
            }
        }
        if !inherits_lints(content) && krate != "tests" {
            findings.push(Finding {
                path: path.to_owned(),
                line: 1,
                rule: "lints",
                text: "no [lints] workspace = true: every crate has the same lints".to_owned(),
            });
        }
    }
    findings
}

fn arrow(krate: &str, dependency: &Dependency) -> Option<(&'static str, String)> {
    let package = dependency.package.as_str();
    let ours =
        package.strip_prefix("warren-").or_else(|| (package == "xtask").then_some("xtask"))?;
    let Some(arrows) = ARROWS.iter().find(|arrows| arrows.krate == krate) else {
        return Some(("arrow", format!("{krate} is not on the map of crates")));
    };
    let in_tests = |arrow: &TestArrow| (arrow.krate, arrow.uses) == (krate, ours);
    if arrows.may_use.contains(&ours) || (dependency.for_tests && TEST_ARROWS.iter().any(in_tests))
    {
        return None;
    }
    let may_use = arrows.may_use.join(", ");
    Some(("arrow", format!("{krate} may not use {ours}, only: {may_use}")))
}

fn fence(krate: &str, package: &str) -> Option<(&'static str, String)> {
    let fence = FENCES.iter().find(|fence| fence.package == package)?;
    if fence.only.contains(&krate) {
        return None;
    }
    let only = fence.only.join(", ");
    Some(("fence", format!("{package} appears only in {only}: {}", fence.reason)))
}

fn ban(krate: &str, dependency: &Dependency) -> Option<(&'static str, String)> {
    let package = dependency.package.as_str();
    let ban = BANS
        .iter()
        .find(|ban| ban.crates.contains(&krate) && ban.packages.contains(&package))
        .filter(|ban| !(ban.tests_may && dependency.for_tests))?;
    Some(("ban", format!("no {package} in {krate}: {}", ban.reason)))
}

fn inherits_lints(content: &str) -> bool {
    let mut lines = content.lines().map(str::trim).skip_while(|line| *line != "[lints]");
    lines.next().is_some() && lines.take_while(|line| !line.starts_with('[')).any(is_workspace)
}

fn is_workspace(line: &str) -> bool {
    line.split_whitespace().collect::<String>().starts_with("workspace=true")
}

/// The dependencies that a manifest names, whichever of TOML's ways it takes.
fn dependencies(content: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    let mut section = String::new();
    for (index, line) in content.lines().enumerate() {
        let line = line.trim();
        let number = index + 1;
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').replace(['"', '\''], "");
            if let Some((kind, package)) = section.rsplit_once("dependencies.") {
                let for_tests = kind.ends_with("dev-");
                found.push(Dependency { line: number, package: package.to_owned(), for_tests });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        if section.ends_with("dependencies") {
            let key = key.trim().trim_matches('"');
            let package = renamed(value).unwrap_or_else(|| first_part(key));
            let for_tests = section.ends_with("dev-dependencies");
            found.push(Dependency { line: number, package, for_tests });
        } else if section.contains("dependencies.")
            && key.trim() == "package"
            && let Some(last) = found.last_mut()
        {
            last.package = value.trim().trim_matches('"').to_owned();
        }
    }
    found
}

fn first_part(key: &str) -> String {
    key.split('.').next().unwrap_or(key).to_owned()
}

/// The real name in `short = { package = "real" }`.
fn renamed(value: &str) -> Option<String> {
    let (_, rest) = value.split_once("package")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
    rest.split('"').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_found_whichever_way_they_are_written() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\n\
            b = { version = \"1\" }\nc = { package = \"real-c\", version = \"1\" }\n\
            [target.'cfg(unix)'.dependencies]\nd = \"1\"\n[dev-dependencies]\ne = \"1\"\n\
            [dependencies.f]\npackage = \"real-f\"\n# g = \"1\"\n[features]\nh = []\n";

        let found = dependencies(manifest);

        let names: Vec<&str> = found.iter().map(|found| found.package.as_str()).collect();
        let tests: Vec<bool> = found.iter().map(|found| found.for_tests).collect();
        assert_eq!(names, ["a", "b", "real-c", "d", "e", "real-f"]);
        assert_eq!(tests, [false, false, false, false, true, false]);
    }
}
