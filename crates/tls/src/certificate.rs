//! What a certificate says, in RabbitMQ's words.

use std::fmt::Write as _;
use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::oid::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Short names of what a distinguished name is made of, by object identifier.
const SHORT_NAMES: [(&str, &str); 17] = [
    ("2.5.4.4", "SN"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATIONQUALIFIER"),
    (COMMON_NAME, "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "TITLE"),
    ("2.5.4.6", "C"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.65", "PSEUDONYM"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

const COMMON_NAME: &str = "2.5.4.3";

/// What is told of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, as in `CN=ann,O=warren`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its number.
    pub serial: String,
    /// From when to when it counts.
    pub validity: String,
    /// Until when it counts, seconds since 1970.
    pub not_after_s: u64,
    /// Common names of whose it is.
    common_names: Vec<String>,
    /// Other names of whose it is.
    names: Vec<(NameKind, String)>,
}

/// A kind of name that a certificate can have besides the distinguished one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A host's.
    Dns,
    /// An address.
    Ip,
    /// A mailbox.
    Email,
    /// A URI.
    Uri,
}

/// Which part of its certificate is a client's user name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// The whole distinguished name.
    #[default]
    DistinguishedName,
    /// The common name; several with commas between them.
    CommonName,
    /// The name of that kind at that place, from 0.
    AlternativeName(NameKind, usize),
}

impl Certificate {
    /// Reads one in DER. None if it cannot be read.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let (from, to) = (parsed.validity().not_before, parsed.validity().not_after);
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        Some(Self {
            subject: distinguished(parsed.subject()),
            issuer: distinguished(parsed.issuer()),
            serial: parsed.tbs_certificate.serial.to_string(),
            validity: format!("{} - {}", instant(from), instant(to)),
            not_after_s: u64::try_from(to.timestamp()).unwrap_or_default(),
            common_names: parsed.subject().iter_common_name().filter_map(value).collect(),
            names: names.filter_map(alternative).collect(),
        })
    }

    /// The name of its owner as a user.
    #[must_use]
    pub fn login(&self, login: Login) -> Option<String> {
        match login {
            Login::DistinguishedName => Some(self.subject.clone()),
            Login::CommonName => Some(self.common_names.join(",")),
            Login::AlternativeName(kind, place) => {
                let mut names = self.names.iter().filter(|(found, _)| *found == kind);
                names.nth(place).map(|(_, name)| name.clone())
            }
        }
        .filter(|name| !name.is_empty())
    }
}

/// The number of a certificate in DER.
pub(crate) fn serial_of(der: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(parsed.raw_serial().to_vec())
}

/// As RFC 4514 has it: the last part first.
fn distinguished(name: &X509Name<'_>) -> String {
    let parts = name.iter_rdn().map(|part| {
        let pairs: Vec<String> = part.iter().map(pair).collect();
        pairs.join("+")
    });
    let mut parts: Vec<String> = parts.collect();
    parts.reverse();
    parts.join(",")
}

fn pair(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = dotted(attribute.attr_type());
    let value = escaped(&value(attribute).unwrap_or_default());
    match SHORT_NAMES.iter().find(|(known, _)| *known == kind) {
        Some((_, short)) => format!("{short}={value}"),
        None => format!("{kind}:{value}"),
    }
}

fn dotted(kind: &Oid<'_>) -> String {
    kind.to_id_string()
}

fn value(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    attribute.as_str().ok().map(str::to_owned)
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut escaped = String::new();
    for (place, letter) in value.chars().enumerate() {
        let at_edge =
            (place == 0 && matches!(letter, ' ' | '#')) || (place == last && letter == ' ');
        if at_edge || matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            escaped.push('\\');
            escaped.push(letter);
        } else if letter.is_control() {
            // Writing to a string does not fail.
            let _written = write!(escaped, "\\{:02X}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// As in `2026-11-21T14:00:00Z`.
fn instant(time: ASN1Time) -> String {
    let time = time.to_datetime();
    let month = u8::from(time.month());
    let (hour, minute, second) = time.to_hms();
    let (year, day) = (time.year(), time.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn alternative(name: &GeneralName<'_>) -> Option<(NameKind, String)> {
    match name {
        GeneralName::DNSName(name) => Some((NameKind::Dns, (*name).to_owned())),
        GeneralName::RFC822Name(name) => Some((NameKind::Email, (*name).to_owned())),
        GeneralName::URI(name) => Some((NameKind::Uri, (*name).to_owned())),
        GeneralName::IPAddress(bytes) => {
            let ip = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let ip = ip.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            Some((NameKind::Ip, ip.ok()?.to_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_a_distinguished_name_is_escaped() {
        assert_eq!(escaped("a+b, c"), "a\\+b\\, c");
        assert_eq!(escaped(" #a "), "\\ #a\\ ");
        assert_eq!(escaped("#1\n"), "\\#1\\0A");
    }
}
