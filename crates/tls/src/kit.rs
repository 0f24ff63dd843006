//! Certificates for tests, from authorities that live as long as the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use crate::files::Files;

/// Signs certificates and keeps them in a directory of its own.
#[derive(Debug)]
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    last: AtomicU32,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// One that nobody knows yet.
    ///
    /// # Panics
    /// When there is no room for its files.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("there is room");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("there are random bytes");
        let signed = params.self_signed(&key).expect("an authority signs itself");
        fs::write(dir.path().join("ca.pem"), signed.pem()).expect("there is room");
        Self { dir, issuer: Issuer::new(params, key), last: AtomicU32::new(0) }
    }

    /// Where its own certificate and those that it has signed are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The files of a certificate for `subject`, which is also called `names`. One that was made
    /// for it before is replaced.
    ///
    /// # Panics
    /// When a name cannot be one, or there is no room.
    #[must_use]
    pub fn issue(&self, subject: &str, names: &[&str]) -> Files {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("they are names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "warren");
        params.distinguished_name.push(DnType::CommonName, subject);
        let serial = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        params.serial_number = Some(SerialNumber::from(u64::from(serial)));
        let key = KeyPair::generate().expect("there are random bytes");
        let signed = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        let certificates = self.write(&format!("{subject}.pem"), &signed.pem());
        let key = self.write(&format!("{subject}-key.pem"), &key.serialize_pem());
        Files {
            certificates,
            key,
            authorities: Some(self.dir.path().join("ca.pem")),
            ..Files::default()
        }
    }

    /// A list of what is denied, with the certificate of `files` on it.
    ///
    /// # Panics
    /// When the certificate cannot be read.
    #[must_use]
    pub fn deny(&self, files: &Files) -> PathBuf {
        let der = CertificateDer::from_pem_file(&files.certificates).expect("it was written");
        let digest = digest(&SHA256, &der);
        let line: String = digest.as_ref().iter().map(|byte| format!("{byte:02X}:")).collect();
        self.write("denied", &format!("# stolen\n{}\n", line.trim_end_matches(':')))
    }

    /// A list of what is revoked, with the certificate that was issued as the `nth` on it.
    ///
    /// # Panics
    /// When there is no room.
    #[must_use]
    pub fn revoke(&self, nth: u64) -> PathBuf {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(nth),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("the authority can sign");
        self.write("revoked.pem", &list.pem().expect("it is a list"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("there is room");
        path
    }
}
