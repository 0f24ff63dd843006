//! Tests of `openapi`.

use std::collections::BTreeSet;

use super::*;

fn described() -> Value {
    document(&crate::api::routes(), "1.2.3")
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods");
        methods.iter().map(move |(method, is)| (path.clone(), method.clone(), is))
    });
    operations.collect()
}

#[test]
fn every_route_is_described_and_nothing_besides() {
    let document = described();

    let found: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
    let routes = crate::api::routes();
    let expected: BTreeSet<(String, String)> = routes
        .iter()
        .map(|route| (route.path.to_owned(), route.method.as_str().to_lowercase()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(expected.len(), routes.len(), "no route is there twice");
}

#[test]
fn every_variable_of_a_path_is_a_parameter_and_every_operation_has_its_own_name() {
    let document = described();

    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().expect("parameters");
        let in_path: Vec<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let in_braces: Vec<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(in_path, in_braces, "{method} {path}");
        let name = operation["operationId"].as_str().expect("a name").to_owned();
        assert!(names.insert(name), "{method} {path}");
        assert!(!operation["summary"].as_str().expect("a summary").is_empty());
    }
}

#[test]
fn every_request_of_the_user_interface_is_described() {
    let requests = include_str!("../../../ui/static/requests.js");
    let nameless = |path: &str| {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        parts.collect::<Vec<&str>>().join("/")
    };
    let described: BTreeSet<(String, String)> = operations(&described())
        .into_iter()
        .map(|(path, method, _)| (method.to_uppercase(), nameless(&path)))
        .collect();

    let made = requests.lines().filter_map(|line| {
        let (method, rest) = line.split_once(['"', '`'])?.1.split_once(" /api/")?;
        let path = format!("/api/{}", rest.split(['"', '`', '?']).next()?);
        Some((method.to_owned(), nameless(&path)))
    });
    let made: BTreeSet<(String, String)> = made.collect();

    let unknown: Vec<_> = made.difference(&described).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(made.len() > 20, "the requests are read: {made:?}");
}
