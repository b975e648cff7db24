//! `manifests-example/` renders, and as kustomize renders it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::need_node;
use crate::support::process::project;

const RENDERED: [(&str, usize); 4] = [
    ("overlays/dev", 37),
    ("overlays/staging", 39),
    ("overlays/production", 39),
    ("environments", 16),
];

/// What `program` prints for `folder`, as objects, sorted.
fn objects(program: &Path, command: &str, folder: &str) -> Vec<Value> {
    let output = Command::new(program)
        .arg(command)
        .arg(project("manifests-example").join(folder))
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{folder}: {error}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut objects: Vec<Value> = text
        .split("\n---\n")
        .map(|document| {
            serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"))
        })
        .collect();
    objects.sort_by_key(|object| {
        let metadata = &object["metadata"];
        format!(
            "{} {} {} {}",
            object["apiVersion"], object["kind"], metadata["namespace"], metadata["name"]
        )
    });
    objects
}

#[test]
fn every_overlay_renders() {
    for (folder, count) in RENDERED {
        let rendered = objects(Path::new(env!("CARGO_BIN_EXE_driftless")), "render", folder);
        assert_eq!(rendered.len(), count, "{folder}");
    }
}

#[test]
fn every_overlay_renders_what_kustomize_renders() {
    // The program comes with the node's.
    let Some(_) = need_node!() else { return };
    for (folder, _) in RENDERED {
        let ours = objects(Path::new(env!("CARGO_BIN_EXE_driftless")), "render", folder);
        let theirs = objects(Path::new("kustomize"), "build", folder);
        assert_eq!(ours.len(), theirs.len(), "{folder}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{folder}");
        }
    }
}
