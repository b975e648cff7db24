//! Renders that are kept: what nothing was changed of is not rendered again.

use super::{Rendered, render_with};
use crate::kustomize::{BuildErrors, BuildOptions, ParsedFiles};
use crate::tree::{Files, Reads, Recorded};

/// What was made of a render, and everything that was looked at for it.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    pub made: T,
    reads: Reads,
}

/// How a path is rendered.
#[derive(Clone, Copy, Debug)]
pub struct How<'h> {
    pub options: &'h BuildOptions,
    /// At most so many paths may be looked at.
    pub file_limit: usize,
    /// What other renders parsed.
    pub parsed: Option<&'h ParsedFiles>,
}

/// What there was before, where it looked at nothing that is different in `files`; else the path is rendered, and `make`
/// says what to keep of it. Also whether it was rendered.
pub fn renew<T>(
    files: &dyn Files,
    path: &str,
    how: How<'_>,
    before: Option<Kept<T>>,
    make: impl FnOnce(Rendered) -> T,
) -> Result<(Kept<T>, bool), BuildErrors> {
    if let Some(before) = before
        && before.reads.unchanged_in(files).unwrap_or(false)
    {
        return Ok((before, false));
    }
    let recorded = Recorded::new(files, how.file_limit);
    let rendered = render_with(&recorded, path, how.options, how.parsed)?;
    let kept = Kept {
        made: make(rendered),
        reads: recorded.into_reads(),
    };
    Ok((kept, true))
}
