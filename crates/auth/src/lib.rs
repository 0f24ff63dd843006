//! Who somebody is by a token or by the word of another service, and what they may do by it.
//!
//! [`Oauth2`] judges tokens: for whom they are made, whose keys may sign those, how long they are
//! good, and what their scopes allow. [`Service`] asks a service over HTTP. Either gives an
//! [`Authority`], which is asked a [`Question`] before anything is done on its bearer's behalf.
//! Names of settings, the form of scopes, parameters and answers are RabbitMQ's.
//!
//! **Always holds:** what cannot be decided is refused: an unknown key, a service that does not
//! answer, an answer that makes no sense. Neither tokens nor passwords are logged or kept; where
//! something has to be remembered by them it is under a keyed hash.
//!
//! **Not here:** users of the catalog and their passwords, and in which order all these are asked
//! (`broker`).

mod audience;
mod authority;
mod cache;
mod compact;
mod fetch;
mod jwk;
mod jws;
mod keyring;
#[cfg(any(test, feature = "kit"))]
pub mod kit;
mod oauth2;
pub mod probe;
mod scopes;
mod service;
mod settings;
mod token;
mod wildcard;

pub use authority::{Authority, Question, What};
pub use fetch::FetchError;
pub use oauth2::{Oauth2, TokenError};
pub use service::{Service, ServiceError, Visitor};
pub use settings::{
    Backend, CacheSettings, HttpMethod, HttpSettings, Link, Oauth2Settings, ProviderSettings,
    ResourceServer, Settings, SettingsError,
};
pub use token::Token;
