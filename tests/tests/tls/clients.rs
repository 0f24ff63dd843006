//! Clients in several languages, with and without a certificate.

use std::process::{Command, Stdio};

use serde_json::Value;
use warren_tests::http::Client;
use warren_tests::node::Node;
use warren_tests::{packages, python, tools};

use super::certificates::{Certificates, listens};

/// Clients may show a certificate, and its common name is a user's.
pub(crate) const CHECKED: &str = "verify = 'verify_peer'\nlogin_from = 'common_name'";

pub(crate) fn amqps(node: &Node) -> std::net::SocketAddr {
    listens(&node.data_dir(), "amqps")
}

/// Makes a user without a password whom a certificate lets in.
pub(crate) fn make_user(node: &Node, name: &str) {
    let http = Client::new(node.addresses().http, "guest", "guest");
    let user = http.ask("PUT", &format!("/api/users/{name}"), r#"{"password_hash":"","tags":""}"#);
    assert!(user.status < 300, "{user:?}");
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    let permitted = http.ask("PUT", &format!("/api/permissions/%2F/{name}"), all);
    assert!(permitted.status < 300, "{permitted:?}");
}

#[test]
fn pika_speaks_tls_with_and_without_a_certificate() {
    let certificates = Certificates::new();
    let node = certificates.node(CHECKED);
    make_user(&node, "ann");
    let (authority, (ann, key)) = (certificates.path("ca.pem"), certificates.pair("ann"));

    for arguments in [
        &[authority.as_str()][..],
        &[&authority, &ann, &key],
        &[&authority, &ann, &key, "external"],
    ] {
        let said = python::LATEST.run(amqps(&node), "tls", arguments);
        assert_eq!(said, ["got both", "closed"], "{arguments:?}");
    }
    let refused = python::LATEST.run(amqps(&node), "tls", &[&authority, "external"]);
    assert!(refused[0].starts_with("refused "), "{refused:?}");
}

#[test]
fn who_has_no_certificate_is_turned_away_where_one_is_needed() {
    let certificates = Certificates::new();
    let node = certificates.node("verify = 'verify_peer'\nfail_if_no_peer_cert = true");
    let (authority, (ann, key)) = (certificates.path("ca.pem"), certificates.pair("ann"));

    let without = python::LATEST.run(amqps(&node), "tls", &[&authority]);
    let with = python::LATEST.run(amqps(&node), "tls", &[&authority, &ann, &key]);

    assert!(without[0].starts_with("refused "), "{without:?}");
    assert_eq!(with, ["got both", "closed"]);
}

#[test]
fn amqplib_speaks_tls_with_and_without_a_certificate() {
    let Some(library) = packages::npm("amqplib@0.10.9") else { return };
    let certificates = Certificates::new();
    let node = certificates.node(CHECKED);
    make_user(&node, "ann");
    let (authority, (ann, key)) = (certificates.path("ca.pem"), certificates.pair("ann"));
    let package = std::env::var("CARGO_MANIFEST_DIR");
    let package = package.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR"));

    for arguments in [&[authority.as_str()][..], &[&authority, &ann, &key]] {
        let mut command = Command::new("node");
        command.arg(format!("{package}/node/amqplib-tls.js"));
        command.arg(amqps(&node).port().to_string()).args(arguments);
        let output = command.env("NODE_PATH", library.join("node_modules")).output().unwrap();

        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "got it");
    }
}

#[test]
fn old_versions_and_weak_ciphers_are_not_spoken() {
    let Some(programs) = tools::find(&["openssl"]) else { return };
    let certificates = Certificates::new();
    let node = certificates.node("versions = ['tlsv1.2']");
    let address = amqps(&node).to_string();
    let agreed = |arguments: &[&str]| {
        let mut command = Command::new(&programs[0]);
        command.args(["s_client", "-connect", &address, "-CAfile", &certificates.path("ca.pem")]);
        command.args(["-verify_return_error", "-verify_hostname", "localhost"]).args(arguments);
        command.stdin(Stdio::null()).output().unwrap().status.success()
    };

    assert!(agreed(&["-tls1_2"]));
    assert!(agreed(&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]));
    for refused in [
        &["-tls1_1"][..],
        &["-tls1_3"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
    ] {
        assert!(!agreed(refused), "{refused:?}");
    }
}

#[test]
fn operators_see_what_was_agreed() {
    let certificates = Certificates::new();
    let node = certificates.node(CHECKED);
    let (authority, (ann, key)) = (certificates.path("ca.pem"), certificates.pair("ann"));
    let stay = certificates.write("stay", "");
    let http = Client::new(node.addresses().http, "guest", "guest");

    let client =
        python::LATEST.start_staying(amqps(&node), "tls", &[&authority, &ann, &key], &stay);
    client.wait_for("turn", 1);
    let rows = http.value("/api/connections");
    let listeners = http.value("/api/overview")["listeners"].clone();
    let expiry = http.ask("GET", "/api/health/checks/certificate-expiration/1/months", "");
    let late = http.ask("GET", "/api/health/checks/certificate-expiration/2/years", "");
    std::fs::remove_file(stay).unwrap();
    client.finish();

    let row = &rows[0];
    assert_eq!(row["ssl"], true, "{row}");
    assert_eq!(row["ssl_protocol"], "tlsv1.3");
    assert_eq!(row["peer_cert_subject"], "CN=ann");
    assert_eq!(row["peer_cert_issuer"], "CN=warren authority");
    let listens: Vec<&Value> =
        listeners.as_array().unwrap().iter().map(|listener| &listener["protocol"]).collect();
    for protocol in ["amqp/ssl", "https", "https/prometheus"] {
        assert!(listens.contains(&&Value::from(protocol)), "{listens:?}");
    }
    assert_eq!((expiry.status, late.status), (200, 503));
}

#[test]
fn tools_and_scrapers_speak_https() {
    let certificates = Certificates::new();
    let node = certificates.node("");
    let https = listens(&node.data_dir(), "https").port();
    let metrics = listens(&node.data_dir(), "metrics_https").port();
    let url = format!("https://localhost:{https}");
    let authority = certificates.path("ca.pem");
    let login = ["--username", "guest", "--password", "guest"];

    let ask = |more: &[&str]| {
        let arguments = [&["list_vhosts", "--url", &url][..], &login, more].concat();
        certificates.ctl(&arguments)
    };
    let known = ask(&["--cacertfile", &authority]);
    let stranger = ask(&[]);
    let script = "import ssl, sys, urllib.request as r\n\
                  c = ssl.create_default_context(cafile=sys.argv[2])\n\
                  print(r.urlopen(sys.argv[1], context=c).read().decode())";
    let page = Command::new("python3")
        .args(["-c", script, &format!("https://localhost:{metrics}/metrics"), &authority])
        .output()
        .unwrap();

    assert!(known.status.success(), "{known:?}");
    assert!(!stranger.status.success(), "an authority that nobody knows is not believed");
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("warren_certificate_not_after_seconds{protocol=\"https\""), "{page}");
}
