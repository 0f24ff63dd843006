//! I6: every publish is answered once, and nothing else is.
//!
//! What a transaction published is confirmed by its tx.commit-ok, and must never be seen after a rollback or
//! a connection that was lost before tx.commit was sent (I13).

use std::collections::{BTreeMap, HashMap};

use super::Spot;
use super::report::Report;
use super::world::Fact;
use crate::history::{Channel, Event, Message};

/// What waits for its confirm.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    channels: HashMap<Channel, Publishing>,
}

#[derive(Debug, Default)]
struct Publishing {
    /// The latest tag.
    last: u64,
    open: BTreeMap<u64, (Message, u64)>,
    /// Published without a tag: part of a transaction, or not to be confirmed.
    untagged: Vec<Message>,
    committing: bool,
    /// Messages that must come back before they are confirmed.
    unroutable: BTreeMap<Message, u64>,
}

impl Confirms {
    /// Sees the next line, and adds what it means for messages.
    pub(super) fn see(
        &mut self,
        spot: Spot,
        event: &Event,
        facts: &mut Vec<Fact>,
        report: &mut Report,
    ) {
        match event {
            Event::Publish { channel, tag, message, mandatory, queues, .. } => {
                let publishing = self.channels.entry(*channel).or_default();
                if *tag == 0 {
                    publishing.untagged.push(*message);
                } else {
                    publishing.last = *tag;
                    publishing.open.insert(*tag, (*message, spot.line));
                }
                if *mandatory && queues.is_empty() {
                    publishing.unroutable.insert(*message, spot.line);
                }
            }
            Event::Confirm { channel, tag, multiple, taken } => {
                let publishing = self.channels.entry(*channel).or_default();
                let name = format!("channel {channel}, line {}", spot.line);
                publishing.confirm(&name, *tag, *multiple, *taken, facts, report);
            }
            Event::Return { channel, message, .. } => {
                let publishing = self.channels.entry(*channel).or_default();
                publishing.unroutable.remove(message);
                let is_open = publishing.open.values().any(|(open, _)| open == message);
                if publishing.last > 0 && !is_open {
                    let line = spot.line;
                    report.blame(
                        "I6",
                        format!("message {message} came back (line {line}) after its confirm"),
                    );
                }
            }
            Event::Commit { channel } => {
                self.channels.entry(*channel).or_default().committing = true;
            }
            Event::Committed { channel } => {
                let publishing = self.channels.entry(*channel).or_default();
                publishing.committing = false;
                let done = publishing.untagged.drain(..);
                facts.extend(done.map(|message| Fact::Confirmed { message, taken: true }));
            }
            Event::RolledBack { channel } => {
                let publishing = self.channels.entry(*channel).or_default();
                facts.extend(publishing.untagged.drain(..).map(|message| Fact::Undone { message }));
            }
            Event::Lost { channel, .. } | Event::Closed { channel } => {
                // Whoever publishes without confirms and without tx.select never says Commit;
                // no workload does that.
                let publishing = self.channels.remove(channel).unwrap_or_default();
                if !publishing.committing {
                    let undone = publishing.untagged.into_iter();
                    facts.extend(undone.map(|message| Fact::Undone { message }));
                }
            }
            _ => {}
        }
    }
}

impl Publishing {
    fn confirm(
        &mut self,
        name: &str,
        tag: u64,
        multiple: bool,
        taken: bool,
        facts: &mut Vec<Fact>,
        report: &mut Report,
    ) {
        if tag == 0 || tag > self.last {
            let last = self.last;
            return report
                .blame("I6", format!("{name}: publish {tag} was answered, the last is {last}"));
        }
        if !self.open.contains_key(&tag) {
            return report.blame("I6", format!("{name}: publish {tag} was answered twice"));
        }
        let rest = self.open.split_off(&(tag + 1));
        let mut answered = std::mem::replace(&mut self.open, rest);
        if !multiple {
            let only = answered.split_off(&tag);
            self.open.append(&mut answered);
            answered = only;
        }
        for (message, line) in answered.into_values() {
            if taken && self.unroutable.remove(&message).is_some() {
                let text = format!(
                    "message {message} (line {line}) was confirmed ({name}) and did not come back"
                );
                report.blame("I13", text);
            }
            facts.push(Fact::Confirmed { message, taken });
        }
    }
}
