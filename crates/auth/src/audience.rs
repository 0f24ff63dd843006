//! For which resource server of this cluster a token is made.
//!
//! The rules are RabbitMQ's: the audience of a token names one of them and not two. Where it names
//! none, the one that does not ask for its name is meant, if there is only one such.

use serde_json::Value;

use crate::oauth2::TokenError;
use crate::settings::ResourceServer;

/// The one that a token with this audience is for.
pub(crate) fn resolve<'a>(
    servers: &'a [ResourceServer],
    audience: Option<&Value>,
) -> Result<&'a ResourceServer, TokenError> {
    let mut named = servers.iter().filter(|server| names(audience, &server.id));
    match (named.next(), named.next()) {
        (Some(server), None) => return Ok(server),
        (Some(_), Some(_)) => return Err(TokenError::ManyAudiences),
        (None, _) => {}
    }
    let mut easy = servers.iter().filter(|server| !server.verify_aud);
    match (easy.next(), easy.next(), audience) {
        (Some(server), None, _) => Ok(server),
        (Some(_), Some(_), None) => Err(TokenError::NoAudienceForMany),
        (Some(_), Some(_), Some(_)) => Err(TokenError::OtherAudienceForMany),
        (None, _, None) => Err(TokenError::NoAudience),
        (None, _, Some(_)) => Err(TokenError::OtherAudience),
    }
}

/// Whether `id` is among the audience: a text with spaces between names, or a list of names.
fn names(audience: Option<&Value>, id: &str) -> bool {
    match audience {
        Some(Value::String(names)) => !id.is_empty() && names.split(' ').any(|name| name == id),
        Some(Value::Array(names)) => !id.is_empty() && names.iter().any(|name| name == id),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(id: &str, verify_aud: bool) -> ResourceServer {
        ResourceServer { id: id.to_owned(), verify_aud, ..ResourceServer::default() }
    }

    fn found(servers: &[ResourceServer], audience: &Value) -> String {
        let audience = Some(audience).filter(|audience| !audience.is_null());
        match resolve(servers, audience) {
            Ok(server) => server.id.clone(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_audience_names_one_resource_server_and_not_two() {
        let servers = [server("prod", true), server("dev", true)];

        for (audience, expected) in [
            (json!("prod"), "prod"),
            (json!("other dev"), "dev"),
            (json!(["dev", "other", "dev"]), "dev"),
            (json!("prod dev"), "aud_matched_many_resource_servers_only_one_allowed"),
            (json!(["dev", "prod"]), "aud_matched_many_resource_servers_only_one_allowed"),
            (json!("product"), "no_matching_aud_found"),
            (json!(""), "no_matching_aud_found"),
            (json!(["prod dev"]), "no_matching_aud_found"),
            (json!({"prod": true}), "no_matching_aud_found"),
            (json!(null), "no_aud_found"),
        ] {
            assert_eq!(found(&servers, &audience), expected, "{audience}");
        }
    }

    #[test]
    fn where_none_is_named_the_only_one_that_does_not_ask_for_its_name_is_meant() {
        let one = [server("prod", true), server("dev", false)];
        let two = [server("prod", false), server("dev", false)];

        for audience in [json!(null), json!("other"), json!(7)] {
            assert_eq!(found(&one, &audience), "dev", "{audience}");
        }
        assert_eq!(found(&one, &json!("prod")), "prod");
        assert_eq!(found(&two, &json!("prod")), "prod");
        assert_eq!(found(&two, &json!("other")), "too_many_resources_with_verify_aud_false");
        let text = "no_aud_found_cannot_pick_one_from_too_many_resource_servers";
        assert_eq!(found(&two, &json!(null)), text);
        assert_eq!(found(&[], &json!(null)), "no_aud_found");
    }

    #[test]
    fn a_resource_server_without_a_name_is_named_by_nobody() {
        let servers = [server("", true), server("dev", true)];

        assert_eq!(found(&servers, &json!(" ")), "no_matching_aud_found");
        assert_eq!(found(&servers, &json!([""])), "no_matching_aud_found");
    }
}
