//! The objects that chart and overlays come to.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use warren_tests::tools;

/// What Debian calls them: golang-go, golang-github-masterminds-sprig-dev, golang-k8s-sigs-yaml-dev.
const GO_LIBRARIES: &str = "/usr/share/gocode";

/// The directory `deploy`.
pub(crate) fn deploy() -> PathBuf {
    let package = env::var("CARGO_MANIFEST_DIR");
    let package = package.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR"));
    Path::new(package).parent().expect("the package lies in the workspace").join("deploy")
}

/// Renders charts and reads YAML, if this machine can.
#[derive(Clone, Debug)]
pub(crate) struct Renderer {
    program: PathBuf,
}

impl Renderer {
    /// The renderer, built at first use.
    pub(crate) fn ready() -> Option<Self> {
        static BUILT: OnceLock<Option<Renderer>> = OnceLock::new();
        BUILT.get_or_init(Self::build).clone()
    }

    fn build() -> Option<Self> {
        let go = tools::find(&["go"])?.remove(0);
        if !Path::new(GO_LIBRARIES).join("src/github.com/Masterminds/sprig").is_dir() {
            tools::without("not on this machine: Go's package sprig");
            return None;
        }
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chart");
        fs::create_dir_all(&folder).expect("the target directory can be written to");
        // Of its own, as tests run side by side, one process each.
        let program = folder.join(format!("chart-{}", std::process::id()));
        let source = deploy().with_file_name("tests").join("tests/deploy/chart/chart.go");
        let output = Command::new(go)
            .args(["build", "-o"])
            .arg(&program)
            .arg(source)
            .env("GO111MODULE", "off")
            .env("GOPATH", GO_LIBRARIES)
            .env("GOFLAGS", "")
            .env("GOCACHE", folder.join("cache"))
            .output()
            .expect("go can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(Self { program })
    }

    /// The chart's objects with those values.
    pub(crate) fn chart(&self, values: &Value) -> Vec<Value> {
        self.try_chart(values).expect("the chart renders")
    }

    /// The chart's objects with those values, or why there are none.
    pub(crate) fn try_chart(&self, values: &Value) -> Result<Vec<Value>, String> {
        let chart = deploy().join("helm/warren");
        let words = ["render", chart.to_str().expect("paths are text"), "warren", "default"];
        self.ask(&words, values.to_string().as_bytes())
    }

    /// An overlay's objects.
    pub(crate) fn overlay(&self, folder: &str) -> Option<Vec<Value>> {
        let kubectl = tools::find(&["kubectl"])?.remove(0);
        let output = Command::new(kubectl)
            .arg("kustomize")
            .arg(deploy().join(folder))
            .output()
            .expect("kubectl can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(self.read(&output.stdout))
    }

    /// The documents of a YAML file.
    pub(crate) fn read(&self, text: &[u8]) -> Vec<Value> {
        self.ask(&["read"], text).expect("it is YAML")
    }

    fn ask(&self, words: &[&str], input: &[u8]) -> Result<Vec<Value>, String> {
        let mut child = Command::new(&self.program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it was built");
        child.stdin.take().expect("it is piped").write_all(input).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(serde_json::from_slice(&output.stdout).expect("it writes JSON"))
    }
}

/// All that can be rendered, each with its name: base, overlays, and the chart in several ways.
pub(crate) fn all(renderer: &Renderer) -> Vec<(String, Vec<Value>)> {
    let mut found = Vec::new();
    let overlays =
        ["single", "monitoring", "production", "tls"].map(|name| format!("overlays/{name}"));
    for folder in ["base".to_owned()].into_iter().chain(overlays) {
        if let Some(objects) = renderer.overlay(&format!("kubernetes/{folder}")) {
            found.push((folder, objects));
        }
    }
    for (name, values) in chart_values() {
        found.push((format!("chart, {name}"), renderer.chart(&values)));
    }
    found
}

/// Values that bring out every branch of the chart.
pub(crate) fn chart_values() -> Vec<(&'static str, Value)> {
    let watched = json!({
        "serviceMonitor": { "enabled": true, "labels": { "release": "1" } },
        "prometheusRule": { "enabled": true },
        "dashboards": { "enabled": true },
    });
    let everything = json!({
        "fullnameOverride": "broker",
        "image": { "repository": "example.org/warren", "tag": 1.5 },
        "imagePullSecrets": [{ "name": "pull" }],
        "replicaCount": 5,
        "bootstrapExpect": 3,
        "config": {
            "default_vhost": "a \"quoted\" one",
            "drain_timeout_ms": 20000,
            "loopback_users": ["guest", "other"],
            "limits": { "heartbeat_s": 30 },
            "storage": { "recent_bytes": 134217728, "rocksdb": { "background_jobs": 4 } },
            "log": { "filter": "debug" },
        },
        "env": [{ "name": "WARREN_SHARDS", "value": "4" }],
        "auth": { "username": "a:b", "password": "p@ss/word" },
        "service": { "type": "LoadBalancer", "annotations": { "a/b": "true" } },
        "persistence": { "storageClass": "fast" },
        "podLabels": { "answer": 42, "yes": "on" },
        "nodeSelector": { "disk": "ssd" },
        "tolerations": [{ "key": "broker", "operator": "Exists" }],
        "priorityClassName": "high",
        "antiAffinity": "hard",
        "networkPolicy": { "enabled": false },
        "monitoring": watched,
    });
    let one =
        json!({ "replicaCount": 1, "antiAffinity": "none", "auth": { "existingSecret": "mine" } });
    let certificates = json!({
        "config": { "ssl_options": { "login_from": "common_name" } },
        "tls": { "existingSecret": "clients", "existingPeersSecret": "nodes" },
        "auth": { "existingPeersSecret": "known" },
    });
    let tls_only = json!({ "tls": { "existingSecret": "it", "disableNonTLSListeners": true } });
    vec![
        ("as it is", json!({})),
        ("with certificates", certificates),
        ("with nothing but TLS", tls_only),
        ("watched", json!({ "monitoring": watched })),
        ("everything set", everything),
        ("one node", one),
    ]
}

/// The one object of a kind and name.
pub(crate) fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found: Vec<&Value> = objects
        .iter()
        .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .collect();
    assert_eq!(found.len(), 1, "objects of kind {kind} with the name {name}");
    found[0]
}

/// All objects of a kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}
