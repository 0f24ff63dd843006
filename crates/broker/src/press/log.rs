//! Lines of the log as messages of `amq.rabbitmq.log`, with the level as their key.
//!
//! Only what operators are told by default goes there, `info` and above: publishing a line may
//! itself be worth a line at `debug`, and that one again.

use std::sync::Arc;

use bytes::Bytes;
use warren_amqp::header::Properties;
use warren_types::{Table, Value};

use super::{Bulletin, LOG_EXCHANGE, Press};
use crate::broker::{Broker, Inner};
use crate::queue::batch::wall_clock;

/// How bad what a line says is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// An operator must act.
    Error,
    /// Something is degraded.
    Warning,
    /// Life goes on.
    Info,
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Where whoever writes the log leaves a copy of its lines. Cheap to clone.
#[derive(Clone)]
pub struct LogSink {
    broker: Arc<Inner>,
}

impl LogSink {
    /// Whether somebody listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.broker.press.tells_log()
    }

    /// Has a line published, if somebody listens. Never waits: what comes too fast is dropped.
    pub fn tell(&self, level: LogLevel, content_type: &str, line: &str) {
        self.broker.press.tell_line(level, content_type, line);
    }
}

impl std::fmt::Debug for LogSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSink").finish_non_exhaustive()
    }
}

impl Broker {
    /// Where lines of the log can be left for those who listen to `amq.rabbitmq.log`.
    #[must_use]
    pub fn log_sink(&self) -> LogSink {
        LogSink { broker: self.inner().clone() }
    }
}

impl Press {
    fn tell_line(&self, level: LogLevel, content_type: &str, line: &str) {
        if !self.tells_log() {
            return;
        }
        let mut headers = Table::new();
        headers.insert("node", Value::text(self.node()));
        self.print(Bulletin {
            vhost: self.home.clone(),
            exchange: LOG_EXCHANGE,
            routing_key: level.as_str().to_owned(),
            properties: Properties {
                content_type: Some(content_type.to_owned()),
                headers: Some(headers),
                timestamp: Some(wall_clock().0 / 1000),
                ..Properties::default()
            },
            body: Bytes::copy_from_slice(line.as_bytes()),
        });
    }
}
