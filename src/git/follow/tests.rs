use proptest::prelude::*;

use super::*;

/// A commit by one digit.
fn oid(digit: u32) -> String {
    format!("{digit:x}").repeat(40)[..40].to_owned()
}

/// `(short name with h: or t:, commit, time)`.
fn refs(list: &[(&str, u32, i64)]) -> Refs {
    Refs(
        list.iter()
            .map(|(name, commit, time)| Ref {
                name: name
                    .replacen("h:", "refs/heads/", 1)
                    .replacen("t:", "refs/tags/", 1),
                commit: oid(*commit),
                time: *time,
            })
            .collect(),
    )
}

fn rule(text: &str) -> FollowRule {
    let mut rule = FollowRule::default();
    let (kind, value) = text.split_once(' ').unwrap();
    let list = || Some(value.split(' ').map(str::to_owned).collect());
    match kind {
        "branches" => rule.branches = list(),
        "tags" => rule.tags = list(),
        "semver" => rule.semver = Some(value.to_owned()),
        _ => rule.commit = Some(value.to_owned()),
    }
    rule
}

/// `history`: pairs of a commit and one that it contains beside itself.
fn run(
    rules: &[&str],
    list: &[(&str, u32, i64)],
    history: &[(u32, u32)],
) -> Result<Choice, FollowError> {
    let rules: Vec<FollowRule> = rules.iter().map(|text| rule(text)).collect();
    choose(&rules, &refs(list), &mut |descendant, ancestor| {
        Ok(
            (descendant == ancestor && list.iter().any(|(_, commit, _)| oid(*commit) == ancestor))
                || history
                    .iter()
                    .any(|(a, b)| oid(*a) == descendant && oid(*b) == ancestor),
        )
    })
}

fn chosen(rules: &[&str], list: &[(&str, u32, i64)], history: &[(u32, u32)]) -> String {
    match run(rules, list, history) {
        Ok(choice) => format!("{} {}", choice.rule, choice.reference),
        Err(error) => error.to_string(),
    }
}

#[test]
fn rules_in_order() {
    let main = ("h:main", 1, 10);
    for (rules, list, expected) in [
        (&["branches main"][..], &[main][..], "0 refs/heads/main"),
        (
            &["branches main"],
            &[],
            "the repository has no branch and no tag",
        ),
        (
            &["branches master", "branches main"],
            &[main],
            "there is no branch master (follow rule 0)",
        ),
        (
            &["tags v1", "branches main"],
            &[main],
            "there is no tag v1 (follow rule 0)",
        ),
        (
            &["branches hotfix/*", "branches main"],
            &[main],
            "1 refs/heads/main",
        ),
        (
            &["tags release-*", "semver >=1.0.0"],
            &[main],
            "no follow rule yields a revision: nothing matches tags release-*, nor semver >=1.0.0",
        ),
        (
            &["branches [", "branches main"],
            &[main],
            "the pattern \"[\" cannot be read: unclosed character class; missing ']' (follow rule 0)",
        ),
        (
            &["semver oops"],
            &[main],
            "\"oops\" is not a range of versions: =oops: unexpected character 'o' while parsing major version number (follow rule 0)",
        ),
        (
            &["commit abc"],
            &[main],
            "\"abc\" is not a full commit: 40 hexadecimal digits (follow rule 0)",
        ),
        // A branch is no tag.
        (
            &["semver *"],
            &[("h:v1.0.0", 1, 1)],
            "no follow rule yields a revision: nothing matches semver *",
        ),
        (
            &["branches v1.0.0"],
            &[("t:v1.0.0", 1, 1)],
            "there is no branch v1.0.0 (follow rule 0)",
        ),
    ] {
        assert_eq!(chosen(rules, list, &[]), expected, "{rules:?}");
    }
}

#[test]
fn the_newest_of_several() {
    for (rules, list, expected) in [
        // By commit.
        (
            &["branches f/*"][..],
            &[("h:f/a", 1, 5), ("h:f/b", 2, 9), ("h:f/c", 3, 7)][..],
            "0 refs/heads/f/b",
        ),
        // Ties by name.
        (
            &["branches f/*"],
            &[("h:f/b", 1, 5), ("h:f/a", 2, 5)],
            "0 refs/heads/f/b",
        ),
        // By version, whatever their age, and numerically.
        (
            &["tags release-*"],
            &[("t:release-1.10", 1, 1), ("t:release-1.9", 2, 9)],
            "0 refs/tags/release-1.10",
        ),
        (
            &["branches hotfix/*"],
            &[("h:hotfix/1.2.4", 1, 1), ("h:hotfix/1.2.3", 2, 9)],
            "0 refs/heads/hotfix/1.2.4",
        ),
        // One that carries no version does not change the order of those that do.
        (
            &["tags *"],
            &[("t:v2.0.0", 1, 1), ("t:v1.0.5", 2, 8), ("t:nightly", 3, 9)],
            "0 refs/tags/v2.0.0",
        ),
        (
            &["semver >=1.0.0"],
            &[
                ("t:v1.0", 1, 1),
                ("t:v1.2", 2, 1),
                ("t:v1.10-rc.1", 3, 1),
                ("t:x", 4, 9),
            ],
            "0 refs/tags/v1.2",
        ),
        (
            &["semver >=1.0.0-0"],
            &[("t:v1.0", 1, 1), ("t:v1.2.0-rc.1", 3, 1)],
            "0 refs/tags/v1.2.0-rc.1",
        ),
        // `*` stays between slashes.
        (
            &["branches f/*", "branches f/**"],
            &[("h:f/a/b", 1, 5)],
            "1 refs/heads/f/a/b",
        ),
        // A name and a pattern in one rule.
        (
            &["branches main f/*"],
            &[("h:main", 1, 5), ("h:f/a", 2, 6)],
            "0 refs/heads/f/a",
        ),
    ] {
        assert_eq!(chosen(rules, list, &[]), expected, "{rules:?}");
    }
}

#[test]
fn what_was_merged_no_longer_matches() {
    let list = [("h:hotfix/a", 2, 20), ("h:main", 1, 10), ("t:v1.0.0", 3, 5)];
    let rules = ["branches hotfix/*", "branches main"];
    assert_eq!(chosen(&rules, &list, &[]), "0 refs/heads/hotfix/a");
    assert_eq!(chosen(&rules, &list, &[(1, 2)]), "1 refs/heads/main");
    // Merged into what is not chosen: it is still needed.
    let rules = ["branches hotfix/*", "semver *", "branches main"];
    assert_eq!(chosen(&rules, &list, &[(1, 2)]), "0 refs/heads/hotfix/a");
    assert_eq!(chosen(&rules, &list, &[(3, 2)]), "1 refs/tags/v1.0.0");
    // One of two.
    let list = [
        ("h:hotfix/a", 2, 20),
        ("h:hotfix/b", 4, 10),
        ("h:main", 1, 10),
    ];
    let rules = ["branches hotfix/*", "branches main"];
    assert_eq!(chosen(&rules, &list, &[(1, 2)]), "0 refs/heads/hotfix/b");
    // What is named, or a tag, was not merged by being contained.
    let list = [
        ("h:production", 2, 5),
        ("h:main", 1, 10),
        ("t:v1.0.0", 2, 5),
    ];
    assert_eq!(
        chosen(&["branches production", "branches main"], &list, &[(1, 2)]),
        "0 refs/heads/production"
    );
    assert_eq!(
        chosen(&["tags v*", "branches main"], &list, &[(1, 2)]),
        "0 refs/tags/v1.0.0"
    );
    // Where it cannot be known, the error stands.
    let list = [("h:hotfix/a", 2, 20)];
    assert_eq!(
        chosen(&["branches hotfix/*", "branches main"], &list, &[]),
        "there is no branch main (follow rule 1)"
    );
    assert_eq!(
        chosen(&["branches hotfix/*", "tags v*"], &list, &[]),
        "0 refs/heads/hotfix/a"
    );
}

#[test]
fn one_commit() {
    let text = format!("commit {}", oid(7));
    let choice = run(&[&text], &[("h:main", 7, 1)], &[]).unwrap();
    assert_eq!((choice.reference.as_str(), choice.commit), ("", oid(7)));
    let error = run(&[&text], &[("h:main", 1, 1)], &[]).unwrap_err();
    assert!(matches!(error, FollowError::CommitMissing { .. }));
}

#[test]
fn the_tag_keeps_its_name_and_carries_its_version() {
    let choice = run(&["semver *"], &[("t:v1.0", 1, 1)], &[]).unwrap();
    assert_eq!(choice.tag(), Some("v1.0"));
    assert_eq!(choice.version, Some(Version::new(1, 0, 0)));
}

#[test]
fn movements() {
    let choice = |commit, version: Option<&str>| Choice {
        rule: 0,
        reference: String::new(),
        version: version.and_then(parse_version),
        commit: oid(commit),
    };
    // 2 contains 1.
    let mut contains = |a: &str, b: &str| Ok(a == b || (a == oid(2) && b == oid(1)));
    for (running, next, expected) in [
        (None, choice(1, None), Movement::Forward),
        (Some((1, None)), choice(1, None), Movement::Same),
        (Some((1, None)), choice(2, None), Movement::Forward),
        (Some((2, None)), choice(1, None), Movement::Diverged),
        (
            Some((3, Some("1.0"))),
            choice(4, Some("1.1")),
            Movement::Forward,
        ),
        (Some((3, Some("1.0"))), choice(4, None), Movement::Diverged),
        (Some((3, None)), choice(4, Some("1.1")), Movement::Diverged),
        (
            Some((3, Some("1.1"))),
            choice(4, Some("1.1")),
            Movement::Diverged,
        ),
        (
            Some((3, Some("1.1"))),
            choice(4, Some("1.1.0+b")),
            Movement::Diverged,
        ),
        (
            Some((3, Some("1.1"))),
            choice(4, Some("1.1.0-rc.1")),
            Movement::Diverged,
        ),
        (
            Some((1, Some("1.1"))),
            choice(2, Some("1.0")),
            Movement::Forward,
        ),
    ] {
        let version =
            running.and_then(|(_, version): (u32, Option<&str>)| version.and_then(parse_version));
        let commit = running.map(|(commit, _)| oid(commit));
        let running = commit.as_deref().map(|commit| (commit, version.as_ref()));
        assert_eq!(
            movement(running, &next, &mut contains).unwrap(),
            expected,
            "{running:?} {next:?}"
        );
    }
}

fn some_refs() -> impl Strategy<Value = Vec<(String, u32, i64)>> {
    let name = prop_oneof![
        Just("h:main".to_owned()),
        "h:(hotfix|f)/[a-c]{1,2}",
        "h:hotfix/1\\.[0-3]",
        "t:v?[0-2]\\.[0-3](\\.[0-2])?(-rc\\.[1-2])?",
        "t:release-[0-3]",
    ];
    proptest::collection::vec((name, 1..16u32, 0..5i64), 0..12).prop_map(|mut list| {
        list.sort();
        list.dedup_by(|a, b| a.0 == b.0);
        list
    })
}

fn some_rules() -> impl Strategy<Value = Vec<FollowRule>> {
    let rule_text = prop_oneof![
        Just("branches main"),
        Just("branches hotfix/*"),
        Just("branches main f/*"),
        Just("semver >=1.0.0"),
        Just("semver >=1.0.0-0"),
        Just("tags release-*"),
        Just("tags *"),
    ];
    proptest::collection::vec(rule_text.prop_map(rule), 1..4)
}

fn outcome(rules: &[FollowRule], list: &[(String, u32, i64)]) -> Result<Choice, String> {
    let list: Vec<(&str, u32, i64)> = list
        .iter()
        .map(|(name, c, t)| (name.as_str(), *c, *t))
        .collect();
    // Higher digits contain lower ones of the same parity.
    choose(rules, &refs(&list), &mut |a, b| {
        Ok(a >= b
            && u32::from_str_radix(&a[..1], 16).unwrap() % 2
                == u32::from_str_radix(&b[..1], 16).unwrap() % 2)
    })
    .map_err(|error| error.to_string())
}

proptest! {
    #[test]
    fn the_order_of_the_refs_does_not_matter(rules in some_rules(), list in some_refs()) {
        let mut reversed = list.clone();
        reversed.reverse();
        prop_assert_eq!(outcome(&rules, &list), outcome(&rules, &reversed));
    }

    #[test]
    fn a_choice_is_a_ref_that_exists_at_its_commit(rules in some_rules(), list in some_refs()) {
        if let Ok(choice) = outcome(&rules, &list) {
            let all: Vec<(&str, u32, i64)> = list.iter().map(|(n, c, t)| (n.as_str(), *c, *t)).collect();
            let there = refs(&all).0.iter().any(|reference| {
                reference.name == choice.reference && reference.commit == choice.commit
            });
            prop_assert!(there);
        }
    }

    #[test]
    fn an_unrelated_ref_changes_nothing(rules in some_rules(), list in some_refs()) {
        let mut more = list.clone();
        more.push(("h:unrelated".to_owned(), 3, 99));
        if !list.is_empty() {
            prop_assert_eq!(outcome(&rules, &list), outcome(&rules, &more));
        }
    }

    #[test]
    fn a_higher_tag_in_the_range_wins(list in some_refs()) {
        let mut more = list;
        more.push(("t:v9.0.0".to_owned(), 3, 0));
        let choice = outcome(&[rule("semver >=1.0.0")], &more);
        prop_assert_eq!(choice.map(|choice| choice.reference), Ok("refs/tags/v9.0.0".to_owned()));
    }
}
