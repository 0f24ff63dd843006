//! The messages between fronts and hosts, to and from bytes.

use bytes::Bytes;
use warren_types::{BootId, ConsumerNumber, GroupId, LogIndex, NodeId, RequestSequence, Term};

use super::Senseless;
use super::generated::frontend as wire;
use crate::frontend::{DirectReply, FrontFragment, FrontItem, HostItem, Place};

impl From<Place> for wire::Place {
    fn from(place: Place) -> Self {
        use wire::place::At;
        let at = match place {
            Place::Shard(group) => At::Shard(group.0),
            Place::Local { boot, slot } => {
                At::Local(wire::LocalPlace { boot: boot.0, slot: slot.into() })
            }
        };
        Self { at: Some(at) }
    }
}

impl TryFrom<wire::Place> for Place {
    type Error = Senseless;

    fn try_from(place: wire::Place) -> Result<Self, Senseless> {
        use wire::place::At;
        Ok(match place.at.ok_or(Senseless("a place"))? {
            At::Shard(group) => Self::Shard(GroupId(group)),
            At::Local(local) => {
                let slot = local.slot.try_into().map_err(|_| Senseless("a slot"))?;
                Self::Local { boot: BootId(local.boot), slot }
            }
        })
    }
}

impl From<FrontFragment> for wire::Fragment {
    fn from(fragment: FrontFragment) -> Self {
        let FrontFragment { sequence, heard, fragment } = fragment;
        Self { sequence: sequence.0, heard: heard.0, fragment }
    }
}

impl From<wire::Fragment> for FrontFragment {
    fn from(fragment: wire::Fragment) -> Self {
        let wire::Fragment { sequence, heard, fragment } = fragment;
        Self { sequence: RequestSequence(sequence), heard: RequestSequence(heard), fragment }
    }
}

impl From<DirectReply> for wire::DirectReply {
    fn from(reply: DirectReply) -> Self {
        let DirectReply { connection, channel, nonce, exchange, routing_key, header, body } = reply;
        let channel = channel.into();
        Self { connection, channel, nonce, exchange, routing_key, header, body }
    }
}

impl TryFrom<wire::DirectReply> for DirectReply {
    type Error = Senseless;

    fn try_from(reply: wire::DirectReply) -> Result<Self, Senseless> {
        let wire::DirectReply { connection, channel, nonce, exchange, routing_key, header, body } =
            reply;
        let channel = channel.try_into().map_err(|_| Senseless("a channel"))?;
        Ok(Self { connection, channel, nonce, exchange, routing_key, header, body })
    }
}

impl From<FrontItem> for wire::FrontItem {
    fn from(item: FrontItem) -> Self {
        use wire::front_item::Item;
        let item = match item {
            FrontItem::Subscribe { place, round, wants_rows } => {
                Item::Subscribe(wire::Subscribe { place: Some(place.into()), round, wants_rows })
            }
            FrontItem::Fragments { place, round, fragments } => {
                let fragments = fragments.into_iter().map(Into::into).collect();
                Item::Fragments(wire::Fragments { place: Some(place.into()), round, fragments })
            }
            FrontItem::DirectReply(reply) => Item::DirectReply(reply.into()),
        };
        Self { item: Some(item) }
    }
}

impl TryFrom<wire::FrontItem> for FrontItem {
    type Error = Senseless;

    fn try_from(item: wire::FrontItem) -> Result<Self, Senseless> {
        use wire::front_item::Item;
        Ok(match item.item.ok_or(Senseless("a front's item"))? {
            Item::Subscribe(wire::Subscribe { place: at, round, wants_rows }) => {
                Self::Subscribe { place: place(at)?, round, wants_rows }
            }
            Item::Fragments(wire::Fragments { place: at, round, fragments }) => {
                let fragments = fragments.into_iter().map(Into::into).collect();
                Self::Fragments { place: place(at)?, round, fragments }
            }
            Item::DirectReply(reply) => Self::DirectReply(reply.try_into()?),
        })
    }
}

impl From<HostItem> for wire::HostItem {
    fn from(item: HostItem) -> Self {
        use wire::host_item::Item;
        let item = match item {
            HostItem::Subscribed { place, round, term, consumers, open } => {
                let consumers = consumers.into_iter().map(|consumer| consumer.0).collect();
                let (place, term) = (Some(place.into()), term.0);
                Item::Subscribed(wire::Subscribed { place, round, term, consumers, open })
            }
            HostItem::Refused { place, round, leader, term } => {
                let (place, leader) = (Some(place.into()), leader.map(|leader| leader.0));
                Item::Refused(wire::Refused { place, round, leader, term: term.0 })
            }
            HostItem::Answers { place, round, answers } => {
                let answer = |(sequence, reply): (RequestSequence, Bytes)| wire::Answer {
                    sequence: sequence.0,
                    reply,
                };
                let answers = answers.into_iter().map(answer).collect();
                Item::Answers(wire::Answers { place: Some(place.into()), round, answers })
            }
            HostItem::Notices { place, notices, rows } => {
                let place = Some(place.into());
                Item::Notices(wire::Notices { place, notices, rows: rows_sent(rows) })
            }
        };
        Self { item: Some(item) }
    }
}

impl TryFrom<wire::HostItem> for HostItem {
    type Error = Senseless;

    fn try_from(item: wire::HostItem) -> Result<Self, Senseless> {
        use wire::host_item::Item;
        Ok(match item.item.ok_or(Senseless("a host's item"))? {
            Item::Subscribed(wire::Subscribed { place: at, round, term, consumers, open }) => {
                let consumers = consumers.into_iter().map(ConsumerNumber).collect();
                Self::Subscribed { place: place(at)?, round, term: Term(term), consumers, open }
            }
            Item::Refused(wire::Refused { place: at, round, leader, term }) => {
                let leader = leader.map(NodeId);
                Self::Refused { place: place(at)?, round, leader, term: Term(term) }
            }
            Item::Answers(wire::Answers { place: at, round, answers }) => {
                let answer =
                    |answer: wire::Answer| (RequestSequence(answer.sequence), answer.reply);
                let answers = answers.into_iter().map(answer).collect();
                Self::Answers { place: place(at)?, round, answers }
            }
            Item::Notices(wire::Notices { place: at, notices, rows }) => {
                Self::Notices { place: place(at)?, notices, rows: rows_received(rows) }
            }
        })
    }
}

impl From<Vec<FrontItem>> for wire::FrontBatch {
    fn from(items: Vec<FrontItem>) -> Self {
        Self { items: items.into_iter().map(Into::into).collect() }
    }
}

impl TryFrom<wire::FrontBatch> for Vec<FrontItem> {
    type Error = Senseless;

    fn try_from(batch: wire::FrontBatch) -> Result<Self, Senseless> {
        batch.items.into_iter().map(TryInto::try_into).collect()
    }
}

impl From<Vec<HostItem>> for wire::HostBatch {
    fn from(items: Vec<HostItem>) -> Self {
        Self { items: items.into_iter().map(Into::into).collect() }
    }
}

impl TryFrom<wire::HostBatch> for Vec<HostItem> {
    type Error = Senseless;

    fn try_from(batch: wire::HostBatch) -> Result<Self, Senseless> {
        batch.items.into_iter().map(TryInto::try_into).collect()
    }
}

/// A place that must be there.
pub(crate) fn place(place: Option<wire::Place>) -> Result<Place, Senseless> {
    place.ok_or(Senseless("a place"))?.try_into()
}

pub(crate) fn rows_sent(rows: Vec<(LogIndex, Bytes)>) -> Vec<wire::Row> {
    rows.into_iter().map(|(index, row)| wire::Row { index: index.0, row }).collect()
}

pub(crate) fn wanted_sent(wanted: Vec<(LogIndex, Vec<u32>)>) -> Vec<wire::WantedRow> {
    wanted.into_iter().map(|(index, offsets)| wire::WantedRow { index: index.0, offsets }).collect()
}

pub(crate) fn wanted_received(wanted: Vec<wire::WantedRow>) -> Vec<(LogIndex, Vec<u32>)> {
    wanted.into_iter().map(|row| (LogIndex(row.index), row.offsets)).collect()
}

pub(crate) fn rows_received(rows: Vec<wire::Row>) -> Vec<(LogIndex, Bytes)> {
    rows.into_iter().map(|row| (LogIndex(row.index), row.row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_something_is_refused() {
        use wire::place::At;
        let nowhere = Some(wire::Place { at: None });
        let far = wire::LocalPlace { boot: 1, slot: 65_536 };
        let no_slot = Some(wire::Place { at: Some(At::Local(far)) });

        assert_eq!(place(None), Err(Senseless("a place")));
        assert_eq!(place(nowhere), Err(Senseless("a place")));
        assert_eq!(place(no_slot), Err(Senseless("a slot")));
        let nothing = wire::FrontItem { item: None };
        assert_eq!(FrontItem::try_from(nothing), Err(Senseless("a front's item")));
        let nothing = wire::HostItem { item: None };
        assert_eq!(HostItem::try_from(nothing), Err(Senseless("a host's item")));
        let reply = wire::DirectReply { channel: 65_536, ..Default::default() };
        assert_eq!(DirectReply::try_from(reply), Err(Senseless("a channel")));
    }
}
