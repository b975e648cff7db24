//! `manifests-example/` renders, and as kustomize renders it.

use std::path::Path;
use std::process::Command;

use crate::need_node;
use crate::support::process::project;

const RENDERED: [(&str, usize); 4] = [
    ("overlays/dev", 37),
    ("overlays/staging", 39),
    ("overlays/production", 40),
    ("environments", 16),
];

/// What `program` prints for `folder`.
fn rendered(program: &Path, command: &str, folder: &str) -> String {
    let output = Command::new(program)
        .arg(command)
        .arg(project("manifests-example").join(folder))
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{folder}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_overlay_renders() {
    for (folder, count) in RENDERED {
        let ours = rendered(Path::new(env!("CARGO_BIN_EXE_driftless")), "render", folder);
        assert_eq!(ours.split("\n---\n").count(), count, "{folder}");
    }
}

#[test]
fn every_overlay_renders_what_kustomize_renders() {
    // The program comes with the node's.
    let Some(_) = need_node!() else { return };
    for (folder, _) in RENDERED {
        let ours = rendered(Path::new(env!("CARGO_BIN_EXE_driftless")), "render", folder);
        let theirs = rendered(Path::new("kustomize"), "build", folder);
        assert_eq!(ours, theirs, "{folder}");
    }
}
