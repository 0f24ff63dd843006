//! Golden scripts: what a queue does by its settings, as text. See `testdata/scripts`.
//!
//! A line is a step; what it brings about stands below it, behind `>`. Invariants are checked after
//! every step. With `WARREN_FREEZE` set, what stands below is written anew.
//!
//! ```text
//! queue WORD…             makes the queue: `quorum`, `stream`, `auto-delete`, `NAME=VALUE`, …
//! configure WORD…         gives it other settings
//! publish BODY… [ttl=MS] [priority=N] [size=N]   all in one entry
//! consume N [prefetch=N] [priority=N] [timeout=MS] [exclusive] [no-ack]
//! get N | cancel N | detach N | touch | purge | delete | status
//! ack N FROM [TO] | nack … | reject … | reject-requeue … | release …
//! arrived FROM [TO]       dead letters have come where they go
//! wait MS                 time passes by the leader's clock, then a tick
//! clock MS                the leader's clock jumps (or another one's takes over), then a tick
//! due                     when the leader has to tick next
//! restart                 the machine is replaced by what its snapshot says
//! leader                  what a new leader owes
//! read FROM [messages=N] [bytes=N]   a page of a stream
//! since MS                among which offsets a stream goes on so long after the script began
//! stream                  how far a stream reaches
//! ```

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use warren_machine::Machine;
use warren_types::{ConsumerNumber, Timestamp};

use super::kit::{FRONT, Log, QUEUE, publish, settle, terms};
use crate::{
    Attach, Claim, ClaimKey, Command, CommandReply, DeadLetterStrategy, DeadLetterTarget,
    DeadRange, DeadSequence, DelayedRetry, DelayedRetryKind, DeliveryCounting, Effect,
    FragmentReply, Outcome, Overflow, Publish, QueueKind, QueueSettings,
};

/// When scripts begin, by the leader's clock.
const BEGINNING_MS: u64 = 1_000_000_000_000;

/// The words of a step.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    /// Those without a value.
    fn plain(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().copied().filter(|word| !word.contains('='))
    }

    fn has(&self, wanted: &str) -> bool {
        self.0.contains(&wanted)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.0.iter().filter_map(|word| word.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.text(name).map(|value| parsed(value))
    }

    fn at(&self, place: usize) -> u64 {
        self.0.get(place).map_or_else(|| panic!("a number is missing"), |word| parsed(word))
    }

    /// FROM [TO]
    fn range(&self, place: usize) -> (u64, u64) {
        let from = self.at(place);
        (from, self.0.get(place + 1).map_or(from, |word| parsed(word)))
    }
}

fn parsed<N: std::str::FromStr>(word: &str) -> N {
    word.parse().unwrap_or_else(|_| panic!("not a number: {word}"))
}

fn settings(words: &Words<'_>) -> QueueSettings {
    let retry = words.text("retry").map(|kind| match kind {
        "all" => DelayedRetryKind::All,
        "failed" => DelayedRetryKind::Failed,
        "returned" => DelayedRetryKind::Returned,
        other => panic!("no kind of retry: {other}"),
    });
    let min_ms = words.number("retry-min").unwrap_or_default();
    let max_ms = words.number("retry-max").unwrap_or(min_ms);
    QueueSettings {
        auto_delete: words.has("auto-delete"),
        single_active_consumer: words.has("single-active"),
        kind: match (words.has("quorum"), words.has("stream")) {
            (true, _) => QueueKind::Quorum,
            (_, true) => QueueKind::Stream,
            _ => QueueKind::Classic,
        },
        max_age_ms: words.number("max-age"),
        segment_bytes: words.number("segment"),
        message_ttl_ms: words.number("message-ttl"),
        expires_ms: words.number("expires"),
        max_length: words.number("max-length"),
        max_length_bytes: words.number("max-length-bytes"),
        overflow: match words.text("overflow") {
            None | Some("drop-head") => Overflow::DropHead,
            Some("reject-publish") => Overflow::RejectPublish,
            Some("reject-publish-dlx") => Overflow::RejectPublishDlx,
            Some(other) => panic!("no overflow: {other}"),
        },
        dead_letter: words.text("dead-letter").map(|exchange| {
            let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
            Arc::new(DeadLetterTarget {
                exchange: bytes(exchange),
                routing_key: words.text("dead-letter-key").map(bytes),
                strategy: match words.text("strategy") {
                    Some("at-least-once") => DeadLetterStrategy::AtLeastOnce,
                    _ => DeadLetterStrategy::AtMostOnce,
                },
            })
        }),
        delivery_limit: words.number("delivery-limit"),
        delivery_counting: match words.text("counting") {
            Some("4.0") => DeliveryCounting::Returns,
            _ => DeliveryCounting::Failures,
        },
        max_priority: words.number("max-priority"),
        consumer_timeout_ms: words.number("consumer-timeout"),
        leases: words.has("leases"),
        delayed_retry: retry.map(|kind| DelayedRetry { kind, min_ms, max_ms }),
        ..QueueSettings::PLAIN
    }
}

fn messages(words: &Words<'_>) -> Vec<Command> {
    let size = words.number("size").unwrap_or(1);
    let each = words.plain().skip(1).map(|body| {
        let mut body = body.as_bytes().to_vec();
        body.resize(body.len().max(size), b'.');
        let Command::Publish(message) = publish(&[QUEUE], &body) else { unreachable!() };
        Command::Publish(Publish {
            expiration_ms: words.number("ttl"),
            priority: words.number("priority"),
            delay_ms: words.number("delay"),
            ..message
        })
    });
    each.collect()
}

fn step(log: &mut Log, line: &str) -> String {
    let words = Words(line.split(' ').collect());
    let consumer = || ConsumerNumber(words.at(1));
    let queue = QUEUE;
    let command = match words.0[0] {
        "queue" => Command::CreateQueue { queue, settings: settings(&words) },
        "configure" => Command::ConfigureQueue { queue, settings: settings(&words) },
        "publish" => return outcome(log, &messages(&words)),
        "consume" => Command::Attach(Attach {
            prefetch: words.number("prefetch").unwrap_or_default(),
            priority: words.number("priority").unwrap_or_default(),
            timeout_ms: words.number("timeout"),
            claim: words.number("client").map(|client: u8| Claim {
                key: ClaimKey([client; 16]),
                connection: words.number("connection").unwrap_or(1),
                grace_ms: words.number("grace").unwrap_or(1000),
            }),
            exclusive: words.has("exclusive"),
            no_ack: words.has("no-ack"),
            ..terms(words.at(1))
        }),
        "get" => Command::Get { consumer: consumer(), queue, no_ack: false },
        "cancel" => Command::Cancel { consumer: consumer() },
        "detach" => Command::Detach { consumer: consumer() },
        "lose" => Command::Lose { consumer: consumer() },
        "touch" => Command::Touch { queue },
        "purge" => Command::PurgeQueue { queue },
        "delete" => Command::DeleteQueue { queue, if_unused: false, if_empty: false },
        "status" => Command::Status { queue },
        word @ ("ack" | "nack" | "reject" | "reject-requeue" | "release" | "extend") => {
            let (from, to) = words.range(2);
            settle(words.at(1), named_outcome(word), from, to)
        }
        "arrived" => {
            let (from, to) = words.range(1);
            let range = DeadRange { from: DeadSequence(from), to: DeadSequence(to) };
            Command::DeadSettled { queue, ranges: vec![range] }
        }
        "wait" => {
            log.time += words.at(1);
            Command::Tick
        }
        "clock" => {
            let jump: i64 = parsed(words.0[1]);
            log.time = log.time.checked_add_signed(jump).expect("within all time");
            Command::Tick
        }
        "due" => return due(log),
        "read" => return read(log, &words),
        "since" => return since(log, words.at(1)),
        "stream" => return reach(log),
        "restart" => {
            log.restart();
            return String::new();
        }
        "leader" => {
            log.effects = log.shard.take_over();
            return effects(log);
        }
        other => panic!("no step: {other}"),
    };
    outcome(log, &[command])
}

fn named_outcome(word: &str) -> Outcome {
    match word {
        "ack" => Outcome::Ack,
        "nack" => Outcome::Requeue,
        "reject" => Outcome::Reject,
        "reject-requeue" => Outcome::RejectRequeue,
        "extend" => Outcome::Extend,
        _ => Outcome::Release,
    }
}

fn read(log: &Log, words: &Words<'_>) -> String {
    let messages = words.number("messages").unwrap_or(usize::MAX);
    let bytes = words.number("bytes").unwrap_or(u64::MAX);
    let page = log.shard.stream_page(QUEUE, words.at(1), messages, bytes).expect("a stream");
    let bodies = log.rows.stream_bodies(&page);
    assert_eq!(u64::try_from(bodies.len()).expect("few"), page.messages);
    let mut text = String::new();
    for (offset, body) in (page.first_offset..).zip(bodies) {
        writeln!(text, "> {offset} {}", shown(&body)).expect("strings take all");
    }
    writeln!(text, "> next {}", page.next_offset).expect("strings take all");
    text
}

fn since(log: &Log, at: u64) -> String {
    let found = log.shard.stream_since(QUEUE, Timestamp(BEGINNING_MS + at)).expect("a stream");
    format!("> {} to {}\n", found.start, found.end)
}

fn reach(log: &Log) -> String {
    let Some(stream) = log.shard.stream(QUEUE) else { return "> no stream\n".to_owned() };
    let (first, last, next) = (stream.first_offset, stream.last_offset, stream.next_offset);
    let (bytes, segments) = (stream.bytes, stream.segments);
    format!("> {first} to {next}, last {last}, {bytes} bytes in {segments}\n")
}

fn due(log: &Log) -> String {
    match log.shard.next_deadline() {
        Some(due) => format!("> in {} ms\n", due.as_millis()),
        None => "> never\n".to_owned(),
    }
}

fn outcome(log: &mut Log, commands: &[Command]) -> String {
    let reply = log.all(FRONT, commands);
    let FragmentReply::Done(replies) = reply else { panic!("the session is open: {reply:?}") };
    let mut text = String::new();
    for (ordinal, reply) in replies {
        let told = match reply {
            CommandReply::Created { .. } | CommandReply::Attached => continue,
            CommandReply::Refused(refusal) => format!("refused {}: {refusal}", ordinal + 1),
            CommandReply::Got(got) => {
                let body = log.rows.body(got.location, &[], got.size);
                let counts = counts(got.acquired_count, got.delivery_count);
                format!("got #{} {}{counts}", got.sequence.0, shown(&body))
            }
            CommandReply::Empty => "empty".to_owned(),
            CommandReply::Deleted { messages } => format!("deleted {messages}"),
            CommandReply::Purged { messages } => format!("purged {messages}"),
            CommandReply::Status(status) => format!(
                "ready {}, unsettled {}, delayed {}, dead {}",
                status.ready, status.unsettled, status.delayed, status.dead
            ),
            CommandReply::Missing(_) => "missing".to_owned(),
        };
        writeln!(text, "> {told}").expect("strings take all");
    }
    text + &effects(log)
}

/// How often a message was given out and failed before, if ever.
fn counts(acquired: u32, failed: u32) -> String {
    if acquired == 0 { String::new() } else { format!(" again, given {acquired} failed {failed}") }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim_end_matches('.').to_owned()
}

fn effects(log: &Log) -> String {
    let mut text = String::new();
    for effect in &log.effects {
        match effect {
            Effect::Deliver(delivered) => {
                for one in log.rows.given(delivered) {
                    let counts = counts(one.acquired, one.failed);
                    let (consumer, body) = (one.consumer.number.0, shown(&one.body));
                    writeln!(text, "> to {consumer} #{} {body}{counts}", one.sequence)
                        .expect("strings take all");
                }
            }
            Effect::Cancelled { consumer, reason, .. } => {
                writeln!(text, "> cancelled {}: {reason:?}", consumer.number.0)
                    .expect("strings take all");
            }
            Effect::QueueEnded { reason, .. } => {
                writeln!(text, "> ended: {reason:?}").expect("strings take all");
            }
            Effect::DeadLetter(letters) => {
                let target = &letters.target;
                let key = target.routing_key.as_ref().map(|key| format!(" as {}", shown(key)));
                let way = format!("{}{}", shown(&target.exchange), key.unwrap_or_default());
                for letter in log.rows.letters(std::slice::from_ref(effect)) {
                    let (body, reason) = (shown(&letter.body), letter.reason);
                    writeln!(text, "> dead #{} {body} {reason} to {way}", letter.sequence)
                        .expect("strings take all");
                }
            }
        }
    }
    text
}

/// A shard without queues.
fn empty() -> Log {
    let mut log = Log::empty();
    // Far from the beginning of time, so that clocks can jump back.
    log.time = BEGINNING_MS;
    log.open(FRONT);
    log
}

fn played(script: &str) -> String {
    let mut log = empty();
    let mut text = String::new();
    for line in script.lines().filter(|line| !line.starts_with('>')) {
        writeln!(text, "{line}").expect("strings take all");
        // A script of several queues is several scripts.
        if line.starts_with("queue ") || line == "queue" {
            log = empty();
        }
        if !line.is_empty() && !line.starts_with('#') {
            text += &step(&mut log, line);
        }
    }
    text
}

fn scripts() -> Vec<PathBuf> {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let files = fs::read_dir(Path::new(&package).join("testdata/scripts")).expect("a folder");
    let mut scripts: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    scripts.sort();
    scripts
}

#[test]
fn queues_do_what_their_scripts_say() {
    let scripts = scripts();
    assert!(scripts.len() > 10, "they are found");
    for path in scripts {
        let script = fs::read_to_string(&path).expect("a text");

        let outcome = played(&script);

        if std::env::var_os("WARREN_FREEZE").is_some() {
            fs::write(&path, &outcome).expect("the script can be written");
            continue;
        }
        assert!(outcome == script, "{}: instead\n{outcome}", path.display());
    }
}
