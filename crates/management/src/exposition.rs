//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write as _};

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Goes up only, until the node starts again.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts per upper bound, with a sum.
    Histogram,
}

/// A metric: its name with the unit last, what kind it is, and what it means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// Its name.
    pub(crate) name: &'static str,
    /// What kind of number.
    pub(crate) kind: Kind,
    /// What it means.
    pub(crate) help: &'static str,
}

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

/// The labels of one sample.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// Adds a metric that has one sample.
    pub(crate) fn single(&mut self, metric: Metric, labels: Labels<'_>, value: impl Display) {
        self.heading(metric);
        self.sample(metric.name, labels, value);
    }

    /// Begins a metric; its samples follow.
    pub(crate) fn heading(&mut self, metric: Metric) {
        let Metric { name, kind, help } = metric;
        self.begin(name, kind, help);
    }

    /// Begins a metric whose name was put together; its samples follow.
    pub(crate) fn begin(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}")
            .expect("writing to a string succeeds");
    }

    /// Adds a sample to the metric that was begun last.
    pub(crate) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let opening = if position == 0 { '{' } else { ',' };
            write!(self.text, "{opening}{label}=\"{text}\"").expect("writing to a string succeeds");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        writeln!(self.text, " {value}").expect("writing to a string succeeds");
    }

    /// The page as it is sent.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRIC: Metric = Metric { name: "a_total", kind: Kind::Counter, help: "One\ntwo \\." };

    #[test]
    fn a_metric_has_help_type_and_samples() {
        let mut page = Page::default();

        page.heading(METRIC);
        page.sample(METRIC.name, &[], 1);
        page.sample(METRIC.name, &[("x", "1"), ("y", "2")], 0.5);

        let expected = "# HELP a_total One\\ntwo \\\\.\n# TYPE a_total counter\na_total 1\n\
                        a_total{x=\"1\",y=\"2\"} 0.5\n";
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn quotes_backslashes_and_line_ends_in_labels_are_escaped() {
        let mut page = Page::default();

        page.sample("a", &[("x", "q\"b\\n\n")], 1);

        assert_eq!(page.finish(), "a{x=\"q\\\"b\\\\n\\n\"} 1\n");
    }
}
