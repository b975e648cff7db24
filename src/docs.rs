//! The documents that are made from the code: `docs/reasons.md`, `docs/api.md` and `docs/errors.md`. A test holds each
//! against what the code says now; `UPDATE_DOCS=1 cargo test --lib docs` writes them. Must not be part of the program.

mod api;
mod errors;
mod reasons;

use std::path::Path;

/// Compares a document with what it should be, or writes it.
fn check(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let same = found
        .lines()
        .zip(expected.lines())
        .take_while(|(found, expected)| found == expected)
        .count();
    assert!(
        found == expected,
        "docs/{name} is not what the code says, first in line {}; UPDATE_DOCS=1 cargo test --lib docs writes it",
        same + 1
    );
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
