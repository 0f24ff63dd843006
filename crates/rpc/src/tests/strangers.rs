//! Who does not know the secret, or has no certificate of the right authority, for every method
//! that there is.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use warren_tls::kit::Authority;
use warren_tls::{Acceptor, ClientCertificate, Connector, Files, Terms, Version};

use super::kit::{Cluster, Frontend, HOST, HOST_BOOT, TestDesk, identity, soon};
use crate::{Dialer, Guard, PROTOCOL, Secrets, serve_streams};

const SECRET: &str = "the nodes know it";
const NAME: &str = "warren-peer";

/// Every method of every service in `proto/`, as it is called.
fn methods() -> Vec<String> {
    let mut methods = Vec::new();
    let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                read_methods(&path, &mut methods);
            }
        }
    }
    methods.sort();
    methods
}

fn read_methods(file: &Path, methods: &mut Vec<String>) {
    let text = fs::read_to_string(file).unwrap();
    let (mut package, mut service) = ("", "");
    for line in text.lines() {
        let mut words = line.trim().split([' ', '(', ';']);
        match (words.next(), words.next()) {
            (Some("package"), Some(name)) => package = name,
            (Some("service"), Some(name)) => service = name,
            (Some("rpc"), Some(name)) => methods.push(format!("/{package}.{service}/{name}")),
            _ => {}
        }
    }
}

/// A node behind a guard, at which nothing has been heard yet.
struct Guarded {
    address: String,
    cluster: Arc<Cluster>,
    serving: JoinHandle<()>,
}

impl Guarded {
    async fn start(guard: Guard) -> Self {
        let cluster = Arc::new(Cluster { founded: true, ..Cluster::default() });
        let desk = TestDesk::new();
        desk.set_identity(identity(HOST, HOST_BOOT));
        desk.set_frontend(Frontend::silent());
        desk.set_cluster(Arc::clone(&cluster));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let incoming = guard.listen(listener);
            serve_streams(incoming, Arc::new(desk), std::future::pending()).await.unwrap();
        });
        Self { address, cluster, serving }
    }

    /// Calls every method from behind `guard`, and gives what each said.
    async fn call_all(&self, guard: &Guard) -> Vec<(String, Result<(), Status>)> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let dialer = guard.dialer(Dialer::tcp());
        let mut answers = Vec::new();
        for method in methods() {
            let channel = dialer.channel(&endpoint, &self.address);
            let answer = soon(call(channel, &method)).await;
            answers.push((method, answer));
        }
        answers
    }

    fn assert_nothing_was_heard(&self) {
        let heard = self.cluster.heard.lock().unwrap();
        assert!(heard.is_empty(), "{heard:?}");
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// An empty message, which every method understands; one that streams is given one message.
async fn call(channel: Channel, method: &str) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    let path: PathAndQuery = method.parse().unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let messages = tokio_stream::once(());
    let answer = grpc.streaming(Request::new(messages), path, codec).await?;
    answer.into_inner().message().await.map(drop)
}

/// Whether the connection was refused, and not the call.
fn is_kept_out(answer: &Result<(), Status>) -> bool {
    use std::error::Error as _;
    answer.as_ref().is_err_and(|status| status.source().is_some())
}

fn by_secret(secret: &str) -> Guard {
    Guard::new(None, Some(Secrets::new(secret, None)))
}

fn by_certificate(files: &Files) -> Guard {
    Guard::new(Some(both_ways(files)), None)
}

fn both_ways(files: &Files) -> (Acceptor, Connector) {
    let acceptor = Acceptor::new(files, &terms()).unwrap();
    (acceptor, Connector::new(files, NAME, PROTOCOL).unwrap())
}

fn terms() -> Terms {
    Terms {
        client: ClientCertificate::Required,
        client_name: Some(NAME.to_owned()),
        versions: vec![Version::Tls13],
        protocol: Some(PROTOCOL),
        ..Terms::default()
    }
}

#[test]
fn the_methods_are_found_in_the_sources() {
    let methods = methods();

    assert!(methods.len() >= 17, "{methods:?}");
    assert!(methods.contains(&"/warren.raft.v1.Raft/Vote".to_owned()), "{methods:?}");
}

#[tokio::test]
async fn who_does_not_know_the_secret_reaches_no_method() {
    let host = Guarded::start(by_secret(SECRET)).await;

    for stranger in [Guard::default(), by_secret("somebody else's secret")] {
        for (method, answer) in host.call_all(&stranger).await {
            assert!(is_kept_out(&answer), "{method}: {answer:?}");
        }
    }

    host.assert_nothing_was_heard();
}

#[tokio::test]
async fn who_knows_the_secret_reaches_every_method_and_still_has_to_say_who_it_is() {
    let host = Guarded::start(by_secret(SECRET)).await;

    let answers = host.call_all(&by_secret(SECRET)).await;

    for (method, answer) in answers {
        assert!(!is_kept_out(&answer), "{method}: {answer:?}");
        let is_for_anybody = method.ends_with("/Hello") || method.ends_with("/Join");
        let code = answer.map_or_else(|status| status.code(), |()| Code::Ok);
        assert_eq!(code == Code::PermissionDenied, !is_for_anybody, "{method}: {code:?}");
    }
}

#[tokio::test]
async fn while_a_secret_is_changed_either_is_believed() {
    let guard = Guard::new(None, Some(Secrets::new("the new secret", Some(SECRET))));
    let host = Guarded::start(guard.clone()).await;

    let both = [host.call_all(&by_secret(SECRET)).await, host.call_all(&guard).await];
    guard.set_secrets(Some(Secrets::new("the new secret", None)));
    let late = host.call_all(&by_secret(SECRET)).await;

    assert!(both.iter().flatten().all(|(_, answer)| !is_kept_out(answer)), "{both:?}");
    assert!(late.iter().all(|(_, answer)| is_kept_out(answer)), "{late:?}");
}

#[tokio::test]
async fn who_is_called_and_does_not_know_the_secret_is_not_spoken_to() {
    let host = Guarded::start(by_secret("an impostor's secret")).await;

    let answers = host.call_all(&by_secret(SECRET)).await;

    assert!(answers.iter().all(|(_, answer)| is_kept_out(answer)), "{answers:?}");
    host.assert_nothing_was_heard();
}

#[tokio::test]
async fn who_has_no_certificate_of_a_node_reaches_no_method() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let host = Guarded::start(by_certificate(&ours.issue("one", &[NAME]))).await;
    let clients = by_certificate(&ours.issue("ann", &["ann"]));
    let foreign = by_certificate(&theirs.issue("two", &[NAME]));

    for stranger in [Guard::default(), by_secret(SECRET), clients, foreign] {
        for (method, answer) in host.call_all(&stranger).await {
            assert!(is_kept_out(&answer), "{stranger:?} {method}: {answer:?}");
        }
    }

    host.assert_nothing_was_heard();
}

#[tokio::test]
async fn a_node_whose_certificate_is_denied_is_kept_out_from_the_next_connection_on() {
    let authority = Authority::new();
    let mut files = authority.issue("one", &[NAME]);
    let guard = by_certificate(&files);
    let host = Guarded::start(guard).await;
    let stolen = authority.issue("two", &[NAME]);
    let before = host.call_all(&by_certificate(&stolen)).await;
    drop(host);

    files.denied = Some(authority.deny(&stolen));
    let host = Guarded::start(by_certificate(&files)).await;
    let after = host.call_all(&by_certificate(&stolen)).await;

    assert!(before.iter().all(|(_, answer)| !is_kept_out(answer)), "{before:?}");
    assert!(after.iter().all(|(_, answer)| is_kept_out(answer)), "{after:?}");
}

/// Calls over one connection, which is made again when it breaks, until none is let in.
async fn call_until_kept_out(host: &Guarded, connection: Channel) {
    let hello = "/warren.cluster.v1.Cluster/Hello";
    while !is_kept_out(&soon(call(connection.clone(), hello)).await) {
        assert!(!host.serving.is_finished());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_node_that_is_there_loses_its_connections_when_its_certificate_is_denied() {
    let authority = Authority::new();
    let mut files = authority.issue("one", &[NAME]);
    let (acceptor, connector) = both_ways(&files);
    let guard = Guard::new(Some((acceptor.clone(), connector)), None);
    let host = Guarded::start(guard).await;
    let stolen = authority.issue("two", &[NAME]);
    let endpoint = Endpoint::from_shared(format!("http://{}", host.address)).unwrap();
    let connect = |files: &Files| {
        by_certificate(files).dialer(Dialer::tcp()).channel(&endpoint, &host.address)
    };
    let (honest, thief) = (connect(&authority.issue("three", &[NAME])), connect(&stolen));
    let hello = "/warren.cluster.v1.Cluster/Hello";
    for connection in [&honest, &thief] {
        assert!(!is_kept_out(&soon(call(connection.clone(), hello)).await));
    }

    files.denied = Some(authority.deny(&stolen));
    acceptor.replace(&files, &terms()).unwrap();

    soon(call_until_kept_out(&host, thief)).await;
    assert!(!is_kept_out(&soon(call(honest, hello)).await));
}
