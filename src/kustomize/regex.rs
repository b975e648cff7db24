//! Regular expressions as Go's `regexp` takes them: what it refuses is refused, and what it takes matches the same texts.
//!
//! Go's syntax is read here and handed over as a tree, because Rust's `regex` has a syntax of its own: there a `{` that
//! starts no repetition is an error, `\d` has the digits of all scripts, and `[a&&b]` is an intersection.

mod class;
mod escape;
mod named;
mod parse;
mod piece;
mod problem;

use regex_automata::meta;
use thiserror::Error;

use problem::Problem;

/// How many bytes an expression may become. Go lets one have four times as much; what needs it is no name.
const MAX_BYTES: usize = 32 << 20;

/// A compiled regular expression. It can be asked whether it matches, and nothing else.
pub struct Regex(meta::Regex);

/// Why a text is no regular expression.
#[derive(Clone, Debug, Error)]
#[error("is not a regular expression: {0}")]
pub struct RegexError(Problem);

impl Regex {
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let hir = parse::parse(pattern).map_err(RegexError)?;
        let config = meta::Config::new().nfa_size_limit(Some(MAX_BYTES));
        meta::Builder::new()
            .configure(config)
            .build_from_hir(&hir)
            .map(Self)
            .map_err(|_| RegexError(Problem::Large))
    }

    /// Whether it matches a part of the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

#[cfg(test)]
mod tests;
