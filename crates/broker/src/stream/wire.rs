//! How a node that has no replica of a stream's shard reads it through one that has.
//!
//! The bytes travel between nodes and are stored nowhere. A question and the head of an answer begin
//! with a version; who gets another than its own does not answer, and another node is asked.

use std::time::Duration;

use bytes::Bytes;
use warren_queue::DeliveredRun;
use warren_rpc::{Followed, Refusal};
use warren_types::{DecodeError, Location, LogIndex, QueueId, Reader, Writer};

use super::Start;
use super::page::{Found, Page, Piece};
use super::source::{Begin, begin, next_page};
use crate::queue::handle::ShardHandle;

/// The version of questions and answers.
const VERSION: u16 = 1;

/// How much longer than the wait itself an answer may take.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);

/// What a node is asked about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// What stands there from an offset on; where there is nothing yet, after a wait.
    Page { queue: QueueId, from: u64, wait_ms: u64 },
    /// Where somebody begins.
    Begin { queue: QueueId, start: Start },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What stands there.
    Found(Found),
    /// There; the stream is never said to be gone by one node alone.
    Begin(Begin),
}

/// How long an answer may take that waits for `wait`.
pub(crate) fn follow_limit(wait: Duration) -> Duration {
    wait.saturating_add(ANSWER_MARGIN)
}

/// Answers another node from this node's replica.
pub(crate) async fn answer(shard: &ShardHandle, question: Bytes) -> Result<Followed, Refusal> {
    let senseless = |error: DecodeError| Refusal::Senseless { text: error.to_string() };
    let question = Question::decode(question).map_err(senseless)?;
    let group = shard.whereabouts().group().ok_or(Refusal::NotHere)?;
    let answer = match question {
        Question::Page { queue, from, wait_ms } => {
            let wait = Duration::from_millis(wait_ms);
            Answer::Found(next_page(&group, queue, from, wait).await)
        }
        Question::Begin { queue, start } => match begin(&group, queue, start).await {
            Ok(Some(begin)) => Answer::Begin(begin),
            Ok(None) => Answer::Found(Found::Missing),
            Err(error) => return Err(Refusal::Unavailable { text: error.to_string() }),
        },
    };
    Ok(answer.encode())
}

impl Question {
    /// The bytes that [`Question::decode`] reads.
    pub(crate) fn encode(self) -> Bytes {
        let mut writer = Writer::new();
        writer.u16(VERSION);
        match self {
            Self::Page { queue, from, wait_ms } => {
                writer.u8(0);
                writer.u64(queue.0);
                writer.u64(from);
                writer.u64(wait_ms);
            }
            Self::Begin { queue, start } => {
                let (kind, number) = start.numbers();
                writer.u8(1);
                writer.u64(queue.0);
                writer.u8(kind);
                writer.u64(number);
            }
        }
        writer.finish()
    }

    /// The question that `bytes` hold.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = versioned(bytes)?;
        let what = "a question about a stream";
        let question = match reader.u8(what)? {
            0 => Self::Page {
                queue: QueueId(reader.u64(what)?),
                from: reader.u64(what)?,
                wait_ms: reader.u64(what)?,
            },
            1 => {
                let queue = QueueId(reader.u64(what)?);
                let numbers = (reader.u8(what)?, reader.u64(what)?);
                let value = u64::from(numbers.0);
                let start = Start::of_numbers(numbers);
                let start = start.ok_or(DecodeError::Unknown { what, value })?;
                Self::Begin { queue, start }
            }
            value => return Err(DecodeError::Unknown { what, value: u64::from(value) }),
        };
        reader.finish()?;
        Ok(question)
    }
}

impl Answer {
    /// What [`Answer::decode`] reads: where things stand, and the rows that they stand in, each once
    /// in the order in which it is first needed, with the parts of large bodies behind theirs.
    pub(crate) fn encode(self) -> Followed {
        let mut writer = Writer::new();
        let mut rows = Vec::new();
        writer.u16(VERSION);
        match self {
            Self::Found(Found::Missing) => writer.u8(0),
            Self::Found(Found::Nothing) => writer.u8(1),
            Self::Found(Found::Page(page)) => {
                writer.u8(2);
                writer.u64(page.next);
                writer.list(page.pieces.iter(), put_piece);
                let mut last = None;
                for piece in page.pieces {
                    let index = piece.run.location.index;
                    if !piece.parts.is_empty() || last != Some(index) {
                        rows.push((index, piece.row));
                    }
                    last = piece.parts.is_empty().then_some(index);
                    rows.extend(piece.parts.into_iter().map(|part| (index, part)));
                }
            }
            Self::Begin(Begin::At(offset)) => {
                writer.u8(3);
                writer.u64(offset);
            }
            Self::Begin(Begin::Queue) => writer.u8(4),
            Self::Begin(Begin::Gone) => writer.u8(0),
        }
        Followed { head: writer.finish(), rows }
    }

    /// The answer that another node gave.
    pub(crate) fn decode(followed: Followed) -> Result<Self, DecodeError> {
        let mut reader = versioned(followed.head)?;
        let what = "an answer about a stream";
        let answer = match reader.u8(what)? {
            0 => Self::Found(Found::Missing),
            1 => Self::Found(Found::Nothing),
            2 => {
                let next = reader.u64(what)?;
                let bare = reader.list(what, bare_piece)?;
                let pieces = with_rows(bare, followed.rows)?;
                Self::Found(Found::Page(Page { pieces, next }))
            }
            3 => Self::Begin(Begin::At(reader.u64(what)?)),
            4 => Self::Begin(Begin::Queue),
            value => return Err(DecodeError::Unknown { what, value: u64::from(value) }),
        };
        reader.finish()?;
        Ok(answer)
    }
}

fn put_piece(writer: &mut Writer, piece: &Piece) {
    let Piece { first, run, row: _, parts } = piece;
    writer.u64(*first);
    writer.u64(run.location.index.0);
    for number in [run.location.offset, run.stride, run.count, run.size] {
        writer.u32(number);
    }
    writer.u32(u32::try_from(parts.len()).expect("a body has fewer than 2^32 parts"));
}

/// A piece without its bytes, and how many parts it has.
fn bare_piece(reader: &mut Reader) -> Result<(u64, DeliveredRun, u32), DecodeError> {
    let what = "a piece of a stream";
    let first = reader.u64(what)?;
    let index = LogIndex(reader.u64(what)?);
    let location = Location { index, offset: reader.u32(what)? };
    let (stride, count, size) = (reader.u32(what)?, reader.u32(what)?, reader.u32(what)?);
    let run = DeliveredRun {
        location,
        stride,
        count,
        size,
        redelivered: false,
        delivery_count: 0,
        acquired_count: 0,
        // The parts came along, so nobody asks where they stand.
        parts: None,
    };
    Ok((first, run, reader.u32(what)?))
}

fn with_rows(
    bare: Vec<(u64, DeliveredRun, u32)>,
    rows: Vec<(LogIndex, Bytes)>,
) -> Result<Vec<Piece>, DecodeError> {
    let missing = || DecodeError::Unknown { what: "a row of a stream", value: 0 };
    let mut rows = rows.into_iter();
    let mut last: Option<(LogIndex, Bytes)> = None;
    let mut pieces = Vec::with_capacity(bare.len());
    for (first, run, parts) in bare {
        let index = run.location.index;
        let known = last.take().filter(|(known, _)| *known == index && parts == 0);
        let (_, row) = known.or_else(|| rows.next()).ok_or_else(missing)?;
        let parts = (0..parts).map(|_| rows.next().map(|(_, part)| part).ok_or_else(missing));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        last = parts.is_empty().then(|| (index, row.clone()));
        pieces.push(Piece { first, run, row, parts });
    }
    Ok(pieces)
}

fn versioned(bytes: Bytes) -> Result<Reader, DecodeError> {
    let mut reader = Reader::new(bytes);
    let what = "the version of a question about a stream";
    match reader.u16(what)? {
        VERSION => Ok(reader),
        other => Err(DecodeError::Unknown { what, value: u64::from(other) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(first: u64, index: u64, parts: &[&'static [u8]]) -> Piece {
        let location = Location { index: LogIndex(index), offset: 7 };
        let run = DeliveredRun {
            location,
            stride: 90,
            count: 2,
            size: 30,
            redelivered: false,
            delivery_count: 0,
            acquired_count: 0,
            parts: None,
        };
        let row = Bytes::from(format!("row {index}"));
        let parts = parts.iter().copied().map(Bytes::from_static).collect();
        Piece { first, run, row, parts }
    }

    #[test]
    fn a_question_is_read_as_it_was_asked() {
        let queue = QueueId(7);
        let questions = [
            Question::Page { queue, from: 1 << 40, wait_ms: 5 },
            Question::Begin { queue, start: Start::Back(9) },
        ];

        for question in questions {
            assert_eq!(Question::decode(question.encode()), Ok(question));
        }
        assert!(Question::decode(Bytes::from_static(b"\0\x02\0")).is_err(), "another version");
    }

    #[test]
    fn an_answer_is_read_as_it_was_given() {
        let pieces =
            vec![piece(5, 1, &[]), piece(7, 1, &[]), piece(9, 2, &[b"a", b"b"]), piece(11, 2, &[])];
        let page = Page { pieces, next: 13 };
        let answers = [
            Answer::Found(Found::Missing),
            Answer::Found(Found::Nothing),
            Answer::Found(Found::Page(Page { pieces: Vec::new(), next: 4 })),
            Answer::Found(Found::Page(page)),
            Answer::Begin(Begin::At(1 << 40)),
            Answer::Begin(Begin::Queue),
        ];

        for answer in answers {
            assert_eq!(Answer::decode(answer.clone().encode()), Ok(answer));
        }
    }

    #[test]
    fn a_row_that_several_pieces_stand_in_travels_once() {
        let pieces = vec![piece(5, 1, &[]), piece(7, 1, &[]), piece(9, 2, &[])];

        let mut followed = Answer::Found(Found::Page(Page { pieces, next: 11 })).encode();

        assert_eq!(followed.rows.len(), 2);
        followed.rows.pop();
        assert!(Answer::decode(followed).is_err(), "a row is missing");
    }
}
