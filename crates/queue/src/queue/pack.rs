//! Waiting messages in few bytes.
//!
//! A run differs from the one before it in little: it comes next, stands a little further in the log,
//! and nothing else is to be said of it. So a [`Pack`] has of each run what differs, in numbers that
//! take as many bytes as they need: three to six for a run, which takes 64 by itself.
//!
//! ```text
//! run   u8 flags | number | row | offset | count stride | size | rest    each unless a flag says so
//! ```
//!
//! Numbers are in groups of seven bits, the lowest first; differences have their sign in the lowest
//! bit. This is memory and no format: nothing of it is stored.

use std::collections::VecDeque;
use std::sync::Arc;

use warren_types::{Location, LogIndex, MessageNumber, Timestamp};

use crate::clock::NEVER;
use crate::run::{Parts, Run};

/// It comes right behind the one before.
const IS_NEXT: u8 = 1 << 0;
/// It stands in the same row.
const IN_ROW: u8 = 1 << 1;
/// It is one message.
const IS_SINGLE: u8 = 1 << 2;
/// Its bodies have the same size.
const HAS_SIZE: u8 = 1 << 3;
/// There is nothing else to be said.
const IS_PLAIN: u8 = 1 << 4;

/// Why reading cannot fail.
const WHOLE: &str = "a pack has whole runs, as they were written";

/// Some runs, of which there is at least one.
#[derive(Debug)]
pub(crate) struct Pack {
    /// The first message.
    pub(crate) first: MessageNumber,
    /// The last message.
    pub(crate) last: MessageNumber,
    /// The row of the last run.
    pub(crate) last_row: LogIndex,
    bytes: Box<[u8]>,
    /// Those that runs have, in order.
    parts: Box<[Arc<Parts>]>,
}

/// What the next run is held against.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    /// The number behind it.
    number: u64,
    row: u64,
    offset: u32,
    size: u32,
}

/// Takes runs out of a pack.
#[derive(Debug)]
pub(crate) struct Runs<'a> {
    bytes: &'a [u8],
    parts: std::slice::Iter<'a, Arc<Parts>>,
    before: Before,
}

impl Pack {
    /// A pack of `runs`; none if there are none.
    pub(crate) fn new(runs: &VecDeque<Run>) -> Option<Self> {
        let (first, last) = (runs.front()?, runs.back()?);
        let (mut bytes, mut parts, mut before) = (vec![], vec![], Before::default());
        for run in runs {
            write(&mut bytes, before, run);
            parts.extend(run.parts.clone());
            before = Before::of(run);
        }
        Some(Self {
            first: first.number,
            last: last.last_number(),
            last_row: last.index,
            bytes: bytes.into_boxed_slice(),
            parts: parts.into_boxed_slice(),
        })
    }

    /// The runs, in order.
    pub(crate) fn runs(&self) -> Runs<'_> {
        Runs { bytes: &self.bytes, parts: self.parts.iter(), before: Before::default() }
    }

    /// Bytes of memory besides its own place.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.parts)
    }
}

impl Before {
    fn of(run: &Run) -> Self {
        Self {
            number: run.number.0.wrapping_add(u64::from(run.count)),
            row: run.index.0,
            offset: run.offset,
            size: run.size,
        }
    }
}

fn write(out: &mut Vec<u8>, before: Before, run: &Run) {
    let is_plain = run.step == 1
        && run.acquired == 0
        && run.failed == 0
        && run.level == 0
        && run.deadline == NEVER
        && run.parts.is_none();
    let is_single = run.count == 1 && run.stride == 0;
    let flags = [
        (IS_NEXT, run.number.0 == before.number),
        (IN_ROW, run.index.0 == before.row),
        (IS_SINGLE, is_single),
        (HAS_SIZE, run.size == before.size),
        (IS_PLAIN, is_plain),
    ];
    let flags = flags.iter().filter(|(_, is_set)| *is_set).fold(0, |all, (flag, _)| all | flag);
    out.push(flags);
    if flags & IS_NEXT == 0 {
        write_number(out, apart(before.number, run.number.0));
    }
    if flags & IN_ROW == 0 {
        write_number(out, apart(before.row, run.index.0));
    }
    write_number(out, apart(u64::from(before.offset), u64::from(run.offset)));
    if flags & IS_SINGLE == 0 {
        write_number(out, u64::from(run.count));
        write_number(out, u64::from(run.stride));
    }
    if flags & HAS_SIZE == 0 {
        write_number(out, u64::from(run.size));
    }
    if flags & IS_PLAIN == 0 {
        write_number(out, u64::from(run.step));
        write_number(out, u64::from(run.acquired));
        write_number(out, u64::from(run.failed));
        write_number(out, apart(0, i64::from(run.level).cast_unsigned()));
        // No deadline is the highest number there is.
        write_number(out, run.deadline.0.wrapping_add(1));
        write_number(out, u64::from(run.parts.is_some()));
    }
}

/// From `from` to `to`, small if they are close.
fn apart(from: u64, to: u64) -> u64 {
    let apart = to.wrapping_sub(from).cast_signed();
    ((apart << 1) ^ (apart >> 63)).cast_unsigned()
}

/// What is `apart` from `from`.
fn beyond(from: u64, apart: u64) -> u64 {
    let sign = (apart & 1).wrapping_neg();
    from.wrapping_add((apart >> 1) ^ sign)
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7F {
        out.push(u8::try_from(number & 0x7F).expect("seven bits fit") | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).expect("no more than seven bits are left"));
}

impl Runs<'_> {
    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0_u64, 0_u32);
        loop {
            let (byte, rest) = self.bytes.split_first().expect(WHOLE);
            self.bytes = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return number;
            }
            shift += 7;
        }
    }

    fn short(&mut self) -> u32 {
        u32::try_from(self.number()).expect(WHOLE)
    }

    /// What can be said of a run beside its place.
    fn rest(&mut self, run: &mut Run) {
        run.step = self.short();
        run.acquired = self.short();
        run.failed = self.short();
        let level = beyond(0, self.number()).cast_signed();
        run.level = i16::try_from(level).expect(WHOLE);
        run.deadline = Timestamp(self.number().wrapping_sub(1));
        if self.number() == 1 {
            run.parts = self.parts.next().cloned();
        }
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let (flags, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        let mut before = self.before;
        if flags & IS_NEXT == 0 {
            before.number = beyond(before.number, self.number());
        }
        if flags & IN_ROW == 0 {
            before.row = beyond(before.row, self.number());
        }
        let offset = beyond(u64::from(before.offset), self.number());
        before.offset = u32::try_from(offset).expect(WHOLE);
        let (mut count, mut stride) = (1, 0);
        if flags & IS_SINGLE == 0 {
            (count, stride) = (self.short(), self.short());
        }
        if flags & HAS_SIZE == 0 {
            before.size = self.short();
        }
        let at = Location { index: LogIndex(before.row), offset: before.offset };
        let mut run = Run::published(MessageNumber(before.number), at, before.size, None);
        (run.count, run.stride) = (count, stride);
        if flags & IS_PLAIN == 0 {
            self.rest(&mut run);
        }
        self.before = Before::of(&run);
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any run, near others or far from everything.
    fn run() -> impl Strategy<Value = Run> {
        let near = (0..300_u64, 0..4_u64, 0..500_u32, 1..3_u32, 0..2_u32, 0..3_u32);
        let near = near.prop_map(|(number, row, offset, count, stride, size)| {
            let at = Location { index: LogIndex(row), offset };
            Run { count, stride, ..Run::published(MessageNumber(number), at, size, None) }
        });
        let any = (any::<[u64; 3]>(), any::<[u32; 7]>(), any::<i16>(), any::<bool>());
        let any = any.prop_map(|(long, short, level, has_parts)| {
            let [number, row, deadline] = long;
            let [offset, stride, count, step, size, acquired, failed] = short;
            let parts = has_parts
                .then(|| Arc::new(Parts { locations: Arc::from([]), sizes: Box::from([offset]) }));
            let at = Location { index: LogIndex(row), offset };
            let plain = Run::published(MessageNumber(number), at, size, parts);
            let deadline = Timestamp(deadline);
            Run { stride, count, step, acquired, failed, level, deadline, ..plain }
        });
        prop_oneof![3 => near, 1 => any]
    }

    proptest! {
        #[test]
        fn runs_come_out_of_a_pack_as_they_went_in(
            runs in proptest::collection::vec_deque(run(), 1..40),
        ) {
            let pack = Pack::new(&runs).expect("there are some");

            let found: VecDeque<Run> = pack.runs().collect();

            prop_assert_eq!(pack.first, runs[0].number);
            prop_assert_eq!(found, runs);
        }
    }

    #[test]
    fn a_message_among_its_like_takes_a_few_bytes() {
        let alone = |nth: u64| {
            let at = Location { index: LogIndex(1_000_000 + nth), offset: 60 };
            Run::published(MessageNumber(77_000_000 + nth), at, 100, None)
        };
        let varied = |nth: u64| {
            let offset = u32::try_from(nth * 150).unwrap();
            let at = Location { index: LogIndex(1_000_000), offset };
            let size = 50 + u32::try_from(nth * 7919 % 1000).unwrap();
            Run::published(MessageNumber(77_000_000 + nth), at, size, None)
        };

        let bytes = |runs: VecDeque<Run>| Pack::new(&runs).map(|pack| pack.memory_bytes() / 100);

        assert_eq!(bytes((0..100).map(alone).collect()), Some(3));
        assert_eq!(bytes((0..100).map(varied).collect()), Some(4));
    }
}
