//! The YAML reader and both writers, on arbitrary bytes.
#![no_main]

use driftless_fuzz::laws;
use driftless_fuzz::yaml::{parse, parse_with_comments, to_block};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    laws::reads_back(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let limits = laws::yaml_limits();
    let plain = parse(text, "fuzz.yaml", &limits);
    let commented = parse_with_comments(text, &limits);
    assert_eq!(plain.is_ok(), commented.is_ok(), "comments decide: {text}");
    for document in [plain, commented].into_iter().flatten().flatten() {
        let _ = to_block(&document.tree, document.root);
    }
});
