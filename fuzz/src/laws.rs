//! What has to hold for every input, whatever is in it.

use serde_json::Value;

use crate::kustomize::{Build, BuildErrors, BuildOptions, Limits, build};
use crate::tree::MemoryFiles;
use crate::yaml::{self, to_value, to_yaml};

/// What one input may ask for: little, so that an input that takes long is one that costs more than its size.
pub const LIMITS: Limits = Limits {
    files: 2_000,
    bytes: 8 << 20,
    nodes: 200_000,
    depth: 100,
    layers: 50,
};

/// The limits of the reader alone.
pub fn yaml_limits() -> yaml::Limits {
    yaml::Limits {
        bytes: LIMITS.bytes,
        nodes: LIMITS.nodes,
        spent: 0,
        depth: LIMITS.depth,
    }
}

/// What the reader accepts, the writer writes so that the reader reads the same.
pub fn reads_back(text: &[u8]) {
    let Ok(documents) = yaml::read(text, "fuzz.yaml", &yaml_limits()) else {
        return;
    };
    for document in documents {
        let Ok(value) = to_value(&document.tree, document.root) else {
            continue;
        };
        if is_lost_by_kustomize(&value) {
            continue;
        }
        let written = to_yaml(&value);
        let limits = yaml::Limits {
            bytes: usize::MAX,
            nodes: usize::MAX,
            spent: 0,
            depth: LIMITS.depth + 1,
        };
        let again = yaml::parse(&written, "written.yaml", &limits)
            .unwrap_or_else(|errors| panic!("{errors}\n{written}"));
        let again = again.map_or(Value::Null, |again| {
            to_value(&again.tree, again.root).unwrap_or_else(|error| panic!("{error:?}\n{written}"))
        });
        assert!(value == again, "{value}\n{again}\n{written}");
    }
}

/// Whether there is text that kustomize writes so that its own reader takes it for something else; we write the same bytes.
/// Line breaks that YAML 1.2 took away are written as such; `0o-7` and `0o+7` are written plain, and read as numbers.
fn is_lost_by_kustomize(value: &Value) -> bool {
    let is_lost = |text: &str| {
        text.contains(['\u{85}', '\u{2028}', '\u{2029}'])
            || text.starts_with("0o-")
            || text.starts_with("0o+")
    };
    match value {
        Value::String(text) => is_lost(text),
        Value::Array(list) => list.iter().any(is_lost_by_kustomize),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| is_lost(key) || is_lost_by_kustomize(value)),
        _ => false,
    }
}

fn options() -> BuildOptions {
    BuildOptions {
        limits: LIMITS,
        ..BuildOptions::default()
    }
}

/// Builds, checks what every build owes, and gives what was built.
pub fn builds(files: &MemoryFiles, directory: &str) -> Result<Build, BuildErrors> {
    let first = build(files, directory, &options());
    let second = build(files, directory, &options());
    assert!(first == second, "two builds of the same files differ");
    match &first {
        Ok(built) => text_reads_back(built),
        Err(BuildErrors(errors)) => {
            assert!(!errors.is_empty(), "an error without a problem");
            for error in errors {
                assert!(!error.message.is_empty(), "a problem without words");
            }
        }
    }
    first
}

/// A build's text reads back as the same objects.
fn text_reads_back(built: &Build) {
    let mut objects = built.resources.iter().map(|resource| &resource.object.0);
    if objects.any(|object| is_lost_by_kustomize(&Value::Object(object.clone()))) {
        return;
    }
    let text = built.to_yaml();
    let limits = yaml::Limits {
        bytes: usize::MAX,
        nodes: usize::MAX,
        spent: 0,
        depth: LIMITS.depth * 3,
    };
    let documents = yaml::read(text.as_bytes(), "built.yaml", &limits)
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(documents.len(), built.resources.len(), "{text}");
    for (document, resource) in documents.iter().zip(&built.resources) {
        let value = to_value(&document.tree, document.root)
            .unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let object = Value::Object(resource.object.0.clone());
        assert!(value == object, "{object}\n{value}\n{text}");
    }
}

/// Files from one text: each starts with a line `=== PATH`. What stands before the first is dropped.
pub fn files_of(text: &str) -> MemoryFiles {
    let mut files = MemoryFiles::default();
    let text = text.strip_prefix("=== ").unwrap_or(text);
    for part in text.split("\n=== ") {
        let (path, content) = part.split_once('\n').unwrap_or((part, ""));
        let path = path.trim();
        if !path.trim_matches(['.', '/']).is_empty() {
            files.insert(path, content.as_bytes());
        }
    }
    files
}
