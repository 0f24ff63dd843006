//! Rows and columns, in every format.

use super::cell::Cell;
use super::{Format, pretty};

/// Rows and columns.
#[derive(Debug)]
pub(crate) struct List {
    /// The names of the columns.
    pub(crate) columns: Vec<String>,
    /// The rows, each with as many cells as there are columns.
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl List {
    /// How it is printed, without the last line's end. Nothing when there is nothing to print.
    pub(crate) fn text(&self, format: Format, header: bool) -> Option<String> {
        match format {
            Format::Json => return Some(self.json()),
            Format::Erlang => return Some(self.erlang()),
            Format::Table | Format::Csv | Format::Pretty if self.rows.is_empty() => return None,
            Format::Pretty => return Some(pretty::boxes(&self.columns, &self.shown())),
            Format::Table | Format::Csv => {}
        }
        let mut lines = Vec::new();
        let line = |cells: &[String]| match format {
            Format::Csv => csv(cells),
            Format::Table | Format::Json | Format::Pretty | Format::Erlang => cells.join("\t"),
        };
        if header || format == Format::Csv {
            lines.push(line(&self.columns));
        }
        lines.extend(self.shown().iter().map(|cells| line(cells)));
        Some(lines.join("\n"))
    }

    fn shown(&self) -> Vec<Vec<String>> {
        self.rows.iter().map(|row| row.iter().map(Cell::shown).collect()).collect()
    }

    /// One row per line, fields in the order of the columns.
    fn json(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let fields = self.columns.iter().zip(row);
            let fields = fields.map(|(name, cell)| {
                format!("{}:{}", serde_json::Value::from(name.as_str()), cell.value())
            });
            format!("{{{}}}\n", fields.collect::<Vec<_>>().join(","))
        });
        format!("[\n{}]", rows.collect::<Vec<_>>().join(","))
    }

    fn erlang(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let fields = self.columns.iter().zip(row);
            let fields = fields.map(|(name, cell)| format!("{{{name},{}}}", cell.term()));
            format!("[{}]", fields.collect::<Vec<_>>().join(","))
        });
        format!("[{}]", rows.collect::<Vec<_>>().join(",\n "))
    }
}

fn csv(cells: &[String]) -> String {
    let cells = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
    cells.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn queues() -> List {
        let row = |name: &str, messages: u64| vec![Cell::text(name), Cell::Plain(json!(messages))];
        List {
            columns: vec!["name".into(), "messages".into()],
            rows: vec![row("excl", 0), row("q,\"3\"", 12)],
        }
    }

    #[test]
    fn a_list_looks_as_rabbitmqctl_prints_it() {
        let text = |format| queues().text(format, true).expect("there are rows");

        assert_eq!(text(Format::Table), "name\tmessages\nexcl\t0\nq,\"3\"\t12");
        assert_eq!(
            text(Format::Csv),
            "\"name\",\"messages\"\n\"excl\",\"0\"\n\"q,\"\"3\"\"\",\"12\""
        );
        assert_eq!(
            text(Format::Json),
            "[\n{\"name\":\"excl\",\"messages\":0}\n,{\"name\":\"q,\\\"3\\\"\",\"messages\":12}\n]"
        );
        assert_eq!(
            text(Format::Erlang),
            "[[{name,<<\"excl\">>},{messages,0}],\n [{name,<<\"q,\\\"3\\\"\">>},{messages,12}]]"
        );
        assert_eq!(
            text(Format::Pretty),
            "┌───────┬──────────┐\n│ name  │ messages │\n├───────┼──────────┤\n│ excl  │ 0        │\n├───────┼──────────┤\n│ q,\"3\" │ 12       │\n└───────┴──────────┘"
        );
    }

    #[test]
    fn an_empty_list_has_no_header_and_is_a_list_in_json() {
        let empty = List { rows: Vec::new(), ..queues() };

        assert_eq!(empty.text(Format::Table, true), None);
        assert_eq!(empty.text(Format::Csv, true), None);
        assert_eq!(empty.text(Format::Json, true).as_deref(), Some("[\n]"));
    }

    #[test]
    fn a_table_may_go_without_its_header() {
        assert_eq!(queues().text(Format::Table, false).as_deref(), Some("excl\t0\nq,\"3\"\t12"));
    }
}
