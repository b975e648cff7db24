//! How the command line writes: colours on terminals only, data as JSON or YAML, errors as one line. Must not know what is
//! written.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use super::Outcome;
use crate::yaml::to_yaml;

/// What takes text with colours, and leaves them out where they are not wanted.
pub type Out = anstream::AutoStream<std::io::Stdout>;

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();
pub const WAITS: Style = AnsiColor::Yellow.on_default();

/// Data instead of text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Data {
    Json,
    Yaml,
}

/// Text in a style.
pub fn styled(text: impl std::fmt::Display, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes text as it is.
pub fn text(out: &mut Out, text: &str) -> Result<Outcome> {
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// Writes data.
pub fn data(out: &mut Out, data: Data, value: &impl Serialize) -> Result<Outcome> {
    let value = serde_json::to_value(value)?;
    match data {
        Data::Json => text(out, &format!("{}\n", serde_json::to_string_pretty(&value)?)),
        Data::Yaml => text(out, &to_yaml(&value)),
    }
}

/// Says on standard error what went wrong, with its causes.
pub fn complain(error: &anyhow::Error) {
    let mut stderr = anstream::stderr();
    // Nothing can be done where even the error stream is closed.
    let _ = writeln!(stderr, "{} {error:#}", styled("error:", BAD.bold()));
}

/// Says something on standard error, beside the output.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Lines of cells, the columns as wide as their widest cell; the last is not padded. Cells may hold styles.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| width(cell))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, widest) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(widest + 3 - width(cell)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Characters without the styles.
fn width(cell: &str) -> usize {
    anstream::adapter::strip_str(cell)
        .to_string()
        .chars()
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_styles() {
        let rows = [
            vec!["NAME".to_owned(), "READY".to_owned(), "MESSAGE".to_owned()],
            vec![
                "production".to_owned(),
                styled("True", GOOD),
                "zürich".to_owned(),
            ],
            vec!["dev".to_owned(), String::new(), String::new()],
        ];
        let text = anstream::adapter::strip_str(&table(&rows)).to_string();
        assert_eq!(
            text,
            "NAME         READY   MESSAGE\nproduction   True    zürich\ndev\n"
        );
    }
}
