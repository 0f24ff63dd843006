//! The byte format of what the catalog stores and says: batches in the log, records in snapshots,
//! replies between nodes.
//!
//! A batch is a version octet, a time and a list; each command in it begins with a version octet
//! of its own and a code. What is stored is never changed: another shape is another version or
//! code. Samples of every version stand under `testdata/formats/`.

mod command;
mod record;
pub mod reply;
mod stored;

use bytes::Bytes;
use warren_types::{DecodeError, Reader, Writer};

pub(crate) use record::{ExchangeRecord, Header, QueueRecord, Record};
pub(crate) use stored::Stored;

use crate::{Batch, Command, MAX_BATCH_COMMANDS};

/// The version of a batch's frame that is written.
const BATCH_VERSION: u8 = 1;

/// The version of a command's shape that is written.
const COMMAND_VERSION: u8 = 1;

impl Batch {
    /// The bytes of an entry's payload.
    ///
    /// # Panics
    /// With more than [`MAX_BATCH_COMMANDS`] commands.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        assert!(self.commands.len() <= MAX_BATCH_COMMANDS, "a batch is bounded by its proposer");
        let mut writer = Writer::new();
        writer.u8(BATCH_VERSION);
        self.time.write(&mut writer);
        writer.list(&self.commands, |writer, command| command.encode(writer));
        writer.finish()
    }

    /// The batch that [`Batch::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are damaged or of a version that is not spoken here.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes.clone());
        expect_version(&mut reader, "batch version", BATCH_VERSION)?;
        let time = Stored::read(&mut reader)?;
        let commands = reader.list("commands", Command::decode)?;
        reader.finish()?;
        if commands.len() > MAX_BATCH_COMMANDS {
            let value = u64::try_from(commands.len()).unwrap_or(u64::MAX);
            return Err(DecodeError::Unknown { what: "number of commands", value });
        }
        Ok(Self { time, commands })
    }
}

impl Command {
    /// Appends the command's bytes.
    pub fn encode(&self, writer: &mut Writer) {
        writer.u8(COMMAND_VERSION);
        self.write(writer);
    }

    /// Takes a command off the front of `reader`.
    ///
    /// # Errors
    /// When the bytes are damaged or of a version that is not spoken here.
    pub fn decode(reader: &mut Reader) -> Result<Self, DecodeError> {
        expect_version(reader, "command version", COMMAND_VERSION)?;
        Self::read(reader)
    }
}

fn expect_version(reader: &mut Reader, what: &'static str, spoken: u8) -> Result<(), DecodeError> {
    match reader.u8(what)? {
        version if version == spoken => Ok(()),
        version => Err(DecodeError::Unknown { what, value: u64::from(version) }),
    }
}

#[cfg(test)]
mod tests;
