//! The table of the figures, in `target/test-main.txt`.

use std::{fmt::Write as _, sync::Mutex};

use super::is_long;
use crate::support::process::project;

struct Row {
    what: String,
    figure: String,
    bar: String,
    /// `None` where there is no bar.
    met: Option<bool>,
}

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// A figure without a bar: what the others are to be seen beside.
pub fn note(what: &str, figure: &str) {
    add(Row {
        what: what.to_owned(),
        figure: figure.to_owned(),
        bar: String::new(),
        met: None,
    });
}

/// A figure and its bar. The long form fails where the bar is missed, after the table was written.
pub fn judge(what: &str, figure: &str, bar: &str, met: bool) {
    add(Row {
        what: what.to_owned(),
        figure: figure.to_owned(),
        bar: bar.to_owned(),
        met: Some(met),
    });
    assert!(
        met || !is_long(),
        "missed: {what}: {figure}; the bar: {bar}"
    );
}

fn add(row: Row) {
    let mut rows = ROWS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    rows.push(row);
    if is_long() {
        let file = project("target/test-main.txt");
        std::fs::create_dir_all(project("target")).expect("target can be made");
        std::fs::write(&file, text(&rows)).expect("the table can be written");
    }
}

fn text(rows: &[Row]) -> String {
    let head = ["what", "figure", "bar", "verdict"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        let verdict = match row.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        [
            row.what.clone(),
            row.figure.clone(),
            row.bar.clone(),
            verdict.to_owned(),
        ]
    });
    let table: Vec<[String; 4]> = std::iter::once(head).chain(cells).collect();
    let width = |column: usize| {
        table
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
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
    let row = |what: &str, met| Row {
        what: what.into(),
        figure: "1 s".into(),
        bar: "2 s".into(),
        met,
    };
    let rows = [
        row("a push", Some(true)),
        row("a", Some(false)),
        row("b", None),
    ];
    assert_eq!(
        text(&rows),
        "what    figure  bar  verdict\na push  1 s     2 s  met\na       1 s     2 s  MISSED\nb       1 s     2 s\n"
    );
}
