//! Several histograms below each other, as text.

use std::fmt;

use crate::Histogram;

/// Characters of the longest bar.
const BAR: u64 = 40;

/// Histograms with their names.
#[derive(Clone, Debug)]
pub struct AsciiChart<T = ()> {
    series: Vec<(String, Histogram<T>)>,
}

impl<T> Default for AsciiChart<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> AsciiChart<T> {
    /// Without any.
    #[must_use]
    pub fn new() -> Self {
        Self { series: Vec::new() }
    }

    /// With one more.
    #[must_use]
    pub fn add(mut self, name: &str, histogram: Histogram<T>) -> Self {
        self.series.push((name.to_owned(), histogram));
        self
    }

    /// A line for each bucket.
    #[must_use]
    pub fn detailed(&self) -> impl fmt::Display + '_ {
        self
    }
}

impl<T> fmt::Display for AsciiChart<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.series {
            writeln!(out, "{name}: {}", histogram.percentile_stats())?;
            let most = histogram.filled().map(|(_, _, count)| count).max().unwrap_or(1);
            for (least, largest, count) in histogram.filled() {
                let length = count.saturating_mul(BAR).div_ceil(most);
                let bar = "#".repeat(usize::try_from(length).unwrap_or(0));
                writeln!(out, "{least:>12} to {largest:<12} {count:>10} {bar}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_is_that_of_the_fullest_bucket() {
        let mut histogram = Histogram::<()>::new();
        histogram.record_n(3, 100);
        histogram.record_n(7, 1);

        let text = AsciiChart::new().add("batch", histogram).to_string();

        let bars: Vec<usize> = text.lines().skip(1).map(|line| line.matches('#').count()).collect();
        assert_eq!(bars, [40, 1]);
        assert!(text.starts_with("batch: 101 numbers;"), "{text}");
    }
}
