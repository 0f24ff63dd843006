//! Where in a stream a reader begins.

use warren_catalog::parse_max_age;
use warren_queue::StreamStatus;
use warren_types::Value;

/// Where a reader begins, as its client says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the first message that is there.
    First,
    /// At the beginning of what was published last in one go.
    Last,
    /// Behind all that is there.
    Next,
    /// At that offset, or at the first behind it that is there.
    Offset(u64),
    /// So many messages before the end.
    Back(u64),
    /// At the first message that came then or later, in milliseconds since 1970.
    Since(u64),
}

impl Start {
    /// What the argument `x-stream-offset` says, at the time `now_ms`; none where it says nothing
    /// that anybody understands.
    pub(crate) fn of(argument: Option<&Value>, now_ms: u64) -> Option<Self> {
        let Some(value) = argument else { return Some(Self::Next) };
        if let Value::Timestamp(seconds) = value {
            return Some(Self::Since(seconds.saturating_mul(1000)));
        }
        if let Some(number) = value.as_integer() {
            return Some(match u64::try_from(number) {
                Ok(offset) => Self::Offset(offset),
                Err(_) => Self::Back(number.unsigned_abs()),
            });
        }
        match value.as_text()? {
            "first" => Some(Self::First),
            "last" => Some(Self::Last),
            "next" => Some(Self::Next),
            interval => {
                let age_ms = parse_max_age(interval)?;
                Some(Self::Since(now_ms.saturating_sub(age_ms)))
            }
        }
    }

    /// Whether it depends on what was published before, and not on the offsets alone.
    pub(crate) fn needs_the_end(self) -> bool {
        match self {
            Self::First | Self::Offset(_) => false,
            Self::Last | Self::Next | Self::Back(_) | Self::Since(_) => true,
        }
    }

    /// The offset that it means in a stream with this `status`; none for a time, which has to be
    /// looked for.
    pub(crate) fn offset(self, status: &StreamStatus) -> Option<u64> {
        match self {
            Self::First => Some(status.first_offset),
            Self::Last => Some(status.last_offset),
            Self::Next => Some(status.next_offset),
            // One that has not been reached is waited for.
            Self::Offset(offset) => Some(offset.max(status.first_offset)),
            Self::Back(count) => {
                Some(status.next_offset.saturating_sub(count).max(status.first_offset))
            }
            Self::Since(_) => None,
        }
    }

    /// The numbers that [`Start::of_numbers`] reads.
    pub(crate) fn numbers(self) -> (u8, u64) {
        match self {
            Self::First => (0, 0),
            Self::Last => (1, 0),
            Self::Next => (2, 0),
            Self::Offset(offset) => (3, offset),
            Self::Back(count) => (4, count),
            Self::Since(time_ms) => (5, time_ms),
        }
    }

    /// What these numbers mean.
    pub(crate) fn of_numbers((kind, number): (u8, u64)) -> Option<Self> {
        match kind {
            0 => Some(Self::First),
            1 => Some(Self::Last),
            2 => Some(Self::Next),
            3 => Some(Self::Offset(number)),
            4 => Some(Self::Back(number)),
            5 => Some(Self::Since(number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 10_000_000_000;

    #[test]
    fn an_offset_is_a_word_a_number_a_time_or_an_interval() {
        let of = |value: Value| Start::of(Some(&value), NOW_MS);

        assert_eq!(Start::of(None, NOW_MS), Some(Start::Next));
        assert_eq!(of(Value::text("first")), Some(Start::First));
        assert_eq!(of(Value::text("last")), Some(Start::Last));
        assert_eq!(of(Value::text("next")), Some(Start::Next));
        assert_eq!(of(Value::I32(7)), Some(Start::Offset(7)));
        assert_eq!(of(Value::U8(7)), Some(Start::Offset(7)));
        assert_eq!(of(Value::I64(-7)), Some(Start::Back(7)));
        assert_eq!(of(Value::Timestamp(7)), Some(Start::Since(7000)));
        assert_eq!(of(Value::text("1h")), Some(Start::Since(NOW_MS - 3_600_000)));
        assert_eq!(of(Value::text("7D")), Some(Start::Since(NOW_MS - 7 * 86_400_000)));
        assert_eq!(of(Value::text("99Y")), Some(Start::Since(0)));
        let none = [Value::text("soon"), Value::text("7"), Value::Bool(true), Value::F64(1.0)];
        assert_eq!(none.map(of), [None; 4]);
    }

    #[test]
    fn an_offset_is_found_among_those_that_are_there() {
        let status = StreamStatus {
            first_offset: 10,
            next_offset: 20,
            last_offset: 18,
            bytes: 0,
            segments: 1,
        };
        let starts = [
            (Start::First, 10),
            (Start::Last, 18),
            (Start::Next, 20),
            (Start::Offset(3), 10),
            (Start::Offset(13), 13),
            (Start::Offset(30), 30),
            (Start::Back(4), 16),
            (Start::Back(40), 10),
        ];

        for (start, offset) in starts {
            assert_eq!(start.offset(&status), Some(offset), "{start:?}");
        }
        assert_eq!(Start::Since(5).offset(&status), None);
    }

    #[test]
    fn a_start_is_read_as_it_was_written() {
        let starts = [
            Start::First,
            Start::Last,
            Start::Next,
            Start::Offset(7),
            Start::Back(7),
            Start::Since(7),
        ];

        for start in starts {
            assert_eq!(Start::of_numbers(start.numbers()), Some(start));
        }
        assert_eq!(Start::of_numbers((6, 0)), None);
    }
}
