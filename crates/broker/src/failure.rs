//! What went wrong, by whom it ends.

use warren_amqp::{ChannelError, ConnectionError, MethodId, ReplyCode};
use warren_catalog::{Refusal, RefusalKind};

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Ends the channel that asked.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Ends the connection.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl Failure {
    /// The failure that `code` stands for, on the level where AMQP puts it.
    pub(crate) fn new(code: ReplyCode, detail: impl std::fmt::Display) -> Self {
        if code.is_soft() {
            Self::Channel(ChannelError::new(code, detail))
        } else {
            Self::Connection(ConnectionError::new(code, detail))
        }
    }

    /// What the catalog refused, as a client hears it.
    pub(crate) fn refused(refusal: &Refusal) -> Self {
        let code = match refusal.kind() {
            RefusalKind::NotFound => ReplyCode::NotFound,
            RefusalKind::AccessRefused => ReplyCode::AccessRefused,
            RefusalKind::ResourceLocked => ReplyCode::ResourceLocked,
            RefusalKind::PreconditionFailed | RefusalKind::BadRequest => {
                ReplyCode::PreconditionFailed
            }
            RefusalKind::NotAllowed => ReplyCode::NotAllowed,
            RefusalKind::Damaged => ReplyCode::InternalError,
        };
        Self::new(code, refusal)
    }

    /// The operation could not be done in time; it was not the client's fault, and its other
    /// channels need not suffer for it.
    pub(crate) fn unavailable(what: impl std::fmt::Display) -> Self {
        Self::new(ReplyCode::PreconditionFailed, format_args!("{what}; a retry may work"))
    }

    /// The same failure, blamed on `method`.
    pub(crate) fn at(self, method: MethodId) -> Self {
        match self {
            Self::Channel(error) => Self::Channel(error.at(method)),
            Self::Connection(error) => Self::Connection(error.at(method)),
        }
    }
}
