//! The channels of one connection: which are open, and what each has half of.
//!
//! **Invariant:** the table's memory grows with the channels that a client opened; a high channel
//! number costs two bytes for each number below it.

use warren_types::ChannelNumber;

use crate::content::Unfinished;

/// One channel's state.
#[derive(Debug)]
pub(crate) enum Channel {
    /// In use; the content that is under way, if any.
    Open(Unfinished),
    /// The client sent channel.close and the caller has not answered yet.
    ClosedByClient,
    /// This side ends it and swallows what comes until close-ok.
    ClosedHere {
        /// Whether channel.close was written; it is due after [`crate::Event::ChannelError`].
        written: bool,
        /// Whether the client closed it too, in which case its close-ok may never come.
        by_client: bool,
    },
}

/// Marks a number without a channel.
const VACANT: u16 = u16::MAX;

/// All channels of a connection, by number.
#[derive(Debug, Default)]
pub(crate) struct ChannelTable {
    /// The place in `slots` of each channel number.
    places: Vec<u16>,
    slots: Vec<(ChannelNumber, Channel)>,
}

impl ChannelTable {
    /// Puts a channel at a number, in place of what was there.
    pub(crate) fn insert(&mut self, number: ChannelNumber, channel: Channel) {
        if let Some(known) = self.channel_mut(number) {
            *known = channel;
            return;
        }
        let index = usize::from(number.0);
        if self.places.len() <= index {
            self.places.resize(index.saturating_add(1), VACANT);
        }
        let place = u16::try_from(self.slots.len()).expect("there are fewer than 2^16 channels");
        if let Some(slot) = self.places.get_mut(index) {
            *slot = place;
        }
        if self.slots.capacity() == 0 {
            // Most clients have one channel.
            self.slots.reserve_exact(1);
        }
        self.slots.push((number, channel));
    }

    /// Takes a channel out.
    pub(crate) fn remove(&mut self, number: ChannelNumber) {
        let Some(entry) = self.places.get_mut(usize::from(number.0)) else { return };
        let place = usize::from(std::mem::replace(entry, VACANT));
        if place >= self.slots.len() {
            return;
        }
        self.slots.swap_remove(place);
        if let Some((moved, _)) = self.slots.get(place)
            && let Some(entry) = self.places.get_mut(usize::from(moved.0))
        {
            *entry = u16::try_from(place).expect("it was a place before");
        }
    }

    /// A channel, to change it.
    pub(crate) fn channel_mut(&mut self, number: ChannelNumber) -> Option<&mut Channel> {
        let place = *self.places.get(usize::from(number.0))?;
        self.slots.get_mut(usize::from(place)).map(|(_, channel)| channel)
    }

    /// A channel.
    pub(crate) fn channel(&self, number: ChannelNumber) -> Option<&Channel> {
        let place = *self.places.get(usize::from(number.0))?;
        self.slots.get(usize::from(place)).map(|(_, channel)| channel)
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_found_by_its_number_until_it_is_removed() {
        let mut table = ChannelTable::default();
        for number in [7, 1, 2047, 3] {
            table.insert(ChannelNumber(number), Channel::ClosedByClient);
        }

        table.remove(ChannelNumber(7));
        table.remove(ChannelNumber(7));
        table.remove(ChannelNumber(9));

        assert_eq!(table.len(), 3);
        assert!(table.channel(ChannelNumber(7)).is_none());
        for number in [1, 2047, 3] {
            assert!(table.channel(ChannelNumber(number)).is_some(), "{number}");
        }
    }
}
