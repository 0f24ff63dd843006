//! Values that have bytes, built from smaller ones.

use std::sync::Arc;

use warren_types::{
    BootId, DecodeError, GroupId, LogIndex, NodeId, QueueId, Reader, Table, Timestamp, Writer,
};

use crate::{
    ApplyTo, ClusterId, Destination, HashingAlgorithm, Name, Owner, PasswordHash, Placement,
    PolicyLayer, QueueKind, RemovalReason, UserLimit, UserLimits, VhostLimit, VhostLimits,
    VhostMeta,
};

/// A value with a byte format.
pub(crate) trait Stored: Sized {
    fn write(&self, writer: &mut Writer);
    fn read(reader: &mut Reader) -> Result<Self, DecodeError>;
}

macro_rules! stored_number {
    ($($type:ty: $method:ident),+ $(,)?) => {
        $(impl Stored for $type {
            fn write(&self, writer: &mut Writer) {
                writer.$method(*self);
            }

            fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
                reader.$method(stringify!($type))
            }
        })+
    };
}

macro_rules! stored_id {
    ($($type:ident),+ $(,)?) => {
        $(impl Stored for $type {
            fn write(&self, writer: &mut Writer) {
                self.0.write(writer);
            }

            fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
                Stored::read(reader).map(Self)
            }
        })+
    };
}

/// A struct is its fields, in the order given.
macro_rules! stored_struct {
    ($type:ident { $($field:ident),+ $(,)? } $(without { $($left:ident),+ })?) => {
        impl Stored for $type {
            fn write(&self, writer: &mut Writer) {
                let Self { $($field,)+ $($($left: _,)+)? } = self;
                $($field.write(writer);)+
            }

            fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
                Ok(Self {
                    $($field: Stored::read(reader)?,)+
                    $($($left: Default::default(),)+)?
                })
            }
        }
    };
}

/// An enum is an octet that names the variant, and the variant's fields.
macro_rules! stored_enum {
    ($type:ident { $($code:literal => $variant:ident
        $({ $($field:ident),+ $(,)? })? $(($inner:ident))?),+ $(,)? }) => {
        impl Stored for $type {
            fn write(&self, writer: &mut Writer) {
                match self {
                    $(Self::$variant $({ $($field),+ })? $(($inner))? => {
                        writer.u8($code);
                        $($($field.write(writer);)+)?
                        $($inner.write(writer);)?
                    })+
                }
            }

            fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
                match reader.u8(stringify!($type))? {
                    $($code => Ok(Self::$variant
                        $({ $($field: Stored::read(reader)?),+ })?
                        $(({
                            let $inner = Stored::read(reader)?;
                            $inner
                        }))?
                    ),)+
                    code => Err(DecodeError::Unknown {
                        what: stringify!($type),
                        value: u64::from(code),
                    }),
                }
            }
        }
    };
}

pub(crate) use {stored_enum, stored_struct};

stored_number! { u8: u8, u16: u16, u32: u32, u64: u64, i64: i64, bool: bool }
stored_id! { NodeId, BootId, GroupId, LogIndex, QueueId, Timestamp, ClusterId }

impl Stored for u128 {
    fn write(&self, writer: &mut Writer) {
        writer.raw(&self.to_be_bytes());
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let bytes = reader.take("u128", 16)?;
        let bytes = bytes.as_ref().try_into().expect("16 bytes were taken");
        Ok(Self::from_be_bytes(bytes))
    }
}

impl Stored for Name {
    fn write(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let bytes = reader.bytes("name")?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(DecodeError::NotText { what: "name" }),
        }
    }
}

impl Stored for String {
    fn write(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.text("text")
    }
}

impl Stored for usize {
    fn write(&self, writer: &mut Writer) {
        writer.u64(u64::try_from(*self).unwrap_or(u64::MAX));
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let value = reader.u64("usize")?;
        Self::try_from(value).map_err(|_| DecodeError::Unknown { what: "usize", value })
    }
}

impl Stored for Table {
    fn write(&self, writer: &mut Writer) {
        writer.table(self);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.table("table")
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write(&self, writer: &mut Writer) {
        writer.option(self.as_ref(), |writer, value| value.write(writer));
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.option("option", T::read)
    }
}

impl<T: Stored> Stored for Box<T> {
    fn write(&self, writer: &mut Writer) {
        T::write(self, writer);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        T::read(reader).map(Self::new)
    }
}

impl<T: Stored> Stored for Arc<T> {
    fn write(&self, writer: &mut Writer) {
        T::write(self, writer);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        T::read(reader).map(Self::new)
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn write(&self, writer: &mut Writer) {
        writer.list(self, |writer, value| value.write(writer));
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.list("list", T::read)
    }
}

impl Stored for PasswordHash {
    fn write(&self, writer: &mut Writer) {
        self.algorithm.write(writer);
        writer.bytes(self.salted());
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let algorithm = Stored::read(reader)?;
        let salted = reader.bytes("password hash")?.to_vec();
        Ok(Self::from_salted(algorithm, salted))
    }
}

stored_enum! { QueueKind { 0 => Classic, 1 => Quorum, 2 => Stream } }
stored_enum! { HashingAlgorithm { 0 => Sha256, 1 => Sha512, 2 => Argon2id } }
stored_enum! { PolicyLayer { 0 => User, 1 => Operator } }
stored_enum! { VhostLimit { 0 => MaxConnections, 1 => MaxQueues } }
stored_enum! { UserLimit { 0 => MaxConnections, 1 => MaxChannels } }
stored_enum! { Destination { 0 => Queue(name), 1 => Exchange(name) } }
stored_enum! { Placement { 0 => Shard(group), 1 => Local { node, boot, slot } } }
stored_enum! {
    ApplyTo {
        0 => All,
        1 => Exchanges,
        2 => Queues,
        3 => ClassicQueues,
        4 => QuorumQueues,
        5 => Streams,
    }
}
stored_enum! {
    RemovalReason {
        0 => Deleted,
        1 => Expired,
        2 => AutoDelete,
        3 => OwnerGone,
        4 => NodeGone,
        5 => VhostDeleted,
    }
}
stored_struct! { Owner { node, boot, connection } }
stored_struct! { VhostMeta { description, tags, default_queue_type, tracing, protected_from_deletion } }
stored_struct! { VhostLimits { max_connections, max_queues } }
stored_struct! { UserLimits { max_connections, max_channels } }
