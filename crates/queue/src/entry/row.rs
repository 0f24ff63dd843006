//! Finds records in rows, and thins rows out.

use bytes::{BufMut, Bytes, BytesMut};
use warren_types::DecodeError;

use super::cursor::Cursor;
use super::read::{chunk_fields, publish};
use super::{
    ENTRY_HEADER_BYTES, FORMAT_ENTRY, FORMAT_SPARSE, FORMAT_SPARSE_TIMED, TIMED_SINCE, kind,
};

/// Bytes of the count before a sparse row's table.
const COUNT_BYTES: usize = 4;

/// Bytes of an entry's machine version and time.
const STAMP_BYTES: usize = ENTRY_HEADER_BYTES - 1;

/// A message as it was published; all slices of its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether the client asked for persistence.
    pub persistent: bool,
    /// The exchange it was published to.
    pub exchange: Bytes,
    /// The key it was published with.
    pub routing_key: Bytes,
    /// Property flags and property list.
    pub header: Bytes,
    /// The body, or the last part of it.
    pub body: Bytes,
    /// What its publisher's front end had to remember of its way; mostly empty.
    pub trail: Bytes,
}

/// The message whose record stands at `offset`, by the offsets of the entry that the row was.
///
/// # Errors
/// When no publish record stands there.
pub fn message(row: &Bytes, offset: u32) -> Result<Message, DecodeError> {
    let (at, mut cursor) = record(row, offset)?;
    match cursor.u8("record")? {
        kind::PUBLISH => {}
        value => return Err(DecodeError::Unknown { what: "record", value: u64::from(value) }),
    }
    let (_, content) = publish(at, &mut cursor)?;
    Ok(Message {
        persistent: content.persistent,
        exchange: row.slice_ref(content.exchange),
        routing_key: row.slice_ref(content.routing_key),
        header: row.slice_ref(content.header),
        body: row.slice_ref(content.body),
        trail: row.slice_ref(content.trail),
    })
}

/// The part of a body whose record stands at `offset`, by the offsets of the entry that the row was.
///
/// # Errors
/// When no chunk record stands there.
pub fn chunk(row: &Bytes, offset: u32) -> Result<Bytes, DecodeError> {
    let (_, mut cursor) = record(row, offset)?;
    match cursor.u8("record")? {
        kind::CHUNK => {}
        value => return Err(DecodeError::Unknown { what: "record", value: u64::from(value) }),
    }
    let (_, bytes) = chunk_fields(&mut cursor)?;
    Ok(row.slice_ref(bytes))
}

/// `row` reduced to the records at `live_offsets`, which are found under the same offsets.
///
/// A row that does not hold what it should is returned as it is: nothing is dropped on a guess.
#[must_use]
pub fn thin(row: &Bytes, live_offsets: &[u32]) -> Bytes {
    thinned(row, live_offsets).unwrap_or_else(|_| row.clone())
}

fn thinned(row: &Bytes, live_offsets: &[u32]) -> Result<Bytes, DecodeError> {
    let mut offsets = live_offsets.to_vec();
    offsets.sort_unstable();
    offsets.dedup();
    let mut records = Vec::with_capacity(offsets.len());
    for offset in offsets {
        records.push((offset, record_bytes(row, offset)?));
    }

    let (format, stamp) = sparse_head(row)?;
    let table_end = 1 + stamp.len() + COUNT_BYTES + 8 * records.len();
    let total: usize = records.iter().map(|(_, record)| record.len()).sum();
    let mut thin = BytesMut::with_capacity(table_end + total);
    thin.put_u8(format);
    thin.put_slice(stamp);
    thin.put_u32(small(records.len())?);
    let mut position = table_end;
    for (offset, record) in &records {
        thin.put_u32(*offset);
        thin.put_u32(small(position)?);
        position += record.len();
    }
    for (_, record) in &records {
        thin.put_slice(record);
    }
    Ok(thin.freeze())
}

/// The format of `row` when it is thinned out, and what that keeps of the row's head.
fn sparse_head(row: &Bytes) -> Result<(u8, &[u8]), DecodeError> {
    let mut cursor = Cursor::new(row, 0);
    let format = cursor.u8("row format")?;
    let mut head = cursor;
    let is_timed = match format {
        FORMAT_ENTRY => cursor.u16("machine version")? >= TIMED_SINCE,
        FORMAT_SPARSE_TIMED => true,
        _ => false,
    };
    if !is_timed {
        return Ok((FORMAT_SPARSE, &[]));
    }
    Ok((FORMAT_SPARSE_TIMED, head.take("machine version and time", STAMP_BYTES)?))
}

/// All bytes of the record at `offset`.
fn record_bytes(row: &Bytes, offset: u32) -> Result<&[u8], DecodeError> {
    let (at, mut cursor) = record(row, offset)?;
    match cursor.u8("record")? {
        kind::PUBLISH => {
            publish(at, &mut cursor)?;
        }
        kind::CHUNK => {
            chunk_fields(&mut cursor)?;
        }
        value => return Err(DecodeError::Unknown { what: "record", value: u64::from(value) }),
    }
    let mut whole = at;
    whole.take("record", cursor.position() - at.position())
}

/// Where the record stands, twice: to remember and to read on.
fn record(row: &Bytes, offset: u32) -> Result<(Cursor<'_>, Cursor<'_>), DecodeError> {
    let position = match Cursor::new(row, 0).u8("row format")? {
        FORMAT_ENTRY => offset,
        FORMAT_SPARSE => sparse_position(row, 1, offset)?,
        FORMAT_SPARSE_TIMED => sparse_position(row, 1 + STAMP_BYTES, offset)?,
        value => return Err(DecodeError::Unknown { what: "row format", value: u64::from(value) }),
    };
    let at = Cursor::new(row, usize::try_from(position).unwrap_or(usize::MAX));
    Ok((at, at))
}

/// Looks `offset` up in the table of a sparse row, which begins with its count at `table_at`.
fn sparse_position(row: &Bytes, table_at: usize, offset: u32) -> Result<u32, DecodeError> {
    let mut cursor = Cursor::new(row, table_at);
    let count = usize::try_from(cursor.u32("table of a sparse row")?).unwrap_or(usize::MAX);
    let table = cursor.eights("table of a sparse row", count)?;
    let line = |at: usize| Cursor::new(table, at.saturating_mul(8));
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut found = line(middle);
        match found.u32("offset")?.cmp(&offset) {
            std::cmp::Ordering::Equal => return found.u32("position"),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Err(DecodeError::Unknown { what: "offset in a sparse row", value: u64::from(offset) })
}

fn small(number: usize) -> Result<u32, DecodeError> {
    u32::try_from(number).map_err(|_| DecodeError::Trailing { count: number })
}
