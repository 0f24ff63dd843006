//! Writes snapshots.

use bytes::{Bytes, BytesMut};
use warren_types::{NodeId, Writer};

use super::{PAGE_BYTES, VERSION, appended, death, kind, reason, standing};
use crate::entry::write_settings;
use crate::queue::{Aside, Consumer, Queue, Recent, Standing, Stream};
use crate::run::{Parts, Run};
use crate::session::Node;
use crate::shard::Shard;
use crate::wire::write_replies;
use crate::{DeathReason, EndReason};

/// Keys in one record.
const RECENT_KEYS: usize = 1024;

/// Segments in one record.
const SEGMENTS: usize = 1024;

/// Pages in the making.
#[derive(Debug, Default)]
struct Pages {
    full: Vec<Bytes>,
    open: Writer,
    records: u64,
}

impl Shard {
    /// See [`warren_machine::Machine::snapshot`].
    pub(crate) fn write_snapshot(&self) -> Vec<Bytes> {
        let mut pages = Pages::default();
        let head = pages.record(kind::HEAD);
        head.u16(self.version);
        head.u64(self.applied.0);
        head.u64(self.clock.now.0);
        head.u64(self.clock.stamp.0);
        for (id, node) in self.sessions.nodes() {
            pages.node(id, node);
        }
        for (queue, why) in &self.tombstones {
            let out = pages.record(kind::TOMBSTONE);
            out.u64(queue.0);
            out.u8(match why {
                EndReason::Unused => reason::UNUSED,
                EndReason::Deleted => reason::DELETED,
                EndReason::Expired => reason::EXPIRED,
            });
        }
        for queue in self.queues.in_order() {
            pages.queue(queue);
        }
        for (target, letter) in self.letters.iter() {
            let out = pages.record(kind::LETTER);
            out.u64(target.0);
            out.u64(letter.source.0);
            out.u64(letter.sequence.0);
        }
        for (index, row) in self.rows.up_to(self.applied) {
            let out = pages.record(kind::ROW);
            out.u64(index.0);
            out.u64(row.bytes);
        }
        pages.finish()
    }
}

impl Pages {
    /// Begins a record, on a page of its own when the last one is full.
    fn record(&mut self, kind: u8) -> &mut Writer {
        if self.open.len() >= PAGE_BYTES {
            self.full.push(std::mem::take(&mut self.open).finish());
        }
        if self.open.is_empty() {
            self.open.u16(VERSION);
            self.open.u32(u32::try_from(self.full.len()).expect("a snapshot has fewer pages"));
        }
        self.records += 1;
        self.open.u8(kind);
        &mut self.open
    }

    fn node(&mut self, id: NodeId, node: &Node) {
        let out = self.record(kind::NODE);
        out.u64(id.0);
        out.u64(node.boot.0);
        out.u64(node.answers.last().0);
        out.u64(node.answers.heard().0);
        out.list(node.answers.skipped(), |out, (from, to)| {
            out.u64(from.0);
            out.u64(to.0);
        });
        out.bool(node.session.is_some());
        for kept in node.answers.kept() {
            let out = self.record(kind::KEPT);
            out.u64(kept.sequence.0);
            write_replies(out, &kept.replies);
        }
        let uploads = node.session.iter().flat_map(|session| &session.uploads);
        for (upload, held) in uploads {
            let out = self.record(kind::UPLOAD);
            out.u64(*upload);
            out.list(&held.parts, |out, (at, size)| {
                out.u64(at.index.0);
                out.u32(at.offset);
                out.u32(*size);
            });
        }
    }

    fn queue(&mut self, queue: &Queue) {
        let out = self.record(kind::QUEUE);
        out.u64(queue.id.0);
        let mut settings = BytesMut::new();
        write_settings(&mut settings, &queue.settings);
        out.bytes(&settings);
        out.u64(queue.next_number.0);
        out.u64(queue.next_order);
        out.option(queue.consumers.active(), Writer::u64);
        out.u64(queue.used_at.0);
        let dead = queue.aside.as_ref().map(|aside| &aside.dead).filter(|dead| dead.last > 0);
        out.option(dead, |out, dead| {
            out.u64(dead.last);
            out.u64(dead.shown);
        });
        for (priority, order) in queue.consumers.turns() {
            let out = self.record(kind::TURN);
            out.i64(i64::from(priority));
            out.u64(order);
        }
        match &queue.stream {
            Some(stream) => self.stream(stream, queue),
            None => self.waiting(queue),
        }
        if let Some(aside) = &queue.aside {
            self.aside(aside);
        }
        if let Some(recent) = &queue.recent {
            self.recent(recent);
        }
        for consumer in queue.consumers.iter() {
            self.consumer(consumer);
        }
    }

    fn waiting(&mut self, queue: &Queue) {
        for level in queue.ready.levels() {
            for run in level.returned() {
                write_run(self.record(kind::RETURNED), run);
            }
            for run in level.fresh() {
                write_run(self.record(kind::FRESH), &run);
            }
        }
    }

    /// Some segments and some runs to a record, so that none is larger than a page.
    fn stream(&mut self, stream: &Stream, queue: &Queue) {
        self.record(kind::STREAM).u64(stream.looked_at.0);
        let segments: Vec<_> = stream.segments().collect();
        for some in segments.chunks(SEGMENTS) {
            self.record(kind::SEGMENTS).list(some, |out, segment| {
                out.u64(segment.first.0);
                out.u64(segment.newest.0);
            });
        }
        let mut runs = queue.ready.runs().peekable();
        while runs.peek().is_some() {
            let some: Vec<_> = runs.by_ref().take(appended::RUNS).collect();
            appended::write_runs(self.record(kind::APPENDED), &some);
        }
    }

    fn aside(&mut self, aside: &Aside) {
        for (due, run) in aside.delayed.runs() {
            let out = self.record(kind::DELAYED);
            out.u64(due.0);
            write_run(out, run);
        }
        for (due, run) in aside.scheduled.runs() {
            let out = self.record(kind::SCHEDULED);
            out.u64(due.0);
            write_run(out, run);
        }
        for (first, run, death) in aside.dead.numbered() {
            let out = self.record(kind::DEAD);
            out.u64(first);
            out.u8(match death.reason {
                DeathReason::Rejected => death::REJECTED,
                DeathReason::Expired => death::EXPIRED,
                DeathReason::MaxLength => death::MAX_LENGTH,
                DeathReason::DeliveryLimit => death::DELIVERY_LIMIT,
            });
            out.u64(death.time.0);
            write_run(out, run);
        }
        for (client, until, run) in aside.reserved.kept() {
            let out = self.record(kind::RESERVED);
            out.raw(&client.0);
            out.option(until, |out, until| out.u64(until.0));
            write_run(out, run);
        }
    }

    /// Some keys to a record, so that none is larger than a page.
    fn recent(&mut self, recent: &Recent) {
        let mut keys = recent.iter().peekable();
        while keys.peek().is_some() {
            let some: Vec<_> = keys.by_ref().take(RECENT_KEYS).collect();
            self.record(kind::RECENT).list(&some, |out, (came, key)| {
                out.u64(came.0);
                out.raw(&key.0);
            });
        }
    }

    fn consumer(&mut self, consumer: &Consumer) {
        let out = self.record(kind::CONSUMER);
        out.u64(consumer.id.session.node.0);
        out.u64(consumer.id.session.boot.0);
        out.u64(consumer.id.number.0);
        out.u64(consumer.order);
        out.u8(match consumer.standing {
            Standing::Registered => standing::REGISTERED,
            Standing::Cancelled => standing::CANCELLED,
            Standing::Holder => standing::HOLDER,
            Standing::Picker => standing::PICKER,
        });
        out.u32(consumer.prefetch);
        out.u64(consumer.granted.0);
        out.i64(i64::from(consumer.priority));
        out.bool(consumer.exclusive);
        out.bool(consumer.no_ack);
        out.short_bytes(&consumer.tag);
        out.u64(consumer.last.0);
        out.option(consumer.timeout_ms, Writer::u64);
        if consumer.lapsed {
            self.record(kind::LAPSED);
        }
        if let Some(claim) = &consumer.claim {
            let out = self.record(kind::CLAIM);
            out.raw(&claim.key.0);
            out.u64(claim.connection);
            out.u64(claim.grace_ms);
        }
        for (first, run, since) in consumer.held.numbered() {
            let out = self.record(kind::HELD);
            out.u64(first);
            out.u64(since.0);
            write_run(out, run);
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        let records = self.records;
        self.record(kind::END).u64(records);
        self.full.push(self.open.finish());
        self.full
    }
}

fn write_run(out: &mut Writer, run: &Run) {
    out.u64(run.number.0);
    out.u64(run.index.0);
    for value in [run.offset, run.stride, run.count, run.step, run.size, run.acquired, run.failed] {
        out.u32(value);
    }
    out.i64(i64::from(run.level));
    out.u64(run.deadline.0);
    out.option(run.parts.as_ref(), |out, parts| write_parts(out, parts));
}

pub(super) fn write_parts(out: &mut Writer, parts: &Parts) {
    out.list(parts.locations.iter().zip(&parts.sizes), |out, (at, size)| {
        out.u64(at.index.0);
        out.u32(at.offset);
        out.u32(*size);
    });
}
