//! Reads the TOML file and keeps the line of every key.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::section::dotted;
use super::setting::Given;
use super::{Builder, Source};

/// Sets in `builder` what `text` says, which stands in the file `path`.
pub(crate) fn read(builder: &mut Builder, path: &Path, text: &str) {
    let at = |span: Range<usize>| Source::File { path: path.to_owned(), line: line_of(text, span) };
    match DeTable::parse(text) {
        Ok(document) => read_table(builder, "", document.get_ref(), &at),
        Err(error) => {
            let span = error.span().unwrap_or_default();
            builder.problem(at(span), format!("this is not TOML: {}", error.message()));
        }
    }
}

fn read_table(
    builder: &mut Builder,
    heading: &str,
    table: &DeTable<'_>,
    at: &dyn Fn(Range<usize>) -> Source,
) {
    for (key, value) in table {
        let path = dotted(heading, key.get_ref());
        let source = at(key.span());
        match value.get_ref() {
            DeValue::Table(inner) if builder.is_heading(&path) => {
                read_table(builder, &path, inner, at);
            }
            other => builder.set(&path, Given::Toml(other), source),
        }
    }
}

/// The line, from 1, in which `span` of `text` begins.
fn line_of(text: &str, span: Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}
