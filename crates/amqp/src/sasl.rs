//! SASL responses: who wants to come in.
//!
//! The errors never repeat the response: it holds a password.

use std::fmt;

use warren_types::{Table, Value};

use crate::{ConnectionError, MethodId, ReplyCode};

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password, as it was sent.
    pub password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Reads a response of mechanism PLAIN: an identity that is ignored, the name and the password,
/// each behind a zero but the first.
///
/// # Errors
/// 502 where it is malformed.
pub fn plain(response: &[u8]) -> Result<Credentials, ConnectionError> {
    let mut parts = response.split(|octet| *octet == 0);
    let (Some(_identity), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("PLAIN response is not identity, name and password"));
    };
    credentials(user, password)
}

/// Reads a response of mechanism AMQPLAIN: a table without its length.
///
/// # Errors
/// 502 where it is malformed.
pub fn amqplain(response: &[u8]) -> Result<Credentials, ConnectionError> {
    let table = Table::decode(response).map_err(malformed)?;
    match (table.value("LOGIN"), table.value("PASSWORD")) {
        (Some(Value::LongString(user)), Some(Value::LongString(password))) => {
            credentials(user, password)
        }
        _ => Err(malformed("AMQPLAIN auth info is missing LOGIN or PASSWORD field")),
    }
}

fn credentials(user: &[u8], password: &[u8]) -> Result<Credentials, ConnectionError> {
    let user = std::str::from_utf8(user).map_err(|_| malformed("user name is not UTF-8"))?;
    Ok(Credentials { user: user.to_owned(), password: password.to_vec() })
}

fn malformed(detail: impl fmt::Display) -> ConnectionError {
    ConnectionError::new(ReplyCode::SyntaxError, detail).at(MethodId::CONNECTION_START_OK)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn amqplain_response(fields: &[(&str, &str)]) -> Vec<u8> {
        let table: Table =
            fields.iter().map(|(name, value)| ((*name).to_owned(), Value::text(value))).collect();
        let mut out = BytesMut::new();
        table.encode(&mut out);
        out.to_vec()
    }

    #[test]
    fn plain_is_identity_name_and_password() {
        for response in [&b"\0guest\0pass"[..], b"someone\0guest\0pass"] {
            let credentials = plain(response).expect("well-formed");

            assert_eq!(credentials.user, "guest");
            assert_eq!(credentials.password, b"pass");
        }
    }

    #[test]
    fn amqplain_is_a_table_of_login_and_password() {
        let response = amqplain_response(&[("LOGIN", "guest"), ("PASSWORD", "pass")]);

        let credentials = amqplain(&response).expect("well-formed");

        assert_eq!(credentials.user, "guest");
        assert_eq!(credentials.password, b"pass");
    }

    #[test]
    fn malformed_responses_are_syntax_errors_that_keep_the_password_to_themselves() {
        let missing = amqplain_response(&[("LOGIN", "guest"), ("SECRET", "hunter2")]);
        let outcomes = [
            plain(b"hunter2"),
            plain(b"\0hunter2"),
            plain(b"\0a\0hunter2\0b"),
            plain(b"\0\xFF\0hunter2"),
            amqplain(&missing),
            amqplain(b"\x05hunter2"),
        ];

        for outcome in outcomes {
            let error = outcome.expect_err("malformed");
            assert_eq!(error.code(), ReplyCode::SyntaxError);
            assert_eq!(error.method(), MethodId::CONNECTION_START_OK);
            assert!(!error.text().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let credentials = plain(b"\0guest\0hunter2").expect("well-formed");

        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
