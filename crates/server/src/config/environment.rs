//! Reads the environment.
//!
//! A variable that begins with `WARREN_` and is none of ours is reported and does not stop the
//! node: whoever starts it has other uses for the prefix. Kubernetes, for one, describes every
//! service to every pod in variables, and a service called `warren` gives `WARREN_PORT` and its
//! like; those are passed over in silence.

use std::ffi::OsString;
use std::path::PathBuf;

use super::setting::Given;
use super::{Builder, Source};

/// Names the configuration file.
pub const CONFIG_VARIABLE: &str = "WARREN_CONFIG";

const PREFIX: &str = "WARREN_";

/// Variables of RabbitMQ's container image and of OpenTelemetry, and the keys that they set. Of two
/// for the same key the later one counts.
const OTHERS_VARIABLES: [(&str, &str); 9] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "tracing.endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "tracing.endpoint"),
    ("OTEL_SDK_DISABLED", "tracing.disabled"),
    ("OTEL_SERVICE_NAME", "tracing.service_name"),
    ("OTEL_TRACES_SAMPLER", "tracing.sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "tracing.ratio"),
    ("RABBITMQ_DEFAULT_USER", "default_user"),
    ("RABBITMQ_DEFAULT_PASS", "default_pass"),
    ("RABBITMQ_DEFAULT_VHOST", "default_vhost"),
];

/// The configuration file that the environment names.
pub(crate) fn file_of(variables: &[(OsString, OsString)]) -> Option<PathBuf> {
    variables
        .iter()
        .find(|(name, value)| name == CONFIG_VARIABLE && !value.is_empty())
        .map(|(_, value)| PathBuf::from(value))
}

/// Sets in `builder` what `variables` say. Returns what looks like a mistake in them.
pub(crate) fn read(builder: &mut Builder, variables: &[(OsString, OsString)]) -> Vec<String> {
    for (name, key) in OTHERS_VARIABLES {
        for (_, value) in variables.iter().filter(|(found, _)| found == name) {
            set(builder, name, key, value);
        }
    }
    let keys: Vec<(String, String)> =
        builder.config.keys().into_iter().map(|key| (key.variable(), key.path)).collect();
    let mut warnings = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        match keys.iter().find(|(variable, _)| variable == name) {
            Some((_, key)) => set(builder, name, key, value),
            None if name == CONFIG_VARIABLE || describes_a_service(name) => {}
            None => warnings.push(format!("environment variable {name} sets nothing")),
        }
    }
    warnings
}

fn set(builder: &mut Builder, name: &str, key: &str, value: &OsString) {
    if value.is_empty() {
        return;
    }
    let source = Source::Variable(name.to_owned());
    match value.to_str() {
        Some(text) => builder.set(key, Given::Text(text), source),
        None => builder.problem(source, format!("{key}: expected UTF-8")),
    }
}

/// Whether Kubernetes gives a variable of this shape for a service.
fn describes_a_service(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
}
