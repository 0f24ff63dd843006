//! The messages of a stream in a snapshot.
//!
//! A stream is long and stays so. Of each of its runs only what differs from the one before is written:
//! mostly four to eight bytes, where a run of a queue takes sixty.
//!
//! ```text
//! record    u64 number of the first message | u16 count | runs
//! run       u8 flags | row | offset | count stride | size | parts      each as the flags say
//! ```
//!
//! Numbers are in groups of seven bits, the lowest first; those of row and offset are distances from the
//! run before, with their sign in the lowest bit. The number of a run follows from those before it.

use std::borrow::Cow;

use warren_types::{DecodeError, Location, LogIndex, MessageNumber, Reader, Writer};

use super::read::{Fault, checked, read_parts};
use super::write::write_parts;
use crate::run::Run;
use crate::session::Upload;

/// Runs in one record.
pub(super) const RUNS: usize = 1024;

/// It stands in the same row as the one before.
const IN_ROW: u8 = 1;
/// It is one message.
const IS_SINGLE: u8 = 1 << 1;
/// Its bodies are as large as those before.
const HAS_SIZE: u8 = 1 << 2;
/// Its body has earlier parts.
const HAS_PARTS: u8 = 1 << 3;
const ALL: u8 = IN_ROW | IS_SINGLE | HAS_SIZE | HAS_PARTS;

/// What the next run is held against.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    row: u64,
    offset: u32,
    size: u32,
}

impl Before {
    fn of(run: &Run) -> Self {
        Self { row: run.index.0, offset: run.offset, size: run.size }
    }
}

/// Writes some runs, of which there is at least one.
pub(super) fn write_runs(out: &mut Writer, runs: &[Cow<'_, Run>]) {
    let first = runs.first().map_or(MessageNumber(0), |run| run.number);
    out.u64(first.0);
    out.u16(u16::try_from(runs.len()).expect("a record has few runs"));
    let mut before = Before::default();
    for run in runs {
        write_run(out, before, run);
        before = Before::of(run);
    }
}

fn write_run(out: &mut Writer, before: Before, run: &Run) {
    let is_single = run.count == 1 && run.stride == 0;
    let flags = [
        (IN_ROW, run.index.0 == before.row),
        (IS_SINGLE, is_single),
        (HAS_SIZE, run.size == before.size),
        (HAS_PARTS, run.parts.is_some()),
    ];
    let flags = flags.iter().filter(|(_, is_set)| *is_set).fold(0, |all, (flag, _)| all | flag);
    out.u8(flags);
    if flags & IN_ROW == 0 {
        write_number(out, apart(before.row, run.index.0));
    }
    write_number(out, apart(u64::from(before.offset), u64::from(run.offset)));
    if !is_single {
        write_number(out, u64::from(run.count));
        write_number(out, u64::from(run.stride));
    }
    if flags & HAS_SIZE == 0 {
        write_number(out, u64::from(run.size));
    }
    if let Some(parts) = &run.parts {
        write_parts(out, parts);
    }
}

/// Reads what [`write_runs`] wrote.
pub(super) fn read_runs(reader: &mut Reader) -> Result<Vec<Run>, Fault> {
    let mut number = reader.u64("first message")?;
    let count = reader.u16("count of runs")?;
    let (mut runs, mut before) = (vec![], Before::default());
    for _ in 0..count {
        let run = read_run(reader, before, MessageNumber(number))?;
        number = run.last_number().0.saturating_add(1);
        before = Before::of(&run);
        runs.push(run);
    }
    Ok(runs)
}

fn read_run(reader: &mut Reader, before: Before, number: MessageNumber) -> Result<Run, Fault> {
    let flags = reader.u8("flags of a run")?;
    if flags & !ALL != 0 {
        return Err(DecodeError::Unknown { what: "flags of a run", value: flags.into() }.into());
    }
    let row =
        if flags & IN_ROW == 0 { beyond(before.row, read_number(reader)?) } else { before.row };
    let offset = short(beyond(u64::from(before.offset), read_number(reader)?))?;
    let (count, stride) = if flags & IS_SINGLE == 0 {
        (short(read_number(reader)?)?, short(read_number(reader)?)?)
    } else {
        (1, 0)
    };
    let size = if flags & HAS_SIZE == 0 { short(read_number(reader)?)? } else { before.size };
    let parts = if flags & HAS_PARTS == 0 {
        None
    } else {
        Some(Upload { parts: read_parts(reader)? }.parts())
    };
    let at = Location { index: LogIndex(row), offset };
    checked(Run { count, stride, ..Run::published(number, at, size, parts) })
}

/// From `from` to `to`, small if they are close.
fn apart(from: u64, to: u64) -> u64 {
    let apart = to.wrapping_sub(from).cast_signed();
    ((apart << 1) ^ (apart >> 63)).cast_unsigned()
}

/// What is `apart` from `from`.
fn beyond(from: u64, apart: u64) -> u64 {
    from.wrapping_add((apart >> 1) ^ (apart & 1).wrapping_neg())
}

fn write_number(out: &mut Writer, mut number: u64) {
    while number > 0x7F {
        out.u8(u8::try_from(number & 0x7F).expect("seven bits fit") | 0x80);
        number >>= 7;
    }
    out.u8(u8::try_from(number).expect("no more than seven bits are left"));
}

fn read_number(reader: &mut Reader) -> Result<u64, DecodeError> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = reader.u8("number in a run")?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(DecodeError::Unknown { what: "number in a run", value: number })
}

fn short(value: u64) -> Result<u32, DecodeError> {
    u32::try_from(value).map_err(|_| DecodeError::Unknown { what: "number in a run", value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run() -> impl Strategy<Value = (u64, u32, u32, u32, u32)> {
        let row = prop_oneof![4 => 5..8_u64, 1 => any::<u64>()];
        (row, 0..100_000_u32, 1..4_u32, 1..3_u32, 0..400_u32)
    }

    proptest! {
        #[test]
        fn runs_come_out_of_a_record_as_they_went_in(
            shapes in proptest::collection::vec(run(), 1..30),
            first in 1..1_u64 << 60,
        ) {
            let mut number = first;
            let runs: Vec<Cow<'_, Run>> = shapes.into_iter().map(|(row, offset, count, more, size)| {
                let at = Location { index: LogIndex(row), offset };
                let stride = if count == 1 { 0 } else { size + more };
                let run = Run::published(MessageNumber(number), at, size, None);
                number += u64::from(count);
                Cow::Owned(Run { count, stride, ..run })
            }).collect();

            let mut out = Writer::new();
            write_runs(&mut out, &runs);
            let mut reader = Reader::new(out.finish());
            let found = read_runs(&mut reader).expect("it was just written");

            prop_assert!(reader.is_empty());
            prop_assert!(found.iter().eq(runs.iter().map(|run| &**run)));
        }
    }

    #[test]
    fn a_number_that_never_ends_is_refused() {
        let mut reader = Reader::new(vec![0xFF; 40].into());

        assert!(read_number(&mut reader).is_err());
    }
}
