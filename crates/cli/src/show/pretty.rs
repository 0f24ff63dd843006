//! Tables drawn with boxes.

/// The table, without its last line's end.
pub(super) fn boxes(columns: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.chain([name]).map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    let rule = |left: &str, middle: &str, right: &str| {
        let parts: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}", parts.join(middle))
    };
    let line = |cells: &[String]| {
        let parts = cells.iter().zip(&widths);
        let parts: Vec<String> = parts.map(|(cell, width)| format!(" {cell:width$} ")).collect();
        format!("│{}│", parts.join("│"))
    };
    let mut lines = vec![rule("┌", "┬", "┐"), line(columns)];
    for row in rows {
        lines.push(rule("├", "┼", "┤"));
        lines.push(line(row));
    }
    lines.push(rule("└", "┴", "┘"));
    lines.join("\n")
}
