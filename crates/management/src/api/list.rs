//! Which part of a list is asked for, and in which shape.
//!
//! The same for every list: `name` and `use_regex` pick rows, `sort` and `sort_reverse` order them,
//! `page` and `page_size` cut a page out, and `columns` says which fields to keep. Without `page`
//! the answer is a bare list and `name` means nothing, as in RabbitMQ.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};

use super::answer::Problem;

/// Rows of a page when nothing is said.
const PAGE_ROWS: usize = 100;

/// The most rows of a page.
const PAGE_ROWS_MAX: usize = 500;

/// Bytes that a compiled expression may take.
const REGEX_BYTES: usize = 256 * 1024;

/// The pairs behind a path's question mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(pub(crate) Vec<(String, String)>);

impl Query {
    /// The first value of that name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether that is said to be so.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }
}

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    /// From 1.
    number: usize,
    rows: usize,
}

/// Which names.
#[derive(Clone, Debug)]
enum Names {
    All,
    /// Those that contain this, whatever the case.
    Containing(String),
    Matching(Box<Regex>),
    /// The expression makes no sense, so nothing matches it.
    None,
}

/// What is asked of a list.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    page: Option<Page>,
    names: Names,
    sort: Option<Vec<String>>,
    reverse: bool,
    columns: Option<Vec<Vec<String>>>,
}

/// A part of a list, and how much it is a part of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<R> {
    /// The rows.
    pub(crate) rows: Vec<R>,
    /// Rows there are.
    total: usize,
    /// Of those, the ones that were picked.
    filtered: usize,
}

impl<R> Part<R> {
    /// The same part, of `rows` instead, which are as many.
    pub(crate) fn with<S>(self, rows: Vec<S>) -> Part<S> {
        Part { rows, total: self.total, filtered: self.filtered }
    }

    /// The same part, of what becomes of each row.
    pub(crate) fn map<S>(self, become_: impl FnMut(R) -> S) -> Part<S> {
        let rows = self.rows.into_iter().map(become_).collect();
        Part { rows, total: self.total, filtered: self.filtered }
    }
}

impl Listing {
    /// What `query` asks.
    ///
    /// # Errors
    /// When it asks for a page that there cannot be.
    pub(crate) fn parse(query: &Query) -> Result<Self, Problem> {
        let page = page(query)?;
        let names = match query.value("name").filter(|name| !name.is_empty()) {
            Some(name) if page.is_some() => names(name, query.is_set("use_regex")),
            Some(_) | None => Names::All,
        };
        let sort = query.value("sort").filter(|path| !path.is_empty());
        let columns = query.value("columns").filter(|columns| !columns.is_empty());
        Ok(Self {
            page,
            names,
            sort: sort.map(path_of),
            reverse: query.is_set("sort_reverse"),
            columns: columns.map(|columns| columns.split(',').map(path_of).collect()),
        })
    }

    /// The field that decides the order, if it is one of the first level.
    pub(crate) fn sorted_by(&self) -> Option<&str> {
        self.sort.as_ref()?.first().map(String::as_str)
    }

    /// The path to the field that decides the order; empty where none does.
    pub(crate) fn sort_path(&self) -> &[String] {
        self.sort.as_deref().unwrap_or_default()
    }

    /// Whether a field of the first level will be in the answer, or decides the order.
    pub(crate) fn wants(&self, field: &str) -> bool {
        let kept = |columns: &Vec<Vec<String>>| {
            columns.iter().any(|path| path.first().is_some_and(|first| first == field))
        };
        self.columns.as_ref().is_none_or(kept) || self.sorted_by() == Some(field)
    }

    /// Whether the order is from the last to the first.
    pub(crate) fn is_reversed(&self) -> bool {
        self.reverse
    }

    fn picks(&self, name: &str) -> bool {
        match &self.names {
            Names::All => true,
            Names::Containing(part) => name.to_lowercase().contains(part),
            Names::Matching(regex) => regex.is_match(name),
            Names::None => false,
        }
    }

    /// The rows whose name is asked for, still all pages of them.
    pub(crate) fn pick<R>(&self, rows: Vec<R>, name: impl Fn(&R) -> &str) -> Part<R> {
        let total = rows.len();
        let rows: Vec<R> = match self.names {
            Names::All => rows,
            _ => rows.into_iter().filter(|row| self.picks(name(row))).collect(),
        };
        Part { filtered: rows.len(), rows, total }
    }

    /// The page that is asked for of rows in their final order.
    ///
    /// # Errors
    /// When there is no such page.
    pub(crate) fn cut<R>(&self, part: Part<R>) -> Result<Part<R>, Problem> {
        let Some(page) = self.page else { return Ok(part) };
        let skipped = page.number.saturating_sub(1).saturating_mul(page.rows);
        if skipped >= part.rows.len() && page.number > 1 {
            let reason = format!(
                "Page out of range, page: {} page size: {}, len: {}",
                page.number,
                page.rows,
                part.rows.len()
            );
            return Err(Problem::bad_page("page_out_of_range", reason));
        }
        let rows = part.rows.into_iter().skip(skipped).take(page.rows).collect();
        Ok(Part { rows, ..part })
    }

    /// Brings rows into the order that is asked for; else they stay as they are.
    pub(crate) fn order(&self, rows: &mut [Value]) {
        if let Some(path) = &self.sort {
            rows.sort_by(|one, other| compare(at(one, path), at(other, path)));
        }
        if self.reverse {
            rows.reverse();
        }
    }

    /// The answer, of rows that are picked, in order and cut.
    pub(crate) fn answer(&self, part: Part<Value>) -> Value {
        let rows: Vec<Value> = match &self.columns {
            None => part.rows,
            Some(columns) => part.rows.iter().map(|row| project(row, columns)).collect(),
        };
        let Some(page) = self.page else { return Value::Array(rows) };
        json!({
            "page": page.number,
            "page_size": page.rows,
            "page_count": part.filtered.div_ceil(page.rows),
            "total_count": part.total,
            "filtered_count": part.filtered,
            "item_count": rows.len(),
            "items": rows,
        })
    }

    /// The answer, of all rows.
    ///
    /// # Errors
    /// When there is no such page.
    pub(crate) fn of(&self, rows: Vec<Value>) -> Result<Value, Problem> {
        let name = |row: &Value| row.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
        let total = rows.len();
        let mut rows: Vec<Value> = match self.names {
            Names::All => rows,
            _ => rows.into_iter().filter(|row| self.picks(&name(row))).collect(),
        };
        self.order(&mut rows);
        let part = self.cut(Part { filtered: rows.len(), rows, total })?;
        Ok(self.answer(part))
    }

    /// One row with the fields that are asked for.
    pub(crate) fn one(&self, row: Value) -> Value {
        match &self.columns {
            None => row,
            Some(columns) => project(&row, columns),
        }
    }
}

fn page(query: &Query) -> Result<Option<Page>, Problem> {
    let Some(number) = query.value("page") else { return Ok(None) };
    let bad = || Problem::bad_request("Pagination parameters are invalid");
    let number: usize = number.parse().map_err(|_| bad())?;
    let rows = match query.value("page_size") {
        Some(rows) => Some(rows.parse::<usize>().map_err(|_| bad())?),
        None => None,
    };
    let size = rows.unwrap_or(PAGE_ROWS);
    if number == 0 || size == 0 || size > PAGE_ROWS_MAX {
        let shown = rows.map_or("undefined".to_owned(), |rows| rows.to_string());
        let reason =
            format!("Invalid pagination parameters: page number {number}, page size {shown}");
        return Err(Problem::bad_page("invalid_pagination_parameters", reason));
    }
    Ok(Some(Page { number, rows: size }))
}

fn names(text: &str, is_regex: bool) -> Names {
    if !is_regex {
        return Names::Containing(text.to_lowercase());
    }
    let regex = RegexBuilder::new(text).case_insensitive(true).size_limit(REGEX_BYTES).build();
    regex.map_or(Names::None, |regex| Names::Matching(Box::new(regex)))
}

fn path_of(text: &str) -> Vec<String> {
    text.trim().split('.').map(str::to_owned).collect()
}

/// What stands at the end of a path into `row`.
pub(crate) fn at<'a>(row: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(row, |value, step| value.get(step))
}

/// Nothing comes first, then truths, numbers, texts, and what has parts.
pub(crate) fn compare(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    fn rank(value: Option<&Value>) -> u8 {
        match value {
            None | Some(Value::Null) => 0,
            Some(Value::Bool(_)) => 1,
            Some(Value::Number(_)) => 2,
            Some(Value::String(_)) => 3,
            Some(Value::Array(_)) => 4,
            Some(Value::Object(_)) => 5,
        }
    }
    match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other))) => {
            let both = (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
            both.0.total_cmp(&both.1)
        }
        (Some(Value::Bool(one)), Some(Value::Bool(other))) => one.cmp(other),
        (Some(Value::String(one)), Some(Value::String(other))) => one.cmp(other),
        (Some(Value::Array(one)), Some(Value::Array(other))) => one.len().cmp(&other.len()),
        (one, other) => rank(one).cmp(&rank(other)),
    }
}

/// `row` with nothing but these fields, nested as they were.
fn project(row: &Value, columns: &[Vec<String>]) -> Value {
    let mut kept = Map::new();
    for path in columns {
        if let Some(value) = at(row, path) {
            put(&mut kept, path, value);
        }
    }
    Value::Object(kept)
}

fn put(fields: &mut Map<String, Value>, path: &[String], value: &Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        fields.insert(first.clone(), value.clone());
        return;
    }
    let inner = fields.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(query: &str) -> Result<Listing, Problem> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Listing::parse(&Query(pairs.collect()))
    }

    fn answer(query: &str) -> Value {
        let rows = ["b1", "a", "B2", "c"].iter().zip([3, 1, 2, 1]).map(|(name, messages)| {
            json!({ "name": name, "messages": messages, "inner": { "rate": messages, "x": 1 } })
        });
        listing(query).expect("it makes sense").of(rows.collect()).expect("there is such a page")
    }

    fn names_of(value: &Value) -> Vec<&str> {
        let rows = value.get("items").unwrap_or(value).as_array().expect("rows");
        rows.iter().filter_map(|row| row.get("name")?.as_str()).collect()
    }

    #[test]
    fn without_a_page_the_list_is_bare_and_a_name_means_nothing() {
        assert_eq!(names_of(&answer("name=b&columns=name")), ["b1", "a", "B2", "c"]);
    }

    #[test]
    fn a_page_says_what_it_is_a_part_of() {
        let page = answer("page=1&page_size=1&name=B&pagination=false&columns=name");

        let expected = json!({
            "page": 1, "page_size": 1, "page_count": 2, "total_count": 4, "filtered_count": 2,
            "item_count": 1, "items": [{ "name": "b1" }],
        });
        assert_eq!(page, expected);
        assert_eq!(names_of(&answer("page=2&page_size=3")), ["c"]);
        assert_eq!(names_of(&answer("page=1&name=^b.$&use_regex=true")), ["b1", "B2"]);
        assert_eq!(answer("page=1&name=(&use_regex=true")["filtered_count"], 0);
    }

    #[test]
    fn rows_are_ordered_by_a_field_at_any_depth() {
        assert_eq!(names_of(&answer("sort=messages")), ["a", "c", "B2", "b1"]);
        assert_eq!(names_of(&answer("sort=inner.rate&sort_reverse=true")), ["b1", "B2", "c", "a"]);
        assert_eq!(names_of(&answer("sort=nothing")), ["b1", "a", "B2", "c"]);
    }

    #[test]
    fn columns_keep_their_nesting() {
        let rows = answer("sort=name&columns=inner.rate,nothing,name");

        assert_eq!(rows[1], json!({ "name": "a", "inner": { "rate": 1 } }));
    }

    #[test]
    fn a_page_that_cannot_be_is_refused_in_rabbitmqs_words() {
        let reason = |query: &str| {
            let part = listing(query).and_then(|listing| listing.of(vec![json!({})]));
            part.expect_err("no such page").reason()
        };

        let zero = "Invalid pagination parameters: page number 0, page size undefined";
        assert_eq!(reason("page=0"), zero);
        let large = "Invalid pagination parameters: page number 1, page size 501";
        assert_eq!(reason("page=1&page_size=501"), large);
        assert_eq!(reason("page=a"), "Pagination parameters are invalid");
        let far = "Page out of range, page: 99 page size: 10, len: 1";
        assert_eq!(reason("page=99&page_size=10"), far);
    }
}
