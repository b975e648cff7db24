//! What is wrong with an expression.

use thiserror::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    #[error("there is no such class of characters")]
    UnknownClass,
    #[error("a range of characters is the wrong way round")]
    BackwardRange,
    #[error("there is no such escape sequence")]
    UnknownEscape,
    #[error("it ends in a backslash")]
    LastBackslash,
    #[error("the name of a group is letters, digits and underscores")]
    GroupName,
    #[error("behind `(?` stands no flag of Go's regular expressions")]
    UnknownFlag,
    #[error("a repetition is repeated")]
    RepeatedRepeat,
    #[error("there is nothing in front of a repetition")]
    NothingToRepeat,
    #[error("nothing can be repeated so often")]
    RepeatCount,
    #[error("a `[` is not closed")]
    OpenBracket,
    #[error("a `(` is not closed")]
    OpenParen,
    #[error("a `)` closes nothing")]
    LooseParen,
    #[error("it nests too deeply")]
    Depth,
    #[error("it is too large")]
    Large,
}

pub type Result<T> = std::result::Result<T, Problem>;
