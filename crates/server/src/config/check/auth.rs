//! What keys for who is asked who clients are must be.

use warren_broker::auth::{Backend, Service};

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
    settings::oauth2_problems(config, &auth, problems);
    if auth.uses(Backend::Http)
        && let Err(error) = Service::new(&auth.http, &auth.cache)
    {
        problems.push(("auth_http.user_path", error.to_string()));
    }
}
