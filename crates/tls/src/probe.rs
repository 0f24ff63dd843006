//! Any bytes as what strangers show, and operators list, before anything is believed.

use crate::certificate::{Certificate, Login, NameKind, serial_of};
use crate::denied::{Denied, fingerprint, hex};
use crate::public_key::PublicKey;
use crate::twin::twins;

/// Reads `bytes` as a certificate, as a key, and as a list of certificates that are denied.
///
/// # Panics
/// When a certificate's other form says something else, or a list does not hold what was put on it.
pub fn certificates(bytes: &[u8]) {
    let other = twins(bytes);
    if let Some(certificate) = Certificate::of(bytes) {
        read(&certificate);
        assert_held(&format!("serial:{}", hex(&serial_of(bytes).expect("it was read"))), bytes);
        assert_held(&fingerprint(bytes), bytes);
        for twin in &other {
            assert_eq!(Certificate::of(twin).as_ref(), Some(&certificate), "both say the same");
            assert_held(&fingerprint(twin), bytes);
        }
    }
    drop(PublicKey::of_info(bytes));
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(denied) = Denied::parse(text)
    {
        let _is_denied = denied.holds(bytes);
    }
}

fn read(certificate: &Certificate) {
    let kinds = [NameKind::Dns, NameKind::Ip, NameKind::Email, NameKind::Uri];
    let names = kinds.map(|kind| Login::AlternativeName(kind, 0));
    for login in [Login::DistinguishedName, Login::CommonName].into_iter().chain(names) {
        drop(certificate.login(login));
    }
}

fn assert_held(line: &str, certificate: &[u8]) {
    let denied = Denied::parse(line).expect("a line as operators write it");
    assert!(denied.holds(certificate), "{line} is on the list");
}
