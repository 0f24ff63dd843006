//! Files that change while a node runs.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use warren_tests::http::Client;
use warren_tests::node::Node;
use warren_tests::python;

use super::certificates::{Certificates, listens, until};

/// Asks over one connection, which it keeps, at first and for each line that it is told; and says what
/// came, and when the connection ends.
const BROWSER: &str = "\
import http.client, select, ssl, sys
port, authority, certificate, key = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.load_cert_chain(certificate, key)
connection = http.client.HTTPSConnection('localhost', int(port), context=context)
def ask():
    connection.request('GET', '/api/whoami', headers={'Authorization': 'Basic Z3Vlc3Q6Z3Vlc3Q='})
    answer = connection.getresponse()
    answer.read()
    print(answer.status, flush=True)
ask()
while True:
    ready, _, _ = select.select([connection.sock, sys.stdin], [], [])
    if connection.sock in ready:
        connection.sock.settimeout(0)
        try:
            over = not connection.sock.recv(1)
        except ssl.SSLWantReadError:
            over = False
        except OSError:
            over = True
        connection.sock.settimeout(None)
        if over:
            print('ended', flush=True)
            break
    elif sys.stdin.readline():
        ask()
    else:
        break
";

/// Asks a node to read its files again.
fn hang_up(node: &Node) {
    let pid = i32::try_from(node.pid()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
}

/// A certificate as a line of the list of those that are denied.
fn fingerprint(certificate: &str) -> String {
    let script = "import hashlib, ssl, sys\n\
                  der = ssl.PEM_cert_to_DER_cert(open(sys.argv[1]).read())\n\
                  print(hashlib.sha256(der).hexdigest())";
    let output = Command::new("python3").args(["-c", script, certificate]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A program that is talked to line by line, and is gone when this is dropped.
struct Said {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Said {
    fn of(mut child: Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Its next line. The runner of the tests ends a wait that is too long.
    fn line(&mut self) -> String {
        self.lines.next().expect("it says something").unwrap()
    }

    fn ask(&mut self) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(b"again\n").unwrap();
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Until when the certificate counts that AMQP clients are shown.
fn not_after(node: &Node) -> String {
    let page = Client::nobody(node.addresses().metrics).body("/metrics").unwrap();
    let line = page.lines().find(|line| {
        line.starts_with("warren_certificate_not_after_seconds{protocol=\"amqp/ssl\"")
    });
    line.expect("there is a certificate").to_owned()
}

#[test]
fn other_certificates_are_shown_without_a_restart_and_nobody_is_disconnected() {
    let certificates = Certificates::new();
    let node = certificates.node("");
    let (authority, amqps) = (certificates.path("ca.pem"), listens(&node.data_dir(), "amqps"));
    let stay = certificates.write("stay", "");
    let client = python::LATEST.start_staying(amqps, "tls", &[&authority], &stay);
    client.wait_for("turn", 1);
    let before = not_after(&node);

    certificates.generate(&["--days", "7"]);
    until(|| not_after(&node) != before, || node.log_tail());
    let turns = client.said("turn").len();
    client.wait_for("turn", turns + 3);
    let newcomer = python::LATEST.run(amqps, "tls", &[&authority]);
    std::fs::remove_file(stay).unwrap();

    assert_eq!(newcomer, ["got both", "closed"]);
    client.finish();
}

#[test]
fn a_broken_certificate_is_refused_loudly_and_the_old_one_stays() {
    let certificates = Certificates::new();
    let node = certificates.node("");
    let (authority, amqps) = (certificates.path("ca.pem"), listens(&node.data_dir(), "amqps"));
    let before = not_after(&node);

    certificates.write("node.pem", "this is no certificate");
    until(|| node.log().contains("the certificates stay as they were"), || node.log_tail());

    assert!(node.log().contains("node.pem: no certificate is in it"), "{}", node.log_tail());
    assert_eq!(not_after(&node), before);
    assert_eq!(python::LATEST.run(amqps, "tls", &[&authority]), ["got both", "closed"]);
}

#[test]
fn a_stolen_certificate_is_refused_once_it_is_on_the_list() {
    let certificates = Certificates::new();
    let denied = certificates.write("denied", "# nobody yet\n");
    let node = certificates.node(&format!(
        "verify = 'verify_peer'\nfail_if_no_peer_cert = true\ndenyfile = '{}'",
        denied.display()
    ));
    let (authority, (ann, key)) = (certificates.path("ca.pem"), certificates.pair("ann"));
    let amqps = listens(&node.data_dir(), "amqps");
    let call = || python::LATEST.run(amqps, "tls", &[&authority, &ann, &key]);
    let before = call();
    certificates.generate(&["--clients", "bob"]);
    let (bob, bobs_key) = certificates.pair("bob");
    let stay = certificates.write("stay", "");
    let staying = |certificate: &str, key: &str| {
        let arguments = [authority.as_str(), certificate, key];
        let client = python::LATEST.start_staying(amqps, "tls", &arguments, &stay);
        client.wait_for("turn", 1);
        client
    };
    let (_thief, honest) = (staying(&ann, &key), staying(&bob, &bobs_key));
    let http = Client::new(node.addresses().http, "guest", "guest");
    let subjects = || {
        let rows = http.value("/api/connections");
        let subjects = rows.as_array().unwrap().iter().map(|row| row["peer_cert_subject"].clone());
        subjects.collect::<Vec<Value>>()
    };
    until(|| subjects().contains(&"CN=ann".into()), || format!("{:?}", subjects()));

    certificates.write("denied", &fingerprint(&ann));
    hang_up(&node);
    until(|| call()[0].starts_with("refused "), || node.log_tail());

    // Whoever is there with it is sent away, and nobody else.
    until(|| subjects() == ["CN=bob"], || format!("{:?}", subjects()));
    std::fs::remove_file(stay).unwrap();
    honest.finish();

    assert_eq!(before, ["got both", "closed"]);
}

#[test]
fn a_browser_that_stays_is_sent_away_once_its_certificate_is_on_the_list() {
    let certificates = Certificates::new();
    certificates.generate(&["--clients", "bob"]);
    let denied = certificates.write("denied", "# nobody yet\n");
    let more = format!(
        "denyfile = '{}'\n[management.ssl]\ncacertfile = '{}'\nverify = 'verify_peer'\n\
         fail_if_no_peer_cert = true",
        denied.display(),
        certificates.path("ca.pem")
    );
    let node = certificates.node(&more);
    let https = listens(&node.data_dir(), "https").port().to_string();
    let stay = |name: &str| {
        let (certificate, key) = certificates.pair(name);
        let arguments = [https.as_str(), &certificates.path("ca.pem"), &certificate, &key];
        let mut command = Command::new("python3");
        command.args(["-c", BROWSER]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let (mut thief, mut honest) = (Said::of(stay("ann")), Said::of(stay("bob")));
    assert_eq!((thief.line(), honest.line()), ("200".to_owned(), "200".to_owned()));

    certificates.write("denied", &fingerprint(&certificates.pair("ann").0));
    hang_up(&node);

    assert_eq!(thief.line(), "ended");
    honest.ask();
    assert_eq!(honest.line(), "200");
}

#[test]
fn keys_that_may_change_do_and_the_others_are_named() {
    let certificates = Certificates::new();
    let config = certificates.write("warren.toml", "[limits]\nchannel_max = 100\n");
    let node = Node::start_with(&["--config", config.to_str().unwrap()]);
    let http = Client::new(node.addresses().http, "guest", "guest");

    let text = "zone = 'z'\n[limits]\nchannel_max = 7\nvm_memory_high_watermark = '123456789'\n";
    certificates.write("warren.toml", text);
    until(|| node.log().contains("count from now on"), || node.log_tail());

    let log = node.log();
    assert!(log.contains("limits.channel_max, limits.vm_memory_high_watermark"), "{log}");
    assert!(log.contains("count from the next start on: zone"), "{log}");
    until(
        || http.value("/api/nodes")[0]["mem_limit"] == 123_456_789,
        || http.value("/api/nodes").to_string(),
    );
    certificates.write("warren.toml", "[limits]\nchannel_max = 'many'\n");
    until(|| node.log().contains("the configuration stays as it was"), || node.log_tail());
    assert!(node.log().contains("limits.channel_max: expected a whole number"));
}
