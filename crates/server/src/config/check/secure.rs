//! What keys for TLS, and for what nodes trust each other by, must be.

use super::Problems;
use crate::config::{Config, Verify};
use crate::secure;

/// Bytes of a secret that nobody guesses.
const SECRET_LEAST_BYTES: usize = 16;

pub(super) fn problems(config: &Config, problems: &mut Problems) {
    let (ssl, web, peers) = (&config.ssl, &config.web, &config.peers);
    pair("ssl_options.keyfile", &ssl.certfile, &ssl.keyfile, problems);
    pair("management.ssl.keyfile", &web.certfile, &web.keyfile, problems);
    pair("peers.keyfile", &peers.certfile, &peers.keyfile, problems);
    pair("peers.cacertfile", &peers.certfile, &peers.cacertfile, problems);
    for (verify, required, authorities, keys) in [
        (
            ssl.verify,
            ssl.fail_if_no_peer_cert,
            &ssl.cacertfile,
            ("ssl_options.cacertfile", "ssl_options.fail_if_no_peer_cert"),
        ),
        (
            web.verify,
            web.fail_if_no_peer_cert,
            &web.cacertfile,
            ("management.ssl.cacertfile", "management.ssl.fail_if_no_peer_cert"),
        ),
    ] {
        if verify == Verify::Peer && authorities.is_empty() {
            problems.push((keys.0, "expected a file, for verify_peer, found nothing".to_owned()));
        }
        if verify == Verify::None && required {
            problems.push((keys.1, "expected verify = verify_peer with it".to_owned()));
        }
    }
    match secure::versions(ssl) {
        Ok(versions) if versions.is_empty() => {
            problems.push(("ssl_options.versions", "expected at least one".to_owned()));
        }
        Ok(_) => {}
        Err(other) => {
            let text = format!("expected tlsv1.2 and tlsv1.3, or one of them, found '{other}'");
            problems.push(("ssl_options.versions", text));
        }
    }
    for text in ssl.sni.iter().filter(|text| secure::host(text).is_none()) {
        let text = format!("expected host=certificate:key, found '{text}'");
        problems.push(("ssl_options.sni", text));
    }
    check_peers(config, problems);
}

fn check_peers(config: &Config, problems: &mut Problems) {
    let peers = &config.peers;
    let secrets = [("peers.secret", &peers.secret), ("peers.other_secret", &peers.other_secret)];
    for (key, secret) in secrets {
        let length = secret.expose().len();
        if (1..SECRET_LEAST_BYTES).contains(&length) {
            let text = format!("expected at least {SECRET_LEAST_BYTES} bytes, found {length}");
            problems.push((key, text));
        }
    }
    let has_secret = !peers.secret.expose().is_empty();
    if !has_secret && !peers.other_secret.expose().is_empty() {
        problems.push(("peers.other_secret", "expected peers.secret with it".to_owned()));
    }
}

/// Two keys of which the first needs the second, and the other way round.
fn pair(key: &'static str, first: &str, second: &str, problems: &mut Problems) {
    if first.is_empty() != second.is_empty() {
        problems.push((key, "expected a file, together with certfile".to_owned()));
    }
}
