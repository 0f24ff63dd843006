//! Certificates that are refused whoever signed them.

use std::collections::BTreeSet;

use ring::digest::{SHA256, digest};

use crate::certificate::serial_of;
use crate::twin::twins;

/// Marks the number of a certificate, in place of its fingerprint.
const SERIAL: &str = "serial:";

/// Hexadecimal digits of a fingerprint.
const FINGERPRINT_DIGITS: usize = 64;

/// A list of certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Denied {
    fingerprints: BTreeSet<String>,
    serials: BTreeSet<String>,
}

impl Denied {
    /// One per line: a fingerprint, or `serial:` and a number, both hexadecimal, with or without
    /// colons. What follows a `#` does not count.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut denied = Self::default();
        for (number, line) in text.lines().enumerate() {
            let said = line.split('#').next().unwrap_or_default().trim();
            if said.is_empty() {
                continue;
            }
            let serial = said.strip_prefix(SERIAL);
            let digits = digits(serial.unwrap_or(said));
            match (serial, digits) {
                (Some(_), Some(digits)) => {
                    denied.serials.insert(digits.trim_start_matches('0').to_owned());
                }
                (None, Some(digits)) if digits.len() == FINGERPRINT_DIGITS => {
                    denied.fingerprints.insert(digits);
                }
                (Some(_) | None, _) => {
                    let line = number.saturating_add(1);
                    return Err(format!("line {line}: '{said}' is neither a SHA-256 nor a serial"));
                }
            }
        }
        Ok(denied)
    }

    /// Whether the certificate is in it, in whichever form it is shown.
    pub(crate) fn holds(&self, certificate: &[u8]) -> bool {
        self.holds_fingerprint(certificate) || self.holds_serial(certificate)
    }

    fn holds_fingerprint(&self, certificate: &[u8]) -> bool {
        let holds = |form: &[u8]| self.fingerprints.contains(&fingerprint(form));
        let is_asked = !self.fingerprints.is_empty();
        is_asked && (holds(certificate) || twins(certificate).iter().any(|twin| holds(twin)))
    }

    /// One whose number cannot be read may be any of them.
    fn holds_serial(&self, certificate: &[u8]) -> bool {
        let holds = |serial: &[u8]| self.serials.contains(hex(serial).trim_start_matches('0'));
        !self.serials.is_empty() && serial_of(certificate).is_none_or(|serial| holds(&serial))
    }
}

fn digits(text: &str) -> Option<String> {
    let digits: String = text.trim().chars().filter(|digit| *digit != ':').collect();
    let all = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    all.then(|| digits.to_lowercase())
}

/// As a list has it.
pub(crate) fn fingerprint(certificate: &[u8]) -> String {
    hex(digest(&SHA256, certificate).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_a_fingerprint_nor_a_number_is_refused_by_its_line() {
        let fingerprint = "ab:".repeat(31) + "cd";

        assert!(Denied::parse(&format!("# lost\n{fingerprint}\nserial:0A:ff # Ann's\n")).is_ok());
        let wrong = Denied::parse(&format!("{fingerprint}\nabcd\n"));
        assert_eq!(wrong, Err("line 2: 'abcd' is neither a SHA-256 nor a serial".to_owned()));
        assert!(Denied::parse("serial:").is_err());
    }

    #[test]
    fn one_whose_number_cannot_be_read_is_held_where_numbers_are_listed() {
        let numbers = Denied::parse("serial:01").unwrap();
        let fingerprints = Denied::parse(&"ab".repeat(32)).unwrap();

        assert!(numbers.holds(b"no certificate"));
        assert!(!fingerprints.holds(b"no certificate"));
        assert!(!Denied::default().holds(b"no certificate"));
    }
}
