//! The table of the figures, in `target/test-main.txt`.

use std::sync::Mutex;

use super::is_long;
use crate::support::{
    process::project,
    table::{aligned, verdict},
};

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
    let cells = rows.iter().map(|row| {
        [
            row.what.clone(),
            row.figure.clone(),
            row.bar.clone(),
            verdict(row.met).to_owned(),
        ]
    });
    aligned(["what", "figure", "bar", "verdict"], cells)
}
