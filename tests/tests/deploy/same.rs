//! The chart comes to the objects of the Kustomize base.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::objects::{Renderer, named};

/// What Helm's own conventions add.
const HELMS_LABELS: [&str; 3] =
    ["app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"];

/// The Secrets are made by hand for the base.
fn values() -> Value {
    let names = ("warren-default-user", "warren-peers");
    json!({ "auth": { "existingSecret": names.0, "existingPeersSecret": names.1 } })
}

#[test]
fn the_chart_as_it_is_comes_to_the_objects_of_the_base() {
    let Some(renderer) = Renderer::ready() else { return };
    let Some(base) = renderer.overlay("kubernetes/base") else { return };

    let chart = renderer.chart(&values());

    assert_same(&keyed(chart), &keyed(base));
}

#[test]
fn the_watched_chart_comes_to_the_objects_of_the_overlay() {
    let Some(renderer) = Renderer::ready() else { return };
    let Some(overlay) = renderer.overlay("kubernetes/overlays/monitoring") else { return };
    let mut values = values();
    values["monitoring"] = json!({
        "serviceMonitor": { "enabled": true },
        "prometheusRule": { "enabled": true },
        "dashboards": { "enabled": true },
    });

    let chart = renderer.chart(&values);

    assert_same(&keyed(chart), &keyed(overlay));
}

#[test]
fn the_chart_with_nothing_but_tls_comes_to_the_objects_of_the_overlay() {
    let Some(renderer) = Renderer::ready() else { return };
    let Some(overlay) = renderer.overlay("kubernetes/overlays/tls") else { return };
    let mut values = values();
    values["tls"] = json!({
        "existingSecret": "warren-tls",
        "existingPeersSecret": "warren-peers-tls",
        "disableNonTLSListeners": true,
    });

    let chart = renderer.chart(&values);

    assert_same(&keyed(chart), &keyed(overlay));
}

#[test]
fn the_charts_secret_has_the_shape_of_a_service_binding() {
    let Some(renderer) = Renderer::ready() else { return };

    let chart = renderer.chart(&json!({ "auth": { "username": "a:b", "password": "p@ss/word" } }));

    let secret = named(&chart, "Secret", "warren-default-user");
    assert_eq!(secret["type"], "servicebinding.io/rabbitmq");
    let expected = json!({
        "type": "rabbitmq",
        "provider": "rabbitmq",
        "host": "warren.default.svc",
        "port": "5672",
        "username": "a:b",
        "password": "p@ss/word",
        "default_user.conf": "default_user = a:b\ndefault_pass = p@ss/word\n",
        "connection_string": "amqp://a%3Ab:p%40ss%2Fword@warren.default.svc:5672/",
    });
    assert_eq!(secret["stringData"], expected);
}

#[test]
fn the_charts_secret_leads_to_where_clients_are_served() {
    let Some(renderer) = Renderer::ready() else { return };
    let tls = json!({ "existingSecret": "it", "disableNonTLSListeners": true });

    let chart = renderer.chart(&json!({ "auth": { "password": "p" }, "tls": tls }));

    let secret = &named(&chart, "Secret", "warren-default-user")["stringData"];
    assert_eq!(secret["port"], "5671");
    assert_eq!(secret["connection_string"], "amqps://warren:p@warren.default.svc:5671/");
}

#[test]
fn a_chart_that_leaves_clients_no_way_in_is_refused() {
    let Some(renderer) = Renderer::ready() else { return };

    let refusal = renderer.try_chart(&json!({ "tls": { "disableNonTLSListeners": true } }));

    let text = refusal.expect_err("nobody could connect");
    assert!(text.contains("tls.disableNonTLSListeners wants tls.existingSecret"), "{text}");
}

#[test]
fn a_password_that_is_not_given_is_drawn() {
    let Some(renderer) = Renderer::ready() else { return };
    let password = || {
        let chart = renderer.chart(&json!({}));
        let secret = named(&chart, "Secret", "warren-default-user");
        secret["stringData"]["password"].as_str().expect("it is text").to_owned()
    };

    let [first, second] = [password(), password()];

    assert_eq!(first.len(), 32);
    assert_ne!(first, second);
}

/// By kind and name, without what only Helm adds.
fn keyed(objects: Vec<Value>) -> BTreeMap<String, Value> {
    objects
        .into_iter()
        .map(|mut object| {
            if let Some(Value::Object(labels)) = object.pointer_mut("/metadata/labels") {
                labels.retain(|label, _| !HELMS_LABELS.contains(&label.as_str()));
            }
            let annotations = object.pointer_mut("/spec/template/metadata/annotations");
            if let Some(Value::Object(annotations)) = annotations {
                annotations.remove("checksum/config");
            }
            let [kind, name] = [&object["kind"], &object["metadata"]["name"]];
            (format!("{kind} {name}").replace('"', ""), object)
        })
        .collect()
}

#[track_caller]
fn assert_same(left: &BTreeMap<String, Value>, right: &BTreeMap<String, Value>) {
    let keys = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(left), keys(right));
    for (key, object) in left {
        let pretty = |value| serde_json::to_string_pretty(value).expect("JSON can be written");
        assert_eq!(pretty(object), pretty(&right[key]), "{key}");
    }
}
