//! Small trees that were rendered differently than by kustomize once, each with what kustomize makes of it.

use std::path::Path;

use super::*;

/// The options and the directory of `kustomize build …`.
fn command(line: &str) -> (BuildOptions, &str) {
    let mut options = BuildOptions::default();
    let mut directory = "";
    for word in line.split(' ').skip(2) {
        match word {
            "--enable-managedby-label" => options.enable_managedby_label = true,
            "--load-restrictor=LoadRestrictionsNone" => {
                options.load_restrictor = LoadRestrictor::None;
            }
            "--reorder=none" => options.reorder = Some(Reorder::None),
            "--reorder=legacy" => options.reorder = Some(Reorder::Legacy),
            other => directory = other,
        }
    }
    (options, directory)
}

#[test]
fn fixtures_are_rendered_as_by_kustomize() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kustomize/tests/fixtures");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let mut wrong = String::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a fixture is text");
        let (first, rest) = text.split_once("\n==> ").expect("there are files");
        let (options, directory) = command(first);
        let mut sections: Vec<(&str, &str)> = rest
            .split("\n==> ")
            .map(|section| section.split_once('\n').unwrap_or((section, "")))
            .collect();
        let (_, expected) = sections.pop().expect("what kustomize makes stands last");
        // The line break in front of a section is its end's.
        let files = sections
            .iter()
            .map(|(path, text)| (path, format!("{text}\n")));
        let ours = build(&MemoryFiles::new(files), directory, &options)
            .map_or_else(|_| "refused\n".to_owned(), |build| build.to_yaml());
        if ours != expected {
            wrong.push_str(&format!("{}\n{ours}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
