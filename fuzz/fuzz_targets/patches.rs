//! The patch engine: objects and a patch, divided by a line `===`, put together by every field that takes a patch.
#![no_main]

use driftless_fuzz::laws;
use driftless_fuzz::tree::MemoryFiles;
use libfuzzer_sys::fuzz_target;

const KUSTOMIZATIONS: [&str; 4] = [
    "resources: [objects.yaml]\npatches:\n- path: patch.yaml\n",
    "resources: [objects.yaml]\npatches:\n- path: patch.yaml\n  target: {kind: .*}\n  options: {allowNameChange: true, allowKindChange: true}\n",
    "resources: [objects.yaml]\npatchesStrategicMerge: [patch.yaml]\nnamePrefix: x-\n",
    "resources: [objects.yaml]\npatchesJson6902:\n- path: patch.yaml\n  target: {version: v1, kind: ConfigMap, name: a}\n",
];

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (objects, patch) = text.split_once("\n===\n").unwrap_or((text, ""));
    let mut files = MemoryFiles::new([("objects.yaml", objects), ("patch.yaml", patch)]);
    for kustomization in KUSTOMIZATIONS {
        files.insert("kustomization.yaml", kustomization.as_bytes());
        let _ = laws::builds(&files, "");
    }
});
