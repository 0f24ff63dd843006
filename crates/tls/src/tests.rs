//! A client and a node agree, or do not.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::{TlsConnector, client};

use crate::kit::Authority;
use crate::twin::twins;
use crate::{
    Acceptor, Certificate, ClientCertificate, Connector, Files, HostFiles, Login, NameKind,
    Session, Terms, TlsStream, Version, Watched,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A client that trusts the authority of `files`, and shows their certificate if it is to.
fn client(files: &Files, shows: bool, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(files.roots().unwrap().unwrap());
    if shows {
        let own = Arc::new(files.own(&provider).unwrap());
        builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(own)))
    } else {
        builder.with_no_client_auth()
    }
}

/// Both ends, once they agree.
struct Agreed {
    session: Session,
    client: client::TlsStream<DuplexStream>,
    node: TlsStream<DuplexStream>,
}

/// What both ends say after they have tried, and after the node has said something.
async fn agree(
    acceptor: &Acceptor,
    client: ClientConfig,
    host: &'static str,
) -> Result<Agreed, String> {
    let (near, far) = duplex(64 * 1024);
    let name = ServerName::try_from(host).unwrap();
    let calling = TlsConnector::from(Arc::new(client)).connect(name, near);
    let (called, answered) = tokio::join!(calling, acceptor.accept(far, PATIENCE));
    let mut answered = answered.map_err(|error| error.to_string())?;
    let mut called = called.map_err(|error| error.to_string())?;
    answered.write_all(b"hello").await.map_err(|error| error.to_string())?;
    answered.flush().await.map_err(|error| error.to_string())?;
    let mut heard = [0; 5];
    called.read_exact(&mut heard).await.map_err(|error| error.to_string())?;
    assert_eq!(&heard, b"hello");
    let session = acceptor.session(answered.get_ref().1);
    Ok(Agreed { session, client: called, node: answered })
}

fn checked(login: Login) -> Terms {
    Terms { client: ClientCertificate::Required, login, ..Terms::default() }
}

#[tokio::test]
async fn what_was_agreed_is_told_in_rabbitmqs_words() {
    let authority = Authority::new();
    let node = authority.issue("node", &["localhost"]);
    let ann = authority.issue("ann", &["ann.example"]);
    let acceptor = Acceptor::new(&node, &checked(Login::CommonName)).unwrap();

    let new = agree(&acceptor, client(&ann, true, &TLS13), "localhost").await.unwrap().session;
    let old = agree(&acceptor, client(&ann, true, &TLS12), "localhost").await.unwrap().session;

    assert_eq!((new.protocol, new.key_exchange, new.hash), ("tlsv1.3", "any", "aead"));
    assert_eq!((old.protocol, old.key_exchange), ("tlsv1.2", "ecdhe_ecdsa"));
    assert!(new.cipher.starts_with("aes_"), "{}", new.cipher);
    assert_eq!(new.login_name.as_deref(), Some("ann"));
    let peer = new.peer.unwrap();
    assert_eq!((peer.subject.as_str(), peer.serial.as_str()), ("CN=ann,O=warren", "2"));
    assert_eq!(peer.issuer, "CN=an authority");
    assert_eq!(peer.validity, "1975-01-01T00:00:00Z - 4096-01-01T00:00:00Z");
    assert_eq!(peer.login(Login::DistinguishedName).as_deref(), Some("CN=ann,O=warren"));
    let dns = |place| peer.login(Login::AlternativeName(NameKind::Dns, place));
    assert_eq!((dns(0).as_deref(), dns(1)), (Some("ann.example"), None));
}

#[tokio::test]
async fn a_client_without_a_good_certificate_is_refused_where_one_is_needed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let node = authority.issue("node", &["localhost"]);
    let acceptor = Acceptor::new(&node, &checked(Login::CommonName)).unwrap();
    let mut foreign = other.issue("eve", &["eve"]);
    foreign.authorities.clone_from(&node.authorities);

    let none = agree(&acceptor, client(&node, false, &TLS13), "localhost").await;
    let wrong = agree(&acceptor, client(&foreign, true, &TLS13), "localhost").await;

    assert!(none.is_err() && wrong.is_err());
}

#[tokio::test]
async fn a_client_may_do_without_a_certificate_where_it_is_only_checked() {
    let authority = Authority::new();
    let node = authority.issue("node", &["localhost"]);
    let terms = Terms { client: ClientCertificate::Checked, ..Terms::default() };
    let acceptor = Acceptor::new(&node, &terms).unwrap();

    let agreed = agree(&acceptor, client(&node, false, &TLS13), "localhost").await.unwrap();

    assert_eq!((agreed.session.peer, agreed.session.login_name), (None, None));
}

#[tokio::test]
async fn a_version_that_is_not_wanted_is_not_spoken() {
    let authority = Authority::new();
    let node = authority.issue("node", &["localhost"]);
    let terms = Terms { versions: vec![Version::Tls13], ..Terms::default() };
    let acceptor = Acceptor::new(&node, &terms).unwrap();

    assert!(agree(&acceptor, client(&node, false, &TLS12), "localhost").await.is_err());
    assert!(agree(&acceptor, client(&node, false, &TLS13), "localhost").await.is_ok());
}

#[tokio::test]
async fn a_stolen_certificate_is_refused_once_it_is_denied_or_revoked() {
    let authority = Authority::new();
    let mut node = authority.issue("node", &["localhost"]);
    let ann = authority.issue("ann", &["ann"]);
    let terms = checked(Login::CommonName);
    let acceptor = Acceptor::new(&node, &terms).unwrap();
    let call = || agree(&acceptor, client(&ann, true, &TLS13), "localhost");

    let mut before = call().await.unwrap();
    assert!(!before.session.is_revoked());
    node.denied = Some(authority.deny(&ann));
    acceptor.replace(&node, &terms).unwrap();
    let denied = call().await;
    assert!(before.session.is_revoked(), "denied");
    node.denied = None;
    node.revocations = Some(authority.revoke(2));
    acceptor.replace(&node, &terms).unwrap();
    let revoked = call().await;
    assert!(before.session.is_revoked(), "revoked");
    node.revocations = None;
    acceptor.replace(&node, &terms).unwrap();

    assert!(denied.is_err() && revoked.is_err());
    assert!(call().await.is_ok() && !before.session.is_revoked());
    // It is for others to end what was there before.
    before.client.write_all(b"x").await.unwrap();
    before.client.flush().await.unwrap();
    assert_eq!(before.node.read_u8().await.unwrap(), b'x');
}

/// A client as `files` have it, that shows its certificate in the other form.
fn twin(files: &Files) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let shown = CertificateDer::from_pem_file(&files.certificates).unwrap();
    let twin = CertificateDer::from(twins(&shown).remove(0));
    assert_ne!(twin, shown);
    assert_eq!(twins(&twin)[0], shown.as_ref(), "it is mutual");
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(files.roots().unwrap().unwrap())
        .with_client_auth_cert(vec![twin], key)
        .unwrap()
}

#[tokio::test]
async fn a_stolen_certificate_is_refused_in_either_form_that_its_signature_has() {
    let authority = Authority::new();
    let mut node = authority.issue("node", &["localhost"]);
    let ann = authority.issue("ann", &["ann"]);
    let terms = checked(Login::CommonName);
    let acceptor = Acceptor::new(&node, &terms).unwrap();

    let before = agree(&acceptor, twin(&ann), "localhost").await.unwrap();
    node.denied = Some(authority.deny(&ann));
    acceptor.replace(&node, &terms).unwrap();
    let after = agree(&acceptor, twin(&ann), "localhost").await;

    assert_eq!(before.session.login_name.as_deref(), Some("ann"));
    assert!(before.session.is_revoked() && after.is_err());
    let bob = authority.issue("bob", &["bob"]);
    assert!(agree(&acceptor, twin(&bob), "localhost").await.is_ok());
}

/// Both ends of a connection, each of which fails when the other's certificate is denied.
async fn between(
    acceptor: &Acceptor,
    connector: &Connector,
) -> (Watched<client::TlsStream<DuplexStream>>, Watched<TlsStream<DuplexStream>>) {
    let (near, far) = duplex(64 * 1024);
    let (called, answered) = tokio::join!(connector.connect(near), acceptor.admit(far, PATIENCE));
    (called.unwrap(), answered.unwrap())
}

#[tokio::test]
async fn a_watched_connection_ends_when_either_ends_certificate_is_denied_and_others_stay() {
    let authority = Authority::new();
    let terms = checked(Login::CommonName);
    let mut node = authority.issue("node", &["localhost"]);
    let mut ann = authority.issue("ann", &["ann"]);
    let acceptor = Acceptor::new(&node, &terms).unwrap();
    let connector = Connector::new(&ann, "localhost", "h2").unwrap();
    let bob = Connector::new(&authority.issue("bob", &["bob"]), "localhost", "h2").unwrap();
    let (_ann, mut ann_heard) = between(&acceptor, &connector).await;
    let (mut bob_says, mut bob_heard) = between(&acceptor, &bob).await;
    let waiting = tokio::spawn(async move { ann_heard.read_u8().await });

    node.denied = Some(authority.deny(&ann));
    acceptor.replace(&node, &terms).unwrap();
    let denied = waiting.await.unwrap().unwrap_err();
    bob_says.write_all(b"x").await.unwrap();
    bob_says.flush().await.unwrap();
    let heard = bob_heard.read_u8().await.unwrap();
    node.denied = None;
    acceptor.replace(&node, &terms).unwrap();
    let (mut ann_calls, _node) = between(&acceptor, &connector).await;
    ann.denied = Some(authority.deny(&node));
    connector.replace(&ann).unwrap();
    let node_denied = ann_calls.read_u8().await.unwrap_err();

    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{denied}");
    assert_eq!(heard, b'x');
    assert_eq!(node_denied.kind(), ErrorKind::PermissionDenied, "{node_denied}");
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_ones_before_in_force() {
    let authority = Authority::new();
    let node = authority.issue("node", &["localhost"]);
    let acceptor = Acceptor::new(&node, &Terms::default()).unwrap();
    let before = acceptor.certificates();
    let other = authority.issue("other", &["localhost"]);
    let mixed = Files { key: other.key.clone(), ..node.clone() };

    let refused = acceptor.replace(&mixed, &Terms::default()).unwrap_err().to_string();
    std::fs::write(&other.certificates, "no PEM").unwrap();
    let senseless = acceptor.replace(&other, &Terms::default()).unwrap_err().to_string();

    assert!(
        refused.starts_with("the certificates in ") && refused.contains("node.pem"),
        "{refused}"
    );
    assert!(senseless.ends_with("other.pem: no certificate is in it"), "{senseless}");
    assert_eq!(acceptor.certificates(), before);
    assert!(agree(&acceptor, client(&node, false, &TLS13), "localhost").await.is_ok());
}

#[tokio::test]
async fn who_asks_for_a_host_is_shown_that_hosts_certificate() {
    let authority = Authority::new();
    let mut node = authority.issue("node", &["localhost"]);
    for (subject, name) in [("a", "a.example"), ("any", "*.wild.example")] {
        let Files { certificates, key, .. } = authority.issue(subject, &[name]);
        node.hosts.push(HostFiles { name: name.to_owned(), certificates, key });
    }
    let acceptor = Acceptor::new(&node, &Terms::default()).unwrap();

    for (host, subject) in [
        ("localhost", "CN=node,O=warren"),
        ("a.example", "CN=a,O=warren"),
        ("b.wild.example", "CN=any,O=warren"),
    ] {
        let agreed = agree(&acceptor, client(&node, false, &TLS13), host).await.unwrap();
        let shown = agreed.client.get_ref().1.peer_certificates().unwrap();
        assert_eq!(Certificate::of(&shown[0]).unwrap().subject, subject);
    }
    assert!(agree(&acceptor, client(&node, false, &TLS13), "b.example").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for_longer_than_the_limit() {
    let authority = Authority::new();
    let acceptor = Acceptor::new(&authority.issue("node", &["localhost"]), &Terms::default());
    let (_near, far) = duplex(64);

    let error = acceptor.unwrap().accept(far, Duration::from_secs(10)).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::TimedOut);
}
