//! Everything that was ever declared, as one document, out and in.

pub(crate) mod export;
pub(crate) mod import;

use axum::http::header;

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::call::Call;
use super::route::{Field, Kind, Route, get, may, post};
use super::text::file_name;

/// The most bytes of a document; it is held in memory while it is brought in.
const DOCUMENT_BYTES: usize = 128 << 20;

const FIELDS: &[Field] = &[
    may("vhosts", Kind::List),
    may("users", Kind::List),
    may("permissions", Kind::List),
    may("topic_permissions", Kind::List),
    may("parameters", Kind::List),
    may("global_parameters", Kind::List),
    may("policies", Kind::List),
    may("queues", Kind::List),
    may("exchanges", Kind::List),
    may("bindings", Kind::List),
];

pub(super) fn routes() -> Vec<Route> {
    let routes = vec![
        get("/api/definitions", "All definitions", all).query(&["download"]),
        post("/api/definitions", "Brings definitions in", bring_in).fields(FIELDS),
        get("/api/definitions/{vhost}", "A virtual host's definitions", of_vhost)
            .query(&["download"]),
        post("/api/definitions/{vhost}", "Brings definitions into a virtual host", bring_into)
            .fields(FIELDS),
        get("/api/all-configuration", "All definitions, under an older name", all)
            .query(&["download"]),
        post("/api/all-configuration", "Brings definitions in, under an older name", bring_in)
            .fields(FIELDS),
    ];
    let administrators =
        routes.into_iter().map(|route| route.role(Role::Administrator).body_bytes(DOCUMENT_BYTES));
    administrators.collect()
}

async fn all(call: Call) -> Outcome {
    let identity = call.node.facts().identity;
    let document = call.look(|catalog| export::cluster(catalog, &identity));
    Ok(kept_as(&call, document))
}

async fn of_vhost(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let identity = call.node.facts().identity;
    let document = call.look(|catalog| export::vhost(catalog, &vhost, &identity));
    Ok(kept_as(&call, document))
}

/// The document as an answer, for a browser to keep if the caller names a file.
fn kept_as(call: &Call, document: serde_json::Value) -> Answer {
    match call.query.value("download").filter(|name| !name.is_empty()) {
        Some(name) => Answer::Download(document, file_name(name)),
        None => Answer::Value(document),
    }
}

async fn bring_in(call: Call) -> Outcome {
    import::bring_in(&call.broker, document(&call)?, None, &call.actor()).await?;
    Ok(Answer::Done)
}

async fn bring_into(call: Call) -> Outcome {
    let vhost = call.vhost_to_change().await?;
    import::bring_in(&call.broker, document(&call)?, Some(vhost), &call.actor()).await?;
    Ok(Answer::Done)
}

/// The document that the body is, or has as the file of a form.
fn document(call: &Call) -> Result<&[u8], Problem> {
    let kind = call.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let Some(kind) = kind.filter(|kind| kind.starts_with("multipart/form-data")) else {
        return Ok(&call.body);
    };
    file_of_form(kind, &call.body).ok_or_else(|| Problem::bad_request("the form has no file"))
}

/// The first part of a form that begins like a JSON object.
fn file_of_form<'a>(kind: &str, body: &'a [u8]) -> Option<&'a [u8]> {
    let (_, boundary) = kind.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let delimiter = format!("--{boundary}").into_bytes();
    let mut rest = body;
    while let Some(at) = find(rest, &delimiter) {
        let part = rest.get(..at)?;
        rest = rest.get(at.saturating_add(delimiter.len())..)?;
        let Some(end_of_head) = find(part, b"\r\n\r\n") else { continue };
        let content = part.get(end_of_head..)?.trim_ascii();
        if content.starts_with(b"{") {
            return Some(content);
        }
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_form_is_found_between_its_other_fields() {
        let body = b"--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno\r\n--xx\r\n\
            Content-Disposition: form-data; name=\"file\"\r\n\r\n{\"a\": 1}\r\n--xx--\r\n";

        let file = file_of_form("multipart/form-data; boundary=\"xx\"", body);

        assert_eq!(file, Some(&b"{\"a\": 1}"[..]));
        assert_eq!(file_of_form("multipart/form-data; boundary=yy", body), None);
        assert_eq!(file_of_form("multipart/form-data", body), None);
    }
}
