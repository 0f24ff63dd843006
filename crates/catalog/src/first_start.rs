//! What a cluster contains when it is made.

use crate::{Command, HashingAlgorithm, Name, PasswordHash, PutUser, SALT_BYTES, VhostMeta};

/// The tag of the user that may do everything.
const ADMINISTRATOR: &str = "administrator";

/// The pattern that matches every name.
const EVERYTHING: &str = ".*";

/// The first user, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstUser {
    /// The login.
    pub name: Name,
    /// The password, as configured.
    pub password: Name,
    /// Drawn at random by the caller.
    pub salt: [u8; SALT_BYTES],
    /// How the password is hashed.
    pub hashing: HashingAlgorithm,
    /// Whether to accept the user from the same machine alone.
    pub loopback_only: bool,
}

/// The commands that fill an empty catalog: one virtual host, one user who may do everything
/// there. Proposed once, by the founder.
#[must_use]
pub fn first_start(vhost: &Name, user: &FirstUser) -> Vec<Command> {
    let meta = VhostMeta { description: "Default virtual host".into(), ..VhostMeta::default() };
    let password = PasswordHash::new(user.hashing, user.salt, &user.password);
    vec![
        Command::PutVhost { vhost: vhost.clone(), meta },
        Command::PutUser(PutUser {
            user: user.name.clone(),
            password: Some(password),
            tags: Some(vec![ADMINISTRATOR.into()]),
            loopback_only: Some(user.loopback_only),
        }),
        Command::SetPermission {
            user: user.name.clone(),
            vhost: vhost.clone(),
            configure: EVERYTHING.into(),
            write: EVERYTHING.into(),
            read: EVERYTHING.into(),
        },
    ]
}
