//! Many overlays on shared bases: what is read once, what is rendered again, and that no object is looked for in vain.

use driftless::kustomize::{BuildOptions, ParsedFiles, build};
use driftless::render::{How, Kept, Rendered, renew};
use driftless::tree::MemoryFiles;

#[path = "../../benches/support/trees.rs"]
mod trees;

const OVERLAYS: usize = 3 * trees::SHARING;

struct Fleet {
    files: MemoryFiles,
    parsed: ParsedFiles,
    kept: Vec<Option<Kept<Rendered>>>,
}

impl Fleet {
    fn new() -> Self {
        Self {
            files: trees::shared(OVERLAYS),
            parsed: ParsedFiles::new(16 << 20),
            kept: vec![None; OVERLAYS],
        }
    }

    /// The overlays that are rendered because of what changed.
    fn renew(&mut self) -> Vec<usize> {
        let options = BuildOptions::default();
        let how = How {
            options: &options,
            file_limit: 1000,
            parsed: Some(&self.parsed),
        };
        let mut rendered = Vec::new();
        for (index, kept) in self.kept.iter_mut().enumerate() {
            let path = trees::overlay(index);
            let (renewed, fresh) = renew(&self.files, &path, how, kept.take(), |all| all)
                .unwrap_or_else(|errors| panic!("{errors}"));
            rendered.extend(fresh.then_some(index));
            *kept = Some(renewed);
        }
        rendered
    }
}

#[test]
fn a_change_renders_what_reads_it_and_nothing_else() {
    let mut fleet = Fleet::new();
    assert_eq!(fleet.renew().len(), OVERLAYS);
    let bases = OVERLAYS / trees::SHARING;
    assert_eq!(fleet.parsed.counts(), (bases, OVERLAYS - bases));
    assert_eq!(fleet.renew(), Vec::<usize>::new());

    let (path, text) = trees::overlay_patch(7, 5);
    fleet.files.insert(&path, text.as_bytes());
    assert_eq!(fleet.renew(), [7]);

    fleet
        .files
        .insert(&trees::base_file(1), trees::base(2).as_bytes());
    let dependents: Vec<usize> = (trees::SHARING..2 * trees::SHARING).collect();
    assert_eq!(fleet.renew(), dependents);
    assert_eq!(fleet.parsed.counts().0, bases + 1);
}

#[test]
fn parsed_files_change_no_render() {
    let mut fleet = Fleet::new();
    fleet.renew();
    for (index, kept) in fleet.kept.iter().enumerate() {
        let kept = kept.as_ref().expect("it was rendered");
        let built = build(
            &fleet.files,
            &trees::overlay(index),
            &BuildOptions::default(),
        );
        let built = built.unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(kept.made.resources, built.resources);
        assert_eq!(built.resources.len(), trees::OBJECTS);
    }
}

#[test]
fn the_trees_of_the_benchmarks_build() {
    for count in [100, 300] {
        let built = build(&trees::wide(count), "top", &BuildOptions::default());
        let built = built.unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(built.resources.len(), count);
    }
    let deep = trees::deep(30);
    let built = build(&deep, "layer-30", &BuildOptions::default());
    let built = built.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(built.resources.len(), trees::OBJECTS);
}
