//! Any bytes as what stands in the files of segments.

use bytes::Bytes;

use super::checkpoint::{self, Checkpoint};
use super::file::{self, SegmentId};
use super::frame::{self, At};
use super::index::Index;

const AT: At = At { segment: SegmentId(3), offset: 0 };

/// Reads `bytes` as a header, as a batch and as a checkpoint: as they are, and as what a fitting
/// checksum stands before.
///
/// # Panics
/// When what can be read would be written otherwise, or the index that it gives cannot be kept.
pub fn probe_segments(bytes: &[u8]) {
    let whole = Bytes::copy_from_slice(bytes);
    drop((file::decode(bytes), frame::decode(&whole, AT), checkpoint::decode(whole)));
    if let Some(header) = file::decode(&file::seal(bytes.to_vec())) {
        assert_eq!(file::encode(&header), file::seal(bytes.to_vec()));
    }
    if let Ok(Some(frame)) = frame::decode(&frame::seal(AT, bytes), AT) {
        let mut index = Index::default();
        frame.steps.iter().for_each(|step| index.perform(step));
        assert_kept(&Checkpoint { next_batch: frame.batch, start: AT.segment, index });
    }
    if let Some((version, body)) = bytes.split_first()
        && let Ok(Some(checkpoint)) = checkpoint::decode(checkpoint::seal(*version, body))
    {
        assert_kept(&checkpoint);
    }
}

/// What is written of a checkpoint gives the same one.
fn assert_kept(checkpoint: &Checkpoint) {
    let written = checkpoint::encode(checkpoint);
    let again = checkpoint::decode(written.clone());
    let again = again.ok().flatten().expect("what was written can be read");
    assert_eq!(checkpoint::encode(&again), written);
}
