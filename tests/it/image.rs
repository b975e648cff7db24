//! The agent's image: what the Dockerfile makes is what `make image` makes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::process::project;

const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Runs `command`, and gives what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The lines of the Dockerfile's stage `index`, without comments.
fn stage(index: usize) -> Vec<String> {
    let text = std::fs::read_to_string(project("Dockerfile")).expect("there is a Dockerfile");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut stages: Vec<Vec<String>> = Vec::new();
    for line in lines {
        if line.starts_with("FROM ") {
            stages.push(Vec::new());
        }
        stages
            .last_mut()
            .expect("it begins with FROM")
            .push(line.to_owned());
    }
    assert_eq!(
        stages.len(),
        2,
        "a stage that builds, and one that is the image"
    );
    stages.swap_remove(index)
}

#[test]
fn the_dockerfiles_last_stage_holds_what_make_image_pushes() {
    // It is nothing but the folder that deploy/rootfs.sh has laid out …
    let last = [
        "FROM scratch",
        "COPY --from=build /rootfs/ /",
        "USER 65532:65532",
        "ENTRYPOINT [\"/driftless\"]",
    ];
    assert_eq!(stage(1), last);
    let layout = format!("RUN deploy/rootfs.sh /rootfs target/release/driftless {ROOTS}");
    assert_eq!(stage(0).last(), Some(&layout));

    // … which holds the files of the layer that image.sh pushes.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (rootfs, layer) = (
        folder.path().join("rootfs"),
        folder.path().join("layer.tar"),
    );
    let program = env!("CARGO_BIN_EXE_driftless");
    run(Command::new(project("deploy/rootfs.sh"))
        .arg(&rootfs)
        .args([program, ROOTS]));
    run(Command::new(project("tests/cluster/image.sh"))
        .env("LAYER", &layer)
        .args(["driftless:test", program, ROOTS]));
    let pushed: BTreeSet<String> = run(Command::new("tar").arg("-tf").arg(&layer))
        .lines()
        .filter(|name| !name.ends_with('/'))
        .map(|name| name.trim_start_matches('.').to_owned())
        .collect();
    let laid_out = files(&rootfs);
    assert_eq!(laid_out, pushed);

    // The program, its libraries and the roots of trust, and nothing else.
    let (libraries, others): (BTreeSet<_>, BTreeSet<_>) =
        pushed.into_iter().partition(|name| name.contains(".so"));
    assert_eq!(
        others,
        BTreeSet::from(["/driftless".to_owned(), ROOTS.to_owned()])
    );
    assert!(
        libraries.iter().any(|name| name.contains("ld-linux")),
        "{libraries:?}"
    );
}

#[test]
fn every_base_image_is_pinned_by_a_tag() {
    let from = &stage(0)[0];
    let (_, tag) = from
        .trim_end_matches(" AS build")
        .split_once(':')
        .expect("a tag");
    assert!(tag.contains('.'), "{from} is not a whole version");
}

fn files(root: &Path) -> BTreeSet<String> {
    run(Command::new("find")
        .arg(root)
        .args(["-type", "f", "-printf", "/%P\\n"]))
    .lines()
    .map(str::to_owned)
    .collect()
}
