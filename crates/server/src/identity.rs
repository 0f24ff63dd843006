//! Who this node is, as its data directory remembers it.
//!
//! The record is made once, when a node finds its directory empty, and is written again at each
//! start: the start's number must be on the disk before anybody hears of it, or two starts could
//! share one and be taken for each other.

use bytes::Bytes;
use warren_rpc::{ClusterId, Identity, Incarnation};
use warren_types::{BootId, DecodeError, NodeId, Reader, Writer};

/// The format that is written.
const VERSION: u16 = 1;

/// The id of the node that makes a cluster.
const FOUNDER: NodeId = NodeId(1);

const U128_BYTES: usize = 16;

/// What a data directory says about its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Cluster, incarnation, node and the latest start.
    pub identity: Identity,
    /// Drawn by chance when the directory was made: what the catalog knows the directory by.
    pub token: u128,
    /// Groups over which the cluster's queues are spread, the catalog not counted.
    pub shards: u32,
    /// Whether all groups of the cluster have been made.
    pub founded: bool,
}

/// A record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is written in a format of another version of the program.
    #[error("the node's identity has version {version}, and this program knows {VERSION}")]
    Version {
        /// The version found.
        version: u16,
    },
    /// It makes no sense.
    #[error("the node's identity is damaged")]
    Damaged(#[from] DecodeError),
}

impl Record {
    /// The record of a node that makes a cluster of its own, before its first start.
    #[must_use]
    pub fn founder(cluster: ClusterId, token: u128, shards: u32) -> Self {
        let identity =
            Identity { cluster, incarnation: Incarnation(1), node: FOUNDER, boot: BootId(0) };
        Self { identity, token, shards, founded: false }
    }

    /// The record for one more start.
    ///
    /// # Panics
    /// When the node was started 2^64 times.
    #[must_use]
    pub fn started(mut self) -> Self {
        let boot = self.identity.boot.0.checked_add(1);
        self.identity.boot = BootId(boot.expect("no node is started 2^64 times"));
        self
    }

    /// The record as it is stored.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.u16(VERSION);
        writer.raw(&self.identity.cluster.0.to_be_bytes());
        writer.u64(self.identity.incarnation.0);
        writer.u64(self.identity.node.0);
        writer.u64(self.identity.boot.0);
        writer.raw(&self.token.to_be_bytes());
        writer.u32(self.shards);
        writer.bool(self.founded);
        writer.finish()
    }

    /// The record that was stored as `bytes`.
    ///
    /// # Errors
    /// When it is of another version, or damaged.
    pub fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u16("version")?;
        if version != VERSION {
            return Err(RecordError::Version { version });
        }
        let cluster = ClusterId(u128_of(&mut reader, "cluster id")?);
        let incarnation = Incarnation(reader.u64("incarnation")?);
        let node = NodeId(reader.u64("node id")?);
        let boot = BootId(reader.u64("boot id")?);
        let token = u128_of(&mut reader, "token")?;
        let shards = reader.u32("shards")?;
        let founded = reader.bool("founded")?;
        reader.finish()?;
        let identity = Identity { cluster, incarnation, node, boot };
        Ok(Self { identity, token, shards, founded })
    }
}

fn u128_of(reader: &mut Reader, what: &'static str) -> Result<u128, DecodeError> {
    let bytes = reader.take(what, U128_BYTES)?;
    let bytes = bytes.as_ref().try_into().expect("as many bytes were taken");
    Ok(u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 1 wrote for [`sample`], for ever.
    const FROZEN: &str = "0001\
        000102030405060708090a0b0c0d0e0f\
        0000000000000002\
        0000000000000003\
        0000000000000004\
        f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\
        00000010\
        01";

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        for record in [sample(), Record::founder(ClusterId(7), 8, 4), sample().started()] {
            let again = Record::decode(record.encode()).expect("what we write can be read");
            assert_eq!(again, record);
        }
    }

    #[test]
    fn the_format_is_the_one_of_version_1() {
        let written: String = sample().encode().iter().map(|byte| format!("{byte:02x}")).collect();

        assert_eq!(written, FROZEN);
    }

    #[test]
    fn each_start_has_the_next_number() {
        let first = Record::founder(ClusterId(7), 8, 4).started();

        assert_eq!(first.identity.boot, BootId(1));
        assert_eq!(first.started().identity.boot, BootId(2));
    }

    #[test]
    fn a_record_that_is_cut_off_or_too_long_is_damaged() {
        let whole = sample().encode();
        let mut longer = whole.to_vec();
        longer.push(0);

        for bytes in [whole.slice(..whole.len() - 1), Bytes::from(longer), Bytes::new()] {
            assert!(matches!(Record::decode(bytes), Err(RecordError::Damaged(_))));
        }
    }

    #[test]
    fn a_record_of_another_version_is_named() {
        let mut bytes = sample().encode().to_vec();
        bytes[1] = 2;

        let error = Record::decode(bytes.into()).expect_err("version 2 is not known");

        assert_eq!(
            error.to_string(),
            "the node's identity has version 2, and this program knows 1"
        );
    }

    fn sample() -> Record {
        Record {
            identity: Identity {
                cluster: ClusterId(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f),
                incarnation: Incarnation(2),
                node: NodeId(3),
                boot: BootId(4),
            },
            token: 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff,
            shards: 16,
            founded: true,
        }
    }
}
