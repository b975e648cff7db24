//! `docs/reasons.md`: every word that a status, a condition or an Event gives as its reason, with its cause and the first
//! command to run.

mod words;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use regex::Regex;

use super::{cell, check};
use crate::health::Reason;
use words::SECTIONS;

const HEAD: &str = "\
# Reasons

Every word that a condition, `status.failures` or an Event gives as its reason, what it usually means, and the first
command to run. `KIND`, `NAME`, `NAMESPACE`, `POD` and `CONTAINER` stand for what the failure names.

An error never changes the cluster: where something could not be fetched, rendered or read, what is applied stays.

## What is wrong with an object

What can heal by itself (an image that is still being built, a node that is being added, a Secret that another tool is
about to make, quota) is waited for during `spec.health.grace`. What cannot is a verdict at once; everything else has until
`spec.health.timeout`. Only pods of the newest template count.
";

fn document() -> String {
    let mut text = HEAD.to_owned();
    let mut table = |title: Option<&str>, rows: &mut dyn Iterator<Item = (&str, &str, &str)>| {
        if let Some(title) = title {
            write!(text, "\n## {title}\n").unwrap();
        }
        text.push_str("\n| reason | cause | first command |\n|---|---|---|\n");
        for (word, cause, command) in rows {
            writeln!(text, "| `{word}` | {} | `{}` |", cell(cause), cell(command)).unwrap();
        }
    };
    table(
        None,
        &mut Reason::ALL
            .iter()
            .map(|row| (row.reason.as_str(), row.cause, row.command)),
    );
    for (title, words) in SECTIONS {
        table(
            Some(title),
            &mut words
                .iter()
                .map(|word| (word.name, word.cause, word.command)),
        );
    }
    text
}

#[test]
fn the_reasons_are_documented() {
    check("reasons.md", &document());
}

/// Reasons are written as texts where they arise: each of them is in a table, and each of the tables' arises.
#[test]
fn the_list_is_closed() {
    let listed: BTreeSet<&str> = SECTIONS
        .iter()
        .flat_map(|(_, words)| *words)
        .map(|word| word.name)
        .chain(Reason::ALL.iter().map(|row| row.reason.as_str()))
        .collect();
    let source = sources();
    let given = Regex::new(
        r#"(?x)
        \b(?:stop|unknown|push)\(\s*\(?\s*(?:true|false)?,?\s*"([A-Z][A-Za-z]+)" # pass.stop("Reason", ..)
        | \breason:\s*"([A-Z][A-Za-z]+)"
        | \benter\(\s*Phase::[A-Za-z]+,\s*"([A-Z][A-Za-z]+)"
        | \bfailed\(\s*action,\s*"([A-Z][A-Za-z]+)"
        | \bcondition\(\s*"[A-Za-z]+",\s*(?:"[A-Za-z]+"|status),\s*"([A-Z][A-Za-z]+)"
        | Progress::[A-Za-z]+\ =>\ \(\s*"[A-Za-z]+",\s*"([A-Z][A-Za-z]+)"
        | Self::[A-Za-z]+\ =>\ "([A-Z][A-Za-z]+)",
        | \.warning\([a-z.]+,\s*"([A-Z][A-Za-z]+)"
        "#,
    )
    .unwrap();
    let unknown: BTreeSet<&str> = given
        .captures_iter(&source)
        .filter_map(|found| found.iter().skip(1).flatten().next())
        .map(|found| found.as_str())
        .filter(|word| !listed.contains(word))
        .collect();
    assert_eq!(
        unknown,
        BTreeSet::new(),
        "src/docs/reasons/words.rs does not list these"
    );
    for (_, words) in SECTIONS {
        for word in *words {
            let quoted = format!("\"{}\"", word.name);
            assert!(
                source.contains(&quoted),
                "nothing gives the reason {quoted}"
            );
        }
    }
}

/// The code that gives reasons, without its tests.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut text = String::new();
    let mut folders: Vec<_> = ["pass", "sources", "status", "rollout/machine"]
        .map(|name| root.join(name))
        .into();
    let files = [
        "pass.rs",
        "status.rs",
        "plan.rs",
        "sources.rs",
        "agent.rs",
        "rollout/machine.rs",
    ];
    let mut paths: Vec<_> = files.map(|name| root.join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("tests.rs") {
                paths.push(path);
            }
        }
    }
    for path in paths {
        let file = std::fs::read_to_string(path).unwrap_or_default();
        text.push_str(file.split("#[cfg(test)]").next().unwrap_or_default());
    }
    text
}
