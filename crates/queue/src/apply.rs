//! Applies entries: each command in turn, then one delivery for each queue that was touched.

mod queues;
mod settle;
mod time;

use std::sync::Arc;

use warren_machine::{Applied, Entry};
use warren_types::{ConsumerId, DecodeError, Location, LogIndex, QueueId, SessionId};

use crate::entry::{CommandRef, EntryRef, FragmentRef, PublishRef};
use crate::queue::{Arrival, Moment, Novelty};
use crate::session::{Admission, Seat, Upload};
use crate::shard::{MACHINE_VERSION, Shard};
use crate::{CommandReply, DedupKey, Effect, FragmentReply, Overflow, Refusal, Reply, Spot, run};

/// An entry that is being applied.
#[derive(Debug)]
struct Pass {
    index: LogIndex,
    effects: Vec<Effect>,
    /// The queues to be looked at in the end, in the order in which they were touched.
    touched: Vec<usize>,
    /// The queue that was published to last: neighbours often go to the same one.
    last_queue: Option<(QueueId, usize)>,
}

/// What kept a publish from all of its queues.
#[derive(Debug, Default)]
struct Shortfall {
    /// Queues that are not here.
    missing: Vec<QueueId>,
    /// A queue is full and refuses.
    is_refused: bool,
}

impl Shortfall {
    /// The answer. A refusal cannot be mended, so that it goes before what is missing.
    #[inline]
    fn reply(self) -> Option<CommandReply> {
        if self.is_refused {
            return Some(CommandReply::Refused(Refusal::QueueFull));
        }
        (!self.missing.is_empty()).then_some(CommandReply::Missing(self.missing))
    }
}

impl Shard {
    /// See [`warren_machine::Machine::apply`].
    pub(crate) fn apply_entry(&mut self, entry: &Entry) -> Applied<Reply, Effect> {
        let sound = self.sound(entry);
        self.applied = self.applied.max(entry.index);
        let parsed = match sound {
            Ok(parsed) => parsed,
            Err(error) => return Applied { reply: Reply::Damaged(error), effects: vec![] },
        };

        self.clock.advance(parsed.time, parsed.passed_ms);
        self.version = self.version.max(parsed.machine_version);
        let mut pass =
            Pass { index: entry.index, effects: vec![], touched: vec![], last_queue: None };
        self.rows.open(entry.index, entry.payload.len());
        self.pass_time(&mut pass);
        let replies =
            parsed.fragments().map(|fragment| self.fragment(fragment, &mut pass)).collect();
        self.deliver(&mut pass);
        self.rows.close();
        Applied { reply: Reply::Applied(replies), effects: pass.effects }
    }

    /// Looks at the whole entry before anything of it is done.
    fn sound<'a>(&self, entry: &'a Entry) -> Result<EntryRef<'a>, DecodeError> {
        if entry.index <= self.applied {
            return Err(DecodeError::Unknown { what: "log index", value: entry.index.0 });
        }
        let parsed = EntryRef::parse(&entry.payload)?;
        if parsed.machine_version > MACHINE_VERSION {
            let value = u64::from(parsed.machine_version);
            return Err(DecodeError::Unknown { what: "machine version", value });
        }
        Ok(parsed)
    }

    fn fragment(&mut self, fragment: FragmentRef<'_>, pass: &mut Pass) -> FragmentReply {
        let FragmentRef { session, sequence, heard, .. } = fragment;
        if session == SessionId::LEADER {
            return self.leader_fragment(fragment, pass);
        }
        let opens = matches!(fragment.commands().next(), Some(CommandRef::OpenSession));
        match self.sessions.admit(session, sequence, heard, opens) {
            Admission::Admitted => {}
            Admission::Answered(reply) => return reply,
            Admission::Opens { ends } => {
                if let Some(former) = ends {
                    self.close_session(former, pass);
                }
                self.sessions.open(session, sequence, heard);
            }
        }
        let mut replies = vec![];
        for (ordinal, command) in (0_u32..).zip(fragment.commands()) {
            if let Some(reply) = self.command(session, command, pass) {
                replies.push((ordinal, reply));
            }
        }
        self.sessions.keep(session, sequence, &replies);
        FragmentReply::Done(replies)
    }

    /// What the leader does for nobody: closes sessions. Of all else nothing is done, as there is
    /// no session; and nothing is remembered, because closing a session again does nothing.
    fn leader_fragment(&mut self, fragment: FragmentRef<'_>, pass: &mut Pass) -> FragmentReply {
        for command in fragment.commands() {
            if let CommandRef::CloseSession { session } = command {
                self.close_session(session, pass);
            }
        }
        FragmentReply::Done(vec![])
    }

    #[inline]
    fn command(
        &mut self,
        session: SessionId,
        command: CommandRef<'_>,
        pass: &mut Pass,
    ) -> Option<CommandReply> {
        let named = |number| ConsumerId { session, number };
        match command {
            CommandRef::Publish(publish) => self.publish(session, &publish, pass),
            CommandRef::Settle { consumer, outcome, ranges } => {
                self.settle(named(consumer), outcome, ranges, pass)
            }
            CommandRef::Attach(terms) => Some(self.attach(named(terms.consumer), &terms, pass)),
            CommandRef::Cancel { consumer } => self.cancel(named(consumer), pass),
            CommandRef::Detach { consumer } => self.detach(named(consumer), pass),
            CommandRef::Lose { consumer } => self.lose(named(consumer), pass),
            CommandRef::Grant { consumer, up_to } => self.grant(named(consumer), up_to, pass),
            CommandRef::Get { consumer, queue, no_ack } => {
                Some(self.get(named(consumer), queue, no_ack, pass))
            }
            CommandRef::CreateQueue { queue, settings } => {
                Some(self.create_queue(queue, *settings, pass))
            }
            CommandRef::ConfigureQueue { queue, settings } => {
                self.configure_queue(queue, *settings, pass)
            }
            CommandRef::DeleteQueue { queue, if_unused, if_empty } => {
                Some(self.delete_queue(queue, if_unused, if_empty, pass))
            }
            CommandRef::ForgetQueue { queue } => self.forget_queue(queue),
            CommandRef::PurgeQueue { queue } => Some(self.purge_queue(queue, pass)),
            CommandRef::Status { queue } => Some(self.status_of(queue)),
            // Done before the first command, where there was something to do.
            CommandRef::OpenSession => None,
            CommandRef::CloseSession { session } => self.close_session(session, pass),
            CommandRef::Chunk { upload, offset, bytes } => {
                self.chunk(session, upload, offset, bytes, pass)
            }
            CommandRef::AbandonUpload { upload } => self.abandon_upload(session, upload),
            // The entry's time has been taken note of.
            CommandRef::Tick => None,
            CommandRef::Touch { queue } => self.renew(queue, pass),
            CommandRef::DeadSettled { queue, ranges } => self.dead_settled(queue, ranges, pass),
            CommandRef::CancelScheduled { queue, due, at } => {
                Some(self.drop_message(queue, Spot::Scheduled { due }, at, pass))
            }
            CommandRef::DropMessage { queue, spot, at } => {
                Some(self.drop_message(queue, spot, at, pass))
            }
            CommandRef::PickMessage { consumer, queue, spot, at } => {
                Some(self.pick(named(consumer), queue, (spot, at), pass))
            }
        }
    }

    /// Puts a message into each of its queues that is here.
    #[inline]
    fn publish(
        &mut self,
        session: SessionId,
        publish: &PublishRef<'_>,
        pass: &mut Pass,
    ) -> Option<CommandReply> {
        if let Some(upload) = publish.upload {
            return self.publish_upload(session, publish, upload, pass);
        }
        let mut shortfall = Shortfall::default();
        self.receive(publish, publish.body_bytes, None, &mut shortfall, pass);
        shortfall.reply()
    }

    /// A publish whose body began in an upload, which it claims whatever comes of it.
    fn publish_upload(
        &mut self,
        session: SessionId,
        publish: &PublishRef<'_>,
        upload: u64,
        pass: &mut Pass,
    ) -> Option<CommandReply> {
        let known = self.sessions.session(session).and_then(|session| session.uploads.get(&upload));
        let Some(parts) = known.map(Upload::parts) else {
            return Some(CommandReply::Refused(Refusal::UnknownUpload));
        };
        let size = parts.bytes().saturating_add(u64::from(publish.body_bytes));
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let mut shortfall = Shortfall::default();
        self.receive(publish, size, Some(&parts), &mut shortfall, pass);
        self.abandon_upload(session, upload);
        shortfall.reply()
    }

    /// Puts a message with a body of `size` bytes into each of its queues that is here.
    #[inline]
    fn receive(
        &mut self,
        publish: &PublishRef<'_>,
        size: u32,
        parts: Option<&Arc<run::Parts>>,
        shortfall: &mut Shortfall,
        pass: &mut Pass,
    ) {
        let at = Location { index: pass.index, offset: publish.offset };
        for id in publish.queues() {
            let Some(place) = self.place_to_publish(id, pass) else {
                shortfall.missing.push(id);
                continue;
            };
            let arrival = Arrival {
                at,
                size,
                parts,
                expiration_ms: publish.expiration_ms,
                priority: publish.priority,
                delay_ms: publish.delay_ms.filter(|delay_ms| *delay_ms > 0),
            };
            if publish.letter.is_some_and(|letter| self.letters.has(id, letter)) {
                continue;
            }
            let key = publish.key_for(id);
            if key.is_some_and(|key| !self.is_fresh(place, key, shortfall, pass)) {
                continue;
            }
            let mut is_refused = false;
            let is_kept = self.enqueue(place, &arrival, &mut is_refused, pass);
            shortfall.is_refused |= is_refused;
            if let Some(key) = key.filter(|_| !is_refused) {
                self.remember(place, key);
            }
            if is_kept {
                if let Some(letter) = publish.letter {
                    self.letters.note(id, letter);
                }
                self.rows.hold_open(run::record_weight(publish.body_bytes));
                if let Some(parts) = parts {
                    self.rows.hold_parts(parts);
                }
            }
        }
    }

    /// Whether a queue has not taken a message of that key, and can remember that it does.
    fn is_fresh(
        &mut self,
        place: usize,
        key: DedupKey,
        shortfall: &mut Shortfall,
        pass: &mut Pass,
    ) -> bool {
        // What is over is forgotten by that, so that the queue comes up at another time.
        self.touch(place, pass);
        let now = self.clock.now;
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        let novelty = queue.novelty(key, now);
        shortfall.is_refused |= novelty == Novelty::Full;
        novelty == Novelty::Fresh
    }

    fn remember(&mut self, place: usize, key: DedupKey) {
        let now = self.clock.now;
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        queue.remember(key, now);
    }

    #[inline]
    fn place_to_publish(&self, id: QueueId, pass: &mut Pass) -> Option<usize> {
        if let Some((last, place)) = pass.last_queue
            && last == id
        {
            return Some(place);
        }
        let place = self.queues.place(id)?;
        pass.last_queue = Some((id, place));
        Some(place)
    }

    /// Puts a message into a queue. Returns whether it is in there, as dead perhaps.
    #[inline]
    fn enqueue(
        &mut self,
        place: usize,
        arrival: &Arrival<'_>,
        is_refused: &mut bool,
        pass: &mut Pass,
    ) -> bool {
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        if !queue.touched {
            queue.touched = true;
            pass.touched.push(place);
        }
        if queue.extend(arrival) {
            return true;
        }
        if let Some(delay_ms) = arrival.delay_ms {
            let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
            return queue.schedule(arrival, delay_ms, is_refused, &mut moment);
        }
        if queue.settings.overflow == Overflow::DropHead {
            queue.enqueue(arrival, self.clock);
            return true;
        }
        if queue.is_exceeded_by(arrival.size) {
            // Some may be given away, or be over their time.
            let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
            queue.deliver(pass.index, &mut moment, &mut pass.effects);
            if queue.is_exceeded_by(arrival.size) && !queue.is_passage_free() {
                *is_refused = true;
                return queue.refuse(arrival, &mut moment);
            }
        }
        queue.enqueue(arrival, self.clock);
        true
    }

    fn chunk(
        &mut self,
        session: SessionId,
        upload: u64,
        offset: u32,
        bytes: u32,
        pass: &Pass,
    ) -> Option<CommandReply> {
        // A fragment may have closed its own session.
        let session = self.sessions.session_mut(session)?;
        let at = Location { index: pass.index, offset };
        session.uploads.entry(upload).or_default().parts.push((at, bytes));
        self.rows.hold_open(run::record_weight(bytes));
        None
    }

    /// Drops an upload's own hold of its parts.
    fn abandon_upload(&mut self, session: SessionId, upload: u64) -> Option<CommandReply> {
        let upload = self.sessions.session_mut(session)?.uploads.remove(&upload)?;
        self.rows.release_parts(&upload.parts());
        None
    }

    fn close_session(&mut self, id: SessionId, pass: &mut Pass) -> Option<CommandReply> {
        let session = self.sessions.close(id)?;
        for seat in session.consumers.into_values() {
            self.lose_from(seat, pass);
        }
        for upload in session.uploads.into_values() {
            self.rows.release_parts(&upload.parts());
        }
        None
    }

    /// Has a queue looked at in the end.
    fn touch(&mut self, place: usize, pass: &mut Pass) {
        let Some(queue) = self.queues.at_mut(place) else { return };
        if !queue.touched {
            queue.touched = true;
            pass.touched.push(place);
        }
    }

    /// Gives away what the touched queues can give.
    fn deliver(&mut self, pass: &mut Pass) {
        for place in std::mem::take(&mut pass.touched) {
            // A queue may have ended since, and another have its place.
            let Some(queue) = self.queues.at_mut(place).filter(|queue| queue.touched) else {
                continue;
            };
            queue.touched = false;
            let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
            queue.deliver(pass.index, &mut moment, &mut pass.effects);
            queue.note_share(&mut self.totals);
            let due = queue.due();
            if due != queue.noted_due {
                self.timers.note(queue.id, queue.noted_due, due);
                queue.noted_due = due;
            }
        }
    }

    /// Where a consumer sits, if it is here.
    fn seat(&self, id: ConsumerId) -> Option<Seat> {
        self.sessions.seat(id)
    }
}
