//! Messages to and from bytes, with a bound to the memory that one can take.
//!
//! A message that is small on the wire may be large when it is read: two bytes make an empty item,
//! and an item takes a hundred. So a message is walked through before it is read: each element of a
//! list is counted with what it can cost at most, and a message that would cost more than
//! [`MEMORY_LIMIT_BYTES`] is refused before anything is made of it. Which fields are lists is known
//! from `proto/`, from which `build.rs` makes the [`Shape`]s.
//!
//! **Not here:** how long a message may be on the wire, which tonic is told where clients and servers
//! are made.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// What the lists of one message may take. A batch, which is sent in messages of
/// [`MESSAGE_BYTES`](crate::MESSAGE_BYTES) and weighs each part with 32 bytes at least, needs a
/// quarter of it at most.
pub(crate) const MEMORY_LIMIT_BYTES: usize = 128 * 1024 * 1024;

/// What a message in a list may take without its own lists. The generated code is held against it.
const MESSAGE_COST_BYTES: usize = 256;

/// What bytes in a list may take, beyond those on the wire that they refer to.
const BYTES_COST_BYTES: usize = 64;

/// What a number in a list may take, with the room that lists have to spare.
const NUMBER_COST_BYTES: usize = 16;

/// Bytes of the longest number.
const VARINT_BYTES: u32 = 10;

/// The fields of a message that take memory or lead to some that do, by number, and whether each is a
/// list.
type Shape = &'static [(u32, bool, Kind)];

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A message of the shape at that place.
    Message(usize),
    /// Bytes, or a text.
    Bytes,
    /// A number of any type.
    Number,
}

/// A message whose shape is known.
pub(crate) trait Shaped {
    /// Its place among the shapes.
    const SHAPE: usize;
}

include!(concat!(env!("OUT_DIR"), "/shapes.rs"));

/// Why a message is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It would take too much memory.
    #[error("a message would take more than {MEMORY_LIMIT_BYTES} bytes of memory")]
    TooMuch,
    /// It has a group, which nobody writes any more and nobody needs to read.
    #[error("a message has a group")]
    Group,
    /// It is none.
    #[error("a message ends within a field")]
    Malformed,
}

/// Whether a `T` of these bytes may be read.
pub(crate) fn check<T: Shaped>(bytes: &[u8]) -> Result<(), Unreadable> {
    let mut left = MEMORY_LIMIT_BYTES;
    walk(T::SHAPE, bytes, &mut left)
}

/// Takes from `left` what a message of that shape costs. Shapes do not contain themselves, so the
/// depth is that of `proto/`.
fn walk(shape: usize, mut bytes: &[u8], left: &mut usize) -> Result<(), Unreadable> {
    let fields = SHAPES.get(shape).copied().unwrap_or_default();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = u32::try_from(key >> 3).map_err(|_| Unreadable::Malformed)?;
        let field = fields.iter().find(|(known, _, _)| *known == number);
        let is_list = field.is_some_and(|(_, is_list, _)| *is_list);
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
                pay(left, is_list, NUMBER_COST_BYTES)?;
            }
            1 => {
                take(&mut bytes, 8)?;
                pay(left, is_list, NUMBER_COST_BYTES)?;
            }
            5 => {
                take(&mut bytes, 4)?;
                pay(left, is_list, NUMBER_COST_BYTES)?;
            }
            2 => {
                let length = varint(&mut bytes)?;
                let inner = take(&mut bytes, length)?;
                match field.map(|(_, _, kind)| *kind) {
                    Some(Kind::Message(shape)) => {
                        pay(left, is_list, MESSAGE_COST_BYTES)?;
                        walk(shape, inner, left)?;
                    }
                    Some(Kind::Bytes) => pay(left, is_list, BYTES_COST_BYTES)?,
                    // Several in one go, each of one byte at least.
                    Some(Kind::Number) => {
                        pay(left, is_list, inner.len().saturating_mul(NUMBER_COST_BYTES))?;
                    }
                    None => {}
                }
            }
            3 | 4 => return Err(Unreadable::Group),
            _ => return Err(Unreadable::Malformed),
        }
    }
    Ok(())
}

fn pay(left: &mut usize, is_list: bool, cost_bytes: usize) -> Result<(), Unreadable> {
    if is_list {
        *left = left.checked_sub(cost_bytes).ok_or(Unreadable::TooMuch)?;
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Unreadable> {
    let mut value = 0;
    for place in 0..VARINT_BYTES {
        let (byte, rest) = bytes.split_first().ok_or(Unreadable::Malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Unreadable::Malformed)
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8], Unreadable> {
    let length = usize::try_from(length).map_err(|_| Unreadable::Malformed)?;
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Unreadable::Malformed)?;
    *bytes = rest;
    Ok(taken)
}

/// What the generated clients and servers write and read messages with.
#[derive(Debug)]
pub(crate) struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Shaped + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstCodec::<T, U>::raw_decoder(BufferSettings::default()))
    }
}

/// Reads messages, those that may be read.
#[derive(Debug)]
pub(crate) struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default + Shaped> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.chunk();
        if bytes.len() != buffer.remaining() {
            return Err(Status::internal("a message is in pieces"));
        }
        check::<U>(bytes).map_err(|why| match why {
            Unreadable::TooMuch => Status::resource_exhausted(why.to_string()),
            Unreadable::Group | Unreadable::Malformed => Status::internal(why.to_string()),
        })?;
        self.0.decode(buffer)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::generated::{cluster, frontend, raft};

    /// A list in field `number` of so many elements, each of `element` bytes.
    fn list(number: u8, count: usize, element: &[u8]) -> Vec<u8> {
        let length = u8::try_from(element.len()).expect("elements are short");
        [&[number << 3 | 2, length], element].concat().repeat(count)
    }

    #[test]
    fn empty_elements_are_read_up_to_a_number_and_refused_beyond_it() {
        let most = MEMORY_LIMIT_BYTES / MESSAGE_COST_BYTES;

        let (some, many) = (list(1, most, &[]), list(1, most + 1, &[]));

        assert_eq!(check::<frontend::FrontBatch>(&some), Ok(()));
        assert_eq!(frontend::FrontBatch::decode(&*some).expect("a message").items.len(), most);
        assert_eq!(check::<frontend::FrontBatch>(&many), Err(Unreadable::TooMuch));
        assert_eq!(check::<raft::AppendRequest>(&list(4, most + 1, &[])), Err(Unreadable::TooMuch));
        assert!(many.len() < 2 << 20, "it is short: {}", many.len());
    }

    #[test]
    fn elements_within_elements_count_as_well() {
        // An item of field 4, which has sixty empty rows.
        let notices = [&[0x22, 120], &list(3, 60, &[])[..]].concat();
        let most = MEMORY_LIMIT_BYTES / (MESSAGE_COST_BYTES * 61);
        // A row of which three messages are wanted.
        let wanted = |count| list(2, count, &[0x12, 3, 1, 1, 1]);
        let most_rows = MEMORY_LIMIT_BYTES / (MESSAGE_COST_BYTES + 3 * NUMBER_COST_BYTES);

        assert_eq!(check::<frontend::HostBatch>(&list(1, most, &notices)), Ok(()));
        let many = list(1, most + 1, &notices);
        assert_eq!(check::<frontend::HostBatch>(&many), Err(Unreadable::TooMuch));
        assert_eq!(check::<frontend::RowsRequest>(&wanted(most_rows)), Ok(()));
        let many = wanted(most_rows + 1);
        assert_eq!(check::<frontend::RowsRequest>(&many), Err(Unreadable::TooMuch));
    }

    #[test]
    fn what_is_said_twice_and_kept_once_costs_nothing() {
        // Each replaces the one before.
        let again = list(1, MEMORY_LIMIT_BYTES / MESSAGE_COST_BYTES * 2, &[]);

        assert_eq!(check::<frontend::HostItem>(&again), Ok(()));
    }

    #[test]
    fn numbers_count_however_they_are_written() {
        let most = MEMORY_LIMIT_BYTES / NUMBER_COST_BYTES;
        let packed = |count: usize| {
            let mut length = Vec::new();
            prost::encoding::encode_varint(u64::try_from(count).expect("a number"), &mut length);
            [&[0x22], &length[..], &vec![1; count]].concat()
        };

        assert_eq!(check::<cluster::GroupStatusReply>(&packed(most)), Ok(()));
        let many = [packed(most), vec![0x20, 1]].concat();
        assert_eq!(check::<cluster::GroupStatusReply>(&many), Err(Unreadable::TooMuch));
        assert_eq!(check::<cluster::GroupStatusReply>(&[0x20, 1].repeat(most)), Ok(()));
    }

    #[test]
    fn what_is_no_message_is_said_to_be_none() {
        for bytes in
            [&[0x0a][..], &[0x0a, 5, 1], &[0x80; 11], &[0x0e], &[0x0a, 2, 0x0a, 9], &[0x0d]]
        {
            let found = check::<frontend::FrontBatch>(bytes);
            assert_eq!(found, Err(Unreadable::Malformed), "{bytes:?}");
        }
        assert_eq!(check::<frontend::FrontBatch>(&[0x0b, 0x0c]), Err(Unreadable::Group));
        assert_eq!(check::<frontend::FrontBatch>(&[0xfa, 1, 2, 7, 7]), Ok(()), "unknown fields");
    }
}
