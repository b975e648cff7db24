//! Figures as text: rows of cells under a head, each column as wide as its widest cell.

use std::fmt::Write as _;

/// How a figure stands to its bar; empty where it has none.
pub fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    }
}

pub fn aligned<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let table: Vec<[String; COLUMNS]> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .collect();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let cells = table.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in &table {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "{cell:width$}  ").expect("a String takes everything");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let row = |what: &str, met| [what.to_owned(), "1 s".to_owned(), verdict(met).to_owned()];
    let rows = [
        row("a push", Some(true)),
        row("a", Some(false)),
        row("b", None),
    ];
    assert_eq!(
        aligned(["what", "figure", "verdict"], rows),
        "what    figure  verdict\na push  1 s     met\na       1 s     MISSED\nb       1 s\n"
    );
}
