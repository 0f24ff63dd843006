//! The other form of a certificate that was signed with ECDSA.
//!
//! Such a signature is two numbers, and the second counted down from the number of points on the signer's
//! curve does as well as itself. Who has a certificate, with or without its key, can so show another
//! that says the same, is signed as validly, and has a different fingerprint. Whoever denies one by its
//! fingerprint means both.
//!
//! **Not here:** RSA and Ed25519, whose signatures have one form that is accepted.

use std::iter;

use x509_parser::asn1_rs::{Any, FromDer, Tag};

/// Points on P-256 and on P-384, which are the curves that signatures are accepted of.
const POINTS: [&[u8]; 2] = [
    &[
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ],
    &[
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37,
        0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc,
        0xc5, 0x29, 0x73,
    ],
];

/// First bytes of what a certificate's signature is made of.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// In a number, the bit that would make it negative if it came first.
const SIGN: u8 = 0x80;

/// The longest value whose length is one byte.
const SHORT_BYTES: usize = 127;

/// The other form of the certificate in `der` for each curve that its signer's key may be of, which it does
/// not say itself. None of one that is not signed with ECDSA.
pub(crate) fn twins(der: &[u8]) -> Vec<Vec<u8>> {
    let Some(signed) = Signed::read(der) else { return Vec::new() };
    POINTS.iter().filter_map(|points| signed.twin(points)).collect()
}

/// A certificate that is signed with two numbers.
struct Signed<'a> {
    /// What is signed, and how.
    said: &'a [u8],
    first: &'a [u8],
    second: &'a [u8],
}

impl<'a> Signed<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let (certificate, _) = value(der, Tag::Sequence)?;
        let (_, rest) = value(certificate, Tag::Sequence)?;
        let (_, signature) = value(rest, Tag::Sequence)?;
        let said = certificate.strip_suffix(signature)?;
        let (bits, _) = value(signature, Tag::BitString)?;
        // No bit of the last byte is left out.
        let (numbers, _) = value(bits.strip_prefix(&[0])?, Tag::Sequence)?;
        let (first, rest) = value(numbers, Tag::Integer)?;
        let (second, _) = value(rest, Tag::Integer)?;
        Some(Self { said, first, second })
    }

    fn twin(&self, points: &[u8]) -> Option<Vec<u8>> {
        let second = subtracted(points, self.second)?;
        let numbers = [element(INTEGER, self.first), element(INTEGER, &second)].concat();
        let bits = [&[0], element(SEQUENCE, &numbers).as_slice()].concat();
        Some(element(SEQUENCE, &[self.said, &element(BIT_STRING, &bits)].concat()))
    }
}

/// What is in the element at the start of `der`, and what comes behind it.
fn value(der: &[u8], tag: Tag) -> Option<(&[u8], &[u8])> {
    let (rest, found) = Any::from_der(der).ok()?;
    (found.header.tag() == tag).then_some((found.data, rest))
}

/// An element of DER.
fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let length = positive(&length);
    let count = u8::try_from(length.len()).expect("a length has eight bytes");
    let is_long = value.len() > SHORT_BYTES;
    let count = is_long.then_some(SIGN | count);
    iter::once(tag).chain(count).chain(length.iter().chain(value).copied()).collect()
}

/// The number `less` taken from `from`, as an integer in DER, unless it is the larger.
fn subtracted(from: &[u8], less: &[u8]) -> Option<Vec<u8>> {
    let less = positive(less);
    if less.len() > from.len() {
        return None;
    }
    let mut is_borrowed = false;
    let digits = less.iter().rev().chain(iter::repeat(&0));
    let mut left: Vec<u8> = (from.iter().rev().zip(digits))
        .map(|(&from, &less)| {
            let (digit, is_less) = from.overflowing_sub(less);
            let (digit, is_least) = digit.overflowing_sub(u8::from(is_borrowed));
            is_borrowed = is_less || is_least;
            digit
        })
        .collect();
    left.reverse();
    let left = positive(&left);
    let sign = left.first().is_none_or(|first| first & SIGN != 0).then_some(0);
    (!is_borrowed).then(|| sign.into_iter().chain(left.iter().copied()).collect())
}

/// A number without zeros in front.
fn positive(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|digit| **digit == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        PublicKeyData as _,
    };
    use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};
    use x509_parser::parse_x509_certificate;

    use super::*;

    #[test]
    fn on_either_curve_one_twin_is_signed_as_validly() {
        for (kind, algorithm) in [
            (&PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_ASN1),
            (&PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_ASN1),
        ] {
            let key = KeyPair::generate_for(kind).unwrap();
            let own = CertificateParams::default().self_signed(&key).unwrap();
            let public = UnparsedPublicKey::new(algorithm, key.der_bytes());
            let is_valid = |der: &[u8]| {
                let (_, parsed) = parse_x509_certificate(der).unwrap();
                let signed = parsed.tbs_certificate.as_ref();
                public.verify(signed, &parsed.signature_value.data).is_ok()
            };

            let valid: Vec<_> = twins(own.der()).into_iter().filter(|it| is_valid(it)).collect();

            assert!(is_valid(own.der()));
            assert_eq!(valid.len(), 1, "{kind:?}");
            assert_ne!(valid[0], own.der().as_ref());
            assert!(twins(&valid[0]).iter().any(|twin| twin == own.der().as_ref()));
        }
        let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let other = CertificateParams::default().self_signed(&other).unwrap();
        assert!(twins(other.der()).is_empty());
    }

    #[test]
    fn numbers_are_subtracted_as_der_has_them() {
        assert_eq!(subtracted(&[2, 0, 0], &[0, 1]), Some(vec![1, 0xff, 0xff]));
        assert_eq!(subtracted(&[1, 0], &[0x80]), Some(vec![0, 0x80]), "no negative one");
        assert_eq!(subtracted(&[7], &[7]), Some(vec![0]));
        assert_eq!(subtracted(&[7], &[8]), None);
        assert_eq!(subtracted(&[7], &[1, 0]), None);
    }

    #[test]
    fn a_long_element_says_how_long_its_length_is() {
        assert_eq!(element(INTEGER, &[1, 2]), [2, 2, 1, 2]);
        assert_eq!(element(INTEGER, &[1; 127])[..2], [2, 127]);
        assert_eq!(element(INTEGER, &[1; 200])[..3], [2, 0x81, 200]);
        assert_eq!(element(INTEGER, &[1; 300])[..4], [2, 0x82, 1, 44]);
    }

    #[test]
    fn what_is_no_certificate_with_two_numbers_has_no_twin() {
        assert!(twins(b"").is_empty());
        assert!(twins(&element(SEQUENCE, b"\x30\x00\x30\x00\x03\x02\x00\x05")).is_empty());
    }
}
