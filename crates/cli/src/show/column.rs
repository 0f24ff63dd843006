//! What a list has of each thing, and where the API says it.

use serde_json::{Map, Value};

use super::Output;
use super::cell::Cell;
use super::list::List;
use crate::call::Call;
use crate::failure::Failure;

/// One column of a list.
#[derive(Debug)]
pub(crate) struct Column {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Where the API says it: the field, or the fields down to it with dots between.
    field: &'static str,
    /// What it looks like.
    shape: Shape,
}

/// What a column looks like.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Like JSON's value.
    Plain,
    /// Arguments of AMQP.
    Arguments,
    /// What a policy says.
    Definition,
    /// Names with a word for each.
    States,
    /// An address.
    Address,
    /// A protocol's version.
    Protocol,
    /// JSON as text.
    Document,
    /// It is made of the whole row.
    Made(fn(&Value) -> Cell),
}

impl Column {
    /// A column that the API calls the same.
    pub(crate) const fn plain(name: &'static str) -> Self {
        Self { name, field: name, shape: Shape::Plain }
    }

    /// A column that the API calls otherwise.
    pub(crate) const fn from(name: &'static str, field: &'static str) -> Self {
        Self { name, field, shape: Shape::Plain }
    }

    /// The same in another shape.
    pub(crate) const fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    fn cell(&self, row: &Value) -> Cell {
        if let Shape::Made(make) = &self.shape {
            return make(row);
        }
        let value = self.field.split('.').try_fold(row, |value, part| value.get(part));
        let value = value.cloned().unwrap_or(Value::Null);
        let text = || value.as_str().unwrap_or_default().to_owned();
        match &self.shape {
            Shape::Arguments => Cell::Arguments(map(&value)),
            Shape::Definition => Cell::Definition(map(&value)),
            Shape::States => Cell::States(map(&value)),
            Shape::Address => Cell::Address(text()),
            Shape::Protocol => Cell::Protocol(text()),
            Shape::Document => Cell::text(value.to_string()),
            Shape::Plain | Shape::Made(_) => Cell::Plain(value),
        }
    }
}

/// Empty lists stand for empty objects in older answers.
fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Columns that were asked for.
pub(crate) struct Chosen(Vec<&'static Column>);

impl Chosen {
    /// All of them.
    pub(crate) fn all(columns: &'static [Column]) -> Self {
        Self(columns.iter().collect())
    }

    /// Those that the call's arguments name, or those that are shown when none are named.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn by(
        call: &Call,
        columns: &'static [Column],
        otherwise: &[&str],
    ) -> Result<Self, Failure> {
        Self::behind(call, 0, columns, otherwise)
    }

    /// The same, where so many arguments before them are no columns.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn behind(
        call: &Call,
        others: usize,
        columns: &'static [Column],
        otherwise: &[&str],
    ) -> Result<Self, Failure> {
        let find = |name: &str| columns.iter().find(|column| column.name == name);
        let words = call.arguments().iter().skip(others);
        let named: Vec<&str> = words.flat_map(|words| words.split(',')).collect();
        let named: Vec<&str> = named.into_iter().filter(|name| !name.is_empty()).collect();
        let strange: Vec<&str> =
            named.iter().copied().filter(|name| find(name).is_none()).collect();
        if !strange.is_empty() {
            let strange = strange.join(",");
            return Err(call.misused(&format!("Info key(s) {strange} are not supported")));
        }
        let named = if named.is_empty() { otherwise } else { &named };
        Ok(Self(named.iter().filter_map(|name| find(name)).collect()))
    }

    /// What the API need not leave out, as its query.
    pub(crate) fn query(&self, more: &[&str]) -> String {
        let mut fields: Vec<&str> = self.0.iter().map(|column| column.field).collect();
        fields.extend_from_slice(more);
        fields.sort_unstable();
        fields.dedup();
        format!("?columns={}", fields.join(","))
    }

    /// The list of those rows.
    pub(crate) fn list(&self, rows: &[Value]) -> Output {
        Output::List(self.table(rows))
    }

    /// The same as a value.
    pub(crate) fn table(&self, rows: &[Value]) -> List {
        List {
            columns: self.0.iter().map(|column| column.name.to_owned()).collect(),
            rows: rows
                .iter()
                .map(|row| self.0.iter().map(|column| column.cell(row)).collect())
                .collect(),
        }
    }
}
