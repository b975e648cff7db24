use std::fmt::Write;

use serde_json::{Value, json};

use super::*;

fn values(text: &str) -> Vec<Value> {
    read(text.as_bytes(), "test.yaml", &Limits::default())
        .expect("it reads")
        .iter()
        .map(|document| to_value(&document.tree, document.root).expect("it has a value"))
        .collect()
}

#[test]
fn scalars_mean_what_go_yaml_v3_says() {
    let text = "a: 0644\nb: 1_000\nc: yes\nd: 1e400\ne: 12345678901234567890123\nf: 12345678901234567890\ng: 08\n\
                h: ~\ni: 2020-01-01\nj: 1.0\nk: !!str 5\nl: .5\nm: 0x1F\nn: 1:30\no: 2001-12-14 21:59:43.10\n";
    assert_eq!(
        values(text),
        [json!({
            "a": 420, "b": 1000, "c": "yes", "d": "1e400", "e": 1.234_567_890_123_456_8e22_f64,
            "f": 12_345_678_901_234_567_890_u64, "g": 8, "h": null, "i": "2020-01-01T00:00:00Z", "j": 1, "k": "5",
            "l": 0.5, "m": 31, "n": "1:30", "o": "2001-12-14T21:59:43.1Z"
        })]
    );
}

#[test]
fn blocks_end_as_the_text_does() {
    for (text, expected) in [
        ("a: |\n  x", "x"),
        ("a: >\n  x\n  y", "x y"),
        ("a: |+\n  x", "x"),
        ("a: |\n  x\n", "x\n"),
        ("a: |\n  x\n# y", "x\n"),
        ("a: |\n  x\r", "x\n"),
        ("a: >+\n  x\n\n", "x\n\n\n"),
    ] {
        assert_eq!(values(text), [json!({"a": expected})], "{text:?}");
    }
}

#[test]
fn what_go_yaml_takes_more_laxly_reads_the_same() {
    for (text, expected) in [
        ("a: \"x\ny\"\n", json!({"a": "x y"})),
        ("a: 'x\n\n''y'\n", json!({"a": "x\n'y"})),
        ("a:\n  b: \"x\n\ty\"\n", json!({"a": {"b": "x y"}})),
        (
            "a:\n- \"x\n- y\"\n- b: 'c\n#d'\n",
            json!({"a": ["x - y", {"b": "c #d"}]}),
        ),
        (
            "a: {b: \"c\nd\", e: [it's]}\nf: 'g\nh'\n",
            json!({"a": {"b": "c d", "e": ["it's"]}, "f": "g h"}),
        ),
        (
            "a: |\n  \"b\n\nc: 'd\n  e'\nf: \"g\nh\"\n",
            json!({"a": "\"b\n", "c": "d e", "f": "g h"}),
        ),
        (
            "a: it\n  'b\nc: \"d\ne\" # '\n",
            json!({"a": "it 'b", "c": "d e"}),
        ),
        (
            "a: \"it\\'s\"#b\nc: [d,#e\n]#f\ng: |#h\n  i\n",
            json!({"a": "it's", "c": ["d"], "g": "i\n"}),
        ),
    ] {
        assert_eq!(values(text), [expected], "{text:?}");
    }
    for (text, expected) in [
        ("a: 'x \u{2028}    y'\n", json!({"a": "x\u{2028}y"})),
        ("a: x\u{2029}  y\n", json!({"a": "x\u{2029}y"})),
        (
            "a: \"x\u{2028} y\"\nb: \"x\\L y\"\n",
            json!({"a": "x\u{2028}y", "b": "x\u{2028} y"}),
        ),
        ("a: |\n  x\u{2028}   y\n", json!({"a": "x\u{2028} y\n"})),
    ] {
        assert_eq!(values(text), [expected], "{text:?}");
    }
    // What was read anew keeps its lines, and what nobody reads is refused with its own place.
    for (text, expected) in [
        (
            "a: \"x\ny\"\nb: 1\nb: 2\n",
            "x.yaml:4:1: the key `b` occurs twice in one map",
        ),
        (
            "a: \"x\n--- y\"\n",
            "x.yaml:2:1: invalid document separator: ---y\"",
        ),
        (
            "a: \"x\ny\\q\"\n",
            "x.yaml:1:4: while parsing a quoted scalar, found unknown escape character",
        ),
    ] {
        let error = read(text.as_bytes(), "x.yaml", &Limits::default()).expect_err("not YAML");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn what_yaml_1_1_takes_for_something_else_needs_quotes() {
    for text in [
        "yes",
        "5",
        "1_000",
        "~",
        "{a: b}",
        "[a]",
        "a:",
        "a: b",
        "- a",
        "-",
        "? a",
        "&a",
        "&a 5",
        "!!int 5",
        "5 # c",
        "--- 5",
        "5 ",
        "# c",
        "!!float 5",
        "--- [a]",
        "{}",
    ] {
        assert!(needs_quotes_in_1_1(text), "{text:?}");
    }
    for text in [
        "",
        "a",
        "a\n",
        "{{ x }}",
        "{{a}}",
        "{{ a }}-x",
        "[{{a}}]",
        "{[a]: b}",
        "2001-01-01",
        "2001-01-01T00:00:00Z",
        "*a",
        "{a",
        "@b",
        "'5'",
        "\"5\"",
        "!!str 5",
        "a:b",
        "a#b",
        "-a",
        "--a=b",
        "a b",
        "!!int a",
        "!a 5",
        "\t5",
        "{a: *b}",
        "$(A)",
    ] {
        assert!(!needs_quotes_in_1_1(text), "{text:?}");
    }
}

#[test]
fn documents_split_as_kustomize_splits_them() {
    assert_eq!(
        values("---\na: 1\n--- # comment\nb: 2\n%YAML 1.2\n---\n# nothing\n---\nnull\n---\nc: 3"),
        [json!({"a": 1}), json!({"b": 2}), json!({"c": 3})]
    );
    let error =
        read(b"a: 1\n--- b\nc: 1\n", "x.yaml", &Limits::default()).expect_err("a bad separator");
    assert_eq!(
        error.to_string(),
        "x.yaml:2:1: invalid document separator: ---b"
    );
}

#[test]
fn merge_keys_and_aliases() {
    assert_eq!(
        values("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b]\n"),
        [json!({"base": {"x": 1, "y": 2}, "use": {"x": 1, "y": 3}, "list": [{"x": 1, "y": 2}]})]
    );
}

#[test]
fn depth_is_a_budget_that_is_named() {
    for text in ["[".repeat(1000), "- ".repeat(1000), "{a: ".repeat(1000)] {
        let error = read(text.as_bytes(), "x.yaml", &Limits::default()).expect_err("too deep");
        assert!(
            error.to_string().contains("raise the budget --max-depth"),
            "{error}"
        );
    }
}

#[test]
fn a_key_that_looks_like_a_merge_is_quoted() {
    let text = to_yaml(&json!({"a": {"<<": {"b": "<<"}}}));
    assert_eq!(text, "a:\n  \"<<\":\n    b: <<\n");
    assert_eq!(values(&text), [json!({"a": {"<<": {"b": "<<"}}})]);
}

#[test]
fn problems_have_places() {
    let error = read(
        b"a: 1\n---\nb: 1\nc:\n  d: 1\n  d: 2\n",
        "x.yaml",
        &Limits::default(),
    )
    .expect_err("twice");
    assert_eq!(
        error.to_string(),
        "x.yaml:6:3: the key `d` occurs twice in one map"
    );
    let document = read(b"5: a\n~: b\n", "x.yaml", &Limits::default()).expect("it reads");
    let error = to_value(&document[0].tree, document[0].root).expect_err("no name");
    assert_eq!(error.place.line, 2);
    let error = read(b"a: b: c\n", "x.yaml", &Limits::default()).expect_err("not YAML");
    assert_eq!(error.0[0].place.line, 1);
}

#[test]
fn alias_bombs_meet_the_limit() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        writeln!(text, "a{level}: &a{level} [{below}x]").expect("a string takes all");
    }
    let error = read(text.as_bytes(), "bomb.yaml", &Limits::default()).expect_err("a bomb");
    assert!(
        error.to_string().contains(
            "more than 4000000 nodes of YAML; if that is meant, raise the budget --max-nodes"
        ),
        "{error}"
    );
    let deep = "[".repeat(100_000);
    assert!(read(deep.as_bytes(), "deep.yaml", &Limits::default()).is_err());
    let deep = "- ".repeat(100_000);
    assert!(read(deep.as_bytes(), "deep.yaml", &Limits::default()).is_err());
}

#[test]
fn writes_as_go_yaml_v2() {
    let value = json!({
        "b": ["x", {"y": 1, "x": []}, [1, [2]]], "a10": "no", "a9": "", "literal": "a\n b\n", "keep": "a\n\n",
        "strip": "a\nb", "quote": "it's: x", "hash": "# x", "tab": "a\tb", "emoji": "\u{1f600}", "float": 1_234_567.5,
        "mark": "\u{feff}a é", "lines": "a\u{2028}b",
        "time": "2020-01-01", "base60": "1:30", "null": null, "map": {}, "y": true
    });
    assert_eq!(
        to_yaml(&value),
        "a9: \"\"\na10: \"no\"\nb:\n- x\n- x: []\n  \"y\": 1\n- - 1\n  - - 2\nbase60: \"1:30\"\nemoji: \"\\U0001F600\"\n\
         float: 1.2345675e+06\nhash: '# x'\nkeep: |+\n  a\n\nlines: 'a\u{2028}  b'\nliteral: |\n  a\n   b\n\
         map: {}\nmark: \"\\uFEFF\\x61\\x20\\xE9\"\n\"null\": null\n\
         quote: 'it''s: x'\nstrip: |-\n  a\n  b\ntab: \"a\\tb\"\ntime: \"2020-01-01\"\n\"y\": true\n"
    );
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~]{0,12}",
            "[a-c \n\t:#'\"\\\\&*!|>%@`{}\\[\\],?-]{0,20}",
            "[-+0-9a-fA-FxXoObB_.:eE]{1,8}",
            "[a-z]{1,9}( [a-z]{1,9}){20,40}",
            any::<String>(),
            proptest::sample::select(vec![
                "yes",
                "null",
                "~",
                "<",
                "=",
                "---",
                "... x",
                "- a",
                "0o7",
                "1_0",
                "\u{feff}x",
                "\u{85}"
            ])
            .prop_map(str::to_owned),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn what_is_written_reads_the_same(map in prop::collection::btree_map(text(), value(), 1..4)) {
            // A key `<<` is written without quotes, as kustomize writes it, and so does not read the same.
            let value = Value::Object(map.into_iter().collect());
            let text = to_yaml(&value);
            let documents = read(text.as_bytes(), "written.yaml", &Limits::default());
            let documents = documents.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(documents.len(), 1, "{}", text);
            let back = to_value(&documents[0].tree, documents[0].root);
            prop_assert_eq!(back, Ok(value), "{}", text);
        }

        #[test]
        fn nothing_that_is_read_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in text()) {
            let _ = read(&bytes, "x", &Limits::default());
            let _ = read(text.as_bytes(), "x", &Limits::default());
            let _ = mend::mend(&text, 1 << 20);
            let _ = mend::mend(&String::from_utf8_lossy(&bytes), 1 << 20);
            let _ = resolve(&text);
            let _ = resolve_1_1(&text);
            let _ = needs_quotes_in_1_1(&text);
        }

        #[test]
        fn keys_keep_their_order(mut keys in prop::collection::vec("[a-z0-9./_-]{1,6}", 2..8)) {
            keys.sort();
            keys.dedup();
            let map = |keys: &[String]| Value::Object(keys.iter().map(|key| (key.clone(), 1.into())).collect());
            let forward = to_yaml(&map(&keys));
            keys.reverse();
            prop_assert_eq!(forward, to_yaml(&map(&keys)));
        }
    }
}
