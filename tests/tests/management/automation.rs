//! What KEDA's scaler and Terraform's provider ask, in their order, and the fields that they read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use warren_tests::node::Node;

use crate::guest;
use crate::shapes::{at, kind};

const AUTOMATION: &str = include_str!("automation.json");

/// A request, and what the tool looks at.
#[derive(Deserialize)]
struct Step {
    tool: String,
    method: String,
    path: String,
    body: Option<Value>,
    status: u16,
    /// Fields that must be there, and of which kind.
    #[serde(default)]
    kinds: BTreeMap<String, String>,
    /// Fields that must have a value.
    #[serde(default)]
    values: BTreeMap<String, Value>,
    /// How the `location` ends.
    location: Option<String>,
}

#[test]
fn keda_and_terraform_find_what_they_read() {
    let node = Node::start();
    let client = guest(&node);
    let steps: Vec<Step> = serde_json::from_str(AUTOMATION).unwrap();

    let mut different = Vec::new();
    for step in &steps {
        let body = step.body.as_ref().map(Value::to_string).unwrap_or_default();
        let answer = client.ask(&step.method, &step.path, &body);
        let mut differs = |what: String| {
            different.push(format!("{} {} {}: {what}", step.tool, step.method, step.path));
        };
        if answer.status != step.status {
            differs(format!("{} instead of {}: {}", answer.status, step.status, answer.body));
            continue;
        }
        let location = answer.header("location").unwrap_or_default();
        if !location.ends_with(step.location.as_deref().unwrap_or_default()) {
            differs(format!("the location is {location}"));
        }
        if step.kinds.is_empty() && step.values.is_empty() {
            continue;
        }
        let found = answer.json();
        for (field, expected) in &step.kinds {
            let found = at(&found, field).map_or("nothing", kind);
            if found != expected {
                differs(format!("{field} is {found} instead of {expected}"));
            }
        }
        for (field, expected) in &step.values {
            if at(&found, field) != Some(expected) {
                differs(format!("{field} is not {expected}: {found}"));
            }
        }
    }

    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(steps.len() > 40, "only {} requests", steps.len());
}
