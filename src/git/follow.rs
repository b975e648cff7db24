//! Which revision is wanted, of the refs that there are. Pure: what needs history is asked of the caller's `contains`.

use std::cmp::Ordering;

use globset::{GlobBuilder, GlobMatcher};
use semver::Version;

use super::error::GitError;
use super::refs::{Ref, Refs, is_oid};
use super::version::{Range, RangeError, parse_version, version_in};
use crate::api::FollowRule;

/// Whether the first commit is, or has among its ancestors, the second.
pub type Contains<'a> = dyn FnMut(&str, &str) -> Result<bool, GitError> + 'a;

/// The revision that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The index of the rule that chose it.
    pub rule: usize,
    /// The full name of the ref, as the server has it; empty where a commit is followed.
    pub reference: String,
    /// The version that the ref's name carries.
    pub version: Option<Version>,
    /// The commit, in full.
    pub commit: String,
}

impl Choice {
    /// The branch's name, if one was chosen.
    pub fn branch(&self) -> Option<&str> {
        self.reference.strip_prefix("refs/heads/")
    }

    /// The tag's name, if one was chosen.
    pub fn tag(&self) -> Option<&str> {
        self.reference.strip_prefix("refs/tags/")
    }
}

/// Why no revision could be chosen. None of these means that nothing is wanted.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error("the repository has no branch and no tag")]
    Empty,
    #[error("there is no branch {name} (follow rule {rule})")]
    BranchMissing { rule: usize, name: String },
    #[error("there is no tag {name} (follow rule {rule})")]
    TagMissing { rule: usize, name: String },
    #[error("there is no commit {commit} in any branch or tag (follow rule {rule})")]
    CommitMissing { rule: usize, commit: String },
    #[error("{commit:?} is not a full commit: 40 hexadecimal digits (follow rule {rule})")]
    NotACommit { rule: usize, commit: String },
    #[error("the pattern {pattern:?} cannot be read: {message} (follow rule {rule})")]
    Pattern {
        rule: usize,
        pattern: String,
        message: String,
    },
    #[error("{source} (follow rule {rule})")]
    Range { rule: usize, source: RangeError },
    #[error("give exactly one of branches, semver, tags and commit (follow rule {rule})")]
    Rule { rule: usize },
    #[error("no follow rule yields a revision: nothing matches {}", rules.join(", nor "))]
    NothingMatches { rules: Vec<String> },
    #[error(transparent)]
    Git(#[from] GitError),
}

/// The revision that the first rule yields which yields one.
///
/// A name that is missing is an error; a pattern that matches nothing falls through to the next rule. A branch that a
/// pattern matched, and that the choice of the rules after it already contains, has been merged and no longer matches.
pub fn choose(
    rules: &[FollowRule],
    refs: &Refs,
    contains: &mut Contains<'_>,
) -> Result<Choice, FollowError> {
    if refs.0.is_empty() {
        return Err(FollowError::Empty);
    }
    choose_from(0, rules, refs, contains)?.ok_or_else(|| FollowError::NothingMatches {
        rules: rules.iter().map(describe).collect(),
    })
}

fn choose_from(
    first: usize,
    rules: &[FollowRule],
    refs: &Refs,
    contains: &mut Contains<'_>,
) -> Result<Option<Choice>, FollowError> {
    for (rule, follow) in rules.iter().enumerate().skip(first) {
        let mut candidates = candidates(rule, follow, refs, contains)?;
        if candidates.iter().any(|candidate| candidate.may_be_merged) {
            // What could not be decided below is not decided here: its error stands.
            if let Some(later) = choose_from(rule + 1, rules, refs, contains)? {
                let mut unmerged = Vec::new();
                for candidate in candidates {
                    if !candidate.may_be_merged || !contains(&later.commit, &candidate.commit)? {
                        unmerged.push(candidate);
                    }
                }
                candidates = unmerged;
            }
        }
        if let Some(newest) = candidates.into_iter().max_by(Candidate::order) {
            return Ok(Some(newest.into_choice(rule)));
        }
    }
    Ok(None)
}

/// A revision that a rule matches.
struct Candidate {
    reference: String,
    version: Option<Version>,
    commit: String,
    time: i64,
    may_be_merged: bool,
}

impl Candidate {
    /// By version where the names carry one (those come after the ones that do not), then by time, then by name.
    fn order(&self, other: &Self) -> Ordering {
        (&self.version, self.time, &self.reference).cmp(&(
            &other.version,
            other.time,
            &other.reference,
        ))
    }

    fn into_choice(self, rule: usize) -> Choice {
        Choice {
            rule,
            reference: self.reference,
            version: self.version,
            commit: self.commit,
        }
    }
}

fn candidates(
    rule: usize,
    follow: &FollowRule,
    refs: &Refs,
    contains: &mut Contains<'_>,
) -> Result<Vec<Candidate>, FollowError> {
    let FollowRule {
        branches,
        semver,
        tags,
        commit,
        diverge: _,
    } = follow;
    match (branches, semver, tags, commit) {
        (Some(names), None, None, None) => named(rule, names, refs, Ref::branch, true, |name| {
            FollowError::BranchMissing { rule, name }
        }),
        (None, None, Some(names), None) => named(rule, names, refs, Ref::tag, false, |name| {
            FollowError::TagMissing { rule, name }
        }),
        (None, Some(range), None, None) => {
            let range: Range = range
                .parse()
                .map_err(|source| FollowError::Range { rule, source })?;
            Ok(refs
                .0
                .iter()
                .filter_map(|reference| {
                    let version = parse_version(reference.tag()?)?;
                    range.admits(&version).then(|| Candidate {
                        version: Some(version),
                        ..plain(reference, "")
                    })
                })
                .collect())
        }
        (None, None, None, Some(commit)) => {
            if !is_oid(commit) {
                return Err(FollowError::NotACommit {
                    rule,
                    commit: commit.clone(),
                });
            }
            if !contains(commit, commit)? {
                return Err(FollowError::CommitMissing {
                    rule,
                    commit: commit.clone(),
                });
            }
            Ok(vec![Candidate {
                reference: String::new(),
                version: None,
                commit: commit.clone(),
                time: 0,
                may_be_merged: false,
            }])
        }
        _ => Err(FollowError::Rule { rule }),
    }
}

fn plain(reference: &Ref, short: &str) -> Candidate {
    Candidate {
        reference: reference.name.clone(),
        version: version_in(short),
        commit: reference.commit.clone(),
        time: reference.time,
        may_be_merged: false,
    }
}

/// Branches or tags by name or pattern.
fn named(
    rule: usize,
    names: &[String],
    refs: &Refs,
    short: fn(&Ref) -> Option<&str>,
    merge: bool,
    missing: impl Fn(String) -> FollowError,
) -> Result<Vec<Candidate>, FollowError> {
    let mut literals = Vec::new();
    let mut patterns = Vec::new();
    for name in names {
        if is_pattern(name) {
            patterns.push(pattern(rule, name)?);
        } else {
            literals.push(name.as_str());
        }
    }
    let there = |name: &str| {
        refs.0
            .iter()
            .any(|reference| short(reference) == Some(name))
    };
    if let Some(name) = literals.iter().find(|name| !there(name)) {
        return Err(missing((*name).to_owned()));
    }
    Ok(refs
        .0
        .iter()
        .filter_map(|reference| {
            let name = short(reference)?;
            let literal = literals.contains(&name);
            (literal || patterns.iter().any(|pattern| pattern.is_match(name))).then(|| Candidate {
                may_be_merged: merge && !literal,
                ..plain(reference, name)
            })
        })
        .collect())
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '{'])
}

/// `*` stays between slashes, `**` crosses them.
fn pattern(rule: usize, text: &str) -> Result<GlobMatcher, FollowError> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| FollowError::Pattern {
            rule,
            pattern: text.to_owned(),
            message: error.kind().to_string(),
        })
}

fn describe(rule: &FollowRule) -> String {
    let list = |names: &Option<Vec<String>>| names.as_ref().map(|names| names.join(", "));
    let branches = list(&rule.branches).map(|names| format!("branches {names}"));
    let tags = list(&rule.tags).map(|names| format!("tags {names}"));
    let semver = rule.semver.as_ref().map(|range| format!("semver {range}"));
    branches.or(tags).or(semver).unwrap_or_default()
}

/// How a choice stands to what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// The same commit.
    Same,
    /// It contains what runs, or carries a higher version; or nothing runs.
    Forward,
    /// Neither.
    Diverged,
}

/// How `next` stands to the running commit and the version that its ref carried.
pub fn movement(
    running: Option<(&str, Option<&Version>)>,
    next: &Choice,
    contains: &mut Contains<'_>,
) -> Result<Movement, GitError> {
    let Some((commit, version)) = running else {
        return Ok(Movement::Forward);
    };
    if commit == next.commit {
        return Ok(Movement::Same);
    }
    let higher = match (version, &next.version) {
        (Some(running), Some(next)) => next.cmp_precedence(running) == Ordering::Greater,
        _ => false,
    };
    if higher || contains(&next.commit, commit)? {
        return Ok(Movement::Forward);
    }
    Ok(Movement::Diverged)
}

#[cfg(test)]
mod tests;
