//! What the node says about itself, line by line, on stderr.

use std::fmt::{Debug, Write as _};
use std::io::{self, IsTerminal as _};
use std::sync::{OnceLock, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};
use warren_broker::{LogLevel, LogSink};

use crate::config::{LogFormat, LogSection};

/// What lines `text` lets through.
///
/// # Errors
/// When it is no filter.
pub fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(text)
}

/// Lets log lines out, from here on and for the whole process.
///
/// # Panics
/// When it is called twice, or with a filter that was not checked.
pub fn start(config: &LogSection) {
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match config.format {
        LogFormat::Human => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let filter = filter(&config.filter).expect("the configuration was checked");
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry().with(filter).with(lines).with(Copies).init();
    // It is called once.
    let _first = FILTER.set(handle);
}

/// Where the filter can be changed, once there are lines.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Lets those lines out that `text` lets through, from here on.
///
/// # Panics
/// With a filter that was not checked.
pub fn set_filter(text: &str) {
    let filter = filter(text).expect("the configuration was checked");
    if let Some(handle) = FILTER.get() {
        handle.reload(filter).expect("the subscriber lives as long as the process");
    }
}

/// Where copies of the lines go while a broker runs.
static SINK: RwLock<Option<LogSink>> = RwLock::new(None);

/// Has the lines published as well, from here on; without a sink they are not.
pub fn copy_to(sink: Option<LogSink>) {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
}

/// Leaves copies of the lines with the broker, for those who listen to `amq.rabbitmq.log`.
struct Copies;

impl<S: Subscriber> Layer<S> for Copies {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warning,
            Level::INFO => LogLevel::Info,
            // Publishing a line may be worth such a line, and that one again.
            _ => return,
        };
        // Whoever changes the sink logs nothing meanwhile.
        let Ok(sink) = SINK.try_read() else { return };
        if let Some(sink) = sink.as_ref().filter(|sink| sink.is_heard()) {
            let mut line = Line::default();
            event.record(&mut line);
            sink.tell(level, "text/plain", &line.text());
        }
    }
}

/// A line in the making: what it says, and what it names.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn text(self) -> String {
        let Self { message, fields } = self;
        if message.is_empty() { fields.trim_start().to_owned() } else { message + &fields }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// `error` and what it came from, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
