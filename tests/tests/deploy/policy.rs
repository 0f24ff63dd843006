//! What must hold of every rendering: the `restricted` level, probes that ask the right thing,
//! selectors that meet.

use std::fs;

use serde_json::{Value, json};

use crate::objects::{Renderer, all, deploy, of_kind};

/// Does something with each StatefulSet, its name in front.
#[track_caller]
fn each_set(judge: impl Fn(&str, &Value, &[Value])) {
    let Some(renderer) = Renderer::ready() else { return };
    for (name, objects) in all(&renderer) {
        let sets = of_kind(&objects, "StatefulSet");
        assert_eq!(sets.len(), 1, "{name}");
        judge(&name, sets[0], &objects);
    }
}

fn pod(set: &Value) -> &Value {
    &set["spec"]["template"]["spec"]
}

fn container(set: &Value) -> &Value {
    &pod(set)["containers"][0]
}

#[test]
fn pods_are_of_the_restricted_security_level() {
    each_set(|name, set, _| {
        let rights = &pod(set)["securityContext"];
        assert_eq!(rights["runAsNonRoot"], true, "{name}");
        assert!(rights["runAsUser"].as_u64() >= Some(10_000), "{name}: {rights}");
        assert_eq!(rights["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod(set).get(field).is_none(), "{name}: {field}");
        }
        let expected = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "capabilities": { "drop": ["ALL"] },
        });
        assert_eq!(container(set)["securityContext"], expected, "{name}");
        for volume in pod(set)["volumes"].as_array().expect("there are some") {
            assert!(volume.get("hostPath").is_none(), "{name}: {volume}");
        }
    });
}

#[test]
fn pods_hold_no_token_and_learn_of_no_services() {
    each_set(|name, set, objects| {
        assert_eq!(pod(set)["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod(set)["enableServiceLinks"], false, "{name}");
        for account in of_kind(objects, "ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false, "{name}");
        }
    });
}

#[test]
fn probes_ask_the_health_port_and_each_its_own_question() {
    each_set(|name, set, _| {
        let asks = |probe: &str| container(set)[probe]["httpGet"].clone();
        let question = |path: &str| json!({ "path": path, "port": "metrics" });
        assert_eq!(asks("startupProbe"), question("/health/startup"), "{name}");
        assert_eq!(asks("readinessProbe"), question("/health/ready"), "{name}");
        // A node without a majority is alive: killing it would not bring the majority back.
        assert_eq!(asks("livenessProbe"), question("/health/live"), "{name}");
    });
}

#[test]
fn nodes_start_side_by_side_and_are_found_before_they_are_ready() {
    each_set(|name, set, objects| {
        assert_eq!(set["spec"]["podManagementPolicy"], "Parallel", "{name}");
        let peers = of_kind(objects, "Service")
            .into_iter()
            .find(|service| service["metadata"]["name"] == set["spec"]["serviceName"])
            .expect("the set's service exists");
        assert_eq!(peers["spec"]["clusterIP"], "None", "{name}");
        assert_eq!(peers["spec"]["publishNotReadyAddresses"], true, "{name}");
    });
}

#[test]
fn selectors_find_the_pods_and_no_others() {
    each_set(|name, set, objects| {
        let labels = &set["spec"]["template"]["metadata"]["labels"];
        let expected = json!({
            "app.kubernetes.io/name": "warren",
            "app.kubernetes.io/instance": "warren",
        });
        let pods = &set["spec"]["selector"]["matchLabels"];
        assert_eq!(pods, &expected, "{name}");
        for (key, value) in expected.as_object().expect("it is one") {
            assert_eq!(&labels[key], value, "{name}");
        }
        for service in of_kind(objects, "Service") {
            assert_eq!(&service["spec"]["selector"], pods, "{name}");
        }
        for budget in of_kind(objects, "PodDisruptionBudget") {
            assert_eq!(&budget["spec"]["selector"]["matchLabels"], pods, "{name}");
            assert_eq!(budget["spec"]["maxUnavailable"], 1, "{name}");
        }
    });
}

#[test]
fn several_nodes_have_a_budget_and_one_has_none() {
    each_set(|name, set, objects| {
        let several = set["spec"]["replicas"].as_u64() > Some(1);
        assert_eq!(of_kind(objects, "PodDisruptionBudget").len(), usize::from(several), "{name}");
    });
}

#[test]
fn ports_that_services_name_are_ports_of_the_container() {
    each_set(|name, set, objects| {
        let ports = container(set)["ports"].as_array().expect("there are some");
        for service in of_kind(objects, "Service") {
            for port in service["spec"]["ports"].as_array().expect("there are some") {
                let target = ports.iter().find(|target| target["name"] == port["targetPort"]);
                let number = target.map(|target| &target["containerPort"]);
                assert_eq!(number, Some(&port["port"]), "{name}: {port}");
                assert!(port["appProtocol"].is_string(), "{name}: {port}");
            }
        }
    });
}

#[test]
fn with_nothing_but_tls_only_probes_and_metrics_are_reached_without() {
    each_set(|name, set, objects| {
        let env = container(set)["env"].as_array().expect("there are some");
        let value =
            |name: &str| env.iter().find(|one| one["name"] == name).map(|one| &one["value"]);
        if value("WARREN_AMQP").is_none() {
            return;
        }
        for variable in ["WARREN_AMQP", "WARREN_HTTP"] {
            let address = value(variable).and_then(Value::as_str).expect("both are said");
            assert!(address.starts_with("127.0.0.1:"), "{name}: {variable} = {address}");
        }
        let mut open: Vec<&Value> =
            container(set)["ports"].as_array().into_iter().flatten().collect();
        open.retain(|port| port["name"] != "peer");
        let names: Vec<&str> = open.iter().filter_map(|port| port["name"].as_str()).collect();
        assert_eq!(names, ["metrics", "amqps", "https", "metrics-https"], "{name}");
        for service in of_kind(objects, "Service") {
            let ports = service["spec"]["ports"].as_array().expect("there are some");
            let plain = ports.iter().any(|port| port["port"] == 5672 || port["port"] == 15672);
            assert!(!plain, "{name}: {ports:?}");
        }
    });
}

#[test]
fn certificates_come_from_secrets_that_only_the_nodes_group_reads() {
    each_set(|name, set, _| {
        let env = container(set)["env"].as_array().expect("there are some");
        let mounts = container(set)["volumeMounts"].as_array().expect("there are some");
        let volumes = pod(set)["volumes"].as_array().expect("there are some");
        for file in env.iter().filter_map(|one| one["value"].as_str()) {
            let Some((folder, file)) =
                file.rsplit_once('/').filter(|(dir, _)| dir.starts_with('/'))
            else {
                continue;
            };
            // cert-manager's names.
            assert!(["tls.crt", "tls.key", "ca.crt"].contains(&file), "{name}: {file}");
            let mount = mounts.iter().find(|mount| mount["mountPath"] == folder);
            let mount = mount.unwrap_or_else(|| panic!("{name}: {folder} is mounted"));
            assert_eq!(mount["readOnly"], true, "{name}: {mount}");
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
            let secret = &volume.expect("a mount has its volume")["secret"];
            assert_eq!(secret["defaultMode"], 0o440, "{name}: {secret}");
        }
    });
}

#[test]
fn nobody_but_nodes_reaches_the_peer_port() {
    each_set(|name, set, objects| {
        for policy in of_kind(objects, "NetworkPolicy") {
            for rule in policy["spec"]["ingress"].as_array().expect("there are some") {
                let ports = rule["ports"].as_array().expect("a rule names its ports");
                if ports.iter().any(|port| port["port"] == "peer") {
                    let from = &rule["from"][0]["podSelector"]["matchLabels"];
                    assert_eq!(from, &set["spec"]["selector"]["matchLabels"], "{name}");
                    assert_eq!(rule["from"].as_array().map(Vec::len), Some(1), "{name}");
                }
            }
        }
    });
}

#[test]
fn a_set_counts_on_as_many_nodes_as_it_makes_unless_told_otherwise() {
    each_set(|name, set, _| {
        let env = container(set)["env"].as_array().expect("there are some");
        let expect = env.iter().find(|one| one["name"] == "WARREN_BOOTSTRAP_EXPECT");
        let expect = expect.and_then(|one| one["value"].as_str()?.parse().ok());
        let replicas = set["spec"]["replicas"].as_u64();
        if name != "chart, everything set" {
            assert_eq!(expect, replicas, "{name}");
        }
    });
}

#[test]
fn memory_is_bounded_and_images_have_a_version() {
    each_set(|name, set, _| {
        assert!(container(set)["resources"]["limits"]["memory"].is_string(), "{name}");
        let image = container(set)["image"].as_str().expect("it is text");
        let (_, tag) = image.rsplit_once(':').expect("there is a tag");
        assert!(!tag.is_empty() && tag != "latest", "{name}: {image}");
    });
}

#[test]
fn data_outlives_the_set() {
    each_set(|name, set, _| {
        let expected = json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
        assert_eq!(set["spec"]["persistentVolumeClaimRetentionPolicy"], expected, "{name}");
        assert_eq!(set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"], "data", "{name}");
    });
}

/// What YAML takes for a number or a truth, Kubernetes refuses as a label.
#[test]
fn labels_and_annotations_are_texts_whatever_their_values_are() {
    each_set(|name, set, objects| {
        let template = &set["spec"]["template"];
        for object in objects.iter().chain([template]) {
            for field in ["labels", "annotations"] {
                let Some(entries) = object["metadata"][field].as_object() else { continue };
                for (key, value) in entries {
                    assert!(value.is_string(), "{name}: {key} is {value}");
                }
            }
        }
    });
}

#[test]
fn every_label_in_a_template_is_quoted() {
    let templates = fs::read_dir(deploy().join("helm/warren/templates")).expect("it is there");
    let mut labels = 0;
    for template in templates {
        let path = template.expect("it can be listed").path();
        let text = fs::read_to_string(&path).expect("templates are text");
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once(": {{") else { continue };
            if key.contains('/') || key.ends_with("}}") {
                labels += 1;
                assert!(value.contains("| quote }}"), "{}: {line}", path.display());
            }
        }
    }
    assert!(labels > 5, "{labels} labels were found");
}
