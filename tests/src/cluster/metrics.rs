//! A page of metrics, as Prometheus reads them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use crate::http::Client;

/// How long a node may take to say what it measures.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a node measured at one moment.
#[derive(Clone, Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Asks a node.
    pub fn of(address: SocketAddr) -> Result<Self> {
        let client = Client::nobody(address).within(PATIENCE);
        Ok(Self { text: client.body("/metrics")? })
    }

    /// The value of the first sample with this name and these labels, whatever its others are.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &Sample<'_>| {
            labels.iter().all(|(key, value)| sample.label(key) == Some(*value))
        };
        self.samples(name).find(fits).map(|sample| sample.value)
    }

    /// The values of a metric by one of its labels.
    pub fn by_label(&self, name: &str, label: &str) -> Vec<(String, f64)> {
        let row = |sample: Sample<'_>| Some((sample.label(label)?.to_owned(), sample.value));
        self.samples(name).filter_map(row).collect()
    }

    fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Sample<'a>> {
        self.text.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once('}')?,
                None if rest.starts_with(' ') => ("", rest),
                None => return None,
            };
            Some(Sample { labels, value: value.trim().parse().ok()? })
        })
    }
}

struct Sample<'a> {
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    /// The values that are asked for hold neither commas nor quotes.
    fn label(&self, key: &str) -> Option<&'a str> {
        let pairs = self.labels.split(',').filter_map(|pair| pair.split_once('='));
        let mut fitting = pairs.filter(|(name, _)| *name == key);
        fitting.next().map(|(_, value)| value.trim_matches('"'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_label() {
        let text = "# TYPE a gauge\na 7\na_b{group=\"0\"} 1\na_b{group=\"12\",x=\"y\"} 3.5\nab 9\n";
        let page = Page { text: text.to_owned() };

        assert_eq!(page.value("a", &[]), Some(7.0));
        assert_eq!(page.value("a_b", &[("group", "12")]), Some(3.5));
        assert_eq!(page.value("a_b", &[("group", "1")]), None);
        let rows = [("0".to_owned(), 1.0), ("12".to_owned(), 3.5)];
        assert_eq!(page.by_label("a_b", "group"), rows);
    }
}
