//! Sends the spans of traced messages to an OpenTelemetry collector.
//!
//! The broker makes the spans ([`Tracer`]) and a task here sends them in batches, with OTLP in
//! protobuf over HTTP. **Always holds:** nobody waits for the collector. Spans for which there is
//! no room, and those that it does not take, are counted and forgotten.
//!
//! **Not here:** which messages are traced, and what is said about them (`warren_broker`).

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
pub use opentelemetry_otlp::ExporterBuildError as TelemetryError;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use warren_broker::{Attribute, Sampling, Step, TraceSpan, Tracer};
use warren_management::TraceTotals;

use crate::config::{Sampler, TracingSection};
use crate::logging::chain;
use crate::settings::Names;
use crate::version;

/// Spans that are sent together.
const BATCH_SPANS: usize = 512;

/// How long spans wait for others to be sent with.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// How long sending one batch may take, further tries included.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// The path at which collectors take spans.
const TRACES_PATH: &str = "/v1/traces";

/// What became of spans.
#[derive(Debug, Default)]
struct Figures {
    exported: AtomicU64,
    failed: AtomicU64,
}

/// The way of spans out of the node, for those who look at it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Telemetry {
    tracer: Tracer,
    figures: Arc<Figures>,
}

/// The task that sends spans.
#[derive(Debug)]
pub struct Sender {
    spans: mpsc::Receiver<TraceSpan>,
    exporter: SpanExporter,
    scope: InstrumentationScope,
    figures: Arc<Figures>,
    /// Whether the last batch was not taken, which was logged.
    is_failing: bool,
}

impl Telemetry {
    /// The way to the collector, and the task that serves it; nothing if none is configured.
    ///
    /// # Errors
    /// When the collector's address is none.
    pub fn new(
        config: &TracingSection,
        names: &Names,
    ) -> Result<Option<(Self, Sender)>, TelemetryError> {
        let Some(sampling) = sampling(config) else { return Ok(None) };
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(address(&config.endpoint))
            .build()?;
        let instance = [
            KeyValue::new("service.version", version::VERSION),
            KeyValue::new("service.instance.id", names.node.clone()),
            KeyValue::new("service.namespace", names.cluster.clone()),
        ];
        let service = config.service_name.clone();
        let resource = Resource::builder().with_attributes(instance).with_service_name(service);
        exporter.set_resource(&resource.build());
        let (tracer, spans) = Tracer::new(sampling, config.waiting_spans);
        let figures = Arc::<Figures>::default();
        let scope = InstrumentationScope::builder("warren").with_version(version::VERSION).build();
        let sender = Sender { spans, exporter, scope, figures: figures.clone(), is_failing: false };
        Ok(Some((Self { tracer, figures }, sender)))
    }

    /// Makes spans of this node's messages.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// What became of spans so far.
    #[must_use]
    pub fn totals(&self) -> TraceTotals {
        TraceTotals {
            exported: self.figures.exported.load(Ordering::Relaxed),
            dropped: self.tracer.dropped(),
            failed: self.figures.failed.load(Ordering::Relaxed),
        }
    }
}

impl Sender {
    /// Sends spans until `closing` is cancelled, and then those that are left.
    pub async fn run(mut self, closing: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let is_closing = tokio::select! {
                biased;
                () = closing.cancelled() => true,
                () = gather(&mut self.spans, &mut batch) => false,
            };
            if !is_closing {
                self.send(std::mem::take(&mut batch)).await;
                continue;
            }
            while batch.len() < BATCH_SPANS
                && let Ok(span) = self.spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.send(std::mem::take(&mut batch)).await;
            if self.is_failing {
                return;
            }
        }
    }

    async fn send(&mut self, batch: Vec<TraceSpan>) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let spans = batch.into_iter().map(|span| data(span, &self.scope)).collect();
        let failure = match timeout(SEND_LIMIT, self.exporter.export(spans)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some(format!("no answer within {} s", SEND_LIMIT.as_secs())),
        };
        match &failure {
            None => self.figures.exported.fetch_add(count, Ordering::Relaxed),
            Some(_) => self.figures.failed.fetch_add(count, Ordering::Relaxed),
        };
        // Said once, and once when it is over.
        match failure {
            Some(reason) if !self.is_failing => {
                tracing::warn!(%reason, "the collector does not take spans; they are forgotten");
                self.is_failing = true;
            }
            None if self.is_failing => {
                tracing::info!("the collector takes spans again");
                self.is_failing = false;
            }
            Some(_) | None => {}
        }
    }
}

/// Waits for a span, and a little for others.
async fn gather(spans: &mut mpsc::Receiver<TraceSpan>, batch: &mut Vec<TraceSpan>) {
    spans.recv_many(batch, BATCH_SPANS).await;
    let rest = async {
        while batch.len() < BATCH_SPANS {
            let room = BATCH_SPANS.saturating_sub(batch.len());
            if spans.recv_many(batch, room).await == 0 {
                return;
            }
        }
    };
    // What has come by then is a batch.
    let _full = timeout(BATCH_DELAY, rest).await;
}

/// Which messages are traced; nothing where none is.
fn sampling(config: &TracingSection) -> Option<Sampling> {
    let ratio = config.ratio.value();
    let (follows_clients, ratio) = match config.sampler {
        Sampler::AlwaysOff => return None,
        Sampler::AlwaysOn => (false, 1.0),
        Sampler::TraceIdRatio => (false, ratio),
        Sampler::ParentBasedAlwaysOn => (true, 1.0),
        Sampler::ParentBasedAlwaysOff => (true, 0.0),
        Sampler::ParentBasedTraceIdRatio => (true, ratio),
    };
    let is_on = !config.endpoint.is_empty() && !config.disabled;
    is_on.then_some(Sampling { follows_clients, ratio })
}

/// Where spans are sent, by the address of the collector.
fn address(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.ends_with(TRACES_PATH) {
        endpoint.to_owned()
    } else {
        format!("{endpoint}{TRACES_PATH}")
    }
}

/// A span in OpenTelemetry's shape.
fn data(span: TraceSpan, scope: &InstrumentationScope) -> SpanData {
    let attributes = span.attributes.into_iter().map(|(name, value)| {
        let value = match value {
            Attribute::Text(text) => Value::from(text),
            Attribute::Number(number) => Value::from(i64::try_from(number).unwrap_or(i64::MAX)),
            Attribute::Flag(flag) => Value::from(flag),
        };
        KeyValue::new(name, value)
    });
    let context = SpanContext::new(
        TraceId::from_bytes(span.trace.to_be_bytes()),
        SpanId::from_bytes(span.id.to_be_bytes()),
        TraceFlags::SAMPLED,
        false,
        TraceState::from_str(&span.state).unwrap_or_default(),
    );
    SpanData {
        span_context: context,
        parent_span_id: SpanId::from_bytes(span.parent.to_be_bytes()),
        parent_span_is_remote: span.parent_is_remote,
        span_kind: kind(span.step),
        name: span.name.into(),
        start_time: span.begin,
        end_time: span.end,
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: match span.failure {
            Some(why) => Status::error(why),
            None => Status::Unset,
        },
        instrumentation_scope: scope.clone(),
    }
}

/// A broker answers publishes and settles, and begins what consumers go on with.
fn kind(step: Step) -> SpanKind {
    match step {
        Step::Publish | Step::Settle => SpanKind::Server,
        Step::Route | Step::Commit => SpanKind::Internal,
        Step::Deliver => SpanKind::Producer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_added_unless_it_is_there() {
        for endpoint in [
            "http://c:4318",
            "http://c:4318/",
            "http://c:4318/v1/traces",
            "http://c:4318/v1/traces/",
        ] {
            assert_eq!(address(endpoint), "http://c:4318/v1/traces");
        }
        assert_eq!(address("http://c/otlp"), "http://c/otlp/v1/traces");
    }

    #[test]
    fn nothing_is_traced_without_a_collector() {
        let config = TracingSection::default();

        assert_eq!(sampling(&config), None);
        let endpoint = "http://c:4318".to_owned();
        let config = TracingSection { endpoint, ..config };
        assert_eq!(sampling(&config), Some(Sampling { follows_clients: true, ratio: 0.0 }));
        assert_eq!(sampling(&TracingSection { disabled: true, ..config }), None);
    }
}
