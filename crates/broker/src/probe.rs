//! What nodes ask and tell each other of their clients, and what stands beside messages, as any bytes,
//! for those who look for bytes that cannot be borne.

use bytes::Bytes;

use crate::survey::question::{Question, answer, read_answer};
use crate::survey::wire::Wire;
use crate::survey::{
    ChannelRow, ConnectionRow, ConsumerRow, NodeFigures, QueueDetail, ScheduledRow, ShardRow,
};
use crate::trail::Trail;

/// Reads `bytes` as a question, as answers of many kinds, and as a message's trail.
///
/// # Panics
/// When what can be read would be written otherwise.
pub fn surveys(bytes: &[u8]) {
    drop(Trail::decode(bytes));
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(question) = Question::decode(bytes.clone()) {
        assert_eq!(Question::decode(question.encode()), Ok(question));
    }
    round::<u64>(&bytes);
    round::<NodeFigures>(&bytes);
    round::<Vec<ConnectionRow>>(&bytes);
    round::<Vec<ChannelRow>>(&bytes);
    round::<Vec<ConsumerRow>>(&bytes);
    round::<Vec<QueueDetail>>(&bytes);
    round::<Vec<ScheduledRow>>(&bytes);
    round::<Vec<ShardRow>>(&bytes);
}

fn round<T: Wire>(bytes: &Bytes) {
    let Ok(rows) = read_answer::<T>(bytes.clone()) else { return };
    let written = answer(&rows);
    let again = read_answer::<T>(written.clone()).expect("what was written can be read");
    assert_eq!(answer(&again), written);
}
