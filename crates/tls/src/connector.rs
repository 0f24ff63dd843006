//! Calling with TLS.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::TlsError;
use crate::files::Files;
use crate::verifier;

/// Calls with TLS, showing a certificate. Cheap to clone; all clones use the same files.
#[derive(Clone, Debug)]
pub struct Connector {
    current: Arc<ArcSwap<ClientConfig>>,
    name: ServerName<'static>,
    protocol: &'static str,
}

impl Connector {
    /// Reads `files`. Whoever is called must have a certificate for `name`, wherever it is called,
    /// and speak `protocol`.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn new(files: &Files, name: &str, protocol: &'static str) -> Result<Self, TlsError> {
        let config = read(files, protocol)?;
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| unusable(files, format!("'{name}' is no name: {error}")))?;
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(config)), name, protocol })
    }

    /// Calls with `files` from here on.
    ///
    /// # Errors
    /// When they cannot be used; then nothing changes.
    pub fn replace(&self, files: &Files) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(files, self.protocol)?));
        Ok(())
    }

    /// Agrees with whoever was called on `stream`.
    ///
    /// # Errors
    /// When they do not agree.
    pub async fn connect<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(self.current.load_full());
        connector.connect(self.name.clone(), stream).await
    }
}

fn read(files: &Files, protocol: &str) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let roots = files.roots()?;
    let roots = roots.ok_or_else(|| unusable(files, "no authority is named".to_owned()))?;
    let verifier = verifier::of_servers(files, roots, &provider)?;
    let own = files.own(&provider)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(files, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.alpn_protocols = vec![protocol.as_bytes().into()];
    Ok(config)
}

fn unusable(files: &Files, text: String) -> TlsError {
    TlsError::Unusable { path: files.certificates.clone(), text }
}
