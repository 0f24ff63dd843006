//! Whether the other end's certificate is good enough.
//!
//! What rustls finds good may still be denied by name, or lack the name that it must have.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, CommonState, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::denied::Denied;
use crate::error::TlsError;
use crate::files::Files;

/// Asks rustls, and then looks at what it does not.
#[derive(Debug)]
pub(crate) struct Strict<V: ?Sized> {
    denied: Denied,
    /// What the certificate must be for, if that matters.
    name: Option<ServerName<'static>>,
    inner: Arc<V>,
}

impl<V: ?Sized> Strict<V> {
    /// Comes first: it counts whatever else is wrong.
    fn check_denied(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.denied.holds(certificate) {
            return Err(CertificateError::Revoked.into());
        }
        Ok(())
    }

    fn check_name(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let Some(name) = &self.name else { return Ok(()) };
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
    }
}

/// For certificates of clients, which `files` say who may have signed; `None` without them.
/// They must be for `name` if there is one.
pub(crate) fn of_clients(
    files: &Files,
    required: bool,
    name: Option<ServerName<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(roots) = files.roots()? else { return Ok(None) };
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .with_crls(files.revoked()?)
        .only_check_end_entity_revocation()
        .allow_unknown_revocation_status();
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    let inner = builder.build().map_err(|error| unusable(files, &error))?;
    Ok(Some(Arc::new(Strict { denied: files.denied()?, name, inner })))
}

/// For certificates of servers that `roots` have signed.
pub(crate) fn of_servers(
    files: &Files,
    roots: Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .with_crls(files.revoked()?)
        .only_check_end_entity_revocation()
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| unusable(files, &error))?;
    Ok(Arc::new(Strict { denied: files.denied()?, name: None, inner }))
}

/// The certificate that the other end has shown, and those between it and its authority.
pub(crate) fn shown(connection: &CommonState) -> Option<Vec<CertificateDer<'static>>> {
    let chain = connection.peer_certificates()?;
    Some(chain.iter().map(|certificate| certificate.clone().into_owned()).collect())
}

/// Whether a certificate is denied or revoked, whatever else may be wrong with it.
pub(crate) fn finds_revoked<T>(verified: &Result<T, Error>) -> bool {
    matches!(verified, Err(Error::InvalidCertificate(CertificateError::Revoked)))
}

fn unusable(files: &Files, error: &dyn fmt::Display) -> TlsError {
    let path = files.authorities.clone().unwrap_or_default();
    TlsError::Unusable { path, text: error.to_string() }
}

impl ClientCertVerifier for Strict<dyn ClientCertVerifier> {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_denied(certificate)?;
        let verified = self.inner.verify_client_cert(certificate, between, now)?;
        self.check_name(certificate).map(|()| verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Strict<WebPkiServerVerifier> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        status: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_denied(certificate)?;
        let verified = self.inner.verify_server_cert(certificate, between, name, status, now)?;
        self.check_name(certificate).map(|()| verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
