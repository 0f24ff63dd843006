//! What a broker must not do.

use std::fmt;

use crate::checker::{Consumer, Number, Publisher};

/// Something that the broker must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say what they are, the variants what happened")]
pub enum Fault {
    /// Confirmed, and never delivered.
    Lost { publisher: Publisher, number: Number },
    /// Delivered, and never published.
    Ghost { publisher: Publisher, number: Number },
    /// Delivered again without the flag.
    Unflagged { publisher: Publisher, number: Number },
    /// Delivered again although its settlement was certain.
    Risen { publisher: Publisher, number: Number },
    /// Delivered again although the consumer that had it lives and gave nothing back.
    Taken { publisher: Publisher, number: Number, from: Consumer, to: Consumer },
    /// Flagged although no consumer was lost and nothing was given back.
    FalselyFlagged { publisher: Publisher, number: Number },
    /// First delivered after a later message of the same publisher.
    Overtaken { publisher: Publisher, number: Number, by: Number },
    /// A consumer holds more than it asked for.
    Overfed { consumer: Consumer, held: usize, limit: usize },
    /// A confirm for something that was not published.
    StrangeConfirm { publisher: Publisher, number: Number },
    /// Confirmed, or refused, a second time.
    ConfirmedTwice { publisher: Publisher, number: Number },
    /// Refused, where nothing speaks against the message.
    Refused { publisher: Publisher, number: Number },
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { publisher, number } => {
                write!(out, "{publisher}/{number} was confirmed and never delivered")
            }
            Self::Ghost { publisher, number } => {
                write!(out, "{publisher}/{number} was delivered and never published")
            }
            Self::Unflagged { publisher, number } => {
                write!(out, "{publisher}/{number} was delivered again without the flag")
            }
            Self::Risen { publisher, number } => {
                write!(out, "{publisher}/{number} was delivered again after it was settled")
            }
            Self::Taken { publisher, number, from, to } => write!(
                out,
                "{publisher}/{number} was delivered to {to} although {from}, which had it, lives"
            ),
            Self::FalselyFlagged { publisher, number } => write!(
                out,
                "{publisher}/{number} was flagged although nobody was lost or gave anything back"
            ),
            Self::Overtaken { publisher, number, by } => {
                write!(out, "{publisher}/{number} was first delivered after {publisher}/{by}")
            }
            Self::Overfed { consumer, held, limit } => {
                write!(out, "consumer {consumer} holds {held} messages and asked for {limit}")
            }
            Self::StrangeConfirm { publisher, number } => {
                write!(out, "{publisher}/{number} was confirmed and never published")
            }
            Self::ConfirmedTwice { publisher, number } => {
                write!(out, "{publisher}/{number} was confirmed or refused twice")
            }
            Self::Refused { publisher, number } => {
                write!(out, "{publisher}/{number} was refused")
            }
        }
    }
}
