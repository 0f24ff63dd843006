//! The bytes of what a shard tells a front end on another node.
//!
//! Both ends run at the same time, and the first byte says in which format. The answers to commands
//! are stored as well, in snapshots, so that their bytes keep their meaning once released.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use warren_types::{
    BootId, ConsumerId, ConsumerNumber, DecodeError, DeliverySequence, Location, LogIndex, NodeId,
    QueueId, Reader, RequestSequence, SessionId, Writer,
};

use crate::{
    CancelReason, CommandReply, Delivered, DeliveredRun, FragmentReply, Got, QueueStatus, Refusal,
};

/// The format that is written.
const VERSION: u8 = 1;

/// What a shard tells a front end unasked.
#[expect(missing_docs, reason = "the text of the whole speaks of its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Messages for a consumer.
    Delivered(Delivered),
    /// The consumer is no more; its client must be told.
    Cancelled { consumer: ConsumerId, queue: QueueId, reason: CancelReason },
}

impl Notice {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        out.u8(VERSION);
        match self {
            Self::Delivered(delivered) => {
                out.u8(0);
                consumer(&mut out, delivered.consumer);
                out.u64(delivered.queue.0);
                out.u64(delivered.first.0);
                out.list(&delivered.runs, run);
            }
            Self::Cancelled { consumer: id, queue, reason } => {
                out.u8(1);
                consumer(&mut out, *id);
                out.u64(queue.0);
                out.u8(match reason {
                    CancelReason::QueueDeleted => 0,
                    CancelReason::Timeout => 1,
                    CancelReason::LeaseEnded => 2,
                    CancelReason::TakenOver => 3,
                });
            }
        }
        out.finish()
    }

    /// What [`Notice::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are of another format, or make no sense.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut from = reader(bytes)?;
        let notice = match from.u8("notice")? {
            0 => Self::Delivered(Delivered {
                consumer: read_consumer(&mut from)?,
                queue: QueueId(from.u64("queue")?),
                first: DeliverySequence(from.u64("sequence")?),
                runs: from.list("runs", read_run)?,
            }),
            1 => Self::Cancelled {
                consumer: read_consumer(&mut from)?,
                queue: QueueId(from.u64("queue")?),
                reason: match from.u8("reason")? {
                    0 => CancelReason::QueueDeleted,
                    1 => CancelReason::Timeout,
                    2 => CancelReason::LeaseEnded,
                    3 => CancelReason::TakenOver,
                    value => return unknown("reason", value),
                },
            },
            value => return unknown("notice", value),
        };
        from.finish()?;
        Ok(notice)
    }
}

impl FragmentReply {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        out.u8(VERSION);
        match self {
            Self::Done(replies) => {
                out.u8(0);
                write_replies(&mut out, replies);
            }
            Self::Duplicate => out.u8(1),
            Self::UnknownSession => out.u8(2),
            Self::Gap { next } => {
                out.u8(3);
                out.u64(next.0);
            }
        }
        out.finish()
    }

    /// What [`FragmentReply::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are of another format, or make no sense.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut from = reader(bytes)?;
        let reply = match from.u8("fragment reply")? {
            0 => Self::Done(read_replies(&mut from)?),
            1 => Self::Duplicate,
            2 => Self::UnknownSession,
            3 => Self::Gap { next: RequestSequence(from.u64("sequence")?) },
            value => return unknown("fragment reply", value),
        };
        from.finish()?;
        Ok(reply)
    }
}

/// Answers by ordinal.
pub(crate) fn write_replies(out: &mut Writer, replies: &[(u32, CommandReply)]) {
    out.list(replies, |out, (ordinal, reply)| {
        out.u32(*ordinal);
        write_reply(out, reply);
    });
}

/// What [`write_replies`] wrote.
pub(crate) fn read_replies(from: &mut Reader) -> Result<Vec<(u32, CommandReply)>, DecodeError> {
    from.list("replies", |from| Ok((from.u32("ordinal")?, read_reply(from)?)))
}

fn write_reply(out: &mut Writer, reply: &CommandReply) {
    match reply {
        CommandReply::Refused(refusal) => {
            out.u8(0);
            out.u8(refusal_byte(*refusal));
        }
        CommandReply::Missing(queues) => {
            out.u8(1);
            out.list(queues, |out, queue| out.u64(queue.0));
        }
        CommandReply::Attached => out.u8(2),
        CommandReply::Got(got) => {
            out.u8(3);
            write_got(out, got);
        }
        CommandReply::Empty => out.u8(4),
        CommandReply::Created { fresh } => {
            out.u8(5);
            out.bool(*fresh);
        }
        CommandReply::Deleted { messages } => {
            out.u8(6);
            out.u64(*messages);
        }
        CommandReply::Purged { messages } => {
            out.u8(7);
            out.u64(*messages);
        }
        CommandReply::Status(status) => {
            out.u8(8);
            write_status(out, status);
        }
    }
}

fn read_reply(from: &mut Reader) -> Result<CommandReply, DecodeError> {
    Ok(match from.u8("reply")? {
        0 => CommandReply::Refused(read_refusal(from)?),
        1 => CommandReply::Missing(from.list("queues", |from| Ok(QueueId(from.u64("queue")?)))?),
        2 => CommandReply::Attached,
        3 => CommandReply::Got(read_got(from)?),
        4 => CommandReply::Empty,
        5 => CommandReply::Created { fresh: from.bool("fresh")? },
        6 => CommandReply::Deleted { messages: from.u64("messages")? },
        7 => CommandReply::Purged { messages: from.u64("messages")? },
        8 => CommandReply::Status(read_status(from)?),
        value => return unknown("reply", value),
    })
}

fn write_got(out: &mut Writer, got: &Got) {
    out.u64(got.sequence.0);
    location(out, &got.location);
    out.u32(got.size);
    out.bool(got.redelivered);
    out.u32(got.delivery_count);
    out.u32(got.acquired_count);
    parts(out, got.parts.as_ref());
    out.u64(got.remaining);
}

fn read_got(from: &mut Reader) -> Result<Got, DecodeError> {
    Ok(Got {
        sequence: DeliverySequence(from.u64("sequence")?),
        location: read_location(from)?,
        size: from.u32("size")?,
        redelivered: from.bool("redelivered")?,
        delivery_count: from.u32("delivery count")?,
        acquired_count: from.u32("acquired count")?,
        parts: read_parts(from)?,
        remaining: from.u64("remaining")?,
    })
}

fn write_status(out: &mut Writer, status: &QueueStatus) {
    out.u64(status.ready);
    out.u64(status.ready_bytes);
    out.u64(status.unsettled);
    out.u64(status.unsettled_bytes);
    out.u32(status.consumers);
    out.u64(status.delayed);
    out.u64(status.delayed_bytes);
    out.u64(status.dead);
    out.u64(status.dead_bytes);
}

fn read_status(from: &mut Reader) -> Result<QueueStatus, DecodeError> {
    Ok(QueueStatus {
        ready: from.u64("ready")?,
        ready_bytes: from.u64("ready bytes")?,
        unsettled: from.u64("unsettled")?,
        unsettled_bytes: from.u64("unsettled bytes")?,
        consumers: from.u32("consumers")?,
        delayed: from.u64("delayed")?,
        delayed_bytes: from.u64("delayed bytes")?,
        dead: from.u64("dead")?,
        dead_bytes: from.u64("dead bytes")?,
    })
}

fn refusal_byte(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::UnknownQueue => 0,
        Refusal::QueueDeleted => 1,
        Refusal::ExclusiveConsumer => 2,
        Refusal::SingleActiveConsumer => 3,
        Refusal::InUse => 4,
        Refusal::NotEmpty => 5,
        Refusal::ConsumerExists => 6,
        Refusal::SessionClosed => 7,
        Refusal::UnknownUpload => 8,
        Refusal::QueueFull => 9,
        Refusal::NotHeld => 10,
        Refusal::IsStream => 11,
        Refusal::OtherKind => 12,
    }
}

fn read_refusal(from: &mut Reader) -> Result<Refusal, DecodeError> {
    Ok(match from.u8("refusal")? {
        0 => Refusal::UnknownQueue,
        1 => Refusal::QueueDeleted,
        2 => Refusal::ExclusiveConsumer,
        3 => Refusal::SingleActiveConsumer,
        4 => Refusal::InUse,
        5 => Refusal::NotEmpty,
        6 => Refusal::ConsumerExists,
        7 => Refusal::SessionClosed,
        8 => Refusal::UnknownUpload,
        9 => Refusal::QueueFull,
        10 => Refusal::NotHeld,
        11 => Refusal::IsStream,
        12 => Refusal::OtherKind,
        value => return unknown("refusal", value),
    })
}

fn run(out: &mut Writer, run: &DeliveredRun) {
    location(out, &run.location);
    out.u32(run.stride);
    out.u32(run.count);
    out.u32(run.size);
    out.bool(run.redelivered);
    out.u32(run.delivery_count);
    out.u32(run.acquired_count);
    parts(out, run.parts.as_ref());
}

fn read_run(from: &mut Reader) -> Result<DeliveredRun, DecodeError> {
    Ok(DeliveredRun {
        location: read_location(from)?,
        stride: from.u32("stride")?,
        count: from.u32("count")?,
        size: from.u32("size")?,
        redelivered: from.bool("redelivered")?,
        delivery_count: from.u32("delivery count")?,
        acquired_count: from.u32("acquired count")?,
        parts: read_parts(from)?,
    })
}

fn location(out: &mut Writer, at: &Location) {
    out.u64(at.index.0);
    out.u32(at.offset);
}

fn read_location(from: &mut Reader) -> Result<Location, DecodeError> {
    Ok(Location { index: LogIndex(from.u64("index")?), offset: from.u32("offset")? })
}

fn parts(out: &mut Writer, parts: Option<&Arc<[Location]>>) {
    out.option(parts, |out, parts| out.list(parts.iter(), location));
}

fn read_parts(from: &mut Reader) -> Result<Option<Arc<[Location]>>, DecodeError> {
    from.option("parts", |from| Ok(from.list("parts", read_location)?.into()))
}

fn consumer(out: &mut Writer, id: ConsumerId) {
    out.u64(id.session.node.0);
    out.u64(id.session.boot.0);
    out.u64(id.number.0);
}

fn read_consumer(from: &mut Reader) -> Result<ConsumerId, DecodeError> {
    let session = SessionId { node: NodeId(from.u64("node")?), boot: BootId(from.u64("boot")?) };
    Ok(ConsumerId { session, number: ConsumerNumber(from.u64("consumer")?) })
}

fn reader(bytes: Bytes) -> Result<Reader, DecodeError> {
    let mut from = Reader::new(bytes);
    match from.u8("version")? {
        VERSION => Ok(from),
        value => unknown("version", value),
    }
}

fn unknown<T>(what: &'static str, value: u8) -> Result<T, DecodeError> {
    Err(DecodeError::Unknown { what, value: u64::from(value) })
}
