//! The user interface: files that are a part of the program.
//!
//! Which there are is written down at build time (`build.rs`), with a tag that changes with the
//! content, so that a browser asks for what it has and is told that it still is so.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::login::BrowserLogin;

/// What pages may do: run and look like what is served here, and nothing else.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     connect-src 'self'";

/// What is shown at `/`.
const INDEX: &str = "/index.html";

/// A file.
#[derive(Debug)]
pub(crate) struct File {
    /// Its path, from `/`.
    path: &'static str,
    /// Its media type.
    kind: &'static str,
    /// In quotes, another whenever the content is.
    tag: &'static str,
    content: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));

/// The file of that path.
pub(crate) fn file(path: &str) -> Option<&'static File> {
    let path = if path == "/" { INDEX } else { path };
    FILES.iter().find(|file| file.path == path)
}

/// The file as an answer, or that the asker has it.
pub(crate) fn answer(
    file: &'static File,
    request: &Request,
    login: Option<&BrowserLogin>,
) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let known = request.headers().get(header::IF_NONE_MATCH);
    let is_known = known
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == file.tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(file.content).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    headers.insert(header::ETAG, HeaderValue::from_static(file.tag));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    protect(headers, login);
    response
}

/// Says what a page may do. Where browsers log in elsewhere, it may also ask there.
pub(crate) fn protect(headers: &mut HeaderMap, login: Option<&BrowserLogin>) {
    let origins = login.map(BrowserLogin::origins).unwrap_or_default();
    let policy = origins.iter().fold(CONTENT_POLICY.to_owned(), |policy, origin| {
        // An origin has neither spaces nor semicolons, so it can add nothing else.
        format!("{policy} {origin}")
    });
    let policy = HeaderValue::try_from(policy);
    let strict = HeaderValue::from_static(CONTENT_POLICY);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.unwrap_or(strict));
    let plain = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, plain);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(file: &'static File, tag: &str) -> Response {
        let request = Request::builder().header(header::IF_NONE_MATCH, tag);
        answer(file, &request.body(Body::empty()).expect("a request"), None)
    }

    fn policy(login: Option<&BrowserLogin>) -> String {
        let mut headers = HeaderMap::new();
        protect(&mut headers, login);
        let policy = headers.get(header::CONTENT_SECURITY_POLICY).expect("there is one");
        policy.to_str().expect("it is text").to_owned()
    }

    #[test]
    fn pages_may_ask_where_tokens_are_made_and_may_do_nothing_else_more() {
        let server = crate::login::LoginServer {
            provider_url: "https://idp.example/realms/main".to_owned(),
            metadata_url: "https://idp.example;script-src https://evil.example/".to_owned(),
            ..crate::login::LoginServer::default()
        };
        let login = BrowserLogin { resource_servers: vec![server], ..BrowserLogin::default() };

        let (without, with) = (policy(None), policy(Some(&login)));

        assert!(without.ends_with("connect-src 'self'"), "{without}");
        assert_eq!(with, format!("{without} https://idp.example"));
    }

    #[test]
    fn the_index_is_there_and_what_is_outside_is_not() {
        let index = file("/").expect("there is an index");

        assert_eq!((index.path, index.kind), (INDEX, "text/html; charset=utf-8"));
        assert!(file("/../README.md").is_none() && file("/nothing").is_none());
    }

    #[test]
    fn who_has_a_file_is_told_so_and_who_has_another_gets_it() {
        let index = file("/index.html").expect("there is an index");

        let has_it = ask(index, &format!("\"other\", {}", index.tag));
        let has_another = ask(index, "\"other\"");

        assert_eq!(has_it.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(has_another.status(), StatusCode::OK);
        assert_eq!(has_another.headers().get(header::ETAG), has_it.headers().get(header::ETAG));
        assert!(has_another.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    }

    #[test]
    fn every_script_and_style_has_its_media_type() {
        for file in FILES {
            let kind = match file.path.rsplit_once('.').map(|(_, ending)| ending) {
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                Some("html") => "text/html; charset=utf-8",
                Some("svg") => "image/svg+xml",
                _ => continue,
            };
            assert_eq!(file.kind, kind, "{}", file.path);
        }
    }
}
