//! What one burst of a client's frames asks of each shard, gathered before it is sent.
//!
//! **Invariant:** commands for one shard keep the order in which the client asked for them.

use bytes::{Bytes, BytesMut};
use warren_amqp::Body;
use warren_queue::entry::{FragmentWriter, PublishParts};
use warren_queue::{Command, Outcome, SettleRange};
use warren_types::{ChannelNumber, ConsumerNumber, DeliverySequence, DeliveryTag};

use crate::queue::handle::ShardSlot;
use crate::traces::OpenSpan;

/// A fragment is sent once it holds this many bytes, so that entries stay near their bound.
const FRAGMENT_BYTES: usize = 256 * 1024;

/// What a tx.commit asks of one shard is one fragment, and so one entry, up to this many bytes: what
/// nodes send each other in one message, and an entry that does not hold up the log for long.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// Bodies beyond this size are uploaded in parts of it, each in an entry of its own.
const BODY_PART_BYTES: usize = 1024 * 1024;

/// Publishes of one channel with consecutive tags and ordinals, whose confirms wait for a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) channel: ChannelNumber,
    pub(crate) generation: u64,
    pub(crate) first_tag: DeliveryTag,
    pub(crate) first_ordinal: u32,
    pub(crate) count: u32,
}

/// Who waits for a publish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) channel: ChannelNumber,
    pub(crate) generation: u64,
    /// The confirm that is due, if the channel has confirms.
    pub(crate) tag: Option<DeliveryTag>,
}

/// A fragment ready to be sent.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) slot: ShardSlot,
    pub(crate) fragment: Bytes,
    /// Whether there is nothing in it but settles and grants.
    pub(crate) settles_only: bool,
    pub(crate) spans: Vec<Span>,
    /// Channels whose tx.commit is in the fragment.
    pub(crate) commits: Vec<(ChannelNumber, u64)>,
    /// What of it is traced.
    pub(crate) traced: Vec<Followed>,
}

/// A span that ends with the answer to a fragment.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) span: Box<OpenSpan>,
    /// The publish that it is about; a settle cannot be refused.
    pub(crate) ordinal: Option<u32>,
}

#[derive(Debug, Default)]
struct Stage {
    writer: FragmentWriter,
    /// Whether something else than settles and grants is in it.
    mixed: bool,
    spans: Vec<Span>,
    commits: Vec<(ChannelNumber, u64)>,
    traced: Vec<Followed>,
}

/// One writer for each shard.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    stages: Vec<Stage>,
    /// Shards whose stage is not empty, in the order in which they were first touched.
    touched: Vec<ShardSlot>,
    /// Fragments that were full before the burst ended, and parts of large bodies.
    full: Vec<Staged>,
    /// Whether a tx.commit is being staged.
    is_committing: bool,
    /// The span of the publish that comes next.
    next_span: Option<Box<OpenSpan>>,
}

impl Staging {
    fn settles(&mut self, slot: ShardSlot) -> &mut Stage {
        if self.stages.len() <= slot.0 {
            self.stages.resize_with(slot.0.saturating_add(1), Stage::default);
        }
        let stage = self.stages.get_mut(slot.0).expect("there is room up to the slot");
        if stage.writer.is_empty() {
            self.touched.push(slot);
        }
        stage
    }

    fn stage(&mut self, slot: ShardSlot) -> &mut Stage {
        let stage = self.settles(slot);
        stage.mixed = true;
        stage
    }

    /// Adds a publish. `upload` draws the name of an upload, for a body that needs one.
    pub(crate) fn publish(
        &mut self,
        slot: ShardSlot,
        parts: &PublishParts<'_>,
        body: &Body,
        origin: Origin,
        upload: impl FnOnce() -> u64,
    ) {
        if body.len() > BODY_PART_BYTES {
            let upload = upload();
            let last = self.upload(slot, upload, body);
            let parts = PublishParts { upload: Some(upload), ..*parts };
            self.add(slot, &parts, last.len(), [&*last], origin);
        } else {
            let pieces = body.pieces().iter().map(|piece| &**piece);
            self.add(slot, parts, body.len(), pieces, origin);
        }
    }

    /// Uploads all parts of `body` but the last, which it returns.
    fn upload(&mut self, slot: ShardSlot, upload: u64, body: &Body) -> BytesMut {
        let mut part = BytesMut::new();
        for piece in body.pieces() {
            let mut rest: &[u8] = piece;
            while !rest.is_empty() {
                if part.len() == BODY_PART_BYTES {
                    self.full.push(body_part(slot, upload, &part));
                    part.clear();
                }
                let room = BODY_PART_BYTES.saturating_sub(part.len());
                let (head, tail) = rest.split_at(room.min(rest.len()));
                part.extend_from_slice(head);
                rest = tail;
            }
        }
        part
    }

    fn add<'b>(
        &mut self,
        slot: ShardSlot,
        parts: &PublishParts<'_>,
        body_bytes: usize,
        body: impl IntoIterator<Item = &'b [u8]>,
        origin: Origin,
    ) {
        let limit_bytes = if self.is_committing { COMMIT_BYTES } else { FRAGMENT_BYTES };
        let span = self.next_span.take();
        let stage = self.stage(slot);
        let ordinal = stage.writer.publish(parts, body_bytes, body);
        if let Some(tag) = origin.tag {
            extend(&mut stage.spans, origin, tag, ordinal);
        }
        if let Some(span) = span {
            stage.traced.push(Followed { span, ordinal: Some(ordinal) });
        }
        if stage.writer.len() >= limit_bytes {
            self.close(slot);
        }
    }

    /// Has `span` end once the shard has answered the publish that is added next.
    pub(crate) fn follow_publish(&mut self, span: Option<Box<OpenSpan>>) {
        self.next_span = span;
    }

    /// Has `span` end once the shard has answered what is staged for it; at once, where nothing is.
    pub(crate) fn follow_settle(&mut self, slot: ShardSlot, span: Box<OpenSpan>) {
        let stage = self.stages.get_mut(slot.0).filter(|stage| !stage.writer.is_empty());
        if let Some(stage) = stage {
            stage.traced.push(Followed { span, ordinal: None });
        }
    }

    /// Adds a settle.
    pub(crate) fn settle(
        &mut self,
        slot: ShardSlot,
        consumer: ConsumerNumber,
        outcome: Outcome,
        ranges: &[SettleRange],
    ) {
        self.settles(slot).writer.settle(consumer, outcome, ranges);
    }

    /// Has leases of what a consumer holds begin anew, for the publish that asked for it.
    pub(crate) fn extend_leases(
        &mut self,
        slot: ShardSlot,
        consumer: ConsumerNumber,
        ranges: &[SettleRange],
        origin: Origin,
    ) {
        let stage = self.settles(slot);
        let ordinal = stage.writer.settle(consumer, Outcome::Extend, ranges);
        if let Some(tag) = origin.tag {
            extend(&mut stage.spans, origin, tag, ordinal);
        }
    }

    /// Adds a grant to a consumer that has been given something.
    pub(crate) fn grant(
        &mut self,
        slot: ShardSlot,
        consumer: ConsumerNumber,
        up_to: DeliverySequence,
    ) {
        self.settles(slot).writer.grant(consumer, up_to);
    }

    /// Adds any command that nobody waits for.
    pub(crate) fn command(&mut self, slot: ShardSlot, command: &Command) {
        self.stage(slot).writer.command(command);
    }

    /// Has what is staged from now on for one shard be one fragment, until [`Staging::commit`].
    pub(crate) fn begin_commit(&mut self) {
        self.is_committing = true;
    }

    /// Has the answers to all that is staged count for a tx.commit. Returns how many answers that
    /// will be.
    pub(crate) fn commit(&mut self, channel: ChannelNumber, generation: u64) -> usize {
        self.is_committing = false;
        for slot in self.touched.clone() {
            self.settles(slot).commits.push((channel, generation));
        }
        for staged in &mut self.full {
            staged.commits.push((channel, generation));
        }
        self.touched.len().saturating_add(self.full.len())
    }

    fn close(&mut self, slot: ShardSlot) {
        self.touched.retain(|touched| *touched != slot);
        let stage = self.stages.get_mut(slot.0).expect("what was touched has a stage");
        self.full.push(finish(slot, stage));
    }

    /// Whether nothing is staged.
    pub(crate) fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.full.is_empty()
    }

    /// Takes out all that is staged, in an order that keeps each shard's.
    pub(crate) fn take(&mut self) -> Vec<Staged> {
        let mut staged = std::mem::take(&mut self.full);
        for slot in std::mem::take(&mut self.touched) {
            let stage = self.stages.get_mut(slot.0).expect("what was touched has a stage");
            staged.push(finish(slot, stage));
        }
        staged
    }
}

/// A part of a large body, in a fragment of its own: it only waits for the publish that claims it.
fn body_part(slot: ShardSlot, upload: u64, part: &[u8]) -> Staged {
    let mut writer = FragmentWriter::new();
    writer.chunk(upload, part);
    let (fragment, spans, commits) = (writer.finish(), Vec::new(), Vec::new());
    Staged { slot, fragment, settles_only: false, spans, commits, traced: Vec::new() }
}

fn finish(slot: ShardSlot, stage: &mut Stage) -> Staged {
    Staged {
        slot,
        fragment: stage.writer.finish(),
        settles_only: !std::mem::take(&mut stage.mixed),
        spans: std::mem::take(&mut stage.spans),
        commits: std::mem::take(&mut stage.commits),
        traced: std::mem::take(&mut stage.traced),
    }
}

fn extend(spans: &mut Vec<Span>, origin: Origin, tag: DeliveryTag, ordinal: u32) {
    if let Some(last) = spans.last_mut() {
        let follows = last.channel == origin.channel
            && last.generation == origin.generation
            && last.first_tag.plus(u64::from(last.count)) == tag
            && last.first_ordinal.saturating_add(last.count) == ordinal;
        if follows {
            last.count = last.count.saturating_add(1);
            return;
        }
    }
    spans.push(Span {
        channel: origin.channel,
        generation: origin.generation,
        first_tag: tag,
        first_ordinal: ordinal,
        count: 1,
    });
}

#[cfg(test)]
mod tests {
    use warren_queue::entry::{EntryWriter, decode};
    use warren_types::{QueueId, RequestSequence, SessionId, Timestamp};

    use super::*;

    const SLOT: ShardSlot = ShardSlot(2);
    const CHANNEL: (ChannelNumber, u64) = (ChannelNumber(3), 1);

    fn publish(staging: &mut Staging, bytes: usize) {
        let queues = [QueueId(7)];
        let parts = PublishParts {
            queues: &queues,
            persistent: true,
            exchange: b"",
            routing_key: b"q",
            header: &[0, 0],
            upload: None,
            expiration_ms: None,
            priority: None,
            trail: b"",
            letter: None,
            delay_ms: None,
            dedup: &[],
        };
        let origin = Origin { channel: CHANNEL.0, generation: CHANNEL.1, tag: None };
        let body = Body::from_pieces(vec![Bytes::from(vec![1; bytes])]);
        staging.publish(SLOT, &parts, &body, origin, || 5);
    }

    fn settle(staging: &mut Staging, to: u64) {
        let ranges = [SettleRange { from: DeliverySequence(1), to: DeliverySequence(to) }];
        staging.settle(SLOT, ConsumerNumber(1), Outcome::Ack, &ranges);
    }

    /// What each fragment asks: `p` for a publish, `c` for a part of a body, `s` for a settle.
    fn asked(staging: &mut Staging) -> Vec<(String, usize)> {
        let each = staging.take().into_iter().map(|staged| {
            assert_eq!(staged.slot, SLOT);
            let mut entry = EntryWriter::new(1, Timestamp(0));
            let (session, sequence) = (SessionId::default(), RequestSequence(1));
            entry.push(session, sequence, RequestSequence(0), &staged.fragment);
            let entry = decode(&entry.finish()).expect("sound");
            let letters = entry.fragments[0].commands.iter().map(|command| match command {
                Command::Publish(_) => 'p',
                Command::Chunk { .. } => 'c',
                Command::Settle { .. } => 's',
                other => panic!("nobody asked for {other:?}"),
            });
            (letters.collect(), staged.commits.len())
        });
        each.collect()
    }

    #[test]
    fn a_burst_is_cut_into_fragments() {
        let mut staging = Staging::default();
        for _ in 0..3 {
            publish(&mut staging, FRAGMENT_BYTES - 200);
        }
        settle(&mut staging, 1);

        assert_eq!(asked(&mut staging), [("pp".to_owned(), 0), ("ps".to_owned(), 0)]);
    }

    #[test]
    fn what_a_commit_asks_of_one_shard_is_one_fragment() {
        let mut staging = Staging::default();

        staging.begin_commit();
        for _ in 0..5 {
            publish(&mut staging, FRAGMENT_BYTES - 200);
        }
        settle(&mut staging, 3);
        let answers = staging.commit(CHANNEL.0, CHANNEL.1);

        assert_eq!(answers, 1);
        assert_eq!(asked(&mut staging), [("ppppps".to_owned(), 1)]);
        for _ in 0..2 {
            publish(&mut staging, FRAGMENT_BYTES);
        }
        assert_eq!(asked(&mut staging).len(), 2, "afterwards bursts are cut again");
    }

    #[test]
    fn parts_of_large_bodies_go_before_the_commit_that_claims_them() {
        let mut staging = Staging::default();

        staging.begin_commit();
        publish(&mut staging, 10);
        publish(&mut staging, 2 * BODY_PART_BYTES + 1);
        settle(&mut staging, 1);
        let answers = staging.commit(CHANNEL.0, CHANNEL.1);

        assert_eq!(answers, 3);
        let part = || ("c".to_owned(), 1);
        assert_eq!(asked(&mut staging), [part(), part(), ("pps".to_owned(), 1)]);
    }

    #[test]
    fn a_commit_beyond_all_bounds_is_several_entries() {
        let mut staging = Staging::default();

        staging.begin_commit();
        for _ in 0..5 {
            publish(&mut staging, BODY_PART_BYTES);
        }
        staging.commit(CHANNEL.0, CHANNEL.1);

        assert_eq!(asked(&mut staging), [("pppp".to_owned(), 1), ("p".to_owned(), 1)]);
    }
}
