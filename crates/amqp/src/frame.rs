//! Frames: type, channel, size, payload, end octet.
//!
//! **Invariant:** a frame's size is refused from its first seven bytes, before anyone waits
//! for the rest of it.

use std::fmt;

use warren_types::ChannelNumber;

use crate::{Bound, ConnectionError, ReplyCode};

/// A method and its arguments.
pub(crate) const METHOD: u8 = 1;
/// A content header.
pub(crate) const HEADER: u8 = 2;
/// A piece of a body.
pub(crate) const BODY: u8 = 3;
/// A heartbeat frame's type.
pub(crate) const HEARTBEAT_TYPE: u8 = 8;
/// Stands behind every payload.
pub(crate) const FRAME_END: u8 = 0xCE;
/// Type, channel and size.
const FRAME_HEADER: usize = 7;
/// A frame without its payload: header and end octet.
pub(crate) const FRAME_OVERHEAD: usize = 8;
/// A whole heartbeat.
pub(crate) const HEARTBEAT: [u8; FRAME_OVERHEAD] = [HEARTBEAT_TYPE, 0, 0, 0, 0, 0, 0, FRAME_END];

/// One frame, its payload a slice of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) channel: ChannelNumber,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame of `bytes` and what stands behind it; nothing while it is not whole.
    ///
    /// Some clients count only the payload towards `frame_max`; like RabbitMQ, this lets
    /// them.
    pub(crate) fn first(
        bytes: &'a [u8],
        frame_max: u32,
    ) -> Result<Option<(Self, &'a [u8])>, ConnectionError> {
        let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER>() else {
            return Ok(None);
        };
        let [kind, channel_high, channel_low, size @ ..] = *header;
        let size = u32::from_be_bytes(size);
        if size > frame_max {
            let detail = format_args!("frame of {size} bytes is larger than {frame_max}");
            return Err(damaged(kind, detail).beyond(Bound::FrameSize));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some((payload, rest)) = rest.split_at_checked(size) else { return Ok(None) };
        match rest.split_first() {
            None => Ok(None),
            Some((&FRAME_END, rest)) => {
                let channel = ChannelNumber(u16::from_be_bytes([channel_high, channel_low]));
                Ok(Some((Self { kind, channel, payload }, rest)))
            }
            Some((octet, _)) => {
                let detail = format_args!("frame ends with {octet:#04x} in place of 0xce");
                Err(damaged(kind, detail))
            }
        }
    }
}

/// The error for bytes that are no frame, or none that AMQP knows.
pub(crate) fn damaged(kind: u8, detail: impl fmt::Display) -> ConnectionError {
    ConnectionError::new(ReplyCode::FrameError, format_args!("type {kind}, {detail}"))
}

/// The error for a frame on a channel where its type cannot come.
pub(crate) fn misplaced(kind: u8, detail: impl fmt::Display) -> ConnectionError {
    ConnectionError::new(ReplyCode::UnexpectedFrame, format_args!("type {kind}, {detail}"))
}

/// How many bytes at the start of `bytes` are whole frames, and the error behind them if the next
/// frame is already known to be none.
pub(crate) fn whole_frames(bytes: &[u8], frame_max: u32) -> (usize, Result<(), ConnectionError>) {
    let mut rest = bytes;
    let outcome = loop {
        match Frame::first(rest, frame_max) {
            Ok(Some((_, behind))) => rest = behind,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    (bytes.len().saturating_sub(rest.len()), outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 11] = [3, 1, 2, 0, 0, 0, 3, b'a', b'b', b'c', FRAME_END];

    #[test]
    fn a_frame_comes_out_when_its_last_byte_is_there() {
        for end in 0..FRAME.len() {
            assert_eq!(Frame::first(&FRAME[..end], 4096), Ok(None), "{end} bytes");
        }

        let first = Frame::first(&FRAME, 4096);

        let frame = Frame { kind: BODY, channel: ChannelNumber(0x0102), payload: b"abc" };
        assert_eq!(first, Ok(Some((frame, &[][..]))));
    }

    #[test]
    fn a_frame_that_is_too_large_is_refused_from_its_header() {
        let header = [3, 0, 1, 0, 0, 16, 1];

        let outcome = Frame::first(&header, 4096).expect_err("4097 bytes");

        assert_eq!(outcome.code(), ReplyCode::FrameError);
    }

    #[test]
    fn whole_frames_before_a_bad_end_octet_are_counted() {
        let mut bytes = [FRAME, FRAME].concat();
        *bytes.last_mut().expect("not empty") = 0;

        let (count, outcome) = whole_frames(&bytes, 4096);

        assert_eq!(count, FRAME.len());
        assert_eq!(outcome.expect_err("bad end").code(), ReplyCode::FrameError);
    }
}
