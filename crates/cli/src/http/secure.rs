//! HTTP under TLS: whom is believed, and who one is.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Where systems keep the authorities that everybody believes.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Names the file of authorities where no other is named, as for other tools.
const SYSTEM_VARIABLE: &str = "SSL_CERT_FILE";

/// Whom is believed, and who one is.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Believes the authorities in the file `authorities`, or the system's, and shows the
    /// certificate and key of `own`, if there are any.
    ///
    /// # Errors
    /// Says which file cannot be used.
    pub(crate) fn new(
        authorities: Option<&str>,
        own: Option<(&str, &str)>,
    ) -> Result<Self, String> {
        let authorities = authorities.map(str::to_owned).or_else(system);
        let authorities =
            authorities.ok_or("no file of authorities: name one with --cacertfile")?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&authorities)? {
            // Systems list some that are not understood, and are not needed.
            let _understood = roots.add(certificate);
        }
        if roots.is_empty() {
            return Err(format!("{authorities}: no authority is in it"));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let private = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| format!("{key}: no private key: {error}"))?;
                let config = builder.with_client_auth_cert(chain, private);
                config.map_err(|error| format!("{certificate}: {error}"))?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    /// The beginning of a conversation with `host`.
    pub(super) fn with(&self, host: &str) -> io::Result<ClientConnection> {
        let wrong = |text: String| io::Error::new(ErrorKind::InvalidInput, text);
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| wrong(error.to_string()))?;
        ClientConnection::new(Arc::clone(&self.0), name).map_err(|error| wrong(error.to_string()))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Trust {}

fn system() -> Option<String> {
    let named = std::env::var(SYSTEM_VARIABLE).ok().filter(|file| !file.is_empty());
    let there = || SYSTEM.into_iter().find(|file| Path::new(file).exists()).map(str::to_owned);
    named.or_else(there)
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    all.map_err(|error| format!("{file}: {error}"))
}
