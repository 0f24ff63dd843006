//! Why a queue's messages move, or why they do not.

use std::collections::BTreeMap;

use warren_catalog::{Overflow, Queue, QueueKind};

use super::rows::{ChannelRow, ConsumerRow, HolderRow, QueueDetail, QueueFigures};
use crate::admin::AdminError;
use crate::broker::Broker;

/// Consumers that a finding names one by one; the rest are counted.
const NAMED_CONSUMERS: usize = 10;

/// How it stands with a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Messages are taken.
    Moving,
    /// There is nothing to be taken.
    Idle,
    /// Somebody else has the next move: consumers, mostly.
    Waiting,
    /// It cannot go on until something is mended.
    Stuck,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// It keeps messages waiting.
    Warning,
    /// Nothing goes on.
    Critical,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What sort of thing it is, for programs.
    pub code: &'static str,
    /// What it is, in words.
    pub text: String,
    /// What would change it.
    pub advice: Option<String>,
}

/// Something that is so.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A number.
    Number(u64),
    /// Words.
    Text(String),
    /// Several.
    List(Vec<String>),
}

/// Why a queue's messages move, or why they do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// One sentence.
    pub summary: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
    /// What is so.
    pub facts: BTreeMap<&'static str, Fact>,
}

/// What an explanation is made of.
struct Evidence {
    queue: std::sync::Arc<Queue>,
    members: Vec<(String, bool)>,
    detail: Option<QueueDetail>,
    leader: Option<String>,
    consumers: Vec<ConsumerRow>,
    channels: Vec<ChannelRow>,
    stale: Vec<String>,
}

impl Broker {
    /// Why the messages of a queue move, or why they do not.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn explain(&self, vhost: &str, queue: &str) -> Result<Explanation, AdminError> {
        let found = self.look(|catalog| catalog.queue(vhost, queue).cloned());
        let found = match found {
            Some(found) => Some(found),
            None => self.look_fresh(|catalog| catalog.queue(vhost, queue).cloned()).await?,
        };
        let Some(row) = found else {
            let text = format!("NOT_FOUND - no queue '{queue}' in vhost '{vhost}'");
            return Err(AdminError::Refused { code: 404, text });
        };
        let (detail, consumers, channels) =
            tokio::join!(self.queue_detail(row.id), self.consumers(), self.channels());
        let detail = detail.rows.into_iter().next();
        let leader = detail.as_ref().and_then(|detail| self.node_name(detail.figures.leader));
        let mut mine = consumers.rows;
        mine.retain(|consumer| consumer.queue == row.id);
        let evidence = Evidence {
            members: self.members(&row),
            queue: row,
            detail,
            leader,
            consumers: mine,
            channels: channels.rows,
            stale: consumers.stale,
        };
        Ok(evidence.explain())
    }
}

impl Evidence {
    fn explain(&self) -> Explanation {
        let mut findings = self.about_nodes();
        match &self.detail {
            Some(detail) if self.is_stream() => findings.extend(self.about_readers(detail)),
            Some(detail) => {
                findings.extend(self.about_messages(&detail.figures));
                findings.extend(self.about_consumers(detail));
            }
            None => {}
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let verdict = self.verdict(&findings);
        let summary = self.summary(verdict, &findings);
        Explanation { summary, verdict, findings, facts: self.facts() }
    }

    fn is_stream(&self) -> bool {
        self.queue.kind == QueueKind::Stream
    }

    fn verdict(&self, findings: &[Finding]) -> Verdict {
        let Some(detail) = &self.detail else { return Verdict::Stuck };
        let gravest = findings.first().map(|finding| finding.severity);
        let figures = &detail.figures;
        match gravest {
            Some(Severity::Critical) => Verdict::Stuck,
            Some(Severity::Warning) => Verdict::Waiting,
            // A stream has its messages whether anybody reads them or not.
            Some(Severity::Info) | None if self.is_stream() && self.consumers.is_empty() => {
                Verdict::Idle
            }
            Some(Severity::Info) | None if figures.ready > 0 => Verdict::Moving,
            Some(Severity::Info) | None if figures.unacknowledged > 0 => Verdict::Moving,
            Some(Severity::Info) | None => Verdict::Idle,
        }
    }

    fn summary(&self, verdict: Verdict, findings: &[Finding]) -> String {
        let cause = findings.first().map(|finding| finding.text.clone());
        let is_empty = self.detail.as_ref().is_none_or(|detail| detail.figures.ready == 0);
        match verdict {
            Verdict::Idle if self.is_stream() && !is_empty => "Nobody reads the stream.".to_owned(),
            Verdict::Moving if self.is_stream() => "The stream is read.".to_owned(),
            Verdict::Idle => "The queue is empty.".to_owned(),
            Verdict::Moving => "Messages are being delivered.".to_owned(),
            Verdict::Waiting | Verdict::Stuck => {
                let cause = cause.unwrap_or_else(|| "nobody leads the queue".to_owned());
                let mut letters = cause.chars();
                let first = letters.next().map(|first| first.to_uppercase().to_string());
                format!("{}{}.", first.unwrap_or_default(), letters.as_str())
            }
        }
    }

    /// Leaders, replicas and nodes that do not answer.
    fn about_nodes(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let down: Vec<&str> =
            self.members.iter().filter(|(_, online)| !online).map(|(name, _)| &**name).collect();
        let majority = self.members.len() / 2 + 1;
        let online = self.members.len().saturating_sub(down.len());
        if online < majority {
            findings.push(Finding {
                severity: Severity::Critical,
                code: "quorum_lost",
                text: format!(
                    "{online} of {} replicas run and {majority} are needed: publishes wait, and \
                     nothing is delivered",
                    self.members.len()
                ),
                advice: Some(format!("start {}", down.join(", "))),
            });
        } else if !down.is_empty() {
            findings.push(Finding {
                severity: Severity::Info,
                code: "replicas_down",
                text: format!("the replicas on {} do not run", down.join(", ")),
                advice: None,
            });
        }
        if self.detail.is_none() && online >= majority {
            findings.push(Finding {
                severity: Severity::Critical,
                code: "no_leader",
                text:
                    "no node that answers leads the queue; one is elected within seconds, unless \
                       nodes cannot reach each other"
                        .to_owned(),
                advice: Some("look again; then look at the nodes' logs".to_owned()),
            });
        }
        if !self.stale.is_empty() {
            findings.push(Finding {
                severity: Severity::Info,
                code: "nodes_silent",
                text: format!(
                    "{} did not answer: consumers there are not in the picture",
                    self.stale.join(", ")
                ),
                advice: None,
            });
        }
        findings
    }

    /// What waits, and what the queue's own rules do to it.
    fn about_messages(&self, figures: &QueueFigures) -> Vec<Finding> {
        let mut findings = Vec::new();
        let rules = &self.queue.settings;
        let full = rules.max_length.is_some_and(|limit| figures.ready >= limit)
            || rules.max_length_bytes.is_some_and(|limit| figures.ready_bytes >= limit);
        if full {
            let (severity, code, text) = match rules.overflow {
                Overflow::DropHead => (
                    Severity::Info,
                    "drops_head",
                    "the queue is full: its oldest messages give way",
                ),
                Overflow::RejectPublish | Overflow::RejectPublishDlx => (
                    Severity::Warning,
                    "refuses_publishes",
                    "the queue is full and refuses publishes",
                ),
            };
            findings.push(plain(severity, code, text.to_owned()));
        }
        if figures.delayed > 0 {
            let text = format!("{} returned messages wait for their time", figures.delayed);
            findings.push(plain(Severity::Info, "delayed", text));
        }
        if figures.dead > 0 {
            let text = format!("{} dead messages have not arrived where they go", figures.dead);
            findings.push(Finding {
                severity: Severity::Info,
                code: "dead_letters_wait",
                text,
                advice: Some("look at the queue behind the dead letter exchange".to_owned()),
            });
        }
        if let Some(ttl_ms) = rules.message_ttl_ms {
            let text = format!("messages that wait for {ttl_ms} ms expire");
            findings.push(plain(Severity::Info, "expires_messages", text));
        }
        findings
    }

    /// Who takes messages, and what keeps them from it.
    fn about_consumers(&self, detail: &QueueDetail) -> Vec<Finding> {
        let figures = &detail.figures;
        if figures.ready == 0 {
            return Vec::new();
        }
        let takers: Vec<&HolderRow> =
            detail.holders.iter().filter(|one| !one.is_getter && !one.cancelled).collect();
        if takers.is_empty() {
            let text = format!("{} messages wait and there is no consumer", figures.ready);
            return vec![Finding {
                severity: Severity::Warning,
                code: "no_consumers",
                text,
                advice: Some("start a consumer".to_owned()),
            }];
        }
        let mut findings = Vec::new();
        let single = self.queue.settings.single_active_consumer;
        let served: Vec<&HolderRow> = takers.iter().copied().filter(|one| one.active).collect();
        if single && takers.len() > served.len() {
            let waiting = takers.len().saturating_sub(served.len());
            let text = format!("{waiting} consumers wait for the single active one to go");
            findings.push(plain(Severity::Info, "single_active_consumer", text));
        }
        if served.iter().all(|one| one.capacity == 0) {
            findings.push(self.full_prefetch(&served));
        }
        findings
    }

    /// Who reads a stream, and who cannot go on.
    fn about_readers(&self, detail: &QueueDetail) -> Vec<Finding> {
        let messages = detail.figures.ready;
        if self.consumers.is_empty() {
            let text =
                format!("nobody reads the stream; it keeps {messages} messages all the same");
            return vec![plain(Severity::Info, "no_consumers", text)];
        }
        let is_full =
            |one: &&ConsumerRow| one.messages_unacknowledged >= u64::from(one.prefetch_count);
        let full: Vec<&ConsumerRow> = self.consumers.iter().filter(is_full).collect();
        if full.is_empty() {
            return Vec::new();
        }
        let named: Vec<String> = full
            .iter()
            .take(NAMED_CONSUMERS)
            .map(|one| format!("'{}' on {} ({})", one.tag, one.connection_name, one.channel))
            .collect();
        let rest = full.len().saturating_sub(named.len());
        let more = if rest > 0 { format!("; {rest} more") } else { String::new() };
        // Each reads for itself: one that has stopped keeps nobody else waiting.
        let all = full.len() == self.consumers.len();
        vec![Finding {
            severity: if all { Severity::Warning } else { Severity::Info },
            code: "prefetch_full",
            text: format!(
                "{} of {} readers have as many unacknowledged messages as they may: {}{more}",
                full.len(),
                self.consumers.len(),
                named.join("; ")
            ),
            advice: Some(
                "the clients have to acknowledge what they have, or be given a larger prefetch"
                    .to_owned(),
            ),
        }]
    }

    fn full_prefetch(&self, served: &[&HolderRow]) -> Finding {
        let named = served.iter().take(NAMED_CONSUMERS).map(|one| self.introduce(one));
        let mut named: Vec<String> = named.collect();
        let rest = served.len().saturating_sub(named.len());
        if rest > 0 {
            named.push(format!("{rest} more"));
        }
        let held: u64 = served.iter().map(|one| one.unacknowledged).sum();
        let text = format!(
            "no consumer takes more: {held} messages are unacknowledged with {}",
            named.join("; ")
        );
        let slow = served.iter().all(|one| !one.ack_required);
        let advice = if slow {
            "the clients do not read what was sent to them"
        } else {
            "the clients have to acknowledge what they have, or be given a larger prefetch"
        };
        let advice = Some(advice.to_owned());
        Finding { severity: Severity::Warning, code: "prefetch_full", text, advice }
    }

    /// A consumer in words.
    fn introduce(&self, holder: &HolderRow) -> String {
        let is_it = |one: &&ConsumerRow| (one.node, one.consumer) == (holder.node, holder.consumer);
        let limit = match holder.prefetch {
            0 => String::new(),
            limit => format!(" of {limit}"),
        };
        let held = holder.unacknowledged;
        let Some(known) = self.consumers.iter().find(is_it) else {
            return format!("'{}' ({held}{limit})", holder.tag);
        };
        let channel = self.channels.iter().find(|channel| {
            (channel.node, channel.connection, channel.number)
                == (known.node, known.connection, known.channel)
        });
        let whole = channel.filter(|channel| channel.global_prefetch_count > 0).map(|channel| {
            let (held, limit) = (channel.messages_unacknowledged, channel.global_prefetch_count);
            format!(", its channel {held} of {limit}")
        });
        let whole = whole.unwrap_or_default();
        let (tag, connection, number) = (&known.tag, &known.connection_name, known.channel);
        format!("'{tag}' on {connection} ({number}) ({held}{limit}{whole})")
    }

    fn facts(&self) -> BTreeMap<&'static str, Fact> {
        let mut facts = BTreeMap::new();
        let (mut online, mut all) = (Vec::new(), Vec::new());
        for (name, runs) in &self.members {
            all.push(name.clone());
            if *runs {
                online.push(name.clone());
            }
        }
        facts.insert("members", Fact::List(all));
        facts.insert("online", Fact::List(online));
        if let Some(leader) = &self.leader {
            facts.insert("leader", Fact::Text(leader.clone()));
        }
        if let Some(QueueDetail { figures, head_age_ms, .. }) = &self.detail {
            facts.insert("messages_ready", Fact::Number(figures.ready));
            facts.insert("messages_unacknowledged", Fact::Number(figures.unacknowledged));
            facts.insert("messages_delayed", Fact::Number(figures.delayed));
            facts.insert("messages_dead", Fact::Number(figures.dead));
            facts.insert("consumers", Fact::Number(u64::from(figures.consumers)));
            if let Some(age_ms) = head_age_ms {
                facts.insert("oldest_ready_ms", Fact::Number(*age_ms));
            }
        }
        facts
    }
}

fn plain(severity: Severity, code: &'static str, text: String) -> Finding {
    Finding { severity, code, text, advice: None }
}
