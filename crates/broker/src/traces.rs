//! What happened to single messages, for those who trace them.
//!
//! A [`Tracer`] is handed the spans of messages whose clients trace them, or that were picked at
//! random, and passes them on to whoever exports them. A message carries its context in the headers
//! `traceparent` and `tracestate` of the W3C, so every node that has the message can continue
//! the trace; nothing is sent between nodes for it.
//!
//! **Always holds:** making a span never waits. What is made faster than it is exported is dropped
//! and counted.
//!
//! **Not here:** when spans begin and end (`connection/traced.rs`), how they leave the node
//! (`server`).

mod context;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::sync::mpsc;

pub(crate) use context::{Context, random_id};

/// Which messages are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Whether messages whose clients say whether they are traced are traced as these say.
    pub follows_clients: bool,
    /// The share of all others that is traced, from 0 to 1.
    pub ratio: f64,
}

/// What a span is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A client published a message; ends when all that follows from it is done.
    Publish,
    /// The message's queues were found.
    Route,
    /// A shard took the message: replicated, where the queue is.
    Commit,
    /// The message was written to a consumer's connection, or fetched.
    Deliver,
    /// A client settled the message; ends when its shard knows.
    Settle,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Something that happened to a message, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSpan {
    /// The trace it belongs to.
    pub trace: u128,
    /// Its own id.
    pub id: u64,
    /// What it follows from; 0 where it is the first of its trace.
    pub parent: u64,
    /// Whether the parent was made by a client.
    pub parent_is_remote: bool,
    /// What tracing systems have written beside the ids, as it came.
    pub state: String,
    /// What it is about.
    pub step: Step,
    /// Its name: the operation and what it was done to.
    pub name: String,
    /// When it began.
    pub begin: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What is known about it, by OpenTelemetry's names where it has some.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// What went wrong, if something did.
    pub failure: Option<&'static str>,
}

/// Where spans go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer {
    sampling: Sampling,
    sender: mpsc::Sender<TraceSpan>,
    dropped: Arc<AtomicU64>,
}

impl Tracer {
    /// A tracer, and where its spans arrive; at most `waiting_spans` of them wait there.
    ///
    /// # Panics
    /// When `waiting_spans` is 0.
    #[must_use]
    pub fn new(sampling: Sampling, waiting_spans: usize) -> (Self, mpsc::Receiver<TraceSpan>) {
        let (sender, spans) = mpsc::channel(waiting_spans);
        (Self { sampling, sender, dropped: Arc::default() }, spans)
    }

    /// Spans that were made while too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Passes a span on, or counts it as dropped.
    pub(crate) fn pass_on(&self, span: TraceSpan) {
        if self.sender.try_send(span).is_err() {
            self.count_dropped();
        }
    }

    /// Counts a span that was not even made.
    pub(crate) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The context of a message with these properties, if the message is traced.
    pub(crate) fn continued(&self, header: &[u8]) -> Option<Context> {
        Context::of_header(header).filter(|context| self.follows(context))
    }

    /// As [`Tracer::continued`], for a message that just came: it may be picked for a new trace.
    pub(crate) fn picked(&self, header: &[u8]) -> Option<Context> {
        match Context::of_header(header) {
            Some(context) => Some(context).filter(|context| self.follows(context)),
            None if self.sampling.ratio > 0.0 => {
                Some(Context::random()).filter(|context| self.is_drawn(context.trace))
            }
            None => None,
        }
    }

    fn follows(&self, context: &Context) -> bool {
        if self.sampling.follows_clients { context.sampled } else { self.is_drawn(context.trace) }
    }

    /// Whether a trace is among the share that is traced. Every node draws alike.
    fn is_drawn(&self, trace: u128) -> bool {
        // The last seven bytes are the random ones, by the W3C's second level.
        let drawn = u32::try_from((trace >> 24) & u128::from(u32::MAX)).expect("32 bits fit");
        f64::from(drawn) < self.sampling.ratio * (f64::from(u32::MAX) + 1.0)
    }
}

/// A span that has not ended. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct OpenSpan {
    tracer: Tracer,
    /// Taken when it ends.
    span: Option<TraceSpan>,
    /// The span that ends when this one has, and all others that it waits for.
    _parent: Option<Arc<OpenSpan>>,
}

impl OpenSpan {
    /// A span that begins at `begin` and follows from `context`.
    pub(crate) fn new(
        tracer: &Tracer,
        context: &Context,
        step: Step,
        name: String,
        begin: SystemTime,
    ) -> Self {
        let span = TraceSpan {
            trace: context.trace,
            id: random_id(),
            parent: context.parent,
            parent_is_remote: context.is_remote,
            state: context.state.clone(),
            step,
            name,
            begin,
            end: begin,
            attributes: Vec::new(),
            failure: None,
        };
        Self { tracer: tracer.clone(), span: Some(span), _parent: None }
    }

    /// The same with an id that was drawn before.
    pub(crate) fn called(mut self, id: u64) -> Self {
        if let Some(span) = &mut self.span {
            span.id = id;
        }
        self
    }

    /// The same with more known about it.
    pub(crate) fn with(
        mut self,
        attributes: impl IntoIterator<Item = (&'static str, Attribute)>,
    ) -> Self {
        if let Some(span) = &mut self.span {
            span.attributes.extend(attributes);
        }
        self
    }

    /// The same; `parent` does not end before it does.
    pub(crate) fn within(mut self, parent: &Arc<Self>) -> Self {
        self._parent = Some(parent.clone());
        self
    }

    /// Notes what went wrong, unless something did before.
    pub(crate) fn fail(&mut self, why: &'static str) {
        if let Some(span) = &mut self.span {
            span.failure = span.failure.or(Some(why));
        }
    }

    /// What follows from the span.
    pub(crate) fn context(&self) -> Context {
        let span = self.span.as_ref().expect("a span that has not ended is there");
        Context {
            trace: span.trace,
            parent: span.id,
            state: span.state.clone(),
            sampled: true,
            is_remote: false,
        }
    }

    /// Ends the span at `end`.
    pub(crate) fn end_at(mut self, end: SystemTime) {
        self.finish(end);
    }

    fn finish(&mut self, end: SystemTime) {
        if let Some(mut span) = self.span.take() {
            // The clock may have been set back.
            span.end = end.max(span.begin);
            self.tracer.pass_on(span);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.finish(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: Context = Context {
        trace: 1 << 100,
        parent: 7,
        state: String::new(),
        sampled: true,
        is_remote: true,
    };

    fn tracer(ratio: f64) -> (Tracer, mpsc::Receiver<TraceSpan>) {
        Tracer::new(Sampling { follows_clients: true, ratio }, 2)
    }

    fn open(tracer: &Tracer) -> OpenSpan {
        OpenSpan::new(tracer, &SAMPLED, Step::Publish, "publish q".to_owned(), SystemTime::now())
    }

    #[test]
    fn what_is_made_faster_than_it_is_taken_is_dropped_and_counted() {
        let (tracer, mut spans) = tracer(0.0);

        for _ in 0..5 {
            drop(open(&tracer));
        }

        assert_eq!(tracer.dropped(), 3);
        assert!(spans.try_recv().is_ok() && spans.try_recv().is_ok() && spans.try_recv().is_err());
    }

    #[test]
    fn a_span_ends_after_all_that_it_waits_for() {
        let (tracer, mut spans) = tracer(0.0);
        let publish = Arc::new(open(&tracer));
        let context = publish.context();
        let now = SystemTime::now();
        let commit = OpenSpan::new(&tracer, &context, Step::Commit, String::new(), now);
        let commit = commit.within(&publish);

        drop(publish);
        assert!(spans.try_recv().is_err());
        drop(commit);

        let [commit, publish] = [spans.try_recv(), spans.try_recv()].map(Result::unwrap);
        assert_eq!((commit.step, publish.step), (Step::Commit, Step::Publish));
        assert_eq!((commit.parent, commit.parent_is_remote), (publish.id, false));
        assert_eq!((publish.parent, publish.parent_is_remote), (7, true));
    }

    #[test]
    fn a_share_of_the_messages_without_a_trace_is_picked() {
        let picked = |ratio| {
            let (tracer, _spans) = tracer(ratio);
            (0..1000).filter(|_| tracer.picked(&[0, 0]).is_some()).count()
        };

        assert_eq!([picked(0.0), picked(1.0)], [0, 1000]);
        assert!((350..650).contains(&picked(0.5)));
    }
}
