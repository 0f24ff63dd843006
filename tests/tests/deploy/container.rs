//! The recipe of the image, and three nodes of it on one machine.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::objects::{Renderer, deploy};
use crate::settings::variables;

/// The recipe of the image itself: what follows the last FROM.
fn last_stage() -> (String, Vec<String>) {
    let text = fs::read_to_string(deploy().join("docker/Dockerfile")).expect("it is text");
    let stages: Vec<&str> = text.split("\nFROM ").collect();
    let mut lines = stages.last().expect("there is one").lines().map(str::to_owned);
    (lines.next().expect("it begins with what it is made from"), lines.collect())
}

#[test]
fn the_image_is_the_programs_of_another_stage_and_runs_as_nobody_in_particular() {
    let (base, lines) = last_stage();

    assert_eq!(base, "scratch");
    let word = |first: &str| lines.iter().find_map(|line| line.strip_prefix(first));
    assert_eq!(word("RUN"), None, "there is no shell");
    let (user, group) = word("USER ").and_then(|ids| ids.split_once(':')).expect("both are said");
    for id in [user, group] {
        // By number: Kubernetes cannot see that a name is not root's.
        assert!(id.parse::<u32>().expect("it is a number") >= 10_000, "{id}");
    }
    let copies: Vec<&String> = lines.iter().filter(|line| line.starts_with("COPY")).collect();
    assert!(!copies.is_empty() && copies.iter().all(|line| line.contains("--from=build")));
}

#[test]
fn nodes_of_compose_look_for_each_other_and_need_no_rights() {
    let Some(renderer) = Renderer::ready() else { return };
    let text = fs::read(deploy().join("docker/compose.yaml")).expect("it is there");
    let compose = renderer.read(&text).remove(0);
    let nodes = compose["services"].as_object().expect("there are some");
    let known = variables();

    let mut advertised = BTreeSet::new();
    for (name, node) in nodes {
        assert_eq!(node["read_only"], true, "{name}");
        assert_eq!(node["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(node["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        let environment = node["environment"].as_object().expect("there is some");
        for variable in environment.keys() {
            assert!(known.contains(variable), "{name}: {variable}");
        }
        advertised.insert(text_of(&environment["WARREN_ADVERTISE"]).to_owned());
    }

    for (name, node) in nodes {
        let seeds = text_of(&node["environment"]["WARREN_SEEDS"]).split(',').map(str::to_owned);
        assert_eq!(seeds.collect::<BTreeSet<_>>(), advertised, "{name}");
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("it is text")
}
