//! Calling with TLS.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::TlsError;
use crate::files::Files;
use crate::verifier;
use crate::watched::Watched;

/// Calls with TLS, showing a certificate. Cheap to clone; all clones use the same files.
#[derive(Clone, Debug)]
pub struct Connector {
    current: Arc<ArcSwap<Current>>,
    renewed: watch::Sender<()>,
    name: ServerName<'static>,
    protocol: &'static str,
}

#[derive(Debug)]
struct Current {
    config: Arc<ClientConfig>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl Connector {
    /// Reads `files`. Whoever is called must have a certificate for `name`, wherever it is called,
    /// and speak `protocol`.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn new(files: &Files, name: &str, protocol: &'static str) -> Result<Self, TlsError> {
        let current = Arc::new(ArcSwap::from_pointee(read(files, protocol)?));
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| unusable(files, format!("'{name}' is no name: {error}")))?;
        Ok(Self { current, renewed: watch::Sender::new(()), name, protocol })
    }

    /// Shows nobody a certificate. Whoever is called must have one for `name` that comes from the
    /// authorities in that file, and speak `protocol`.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn without_certificate(
        authorities: &Path,
        name: &str,
        protocol: &'static str,
    ) -> Result<Self, TlsError> {
        let files = Files { authorities: Some(authorities.into()), ..Files::default() };
        Self::new(&files, name, protocol)
    }

    /// Calls with `files` from here on. Connections to whom they deny or revoke fail.
    ///
    /// # Errors
    /// When they cannot be used; then nothing changes.
    pub fn replace(&self, files: &Files) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(files, self.protocol)?));
        self.renewed.send_replace(());
        Ok(())
    }

    /// Agrees with whoever was called on `stream`. The connection fails as soon as the certificate
    /// that was shown is denied or revoked.
    ///
    /// # Errors
    /// When they do not agree.
    pub async fn connect<S>(&self, stream: S) -> io::Result<Watched<TlsStream<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(Arc::clone(&self.current.load().config));
        let stream = connector.connect(self.name.clone(), stream).await?;
        let Some(chain) = verifier::shown(stream.get_ref().1) else {
            return Ok(Watched::unasked(stream));
        };
        let (renewed, caller) = (self.renewed.subscribe(), self.clone());
        Ok(Watched::new(stream, renewed, move || caller.revokes(&chain)))
    }

    /// Whether the certificate of somebody who was called, the first of `chain`, is denied or revoked
    /// by the files in use.
    fn revokes(&self, chain: &[CertificateDer<'static>]) -> bool {
        let Some((own, between)) = chain.split_first() else { return false };
        let (now, verifier) = (UnixTime::now(), Arc::clone(&self.current.load().verifier));
        verifier::finds_revoked(&verifier.verify_server_cert(own, between, &self.name, &[], now))
    }
}

fn read(files: &Files, protocol: &str) -> Result<Current, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let roots = files.roots()?;
    let roots = roots.ok_or_else(|| unusable(files, "no authority is named".to_owned()))?;
    let verifier = verifier::of_servers(files, roots, &provider)?;
    let own = match files.certificates.as_os_str().is_empty() {
        true => None,
        false => Some(files.own(&provider)?),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(files, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier));
    let mut config = match own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.as_bytes().into()];
    Ok(Current { config: Arc::new(config), verifier })
}

fn unusable(files: &Files, text: String) -> TlsError {
    TlsError::Unusable { path: files.certificates.clone(), text }
}
