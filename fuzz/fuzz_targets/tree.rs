//! The whole engine: the files of a tree in, a build out. A file starts with a line `=== PATH`; what is built is `top`
//! if there is one, else the root.
#![no_main]

use driftless_fuzz::kustomize::BuildOptions;
use driftless_fuzz::laws;
use driftless_fuzz::render::render;
use driftless_fuzz::tree::{EntryKind, Files};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let files = laws::files_of(text);
    let top = files.kind("top") == Ok(Some(EntryKind::Directory));
    let directory = if top { "top" } else { "" };
    let _ = laws::builds(&files, directory);
    let options = BuildOptions {
        limits: laws::LIMITS,
        ..BuildOptions::default()
    };
    let _ = render(&files, directory, &options);
});
