//! What was agreed with a client, and who it has proved to be, in RabbitMQ's words.

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};

use crate::acceptor::Acceptor;
use crate::certificate::{Certificate, Login};
use crate::verifier;

/// A secured connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// `tlsv1.2` or `tlsv1.3`.
    pub protocol: &'static str,
    /// How keys were agreed upon, as in `ecdhe_rsa`; `any` where that is no part of the suite.
    pub key_exchange: &'static str,
    /// As in `aes_256_gcm`.
    pub cipher: &'static str,
    /// How bytes are protected against change.
    pub hash: &'static str,
    /// The client's certificate, if it was asked for one and it was found good.
    pub peer: Option<Certificate>,
    /// Who its owner is as a user.
    pub login_name: Option<String>,
    /// The client's certificate and those between it and its authority, as they came.
    chain: Vec<CertificateDer<'static>>,
    acceptor: Acceptor,
}

impl Session {
    /// Whether the client's certificate has been denied or revoked since it was shown, by files
    /// that are in use.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.acceptor.revokes(&self.chain)
    }

    /// What `connection`, which `acceptor` has answered, is like after its handshake, with `login`
    /// for the user's name.
    pub(crate) fn of(acceptor: Acceptor, connection: &ServerConnection, login: Login) -> Self {
        let chain = verifier::shown(connection).unwrap_or_default();
        let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        let (key_exchange, cipher) = suite.map_or(("", ""), words);
        let peer = chain.first().and_then(|shown| Certificate::of(shown));
        Self {
            protocol: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "tlsv1.3",
                Some(_) | None => "tlsv1.2",
            },
            key_exchange,
            cipher,
            // All suites there are do both at once.
            hash: "aead",
            login_name: peer.as_ref().and_then(|peer| peer.login(login)),
            peer,
            chain,
            acceptor,
        }
    }
}

/// Key exchange and cipher of a suite.
fn words(suite: CipherSuite) -> (&'static str, &'static str) {
    match suite {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => ("any", "aes_256_gcm"),
        CipherSuite::TLS13_AES_128_GCM_SHA256 => ("any", "aes_128_gcm"),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => ("any", "chacha20_poly1305"),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => ("ecdhe_ecdsa", "aes_256_gcm"),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => ("ecdhe_ecdsa", "aes_128_gcm"),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            ("ecdhe_ecdsa", "chacha20_poly1305")
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => ("ecdhe_rsa", "aes_256_gcm"),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => ("ecdhe_rsa", "aes_128_gcm"),
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            ("ecdhe_rsa", "chacha20_poly1305")
        }
        other => (other.as_str().unwrap_or_default(), ""),
    }
}
