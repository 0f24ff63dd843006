//! Every method of every path that the node's own description has, asked by those for whom it is not.

use serde_json::{Map, Value, json};
use warren_tests::cluster::Cluster;
use warren_tests::wire::Wire;

use super::{Configure, Names, User, bring_in, guest};

/// One method of one path, for one kind of user.
struct Route {
    method: String,
    path: String,
    role: String,
    body: String,
}

/// What the description of `node` has.
fn routes(cluster: &Cluster, node: usize, names: &Names) -> Vec<Route> {
    let document = guest(cluster, node).value("/api/openapi.json");
    let paths = document["paths"].as_object().expect("there are paths");
    let methods = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().map(move |(method, said)| (path, method, said))
    });
    let routes = methods.map(|(path, method, said)| Route {
        method: method.to_uppercase(),
        path: filled(path, names),
        role: said["x-role"].as_str().expect("each has a role").to_owned(),
        body: body(&said["requestBody"]["content"]["application/json"]["schema"]),
    });
    routes.collect()
}

/// The path with names of what is there in place of its variables.
fn filled(path: &str, names: &Names) -> String {
    let part = |part: &str| match part {
        "{vhost}" => "%2F".to_owned(),
        "{queue}" => names.queue.clone(),
        "{exchange}" | "{source}" => names.source.clone(),
        "{destination}" => names.target.clone(),
        "{user}" => "guest".to_owned(),
        part if part.starts_with('{') => "nothing-is-called-so".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A body with everything in it that it must have.
fn body(schema: &Value) -> String {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let value = |name: &str| match schema["properties"][name]["type"].as_str() {
        Some("integer") => json!(1),
        Some("boolean") => json!(true),
        Some("object") => json!({}),
        Some(_) => json!("x"),
        None => json!([]),
    };
    let fields: Map<String, Value> = required.map(|name| (name.to_owned(), value(name))).collect();
    Value::Object(fields).to_string()
}

/// The roles that each tag has, beside `anybody`.
const TAGS: [(&str, &[&str]); 4] = [
    ("", &[]),
    ("management", &["management"]),
    ("policymaker", &["management", "policymaker"]),
    ("monitoring", &["management", "monitoring"]),
];

#[test]
fn every_request_is_refused_to_everybody_who_lacks_its_role_and_changes_need_permissions_as_well() {
    let cluster = Cluster::start();
    if cluster.is_foreign() {
        return;
    }
    let names = Names::new();
    // Each sees the virtual host, and may make one thing in it that nothing is called.
    let has = [(Configure, "queue", "fresh")];
    let users = TAGS.map(|(tag, _)| User::new(tag, &has));
    bring_in(&guest(&cluster, 0), &names, &users, &[]);
    names.prepare(&mut Wire::open_channel(cluster.amqp(0)).unwrap());
    let before = guest(&cluster, 0).value("/api/definitions");

    let mut open = Vec::new();
    for node in (0..cluster.len()).rev() {
        let routes = routes(&cluster, node, &names);
        assert!(routes.len() > 120, "only {} are described", routes.len());
        for (user, (tag, roles)) in users.iter().zip(TAGS) {
            let http = user.http(cluster.http(node));
            for Route { method, path, role, body } in &routes {
                let is_theirs = role == "anybody" || roles.contains(&role.as_str());
                let is_harmless = method == "GET" || role == "policymaker" || role == "anybody";
                if is_theirs && is_harmless {
                    continue;
                }
                let answer = http.ask(method, path, if method == "GET" { "" } else { body });
                let is_refused = if is_theirs {
                    (400..500).contains(&answer.status)
                } else {
                    answer.status == 401
                };
                if !is_refused {
                    let status = answer.status;
                    open.push(format!("{method} {path} by '{tag}' on node {node}: {status}"));
                }
            }
        }
    }

    assert!(open.is_empty(), "{} are open:\n{}", open.len(), open.join("\n"));
    assert_eq!(guest(&cluster, 0).value("/api/definitions"), before);
}
