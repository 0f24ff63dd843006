//! Front ends that lose answers, repeat what they asked in rounds that overlap, and have their
//! sessions closed: every fragment is done once, and is answered as it was then.
//!
//! `WARREN_HISTORIES` says how many histories, `WARREN_SEED` where to begin. A failure names its seed.

use std::collections::{BTreeMap, VecDeque};

use warren_types::{ConsumerNumber, QueueId, SessionId};

use super::histories::{Dice, play_histories};
use super::kit::{FRONT, Log, QUEUE, publish, session};
use crate::{Command, CommandReply, FragmentReply};

/// Steps before everything calms down.
const STEPS: u64 = 120;

/// Rounds that a front end may need in the calm: one that finds its session closed, one that opens
/// it, and one that repeats behind a gap.
const CALM_ROUNDS: u64 = 3;

/// A queue that does not exist.
const NOWHERE: QueueId = QueueId(99);

#[test]
fn histories_of_doubt_end_with_everything_done_once() {
    play_histories(|seed| History::new(seed).play());
}

/// What travels from a front end to the leader.
#[derive(Clone, Debug)]
struct Outgoing {
    sequence: u64,
    heard: u64,
    commands: Vec<Command>,
}

/// What travels while a round lasts, and may arrive after it. Each way keeps its order.
#[derive(Debug, Default)]
struct Wire {
    there: VecDeque<Outgoing>,
    back: VecDeque<(u64, FragmentReply)>,
}

/// A front end, as the broker has it.
#[derive(Debug)]
struct Front {
    session: SessionId,
    last: u64,
    /// Those behind `last - pending.len()`, with the answer where it has come.
    pending: VecDeque<(Vec<Command>, Option<FragmentReply>)>,
    /// All answers, by number.
    answers: BTreeMap<u64, FragmentReply>,
    wires: Vec<Wire>,
    /// How many of `pending` were given out in this round.
    out: usize,
    is_open: bool,
    opener_due: bool,
    opener: Option<u64>,
    wants_round: bool,
}

impl Front {
    fn new(session: SessionId) -> Self {
        Self {
            session,
            last: 0,
            pending: VecDeque::new(),
            answers: BTreeMap::new(),
            wires: vec![Wire::default()],
            out: 0,
            is_open: false,
            opener_due: true,
            opener: None,
            wants_round: false,
        }
    }

    fn heard(&self) -> u64 {
        self.last - u64::try_from(self.pending.len()).unwrap()
    }

    fn give_out(&mut self) {
        let heard = self.heard();
        let outgoing = if self.opener_due {
            self.opener_due = false;
            self.opener = Some(heard);
            Outgoing { sequence: heard, heard, commands: vec![Command::OpenSession] }
        } else {
            let Some((commands, _)) = self.pending.get(self.out) else { return };
            self.out += 1;
            let sequence = heard + u64::try_from(self.out).unwrap();
            Outgoing { sequence, heard, commands: commands.clone() }
        };
        self.wires.last_mut().unwrap().there.push_back(outgoing);
    }

    fn begin_round(&mut self) {
        self.wires.push(Wire::default());
        (self.out, self.opener_due, self.opener) = (0, !self.is_open, None);
        self.wants_round = false;
    }

    fn answered(&mut self, wire: usize, sequence: u64, reply: FragmentReply) {
        let is_current = wire + 1 == self.wires.len();
        match reply {
            FragmentReply::Done(_) | FragmentReply::Duplicate => {
                if is_current && self.opener == Some(sequence) {
                    self.is_open = true;
                } else {
                    self.hand_over(sequence, reply);
                }
            }
            FragmentReply::Gap { .. } => self.wants_round |= is_current,
            FragmentReply::UnknownSession if is_current => {
                (self.is_open, self.wants_round) = (false, true);
            }
            FragmentReply::UnknownSession => {}
        }
    }

    fn hand_over(&mut self, sequence: u64, reply: FragmentReply) {
        let Some(at) = sequence.checked_sub(self.heard() + 1) else { return };
        let (_, answer) = &mut self.pending[usize::try_from(at).unwrap()];
        if let Some(known) = answer {
            assert_eq!(*known, reply, "request {sequence} has two answers");
        }
        *answer = Some(reply);
        while let Some((_, Some(answer))) = self.pending.front() {
            self.answers.insert(self.heard() + 1, answer.clone());
            self.pending.pop_front();
            self.out = self.out.saturating_sub(1);
        }
    }
}

struct History {
    dice: Dice,
    log: Log,
    fronts: Vec<Front>,
    /// What each request was answered when it was first done.
    firsts: BTreeMap<(SessionId, u64), FragmentReply>,
}

impl History {
    fn new(seed: u64) -> Self {
        let fronts = (2..=4).map(|node| Front::new(session(node, 1))).collect();
        Self { dice: Dice(seed), log: Log::default(), fronts, firsts: BTreeMap::new() }
    }

    fn play(mut self) {
        for _ in 0..STEPS {
            self.step();
        }
        self.calm_down();
        self.judge();
    }

    fn step(&mut self) {
        let at = self.side(self.fronts.len());
        match self.dice.roll(24) {
            0..5 => self.accept(at),
            5..12 => self.fronts[at].give_out(),
            12..17 => self.propose(at),
            17..20 => self.listen(at),
            20 => self.fronts[at].begin_round(),
            21 if self.dice.one_in(3) => self.close(at),
            21 => self.lose(at),
            22 if self.dice.one_in(8) => self.boot(at),
            22 => self.log.restart(),
            _ if self.fronts[at].wants_round => self.fronts[at].begin_round(),
            _ => {}
        }
    }

    /// A fragment that leaves a trace, with an answer that depends on when it is done.
    fn accept(&mut self, at: usize) {
        let front = &mut self.fronts[at];
        front.last += 1;
        let mark = [front.session.node.0, front.session.boot.0, front.last];
        let mark: Vec<u8> = mark.iter().flat_map(|number| number.to_be_bytes()).collect();
        let mut commands = vec![publish(&[QUEUE], &mark)];
        match self.dice.roll(4) {
            0 => commands.push(Command::Status { queue: QUEUE }),
            1 => commands.push(publish(&[NOWHERE], b"nowhere")),
            _ => {}
        }
        front.pending.push_back((commands, None));
    }

    /// Puts what has arrived into an entry: of this round, or of an earlier one.
    fn propose(&mut self, at: usize) {
        let wire = self.wire(at);
        for _ in 0..=self.dice.roll(3) {
            let front = &mut self.fronts[at];
            let Some(Outgoing { sequence, heard, commands }) = front.wires[wire].there.pop_front()
            else {
                return;
            };
            let session = front.session;
            let reply = self.log.fragment_heard(session, (sequence, heard), &commands);
            self.remember(session, sequence, &commands, &reply);
            self.fronts[at].wires[wire].back.push_back((sequence, reply));
        }
    }

    fn remember(
        &mut self,
        session: SessionId,
        sequence: u64,
        commands: &[Command],
        reply: &FragmentReply,
    ) {
        if commands[0] == Command::OpenSession || !matches!(reply, FragmentReply::Done(_)) {
            return;
        }
        let first = self.firsts.entry((session, sequence)).or_insert_with(|| reply.clone());
        assert_eq!(first, reply, "request {sequence} of {session} is answered in two ways");
    }

    fn listen(&mut self, at: usize) {
        let wire = self.wire(at);
        for _ in 0..=self.dice.roll(3) {
            let front = &mut self.fronts[at];
            let Some((sequence, reply)) = front.wires[wire].back.pop_front() else { return };
            front.answered(wire, sequence, reply);
        }
    }

    /// Something is lost on the way there, or on the way back.
    fn lose(&mut self, at: usize) {
        let wire = self.wire(at);
        let wire = &mut self.fronts[at].wires[wire];
        match self.dice.roll(4) {
            0 => drop(wire.there.pop_front()),
            1 => wire.there.clear(),
            2 => drop(wire.back.pop_front()),
            _ => wire.back.clear(),
        }
    }

    fn close(&mut self, at: usize) {
        let session = self.fronts[at].session;
        self.log.fragment(SessionId::LEADER, 0, &[Command::CloseSession { session }]);
    }

    /// A node begins again and has forgotten everything. What it sent may still arrive.
    fn boot(&mut self, at: usize) {
        let SessionId { node, boot } = self.fronts[at].session;
        let later = Front::new(session(node.0, boot.0 + 1));
        let mut former = std::mem::replace(&mut self.fronts[at], later);
        let session = former.session;
        for wire in &mut former.wires {
            while let Some(Outgoing { sequence, heard, commands }) = wire.there.pop_front() {
                if self.dice.one_in(3) {
                    let reply = self.log.fragment_heard(session, (sequence, heard), &commands);
                    self.remember(session, sequence, &commands, &reply);
                }
            }
        }
    }

    /// No more is lost: everybody is answered in a few rounds.
    fn calm_down(&mut self) {
        for at in 0..self.fronts.len() {
            self.close(at);
            for _ in 0..CALM_ROUNDS {
                self.fronts[at].begin_round();
                for _ in 0..=STEPS {
                    self.fronts[at].give_out();
                }
                let wire = self.fronts[at].wires.len() - 1;
                let arrived = std::mem::take(&mut self.fronts[at].wires[wire].there);
                for Outgoing { sequence, heard, commands } in arrived {
                    let session = self.fronts[at].session;
                    let reply = self.log.fragment_heard(session, (sequence, heard), &commands);
                    self.remember(session, sequence, &commands, &reply);
                    self.fronts[at].answered(wire, sequence, reply);
                }
            }
            assert_eq!(self.fronts[at].pending.len(), 0, "requests wait in vain");
        }
    }

    fn judge(&mut self) {
        for front in &self.fronts {
            for sequence in 1..=front.last {
                let first = self.firsts.get(&(front.session, sequence));
                assert_eq!(front.answers.get(&sequence), first, "request {sequence}");
            }
        }
        let mut done: Vec<(SessionId, u64)> = vec![];
        let get = Command::Get { consumer: ConsumerNumber(9), queue: QUEUE, no_ack: false };
        while let Some(CommandReply::Got(got)) = self.log.by(FRONT, get.clone()) {
            let body = self.log.rows.body(got.location, &[], got.size);
            let mut mark =
                body.chunks(8).map(|eight| u64::from_be_bytes(eight.try_into().unwrap()));
            let mut next = || mark.next().unwrap();
            done.push((session(next(), next()), next()));
        }
        let mut in_order = done.clone();
        in_order.sort_by_key(|(session, _)| *session);
        assert!(in_order.is_sorted(), "of one session, in the order in which it asked");
        let known: Vec<(SessionId, u64)> = self.firsts.keys().copied().collect();
        assert_eq!(in_order, known, "each is done once");
    }

    /// Mostly the last round's.
    fn wire(&mut self, at: usize) -> usize {
        let wires = self.fronts[at].wires.len();
        if self.dice.one_in(3) { self.side(wires) } else { wires - 1 }
    }

    fn side(&mut self, sides: usize) -> usize {
        usize::try_from(self.dice.roll(u64::try_from(sides).unwrap())).unwrap()
    }
}
