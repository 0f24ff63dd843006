//! What of the node speaks TLS, and what keeps strangers from its conversation with other nodes.

use std::path::PathBuf;

use warren_management::ShownCertificate;
use warren_rpc::{Guard, PROTOCOL, Secrets};
use warren_tls::{
    Acceptor, Certificate, ClientCertificate, Connector, Files, HostFiles, Login, NameKind, Terms,
    TlsError, Version,
};

use crate::config::{
    Config, LoginFrom, PeersSection, SanType, Secret, TlsSection, Verify, WebTlsSection,
};

/// What is spoken inside TLS on the web's listeners.
const HTTP: &str = "http/1.1";

/// The certificates of a node in use. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Security {
    amqp: Option<Acceptor>,
    web: Option<Acceptor>,
    peers: Option<(Acceptor, Connector)>,
    guard: Guard,
}

impl Security {
    /// Reads all files that `config` names.
    ///
    /// # Errors
    /// When some cannot be used.
    pub fn open(config: &Config) -> Result<Self, TlsError> {
        let acceptor = |(files, terms): (Files, Terms)| Acceptor::new(&files, &terms);
        let peers = match peers(&config.peers) {
            Some((files, terms)) => {
                let connector = Connector::new(&files, &config.peers.name, PROTOCOL)?;
                Some((Acceptor::new(&files, &terms)?, connector))
            }
            None => None,
        };
        Ok(Self {
            amqp: amqp(&config.ssl).map(acceptor).transpose()?,
            web: web(config).map(acceptor).transpose()?,
            guard: Guard::new(peers.clone(), secrets(&config.peers)),
            peers,
        })
    }

    /// Uses what `config` says from here on, and the files as they are at the moment. What cannot
    /// be used leaves its place as it was. Gives what went wrong.
    #[must_use]
    pub fn renew(&self, config: &Config) -> Vec<TlsError> {
        let renew = |acceptor: &Option<Acceptor>, wanted: Option<(Files, Terms)>| {
            let (acceptor, (files, terms)) = (acceptor.as_ref()?, wanted?);
            acceptor.replace(&files, &terms).err()
        };
        let mut failed = Vec::new();
        failed.extend(renew(&self.amqp, amqp(&config.ssl)));
        failed.extend(renew(&self.web, web(config)));
        if let (Some((acceptor, connector)), Some((files, terms))) =
            (&self.peers, peers(&config.peers))
        {
            let renewed = acceptor.replace(&files, &terms);
            failed.extend(renewed.and_then(|()| connector.replace(&files)).err());
        }
        // Who began without a secret listens to nodes that have none.
        if !self.guard.is_open() {
            self.guard.set_secrets(secrets(&config.peers));
        }
        failed
    }

    /// For AMQP clients.
    #[must_use]
    pub fn amqp(&self) -> Option<Acceptor> {
        self.amqp.clone()
    }

    /// For HTTP clients.
    #[must_use]
    pub fn web(&self) -> Option<Acceptor> {
        self.web.clone()
    }

    /// Between nodes.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The certificates that are shown, and to whom.
    #[must_use]
    pub fn shown(&self) -> Vec<ShownCertificate> {
        let peers = self.peers.as_ref().map(|(acceptor, _)| acceptor);
        let places =
            [("amqp/ssl", self.amqp.as_ref()), ("https", self.web.as_ref()), ("clustering", peers)];
        let all = places.into_iter().filter_map(|(protocol, acceptor)| Some((protocol, acceptor?)));
        let all = all.flat_map(|(protocol, acceptor)| {
            acceptor.certificates().into_iter().map(move |certificate| (protocol, certificate))
        });
        all.map(|(protocol, certificate)| {
            let Certificate { subject, validity, not_after_s, .. } = certificate;
            ShownCertificate { protocol, subject, validity, not_after_s }
        })
        .collect()
    }
}

/// Every file that `config` names for TLS.
#[must_use]
pub fn files(config: &Config) -> Vec<PathBuf> {
    let places = [amqp(&config.ssl), web(config), peers(&config.peers)];
    let places = places.iter().flatten();
    places.flat_map(|(files, _)| files.paths()).map(Into::into).collect()
}

/// The versions of TLS that `section` names, or the word that names none.
pub(crate) fn versions(section: &TlsSection) -> Result<Vec<Version>, &str> {
    let named = |name: &String| Version::named(name);
    section.versions.iter().map(|name| named(name).ok_or(name.as_str())).collect()
}

/// `host=certificate:key`
pub(crate) fn host(text: &str) -> Option<HostFiles> {
    let (name, files) = text.split_once('=')?;
    let (certificates, key) = files.split_once(':')?;
    let is_whole = ![name, certificates, key].contains(&"");
    is_whole.then(|| HostFiles {
        name: name.to_owned(),
        certificates: certificates.into(),
        key: key.into(),
    })
}

fn amqp(section: &TlsSection) -> Option<(Files, Terms)> {
    let files = Files {
        certificates: path(&section.certfile)?,
        key: PathBuf::from(&section.keyfile),
        authorities: path(&section.cacertfile),
        revocations: path(&section.crlfile),
        denied: path(&section.denyfile),
        hosts: section.sni.iter().filter_map(|text| host(text)).collect(),
    };
    let terms = Terms {
        client: client(section.verify, section.fail_if_no_peer_cert),
        versions: versions(section).unwrap_or_default(),
        login: login(section),
        ..Terms::default()
    };
    Some((files, terms))
}

fn web(config: &Config) -> Option<(Files, Terms)> {
    let section: &WebTlsSection = &config.web;
    let (general, terms) = amqp(&config.ssl).unzip();
    let own = path(&section.certfile).map(|certificates| Files {
        certificates,
        key: PathBuf::from(&section.keyfile),
        ..Files::default()
    });
    let files = Files {
        authorities: path(&section.cacertfile),
        revocations: path(&config.ssl.crlfile),
        denied: path(&config.ssl.denyfile),
        ..own.or(general)?
    };
    let terms = Terms {
        client: client(section.verify, section.fail_if_no_peer_cert),
        protocol: Some(HTTP),
        ..terms.unwrap_or_default()
    };
    Some((files, terms))
}

fn peers(section: &PeersSection) -> Option<(Files, Terms)> {
    let files = Files {
        certificates: path(&section.certfile)?,
        key: PathBuf::from(&section.keyfile),
        authorities: path(&section.cacertfile),
        revocations: path(&section.crlfile),
        denied: path(&section.denyfile),
        hosts: Vec::new(),
    };
    let terms = Terms {
        client: ClientCertificate::Required,
        client_name: Some(section.name.clone()),
        versions: vec![Version::Tls13],
        protocol: Some(PROTOCOL),
        ..Terms::default()
    };
    Some((files, terms))
}

fn secrets(section: &PeersSection) -> Option<Secrets> {
    let text = |secret: &Secret| Some(secret.expose().to_owned()).filter(|text| !text.is_empty());
    let spoken = text(&section.secret)?;
    Some(Secrets::new(&spoken, text(&section.other_secret).as_deref()))
}

fn client(verify: Verify, required: bool) -> ClientCertificate {
    match (verify, required) {
        (Verify::None, _) => ClientCertificate::Ignored,
        (Verify::Peer, false) => ClientCertificate::Checked,
        (Verify::Peer, true) => ClientCertificate::Required,
    }
}

fn login(section: &TlsSection) -> Login {
    let kind = match section.login_san_type {
        SanType::Dns => NameKind::Dns,
        SanType::Ip => NameKind::Ip,
        SanType::Email => NameKind::Email,
        SanType::Uri => NameKind::Uri,
    };
    match section.login_from {
        LoginFrom::DistinguishedName => Login::DistinguishedName,
        LoginFrom::CommonName => Login::CommonName,
        LoginFrom::SubjectAlternativeName => Login::AlternativeName(kind, section.login_san_index),
    }
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}
