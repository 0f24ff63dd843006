//! Which files there are, and reading them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::denied::Denied;
use crate::error::TlsError;

/// The files of one end. All but lists of fingerprints are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The own certificate, and those between it and an authority.
    pub certificates: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities that the other end's certificate may come from.
    pub authorities: Option<PathBuf>,
    /// What those authorities have revoked.
    pub revocations: Option<PathBuf>,
    /// Certificates that are refused whoever signed them, one per line: the SHA-256 of one in
    /// hexadecimal digits, or `serial:` and its number.
    pub denied: Option<PathBuf>,
    /// Other certificates for clients that ask for a host by name.
    pub hosts: Vec<HostFiles>,
}

/// The files for one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFiles {
    /// Its name, or `*.` and the name of a domain.
    pub name: String,
    /// Its certificate, and those between it and an authority.
    pub certificates: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Files {
    /// Every file that is named.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        let optional = [&self.authorities, &self.revocations, &self.denied];
        let hosts = self.hosts.iter().flat_map(|host| [&host.certificates, &host.key]);
        let own = [&self.certificates, &self.key].into_iter();
        own.chain(optional.into_iter().flatten()).chain(hosts).map(PathBuf::as_path).collect()
    }

    pub(crate) fn own(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        read_key(&self.certificates, &self.key, provider)
    }

    /// The authorities, if any are named.
    pub(crate) fn roots(&self) -> Result<Option<Arc<RootCertStore>>, TlsError> {
        let Some(path) = &self.authorities else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for certificate in read_all::<CertificateDer<'static>>(path, "certificate")? {
            roots.add(certificate).map_err(|error| senseless(path, &error))?;
        }
        Ok(Some(Arc::new(roots)))
    }

    pub(crate) fn revoked(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let lists = self.revocations.as_ref();
        lists.map_or(Ok(Vec::new()), |path| read_all(path, "revocation list"))
    }

    pub(crate) fn denied(&self) -> Result<Denied, TlsError> {
        let Some(path) = &self.denied else { return Ok(Denied::default()) };
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        Denied::parse(&text).map_err(|text| senseless(path, &text))
    }
}

/// A certificate with its key, if they belong together.
pub(crate) fn read_key(
    certificates: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = read_all(certificates, "certificate")?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|error| senseless(key, &format!("no private key that is understood: {error}")))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| TlsError::Unusable {
        path: certificates.to_owned(),
        text: error.to_string(),
    })
}

fn read_all<T: PemObject>(path: &Path, what: &str) -> Result<Vec<T>, TlsError> {
    let bytes = read(path)?;
    let all: Result<Vec<T>, _> = T::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| senseless(path, &error))?;
    if all.is_empty() { Err(senseless(path, &format!("no {what} is in it"))) } else { Ok(all) }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

pub(crate) fn senseless(path: &Path, text: &dyn std::fmt::Display) -> TlsError {
    TlsError::Senseless { path: path.to_owned(), text: text.to_string() }
}
