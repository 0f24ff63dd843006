//! Answering with TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificate::{Certificate, Login};
use crate::error::TlsError;
use crate::files::{Files, HostFiles, read_key};
use crate::session::Session;
use crate::verifier;
use crate::watched::Watched;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

impl Version {
    /// As in the configuration: `tlsv1.2`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "tlsv1.2" => Some(Self::Tls12),
            "tlsv1.3" => Some(Self::Tls13),
            _ => None,
        }
    }

    fn supported(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &TLS12,
            Self::Tls13 => &TLS13,
        }
    }
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificate {
    /// They are not asked for one.
    #[default]
    Ignored,
    /// One that is shown must be good.
    Checked,
    /// A good one must be shown.
    Required,
}

/// What is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether they show a certificate.
    pub client: ClientCertificate,
    /// The name that their certificate must have, whatever else it says.
    pub client_name: Option<String>,
    /// The versions of TLS that may be spoken.
    pub versions: Vec<Version>,
    /// What is spoken inside, if clients ask.
    pub protocol: Option<&'static str>,
    /// Who the owner of a certificate is as a user.
    pub login: Login,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            client: ClientCertificate::default(),
            client_name: None,
            versions: vec![Version::Tls12, Version::Tls13],
            protocol: None,
            login: Login::default(),
        }
    }
}

/// Answers with TLS. Cheap to clone; all clones use the same files.
#[derive(Clone, Debug)]
pub struct Acceptor {
    current: Arc<ArcSwap<Current>>,
    renewed: watch::Sender<()>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    login: Login,
    certificates: Vec<Certificate>,
}

impl Acceptor {
    /// Reads `files`.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn new(files: &Files, terms: &Terms) -> Result<Self, TlsError> {
        let current = Arc::new(ArcSwap::from_pointee(Current::read(files, terms)?));
        Ok(Self { current, renewed: watch::Sender::new(()) })
    }

    /// Answers with `files` from here on. Connections that exist are left as they are, but for those
    /// that were admitted with a certificate that is denied or revoked by then; and no client can go
    /// on with a session of before.
    ///
    /// # Errors
    /// When they cannot be used; then nothing changes.
    pub fn replace(&self, files: &Files, terms: &Terms) -> Result<(), TlsError> {
        self.current.store(Arc::new(Current::read(files, terms)?));
        self.renewed.send_replace(());
        Ok(())
    }

    /// The certificates that clients are shown.
    #[must_use]
    pub fn certificates(&self) -> Vec<Certificate> {
        self.current.load().certificates.clone()
    }

    /// Agrees with the client on `stream`, who has until `limit` for it.
    ///
    /// # Errors
    /// When they do not agree, or not in time.
    pub async fn accept<S>(&self, stream: S, limit: Duration) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.current.load().config);
        let handshake = TlsAcceptor::from(config).accept(stream);
        let outcome = tokio::time::timeout(limit, handshake).await;
        outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// As [`Acceptor::accept`], for a connection that fails as soon as the client's certificate is
    /// denied or revoked.
    ///
    /// # Errors
    /// When they do not agree, or not in time.
    pub async fn admit<S>(&self, stream: S, limit: Duration) -> io::Result<Watched<TlsStream<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.accept(stream, limit).await?;
        let Some(chain) = verifier::shown(stream.get_ref().1) else {
            return Ok(Watched::unasked(stream));
        };
        let (renewed, acceptor) = (self.renewed.subscribe(), self.clone());
        Ok(Watched::new(stream, renewed, move || acceptor.revokes(&chain)))
    }

    /// What was agreed on `connection`.
    #[must_use]
    pub fn session(&self, connection: &ServerConnection) -> Session {
        Session::of(self.clone(), connection, self.current.load().login)
    }

    /// Whether a client's certificate, the first of `chain`, is denied or revoked by the files in
    /// use. What else may be wrong with it is asked of newcomers alone.
    pub(crate) fn revokes(&self, chain: &[CertificateDer<'static>]) -> bool {
        let current = self.current.load();
        let (Some(verifier), Some((own, between))) = (&current.verifier, chain.split_first())
        else {
            return false;
        };
        verifier::finds_revoked(&verifier.verify_client_cert(own, between, UnixTime::now()))
    }
}

impl Current {
    fn read(files: &Files, terms: &Terms) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let unusable = |text: String| TlsError::Unusable { path: files.certificates.clone(), text };
        let versions: Vec<_> = terms.versions.iter().map(|version| version.supported()).collect();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| unusable(error.to_string()))?;
        let name = terms.client_name.clone().map(ServerName::try_from).transpose();
        let name = name.map_err(|error| unusable(error.to_string()))?;
        let verifier = match terms.client {
            ClientCertificate::Ignored => None,
            ClientCertificate::Checked => verifier::of_clients(files, false, name, &provider)?,
            ClientCertificate::Required => verifier::of_clients(files, true, name, &provider)?,
        };
        let builder = match verifier.clone() {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None if terms.client == ClientCertificate::Ignored => builder.with_no_client_auth(),
            None => return Err(unusable("nobody is named who signs for clients".to_owned())),
        };
        let hosts = Hosts::read(files, &provider)?;
        let certificates = hosts.certificates();
        let mut config = builder.with_cert_resolver(Arc::new(hosts));
        config.alpn_protocols = terms.protocol.iter().map(|name| name.as_bytes().into()).collect();
        Ok(Self { config: Arc::new(config), verifier, login: terms.login, certificates })
    }
}

/// Which certificate is shown to whom.
#[derive(Debug)]
struct Hosts {
    own: Arc<CertifiedKey>,
    others: Vec<(String, Arc<CertifiedKey>)>,
}

impl Hosts {
    fn read(files: &Files, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let own = Arc::new(files.own(provider)?);
        let read = |host: &HostFiles| {
            let key = read_key(&host.certificates, &host.key, provider)?;
            Ok((host.name.to_lowercase(), Arc::new(key)))
        };
        let others: Result<_, TlsError> = files.hosts.iter().map(read).collect();
        Ok(Self { own, others: others? })
    }

    fn certificates(&self) -> Vec<Certificate> {
        let keys = std::iter::once(&self.own).chain(self.others.iter().map(|(_, key)| key));
        keys.filter_map(|key| Certificate::of(key.cert.first()?)).collect()
    }

    fn find(&self, asked: &str) -> &Arc<CertifiedKey> {
        let asked = asked.to_lowercase();
        let domain = asked.split_once('.').map(|(_, domain)| domain);
        let is_meant = |name: &str| {
            name == asked || name.strip_prefix("*.").is_some_and(|name| Some(name) == domain)
        };
        let found = self.others.iter().find(|(name, _)| is_meant(name));
        found.map_or(&self.own, |(_, key)| key)
    }
}

impl ResolvesServerCert for Hosts {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(hello.server_name().map_or(&self.own, |name| self.find(name))))
    }
}
