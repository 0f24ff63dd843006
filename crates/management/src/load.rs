//! Definitions that are brought in when a node starts.

use warren_broker::{Actor, Broker, Grants};

use crate::api;

/// The user to whom belongs what is made.
const USER: &str = "rmq-internal";

/// Definitions could not be brought in.
#[derive(Debug, thiserror::Error)]
#[error("the definitions cannot be brought in: {reason}")]
pub struct LoadError {
    /// Why, in the API's words.
    pub reason: String,
}

/// Brings in a document of definitions, as `POST /api/definitions` does.
///
/// # Errors
/// When it makes no sense, or something in it is refused.
pub async fn load_definitions(broker: &Broker, document: &[u8]) -> Result<(), LoadError> {
    let (tags, grants) = (Vec::new(), Grants::Catalog);
    let actor = Actor { user: USER.into(), tags, grants, trusted: true, from: None };
    let brought_in = api::bring_in(broker, document, None, &actor).await;
    brought_in.map_err(|problem| LoadError { reason: problem.reason() })
}
