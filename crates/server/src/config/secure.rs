//! Keys for TLS and for what nodes trust each other by.

use super::section::section;
use super::setting::{Given, Secret, Setting, quoted, text_of};

/// Whether clients may show who they are with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// They are not asked for one.
    None,
    /// They are asked for one, and it must be good.
    Peer,
}

/// Where a client's user name is in its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFrom {
    /// The whole subject.
    DistinguishedName,
    /// The subject's common name.
    CommonName,
    /// One of the other names.
    SubjectAlternativeName,
}

/// A kind of such other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanType {
    /// A host's.
    Dns,
    /// An address.
    Ip,
    /// A mailbox.
    Email,
    /// A URI.
    Uri,
}

macro_rules! words {
    ($($kind:ident { $($variant:ident = $word:literal),+ })+) => {
        $(impl Setting for $kind {
            fn read(given: Given<'_>) -> Result<Self, String> {
                match text_of(given)?.as_str() {
                    $($word => Ok(Self::$variant),)+
                    other => {
                        let words = [$($word),+].join(", ");
                        Err(format!("expected one of {words}, found '{other}'"))
                    }
                }
            }

            fn show(&self) -> String {
                match self {
                    $(Self::$variant => quoted($word),)+
                }
            }
        })+
    };
}

words! {
    Verify { None = "verify_none", Peer = "verify_peer" }
    LoginFrom {
        DistinguishedName = "distinguished_name",
        CommonName = "common_name",
        SubjectAlternativeName = "subject_alternative_name"
    }
    SanType { Dns = "dns", Ip = "ip", Email = "email", Uri = "uri" }
}

section! {
    /// TLS for clients. With a certificate the node also listens at amqps, https and metrics_https.
    /// All files are PEM; they are looked at every few seconds, and what has changed counts for
    /// connections from then on.
    pub struct TlsSection in "ssl_options" {
        /// The node's certificate, with those between it and its authority. Empty: no TLS.
        certfile: String = String::new(),
        /// Its private key.
        keyfile: String = String::new(),
        /// The authorities that clients' certificates may come from.
        cacertfile: String = String::new(),
        /// verify_peer: AMQP clients are asked for a certificate, and one that is shown must be good.
        /// verify_none: they are not asked.
        verify: Verify = Verify::None,
        /// AMQP clients without a certificate are turned away.
        fail_if_no_peer_cert: bool = false,
        /// The versions that may be spoken.
        versions: Vec<String> = vec!["tlsv1.2".to_owned(), "tlsv1.3".to_owned()],
        /// What the authorities have revoked.
        crlfile: String = String::new(),
        /// Certificates that are refused whoever signed them, one per line: the SHA-256 of one in
        /// hexadecimal digits, or serial: and its number; what follows a # does not count.
        denyfile: String = String::new(),
        /// Other certificates for clients that ask for a host by name, each as
        /// host=certificate:key; the host may be *. and a domain.
        sni: Vec<String> = Vec::new(),
        /// Where the user's name is in a certificate, for the mechanism EXTERNAL:
        /// distinguished_name, common_name or subject_alternative_name.
        login_from: LoginFrom = LoginFrom::DistinguishedName,
        /// Which kind of alternative name: dns, ip, email or uri.
        login_san_type: SanType = SanType::Dns,
        /// Which of that kind, from 0.
        login_san_index: usize = 0,
    }
}

section! {
    /// TLS for HTTP where it is not to be as for AMQP. Without a certificate of its own, that of
    /// ssl_options is shown.
    pub struct WebTlsSection in "management.ssl" {
        /// The certificate, with those between it and its authority.
        certfile: String = String::new(),
        /// Its private key.
        keyfile: String = String::new(),
        /// The authorities that clients' certificates may come from.
        cacertfile: String = String::new(),
        /// verify_peer: clients are asked for a certificate, and one that is shown must be good.
        verify: Verify = Verify::None,
        /// Clients without a certificate are turned away.
        fail_if_no_peer_cert: bool = false,
    }
}

section! {
    /// What nodes trust each other by: certificates, a secret, or both. Without either, only this
    /// machine can be a place for other nodes.
    pub struct PeersSection in "peers" {
        /// This node's certificate. Both ends of a connection between nodes show one.
        certfile: String = String::new(),
        /// Its private key.
        keyfile: String = String::new(),
        /// The authorities that the nodes' certificates come from.
        cacertfile: String = String::new(),
        /// What they have revoked.
        crlfile: String = String::new(),
        /// Certificates that are refused whoever signed them, as in ssl_options.
        denyfile: String = String::new(),
        /// The name that every node's certificate has among its alternative names, and no other
        /// certificate of these authorities.
        name: String = "warren-peer".to_owned(),
        /// What all nodes of the cluster know, at least 16 bytes. Each proves that it knows it, and
        /// never says it. What they say to each other can be read on the way unless there are
        /// certificates as well.
        secret: Secret = Secret::new(""),
        /// Believed as well, while the secret is being changed: first it is the new one, on every
        /// node, then the old one, and at last empty.
        other_secret: Secret = Secret::new(""),
        /// Anybody who reaches the peer address may be a node.
        insecure: bool = false,
    }
}
