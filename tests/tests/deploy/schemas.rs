//! Every object is what Kubernetes' own schemas ask for, strictly.

use std::process::Command;

use serde_json::Value;
use warren_tests::python::Library;

use crate::objects::{Renderer, all};

/// The oldest Kubernetes that is supported, and the newest that the package knows.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

/// Kinds of others than Kubernetes.
const FOREIGN: [&str; 2] = ["PrometheusRule", "ServiceMonitor"];

/// Schemas of many versions of Kubernetes, and a program that knows them.
const VALIDATE: Library = Library {
    name: "kubernetes-validate-1.37.0",
    requirements: &["kubernetes-validate==1.37.0"],
    package: "kubernetes_validate",
    programs: "",
    without_libev: false,
};

#[test]
fn every_object_passes_kubernetes_schemas_strictly() {
    let Some(renderer) = Renderer::ready() else { return };

    for (name, objects) in all(&renderer) {
        for version in VERSIONS {
            let (passed, text) = validate(&objects, version);

            assert!(passed, "{name} for {version}: {text}");
        }
    }
}

#[test]
fn a_field_that_does_not_exist_is_found() {
    let Some(renderer) = Renderer::ready() else { return };
    let Some(mut objects) = renderer.overlay("kubernetes/base") else { return };
    for object in &mut objects {
        if object["kind"] == "StatefulSet" {
            object["spec"]["minimumReadySeconds"] = 10.into();
        }
    }

    let (passed, text) = validate(&objects, VERSIONS[0]);

    assert!(!passed);
    assert!(text.contains("minimumReadySeconds"), "{text}");
}

fn validate(objects: &[Value], version: &str) -> (bool, String) {
    let library = VALIDATE.installed().expect("PyPI's package can be installed");
    let known = objects.iter().filter(|object| {
        let kind = object["kind"].as_str().expect("every object has a kind");
        !FOREIGN.contains(&kind)
    });
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("objects.yaml");
    let text: Vec<String> = known.map(Value::to_string).collect();
    std::fs::write(&path, text.join("\n---\n")).expect("there is room");
    let output = Command::new("python3")
        .args(["-m", "kubernetes_validate", "--strict", "--quiet", "-k", version])
        .arg(&path)
        .env("PYTHONPATH", library)
        .output()
        .expect("python3 can be started");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
