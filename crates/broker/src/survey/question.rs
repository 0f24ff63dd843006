//! What nodes ask each other for a survey, and how the answers travel.

use bytes::Bytes;
use warren_types::{DecodeError, QueueId, Reader, Writer};

use super::messages::MessageQuery;
use super::wire::Wire;

/// The version of questions and answers.
const VERSION: u16 = 4;

/// What a node is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// What it says of itself: `NodeFigures`.
    Node,
    /// Its clients' connections: a list of `ConnectionRow`.
    Connections,
    /// Their channels: a list of `ChannelRow`.
    Channels,
    /// Their consumers: a list of `ConsumerRow`.
    Consumers,
    /// Consumers that are the active one of a queue that is led there, by queue.
    Actives,
    /// The queues that it leads, all or those of these: a list of `QueueFigures`.
    Queues(Option<Vec<QueueId>>),
    /// A queue in full, if it leads it: a list of none or one `QueueDetail`.
    Queue(QueueId),
    /// The groups that it leads: a list of `ShardRow`.
    Shards,
    /// To close the connections that a selection means: how many they are.
    Close { whose: Whose, reason: String },
    /// How many connections a selection means.
    Count(Whose),
    /// How many channels they have.
    CountChannels(Whose),
    /// Who reads streams there: a list of `ReaderFigures`.
    Readers,
    /// How far a stream reaches, if it leads it: a list of none or one `StreamReach`.
    Stream(QueueId),
    /// What passes through exchanges: a list of `ExchangeFigures`.
    Exchanges,
    /// Its samples since a time in milliseconds: a list of one `NodeSamples`.
    NodeSamples(u64),
    /// The samples of a queue, if it leads it, since a time: a list of `QueueSample`.
    QueueSamples(QueueId, u64),
    /// Messages of a virtual host that are put aside in queues that it leads, so many at most: a list
    /// of `ScheduledRow`.
    Scheduled(String, u64),
    /// Messages of a queue, if it leads it, or only where they are if that is enough: a list of none
    /// or one `FoundMessages`.
    Messages { queue: QueueId, query: Box<MessageQuery>, is_enough: bool },
}

/// Which connections are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The one of this name.
    Name(String),
    /// Those of a user.
    User(String),
    /// Those in a virtual host.
    Vhost(String),
    /// All.
    All,
}

impl Question {
    /// The bytes that [`Question::decode`] reads.
    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.u16(VERSION);
        match self {
            Self::Node => writer.u8(0),
            Self::Connections => writer.u8(1),
            Self::Channels => writer.u8(2),
            Self::Consumers => writer.u8(3),
            Self::Actives => writer.u8(4),
            Self::Queues(queues) => {
                writer.u8(5);
                queues.write(&mut writer);
            }
            Self::Queue(queue) => {
                writer.u8(6);
                queue.write(&mut writer);
            }
            Self::Shards => writer.u8(7),
            Self::Close { whose, reason } => {
                writer.u8(8);
                whose.write(&mut writer);
                reason.write(&mut writer);
            }
            Self::Count(whose) => {
                writer.u8(9);
                whose.write(&mut writer);
            }
            Self::Exchanges => writer.u8(10),
            Self::Readers => writer.u8(16),
            Self::Stream(queue) => {
                writer.u8(17);
                queue.write(&mut writer);
            }
            Self::NodeSamples(since_ms) => {
                writer.u8(11);
                since_ms.write(&mut writer);
            }
            Self::QueueSamples(queue, since_ms) => {
                writer.u8(12);
                (*queue, *since_ms).write(&mut writer);
            }
            Self::CountChannels(whose) => {
                writer.u8(15);
                whose.write(&mut writer);
            }
            Self::Scheduled(vhost, limit) => {
                writer.u8(13);
                vhost.write(&mut writer);
                limit.write(&mut writer);
            }
            Self::Messages { queue, query, is_enough } => {
                writer.u8(14);
                (*queue, *is_enough).write(&mut writer);
                query.write(&mut writer);
            }
        }
        writer.finish()
    }

    /// The question that `bytes` hold.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = versioned(bytes)?;
        let question = match reader.u8("a question")? {
            0 => Self::Node,
            1 => Self::Connections,
            2 => Self::Channels,
            3 => Self::Consumers,
            4 => Self::Actives,
            5 => Self::Queues(Wire::read(&mut reader)?),
            6 => Self::Queue(Wire::read(&mut reader)?),
            7 => Self::Shards,
            8 => Self::Close { whose: Wire::read(&mut reader)?, reason: Wire::read(&mut reader)? },
            9 => Self::Count(Wire::read(&mut reader)?),
            10 => Self::Exchanges,
            16 => Self::Readers,
            17 => Self::Stream(Wire::read(&mut reader)?),
            11 => Self::NodeSamples(Wire::read(&mut reader)?),
            12 => {
                let (queue, since_ms) = Wire::read(&mut reader)?;
                Self::QueueSamples(queue, since_ms)
            }
            15 => Self::CountChannels(Wire::read(&mut reader)?),
            13 => Self::Scheduled(Wire::read(&mut reader)?, Wire::read(&mut reader)?),
            14 => {
                let (queue, is_enough) = Wire::read(&mut reader)?;
                Self::Messages { queue, query: Box::new(Wire::read(&mut reader)?), is_enough }
            }
            value => {
                return Err(DecodeError::Unknown { what: "a question", value: u64::from(value) });
            }
        };
        reader.finish()?;
        Ok(question)
    }
}

impl Wire for Whose {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Name(name) => {
                writer.u8(0);
                name.write(writer);
            }
            Self::User(user) => {
                writer.u8(1);
                user.write(writer);
            }
            Self::Vhost(vhost) => {
                writer.u8(2);
                vhost.write(writer);
            }
            Self::All => writer.u8(3),
        }
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        match reader.u8("a selection")? {
            0 => Ok(Self::Name(Wire::read(reader)?)),
            1 => Ok(Self::User(Wire::read(reader)?)),
            2 => Ok(Self::Vhost(Wire::read(reader)?)),
            3 => Ok(Self::All),
            value => Err(DecodeError::Unknown { what: "a selection", value: u64::from(value) }),
        }
    }
}

/// An answer's bytes.
pub(crate) fn answer<T: Wire>(answer: &T) -> Bytes {
    let mut writer = Writer::new();
    writer.u16(VERSION);
    answer.write(&mut writer);
    writer.finish()
}

/// The answer that `bytes` hold.
pub(crate) fn read_answer<T: Wire>(bytes: Bytes) -> Result<T, DecodeError> {
    let mut reader = versioned(bytes)?;
    let answer = T::read(&mut reader)?;
    reader.finish()?;
    Ok(answer)
}

fn versioned(bytes: Bytes) -> Result<Reader, DecodeError> {
    let mut reader = Reader::new(bytes);
    match reader.u16("the version of a survey")? {
        VERSION => Ok(reader),
        other => {
            let what = "the version of a survey";
            Err(DecodeError::Unknown { what, value: u64::from(other) })
        }
    }
}

#[cfg(test)]
mod tests {
    use warren_queue::Spot;
    use warren_types::MessageNumber;

    use super::*;
    use crate::survey::messages::{Bookmark, MessageFilter, MessageId, MessageState};

    fn query() -> MessageQuery {
        let id = MessageId { row: 1 << 40, offset: 7 };
        let number = MessageNumber(5);
        MessageQuery {
            filter: MessageFilter {
                ids: vec![id],
                states: MessageState::ALL.to_vec(),
                headers: vec![("a".to_owned(), "1".to_owned())],
                message_id: Some("m".to_owned()),
                ..MessageFilter::default()
            },
            from: Some(Bookmark { spot: Spot::Waiting { level: -1, number }, id, position: 9 }),
            offset: 1,
            count: 2,
            scan: 3,
            truncate: 4,
        }
    }

    #[test]
    fn every_question_is_read_as_it_was_asked() {
        let reason = || "because".to_owned();
        let close = |whose| Question::Close { whose, reason: reason() };
        let questions = [
            Question::Node,
            Question::Connections,
            Question::Channels,
            Question::Consumers,
            Question::Actives,
            Question::Queues(None),
            Question::Queues(Some(vec![QueueId(7), QueueId(9)])),
            Question::Queue(QueueId(3)),
            Question::Shards,
            close(Whose::Name("n".to_owned())),
            close(Whose::User("u".to_owned())),
            close(Whose::Vhost("/".to_owned())),
            close(Whose::All),
            Question::Count(Whose::Vhost("/".to_owned())),
            Question::CountChannels(Whose::User("u".to_owned())),
            Question::Exchanges,
            Question::Readers,
            Question::Stream(QueueId(3)),
            Question::NodeSamples(5),
            Question::Scheduled("/".to_owned(), 100),
            Question::Messages { queue: QueueId(3), query: Box::new(query()), is_enough: true },
            Question::QueueSamples(QueueId(3), 5),
        ];

        for question in questions {
            assert_eq!(Question::decode(question.encode()), Ok(question));
        }
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = Question::Node.encode().to_vec();
        bytes[1] = 1;

        let outcome = Question::decode(Bytes::from(bytes));

        let what = "the version of a survey";
        assert_eq!(outcome, Err(DecodeError::Unknown { what, value: 1 }));
    }
}
