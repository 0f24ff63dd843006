//! Errors as the client hears them: a reply code, a text, and the method that failed.
//!
//! The constructors take the tail of the text; the code's name is put in front, so that a
//! client reads `NOT_FOUND - no queue 'q' in vhost '/'`. A text is cut to what AMQP's short
//! string carries.
//!
//! Codes, texts and methods are RabbitMQ's, which clients match on. Where such a text is
//! whole without saying what exactly was wrong, a note says it, to the log alone. Neither repeats
//! what a client sent but for names: it may be a body or a password.

use std::fmt;

use crate::MethodId;

/// The longest reply text, in bytes: the length of a short string is one octet.
const TEXT_MAX_BYTES: usize = 255;

macro_rules! reply_codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)+) => {
        /// Why a channel or connection ends, or a message comes back.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ReplyCode {
            $($(#[$doc])* $variant,)+
        }

        impl ReplyCode {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self {
                    $(Self::$variant => $number,)+
                }
            }

            /// The name that starts every text.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

reply_codes! {
    /// Nothing went wrong.
    Success = 200, "REPLY_SUCCESS";
    /// A message that is too large; a constant only, 406 is what is sent.
    ContentTooLarge = 311, "CONTENT_TOO_LARGE";
    /// A mandatory message that no queue took; in basic.return only.
    NoRoute = 312, "NO_ROUTE";
    /// An immediate message without a consumer; in basic.return only.
    NoConsumers = 313, "NO_CONSUMERS";
    /// The operator or the node ends the connection.
    ConnectionForced = 320, "CONNECTION_FORCED";
    /// A constant only.
    InvalidPath = 402, "INVALID_PATH";
    /// The user may not do this.
    AccessRefused = 403, "ACCESS_REFUSED";
    /// The entity does not exist.
    NotFound = 404, "NOT_FOUND";
    /// The entity belongs to another connection.
    ResourceLocked = 405, "RESOURCE_LOCKED";
    /// A condition of the request does not hold.
    PreconditionFailed = 406, "PRECONDITION_FAILED";
    /// The bytes are no frame, arguments cannot be read, or content does not add up.
    FrameError = 501, "FRAME_ERROR";
    /// A login's response that cannot be read.
    SyntaxError = 502, "SYNTAX_ERROR";
    /// A method that a server does not take.
    CommandInvalid = 503, "COMMAND_INVALID";
    /// A method at the wrong moment, or on the wrong channel.
    ChannelError = 504, "CHANNEL_ERROR";
    /// A frame of a kind that cannot come here.
    UnexpectedFrame = 505, "UNEXPECTED_FRAME";
    /// A limit of this server.
    ResourceError = 506, "RESOURCE_ERROR";
    /// Forbidden to everybody, or to this vhost or user by a limit.
    NotAllowed = 530, "NOT_ALLOWED";
    /// A part of the specification that is left out.
    NotImplemented = 540, "NOT_IMPLEMENTED";
    /// Something broke here.
    InternalError = 541, "INTERNAL_ERROR";
}

impl ReplyCode {
    /// Whether this code ends one channel and leaves the connection alone.
    #[must_use]
    pub const fn is_soft(self) -> bool {
        match self {
            Self::ContentTooLarge
            | Self::NoRoute
            | Self::NoConsumers
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => true,
            Self::Success
            | Self::ConnectionForced
            | Self::InvalidPath
            | Self::FrameError
            | Self::SyntaxError
            | Self::CommandInvalid
            | Self::ChannelError
            | Self::UnexpectedFrame
            | Self::ResourceError
            | Self::NotAllowed
            | Self::NotImplemented
            | Self::InternalError => false,
        }
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A limit of this codec that a client ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The largest frame.
    FrameSize,
    /// The number of channels.
    Channels,
    /// The largest message.
    MessageSize,
    /// How deep tables and arrays may stand within each other.
    TableDepth,
}

macro_rules! error_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("{text}{note}")]
        pub struct $name {
            code: ReplyCode,
            text: String,
            method: MethodId,
            /// In brackets, with a space in front; mostly nothing.
            note: String,
            bound: Option<Bound>,
        }

        impl $name {
            /// An error whose text is the code's name, a dash, and `detail`.
            #[must_use]
            pub fn new(code: ReplyCode, detail: impl fmt::Display) -> Self {
                let text = text_of(code, &detail);
                Self { code, text, method: MethodId::NONE, note: String::new(), bound: None }
            }

            /// The same error, as one that comes from a limit.
            #[must_use]
            pub fn beyond(mut self, bound: Bound) -> Self {
                self.bound = Some(bound);
                self
            }

            /// The limit that was reached, if that is what went wrong.
            #[must_use]
            pub const fn bound(&self) -> Option<Bound> {
                self.bound
            }

            /// The same error with a note for the log, which the client does not hear: it stands
            /// behind the text where the error is displayed.
            #[must_use]
            pub fn with_note(mut self, note: impl fmt::Display) -> Self {
                self.note = format!(" ({note})");
                self
            }

            /// The same error, blamed on `method`.
            #[must_use]
            pub fn at(mut self, method: MethodId) -> Self {
                self.method = method;
                self
            }

            /// The reply code.
            #[must_use]
            pub const fn code(&self) -> ReplyCode {
                self.code
            }

            /// The whole text, with the code's name in front; at most 255 bytes.
            #[must_use]
            pub fn text(&self) -> &str {
                &self.text
            }

            /// The method that failed, or [`MethodId::NONE`].
            #[must_use]
            pub const fn method(&self) -> MethodId {
                self.method
            }
        }
    };
}

error_type! {
    /// Ends the connection.
    ConnectionError
}
error_type! {
    /// Ends one channel and leaves the others alone.
    ChannelError
}

fn text_of(code: ReplyCode, detail: &dyn fmt::Display) -> String {
    let mut text = format!("{code} - {detail}");
    text.truncate(cut(&text).len());
    text
}

/// `text`, or as much of its start as a short string carries without cutting a character.
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX_BYTES)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_starts_with_the_name_of_its_code() {
        let error = ChannelError::new(ReplyCode::NotFound, "no queue 'q' in vhost '/'");

        assert_eq!(error.text(), "NOT_FOUND - no queue 'q' in vhost '/'");
        assert_eq!(error.to_string(), error.text());
    }

    #[test]
    fn a_note_is_displayed_and_not_told_to_the_client() {
        let error = ConnectionError::new(ReplyCode::CommandInvalid, "unknown method")
            .with_note("method 60.99");

        assert_eq!(error.text(), "COMMAND_INVALID - unknown method");
        assert_eq!(error.to_string(), "COMMAND_INVALID - unknown method (method 60.99)");
    }

    #[test]
    fn a_long_text_is_cut_before_the_character_that_does_not_fit() {
        let error = ConnectionError::new(ReplyCode::NotAllowed, "ü".repeat(300));

        // 14 bytes of name and dash leave 241, of which 240 hold whole characters.
        assert_eq!(error.text().len(), 254);
        assert!(error.text().ends_with('ü'));
    }

    #[test]
    fn the_soft_codes_are_those_of_the_specification() {
        let soft: Vec<_> =
            ReplyCode::ALL.iter().filter(|code| code.is_soft()).map(|code| code.number()).collect();

        assert_eq!(soft, [311, 312, 313, 403, 404, 405, 406]);
    }
}
