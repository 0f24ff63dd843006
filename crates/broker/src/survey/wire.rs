//! The bytes of surveys. They travel between nodes and are stored nowhere.
//!
//! A question and an answer begin with the version; who gets another than its own does not answer,
//! or counts the other as not having answered. During an upgrade, nodes of the other version are
//! thus missing from lists, which say so.

use warren_types::{BootId, DecodeError, GroupId, NodeId, QueueId, Reader, Table, Term, Writer};

/// A value that travels.
pub(crate) trait Wire: Sized {
    /// Puts it at the end.
    fn write(&self, writer: &mut Writer);
    /// Takes it off the front.
    fn read(reader: &mut Reader) -> Result<Self, DecodeError>;
}

/// A struct whose fields travel in the order in which they stand.
macro_rules! wire_struct {
    (
        $(#[doc = $doc:literal])* #[derive($($derive:ident),*)]
        $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)+ }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, $($derive),*)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)+ }

        impl $crate::survey::wire::Wire for $name {
            fn write(&self, writer: &mut warren_types::Writer) {
                $($crate::survey::wire::Wire::write(&self.$field, writer);)+
            }

            fn read(
                reader: &mut warren_types::Reader,
            ) -> Result<Self, warren_types::DecodeError> {
                Ok(Self { $($field: $crate::survey::wire::Wire::read(reader)?,)+ })
            }
        }
    };
}

pub(crate) use wire_struct;

macro_rules! wire_number {
    ($($kind:ty: $method:ident),+) => {$(
        impl Wire for $kind {
            fn write(&self, writer: &mut Writer) {
                writer.$method(*self);
            }

            fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
                reader.$method(stringify!($kind))
            }
        }
    )+};
}

wire_number!(u8: u8, u16: u16, u32: u32, u64: u64, i64: i64, bool: bool);

macro_rules! wire_newtype {
    ($($kind:ident),+) => {$(
        impl Wire for $kind {
            fn write(&self, writer: &mut Writer) {
                self.0.write(writer);
            }

            fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
                Wire::read(reader).map(Self)
            }
        }
    )+};
}

wire_newtype!(BootId, GroupId, NodeId, QueueId, Term);

impl Wire for i32 {
    fn write(&self, writer: &mut Writer) {
        writer.i64(i64::from(*self));
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let value = reader.i64("i32")?;
        let unknown = |_| DecodeError::Unknown { what: "i32", value: value.unsigned_abs() };
        Self::try_from(value).map_err(unknown)
    }
}

impl Wire for f64 {
    fn write(&self, writer: &mut Writer) {
        writer.u64(self.to_bits());
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.u64("f64").map(Self::from_bits)
    }
}

impl Wire for String {
    fn write(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.text("text")
    }
}

impl Wire for Table {
    fn write(&self, writer: &mut Writer) {
        writer.table(self);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.table("table")
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, writer: &mut Writer) {
        writer.option(self.as_ref(), |writer, value| value.write(writer));
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.option("option", T::read)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, writer: &mut Writer) {
        writer.list(self.iter(), |writer, value| value.write(writer));
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.list("list", T::read)
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn write(&self, writer: &mut Writer) {
        self.0.write(writer);
        self.1.write(writer);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok((A::read(reader)?, B::read(reader)?))
    }
}
