//! The description of the API for programs: OpenAPI 3.1.
//!
//! It is made of the routes themselves. What bodies answer is described as far as RabbitMQ's own
//! documents do: as objects and lists, whose fields depend on what there is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::access::Role;
use super::route::{Field, Kind, Route};

/// What every list understands.
const LIST_QUERY: [(&str, &str, &str); 8] = [
    ("page", "integer", "which page, from 1; without it the answer is a bare list"),
    ("page_size", "integer", "rows of a page, at most 500"),
    ("name", "string", "what the name contains, whatever the case"),
    ("use_regex", "boolean", "whether `name` is a regular expression"),
    ("pagination", "boolean", "means nothing, and may be said"),
    ("sort", "string", "the field that decides the order; dots lead into objects"),
    ("sort_reverse", "boolean", "from the last to the first"),
    ("columns", "string", "the fields to keep, with commas between"),
];

/// The description.
pub(crate) fn document(routes: &[Route], version: &str) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let method = route.method.as_str().to_lowercase();
        paths.entry(route.path).or_default().insert(method, operation(route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "warren management API",
            "version": version,
            "description": "RabbitMQ's management API, and what is warren's own under /api/warren.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "basic": [] }, { "secret": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "secret": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "the node's secret, over loopback",
                },
            },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["error", "reason"],
                    "properties": { "error": { "type": "string" }, "reason": {} },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "tags": [tag(route.path)],
        "parameters": parameters(route),
        "responses": responses(route),
        "x-role": route.role.as_str(),
    });
    if let Value::Object(fields) = &mut operation {
        if route.role == Role::Anybody {
            fields.insert("security".to_owned(), json!([]));
        }
        if !route.fields.is_empty() {
            let schema = json!({ "application/json": { "schema": schema(&route.fields) } });
            let required = route.fields.iter().any(|field| field.needed);
            let body = json!({ "required": required, "content": schema });
            fields.insert("requestBody".to_owned(), body);
        }
    }
    operation
}

/// Unique, and readable: `get_queues_vhost_queue`.
fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/api/").split(['/', '-', '.']);
    let words = words.map(|word| word.trim_matches(['{', '}']));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("{}_{}", route.method.as_str().to_lowercase(), words.join("_"))
}

fn tag(path: &str) -> &str {
    path.trim_start_matches("/api/").split('/').next().unwrap_or("")
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.variables().map(|name| {
        let schema = json!({ "type": "string" });
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let in_query = |name: &str, kind: &str, description: &str| {
        let schema = json!({ "type": kind });
        json!({ "name": name, "in": "query", "schema": schema, "description": description })
    };
    let listed = LIST_QUERY.into_iter().filter(|_| route.is_list);
    let listed = listed.map(|(name, kind, description)| in_query(name, kind, description));
    let own = route.query.iter().map(|name| in_query(name, "string", ""));
    in_path.chain(listed).chain(own).collect()
}

fn responses(route: &Route) -> Value {
    let problem = json!({
        "description": "why not",
        "content": {
            "application/json": { "schema": { "$ref": "#/components/schemas/Problem" } },
        },
    });
    let mut responses = Map::new();
    let plain = |description: &str| json!({ "description": description });
    match route.method.as_str() {
        "PUT" => {
            responses.insert("201".to_owned(), plain("made"));
            responses.insert("204".to_owned(), plain("done, or as it was"));
        }
        "DELETE" => {
            responses.insert("204".to_owned(), plain("gone"));
        }
        "POST" => {
            responses.insert("200".to_owned(), plain("done, with an answer"));
            responses.insert("201".to_owned(), plain("made"));
            responses.insert("204".to_owned(), plain("done"));
        }
        _ => {
            let described =
                if route.is_list { "a list, or a page of one" } else { "what was asked for" };
            let content = json!({ "application/json": { "schema": {} } });
            let answer = json!({ "description": described, "content": content });
            responses.insert("200".to_owned(), answer);
        }
    }
    responses.insert("default".to_owned(), problem);
    Value::Object(responses)
}

fn schema(fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), kind(field.kind))).collect();
    let required: Vec<&str> =
        fields.iter().filter(|field| field.needed).map(|field| field.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Integer => json!({ "type": "integer" }),
        Kind::Truth => json!({ "type": "boolean" }),
        // Several lists may be written as one text with commas as well.
        Kind::List => json!({ "type": ["array", "string"] }),
        Kind::Object => json!({ "type": "object" }),
        Kind::Any => json!({}),
    }
}

#[cfg(test)]
mod tests;
