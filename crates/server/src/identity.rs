//! Who this node is, as its data directory remembers it.
//!
//! The record is made when a node finds its directory empty: it draws a token, by which others tell
//! it from whoever had its address before. To which cluster it belongs, and as which node, is
//! written once, when it makes a cluster or joins one. From then on the record is written again at
//! each start: the start's number must be on the disk before anybody hears of it, or two starts
//! could share one and be taken for each other.

use bytes::Bytes;
use warren_rpc::{ClusterId, Founded, Identity, Incarnation};
use warren_types::{BootId, DecodeError, NodeId, Reader, Writer};

/// The format that is written.
const VERSION: u16 = 2;

/// The format of nodes that could only be alone; read, never written.
const VERSION_ALONE: u16 = 1;

/// The id of the node that makes a cluster.
const FOUNDER: NodeId = NodeId(1);

const U128_BYTES: usize = 16;

/// What a data directory says about its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Drawn by chance when the directory was made: what the catalog knows the directory by.
    pub token: u128,
    /// The place in a cluster, once there is one. It is never given up.
    pub membership: Option<Membership>,
}

/// A node's place in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Cluster, incarnation, node and the latest start.
    pub identity: Identity,
    /// Groups over which the cluster's queues are spread, the catalog not counted.
    pub shards: u32,
    /// Whether this node makes the cluster and is not yet done with it.
    pub founding: bool,
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
    /// The record of a directory that belongs to no cluster.
    #[must_use]
    pub fn new(token: u128) -> Self {
        Self { token, membership: None }
    }

    /// The record with a place in a cluster.
    #[must_use]
    pub fn with(self, membership: Membership) -> Self {
        Self { membership: Some(membership), ..self }
    }

    /// The record as it is stored.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.u16(VERSION);
        writer.raw(&self.token.to_be_bytes());
        writer.bool(self.membership.is_some());
        if let Some(Membership { identity, shards, founding }) = &self.membership {
            write_identity(&mut writer, identity);
            writer.u32(*shards);
            writer.bool(*founding);
        }
        writer.finish()
    }

    /// The record that was stored as `bytes`.
    ///
    /// # Errors
    /// When it is of another version, or damaged.
    pub fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        let record = match reader.u16("version")? {
            VERSION => read(&mut reader)?,
            VERSION_ALONE => read_alone(&mut reader)?,
            version => return Err(RecordError::Version { version }),
        };
        reader.finish()?;
        Ok(record)
    }
}

impl Membership {
    /// The place of a node that makes `cluster`, before its first start in it.
    #[must_use]
    pub fn founder(cluster: ClusterId, shards: u32) -> Self {
        let incarnation = Incarnation(1);
        let identity = Identity { cluster, incarnation, node: FOUNDER, boot: BootId(0) };
        Self { identity, shards, founding: true }
    }

    /// The place of a node that `cluster` took in as `node`, before its first start in it.
    #[must_use]
    pub fn member(cluster: ClusterId, incarnation: Incarnation, node: NodeId, shards: u32) -> Self {
        let identity = Identity { cluster, incarnation, node, boot: BootId(0) };
        Self { identity, shards, founding: false }
    }

    /// What strangers may know of it.
    #[must_use]
    pub fn founded(&self) -> Founded {
        let Identity { cluster, incarnation, node, .. } = self.identity;
        Founded { cluster, incarnation, node }
    }

    /// The place after one more start.
    ///
    /// # Panics
    /// When the node was started 2^64 times.
    #[must_use]
    pub fn started(mut self) -> Self {
        let boot = self.identity.boot.0.checked_add(1);
        self.identity.boot = BootId(boot.expect("no node is started 2^64 times"));
        self
    }
}

fn write_identity(writer: &mut Writer, identity: &Identity) {
    writer.raw(&identity.cluster.0.to_be_bytes());
    writer.u64(identity.incarnation.0);
    writer.u64(identity.node.0);
    writer.u64(identity.boot.0);
}

fn read_identity(reader: &mut Reader) -> Result<Identity, DecodeError> {
    let cluster = ClusterId(u128_of(reader, "cluster id")?);
    let incarnation = Incarnation(reader.u64("incarnation")?);
    let node = NodeId(reader.u64("node id")?);
    let boot = BootId(reader.u64("boot id")?);
    Ok(Identity { cluster, incarnation, node, boot })
}

fn read(reader: &mut Reader) -> Result<Record, DecodeError> {
    let token = u128_of(reader, "token")?;
    if !reader.bool("membership")? {
        return Ok(Record::new(token));
    }
    let identity = read_identity(reader)?;
    let shards = reader.u32("shards")?;
    let founding = reader.bool("founding")?;
    Ok(Record::new(token).with(Membership { identity, shards, founding }))
}

/// Version 1 was written by nodes that were a cluster of their own from the beginning.
fn read_alone(reader: &mut Reader) -> Result<Record, DecodeError> {
    let identity = read_identity(reader)?;
    let token = u128_of(reader, "token")?;
    let shards = reader.u32("shards")?;
    let founding = !reader.bool("founded")?;
    Ok(Record::new(token).with(Membership { identity, shards, founding }))
}

fn u128_of(reader: &mut Reader, what: &'static str) -> Result<u128, DecodeError> {
    let bytes = reader.take(what, U128_BYTES)?;
    let bytes = bytes.as_ref().try_into().expect("as many bytes were taken");
    Ok(u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 2 writes for [`member`], for ever.
    const FROZEN_MEMBER: &str = "0002\
        f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\
        01\
        000102030405060708090a0b0c0d0e0f\
        0000000000000002\
        0000000000000003\
        0000000000000004\
        00000010\
        00";

    /// What version 2 writes for a node that belongs to no cluster, for ever.
    const FROZEN_EMPTY: &str = "0002\
        f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\
        00";

    /// What version 1 wrote for [`member`], for ever.
    const FROZEN_ALONE: &str = "0001\
        000102030405060708090a0b0c0d0e0f\
        0000000000000002\
        0000000000000003\
        0000000000000004\
        f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\
        00000010\
        01";

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let founder = Membership::founder(ClusterId(7), 4);
        let joined = Membership::member(ClusterId(7), Incarnation(2), NodeId(9), 4).started();

        for record in [empty(), member(), empty().with(founder), empty().with(joined)] {
            let again = Record::decode(record.encode()).expect("what we write can be read");
            assert_eq!(again, record);
        }
    }

    #[test]
    fn the_format_is_the_one_of_version_2() {
        assert_eq!(hex(&member().encode()), FROZEN_MEMBER);
        assert_eq!(hex(&empty().encode()), FROZEN_EMPTY);
    }

    #[test]
    fn a_record_of_version_1_is_read() {
        let record = Record::decode(bytes(FROZEN_ALONE)).expect("version 1 is known");

        assert_eq!(record, member());
    }

    #[test]
    fn a_record_of_version_1_that_was_not_founded_goes_on_founding() {
        let mut bytes = bytes(FROZEN_ALONE).to_vec();
        *bytes.last_mut().expect("it has bytes") = 0;

        let record = Record::decode(bytes.into()).expect("version 1 is known");

        assert!(record.membership.is_some_and(|membership| membership.founding));
    }

    #[test]
    fn each_start_has_the_next_number() {
        let first = Membership::founder(ClusterId(7), 4).started();

        assert_eq!(first.identity.boot, BootId(1));
        assert_eq!(first.started().identity.boot, BootId(2));
    }

    #[test]
    fn a_record_that_is_cut_off_or_too_long_is_damaged() {
        for whole in [member().encode(), empty().encode()] {
            let mut longer = whole.to_vec();
            longer.push(0);

            for bytes in [whole.slice(..whole.len() - 1), Bytes::from(longer), Bytes::new()] {
                assert!(matches!(Record::decode(bytes), Err(RecordError::Damaged(_))));
            }
        }
    }

    #[test]
    fn a_record_of_another_version_is_named() {
        let mut bytes = member().encode().to_vec();
        bytes[1] = 3;

        let error = Record::decode(bytes.into()).expect_err("version 3 is not known");

        assert_eq!(
            error.to_string(),
            "the node's identity has version 3, and this program knows 2"
        );
    }

    fn empty() -> Record {
        Record::new(0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_feff)
    }

    fn member() -> Record {
        let identity = Identity {
            cluster: ClusterId(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f),
            incarnation: Incarnation(2),
            node: NodeId(3),
            boot: BootId(4),
        };
        empty().with(Membership { identity, shards: 16, founding: false })
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(hex: &str) -> Bytes {
        let digits: Vec<char> = hex.chars().collect();
        digits
            .chunks(2)
            .map(|pair| pair.iter().collect::<String>())
            .map(|pair| u8::from_str_radix(&pair, 16).expect("it is hexadecimal"))
            .collect()
    }
}
