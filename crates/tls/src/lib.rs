//! TLS: certificates in files, and connections that are secured with them.
//!
//! A [`Files`] says which files there are and a [`Terms`] what is asked of the other end. An
//! [`Acceptor`] answers with them and a [`Connector`] calls; both take other files at any time,
//! without a connection that exists noticing, but for a [`Watched`] one whose other end has shown a
//! certificate that is denied or revoked by them. What was agreed with a client, and who it has proved
//! to be, is a [`Session`].
//!
//! **Always holds:** files that cannot be used change nothing: the ones before stay in force.
//!
//! **Not here:** when files are looked at again, and what certificates allow.

mod acceptor;
mod certificate;
mod connector;
mod denied;
mod error;
mod files;
#[cfg(any(test, feature = "kit"))]
pub mod kit;
mod opening;
pub mod probe;
mod public_key;
mod session;
#[cfg(test)]
mod tests;
mod twin;
mod verifier;
mod watched;

pub use acceptor::{Acceptor, ClientCertificate, Terms, Version};
pub use certificate::{Certificate, Login, NameKind};
pub use connector::Connector;
pub use error::TlsError;
pub use files::{Files, HostFiles};
pub use opening::Opening;
pub use public_key::{PublicKey, PublicKeyKind};
pub use rustls::ServerConnection;
pub use session::Session;
pub use tokio_rustls::server::TlsStream;
pub use watched::Watched;
