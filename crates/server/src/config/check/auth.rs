//! What keys for who is asked who clients are must be.

use warren_broker::auth::{Backend, Oauth2, Service};

use super::Problems;
use crate::config::Config;
use crate::settings;

pub(super) fn problems(config: &Config, problems: &mut Problems) {
    let auth = settings::auth(config);
    if auth.backends.is_empty() {
        problems.push(("auth_backends", "expected at least one, found none".to_owned()));
    }
    let cached = auth.cache.cached_backend;
    if auth.uses(Backend::Cache) && [cached.authn, cached.authz].contains(&Backend::Cache) {
        let text = "expected internal, oauth2 or http, found 'cache'".to_owned();
        problems.push(("auth_cache.cached_backend", text));
    }
    if auth.uses(Backend::Oauth2) {
        let oauth2 = &auth.oauth2;
        if oauth2.resource_server_id.is_empty() && oauth2.verify_aud {
            let text = "expected a name, for auth_backends with oauth2, found nothing".to_owned();
            problems.push(("auth_oauth2.resource_server_id", text));
        }
        let has_keys = oauth2.jwks_file.is_some() || !oauth2.signing_keys.is_empty();
        if !has_keys && oauth2.jwks_uri.is_empty() && oauth2.issuer.is_empty() {
            let text = "expected this, jwks_file, signing_keys or issuer, found none".to_owned();
            problems.push(("auth_oauth2.jwks_uri", text));
        }
        if let Err(error) = Oauth2::new(oauth2.clone()) {
            problems.push(("auth_oauth2.algorithms", error.to_string()));
        }
    }
    if auth.uses(Backend::Http)
        && let Err(error) = Service::new(&auth.http, &auth.cache)
    {
        problems.push(("auth_http.user_path", error.to_string()));
    }
}
