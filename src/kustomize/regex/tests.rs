use super::*;

/// What a pattern makes of texts: those that it matches, or nothing where Go refuses it.
fn check(pattern: &str, expected: Option<&[&str]>, others: &[&str]) {
    let regex = Regex::new(pattern).ok();
    assert_eq!(regex.is_some(), expected.is_some(), "{pattern}");
    let Some(regex) = regex else { return };
    for text in expected.unwrap_or_default() {
        assert!(regex.is_match(text), "{pattern} matches {text:?}");
    }
    for text in others {
        assert!(!regex.is_match(text), "{pattern} does not match {text:?}");
    }
}

#[test]
fn what_go_takes_matches_what_it_matches_there() {
    for (pattern, fits, others) in [
        ("^${X}$", &[][..], &["${X}", ""][..]),
        (r"^\${X}-.*$", &["${X}-", "${X}-a"], &["$X-a"]),
        ("^{{ .x }}$", &["{{ .x }}", "{{ yx }}"], &["x"]),
        ("^a{1,$", &["a{1,"], &["a"]),
        ("^a{01}a{ 1}$", &["a{01}a{ 1}"], &["aa"]),
        ("^a{2,3}$", &["aa", "aaa"], &["a", "aaaa"]),
        ("^(?:a{0})$", &[""], &["a"]),
        (r"^\Qa.b\E.$", &["a.bc"], &["aybc"]),
        (r"^\101\x42\x{43}\0$", &["ABC\0"], &["ABC"]),
        ("^[a[b]+$", &["a[b"], &["a]"]),
        ("^[]a]+$", &["a]"], &["["]),
        ("^[a&&b]+$", &["a&b"], &["c"]),
        ("^[+--]+$", &["+,-"], &["."]),
        (r"^[\d-a]+$", &["1-a"], &["b"]),
        (r"^[[:^digit:]\D]$", &["a"], &["1"]),
        (r"^\d\w\s$", &["1_\t"], &["٣a ", "1é ", "1a\u{a0}"]),
        (r"a\b", &["aé", "a"], &["ab"]),
        (r"^\B", &["é", ""], &["a"]),
        (r"\B|..", &["bıs"], &["b"]),
        (r"^\p{^L}\PL\p{Greek}\pN$", &["12σ3"], &["1bσ3"]),
        (
            r"^\p{cased letter}\p{Assigned}$",
            &["aa"],
            &["1a", "a\u{378}"],
        ),
        ("(?i)^straſe$", &["STRASE", "strase"], &["straße"]),
        (r"(?i)^\W$", &["-"], &["ſ", "K", "k"]),
        (r"(?i)^[^\W]$", &["ſ", "k"], &["-"]),
        ("^(?i)a(?-i:b)(c)$", &["AbC"], &["ABC"]),
        ("^a.b$", &["a\rb"], &["a\nb"]),
        ("^a(?s:.)b$", &["a\nb"], &[]),
        ("^a$", &["a"], &["a\n", "b\na"]),
        ("(?m)^a$", &["b\na\nb"], &["a\r\n"]),
        ("(?-m)^a$", &["a"], &["b\na"]),
        ("^(?:|a|)$", &["", "a"], &["b"]),
        ("^a*(?i)*$", &["aaa"], &["b"]),
        ("^(?P<1>a)(?<1>b)$", &["ab"], &["a"]),
        (r"^[^\x00-\x{10FFFF}]$", &[], &["a"]),
        (r"^\x{D800}|[\x{D000}-\x{DFFF}]$", &["\u{D000}"], &["b"]),
    ] {
        check(pattern, Some(fits), others);
    }
}

#[test]
fn what_go_refuses_is_refused() {
    for pattern in [
        "a**",
        "a*+",
        "x{2}{3}",
        "*",
        "(*)",
        "a|*",
        "(?i)*",
        ".{1000}{2}",
        "a{1001}",
        "a{2,1}",
        "(a{500}){3}",
        "(?x)a",
        "(?i-)a",
        "(?i--s)a",
        "(?=a)",
        "(?P<>a)",
        "(?P<é>a)",
        "(?P<a",
        "(?P=a)",
        "(",
        ")",
        "a)|(b",
        r"(\Qa)",
        "[",
        "[]",
        "[^]",
        "[z-a]",
        r"[a-\d]",
        r"[\b]",
        "[[:foo:]]",
        "[[:a]b:]",
        r"\p{IsGreek}",
        r"\p{Script=Greek}",
        r"\p{Old_Italic}",
        r"\p{Alphabetic}",
        r"\p{Grek}",
        r"\p{}",
        r"\p{L",
        r"\p",
        r"\u0041",
        r"\C",
        r"\Z",
        r"\E",
        r"\1",
        r"\8",
        r"\x4",
        r"\x{}",
        r"\x{110000}",
        r"\é",
        "\\",
    ] {
        check(pattern, None, &[]);
    }
}

#[test]
fn limits_are_those_of_go_but_for_the_height() {
    let nested = |open: &str, times: usize, close: &str| {
        format!("{}a{}", open.repeat(times), close.repeat(times))
    };
    for (pattern, is_taken) in [
        (nested("(", 99, ")"), true),
        (nested("(", 100, ")"), false),
        (nested("(?:", 99, ")*"), true),
        (nested("(?:", 100, ")*"), false),
        (nested("(?:", 20_000, ")"), true),
        (nested("(?:b", 3000, ")"), true),
        (nested("(?:b|", 3000, ")"), true),
        ("(?:a{10}){100}".to_owned(), true),
        ("(?:a{10}){101}".to_owned(), false),
        ("((a{0}){1000}){1}".to_owned(), true),
        ("((a{0}){1000}){2}".to_owned(), false),
        (r"\pL{253}".to_owned(), true),
        (format!("(?:{}){{1000}}", "[ab][cd]".repeat(1700)), false),
        ("{".repeat(20_000), true),
    ] {
        let start: String = pattern.chars().take(40).collect();
        assert_eq!(Regex::new(&pattern).is_ok(), is_taken, "{start}");
    }
}
