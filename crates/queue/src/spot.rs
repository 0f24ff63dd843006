//! Where a message is.

use warren_types::{DecodeError, DeliverySequence, MessageNumber, Timestamp};

use crate::DeadSequence;

/// Where in its queue a message is found, as long as nothing happens to it.
#[expect(missing_docs, reason = "the text of the whole speaks of its fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// Among those that wait at a level of priority, by its place.
    Waiting { level: i16, number: MessageNumber },
    /// With a consumer, by when that one came, and as what it was given the message.
    Held { order: u64, sequence: DeliverySequence },
    /// Among those that are kept for clients whose connections broke, by its place.
    Reserved { level: i16, number: MessageNumber },
    /// Among those that came back and wait for their next attempt, by that time and its place.
    Delayed { due: Timestamp, number: MessageNumber },
    /// Among those that wait for a time that their publisher chose.
    Scheduled { due: Timestamp },
    /// Among the dead that have not arrived where they go.
    Dead { sequence: DeadSequence },
}

/// A spot in numbers, which keep their meaning for ever: its kind, and two about it.
pub type SpotNumbers = (u8, u64, u64);

impl Spot {
    /// The numbers that [`Spot::of`] reads.
    #[must_use]
    pub fn numbers(self) -> SpotNumbers {
        match self {
            Self::Waiting { level, number } => (0, number_of(level), number.0),
            Self::Reserved { level, number } => (5, number_of(level), number.0),
            Self::Held { order, sequence } => (1, order, sequence.0),
            Self::Delayed { due, number } => (2, due.0, number.0),
            Self::Scheduled { due } => (3, due.0, 0),
            Self::Dead { sequence } => (4, sequence.0, 0),
        }
    }

    /// The spot that has these numbers.
    ///
    /// # Errors
    /// When there is none.
    pub fn of((kind, one, other): SpotNumbers) -> Result<Self, DecodeError> {
        let alone = |spot| match other {
            0 => Ok(spot),
            value => Err(DecodeError::Unknown { what: "spot", value }),
        };
        match kind {
            0 => Ok(Self::Waiting { level: level(one)?, number: MessageNumber(other) }),
            5 => Ok(Self::Reserved { level: level(one)?, number: MessageNumber(other) }),
            1 => Ok(Self::Held { order: one, sequence: DeliverySequence(other) }),
            2 => Ok(Self::Delayed { due: Timestamp(one), number: MessageNumber(other) }),
            3 => alone(Self::Scheduled { due: Timestamp(one) }),
            4 => alone(Self::Dead { sequence: DeadSequence(one) }),
            value => Err(DecodeError::Unknown { what: "spot", value: u64::from(value) }),
        }
    }
}

fn number_of(level: i16) -> u64 {
    u64::from(u16::from_be_bytes(level.to_be_bytes()))
}

fn level(number: u64) -> Result<i16, DecodeError> {
    let level = u16::try_from(number);
    let level = level.map_err(|_| DecodeError::Unknown { what: "level", value: number })?;
    Ok(i16::from_be_bytes(level.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spot_is_what_its_numbers_say_and_other_numbers_are_none() {
        let (due, number) = (Timestamp(1 << 41), MessageNumber(5));
        let spots = [
            Spot::Waiting { level: -3, number },
            Spot::Held { order: 9, sequence: DeliverySequence(8) },
            Spot::Delayed { due, number },
            Spot::Scheduled { due },
            Spot::Dead { sequence: DeadSequence(7) },
            Spot::Reserved { level: 2, number },
        ];

        assert_eq!(spots.map(|spot| Spot::of(spot.numbers())), spots.map(Ok));
        let none = [(0, 1 << 16, 5), (3, 5, 1), (4, 5, 1), (6, 0, 0)];
        assert!(none.into_iter().all(|numbers| Spot::of(numbers).is_err()));
    }
}
