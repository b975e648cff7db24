//! What the compiler cannot keep: every module has its line in ARCHITECTURE.md, and the pure ones stay pure.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules that decide. They do no I/O, read no clock and write no log.
const PURE: [&str; 16] = [
    "object",
    "tree",
    "yaml",
    "kustomize",
    "render",
    "desired",
    "inventory",
    "fields",
    "drift",
    "plan",
    "health",
    "prune",
    "rollout",
    "status",
    "images",
    "api",
];

/// What only an edge may name.
const EDGES: [&str; 14] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "tokio::",
    "tracing::",
    "reqwest",
    "kube::Client",
    "kube::Api",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources_below(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file: without its tests, and without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file is text");
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn pure_modules_name_no_edge() {
    let mut wrong = Vec::new();
    for module in PURE {
        let mut files = vec![root().join(format!("src/{module}.rs"))];
        sources_below(&root().join("src").join(module), &mut files);
        for file in files {
            let is_test = file
                .iter()
                .any(|part| part == "tests" || part == "tests.rs" || part == "laws.rs");
            if is_test {
                continue;
            }
            let code = code(&file);
            for edge in EDGES.iter().filter(|edge| code.contains(**edge)) {
                wrong.push(format!("{}: {edge}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_is_in_the_architecture() {
    let text =
        fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let library = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs is there");
    let missing: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .filter(|module| !text.contains(&format!("`{module}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md does not say what these own: {missing:?}"
    );
}

#[test]
fn no_file_is_called_mod() {
    let mut files = Vec::new();
    sources_below(&root().join("src"), &mut files);
    assert!(files.iter().all(|file| !file.ends_with("mod.rs")));
}
