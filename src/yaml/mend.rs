//! Texts that go-yaml reads and the parser refuses, written so that both read the same: lines of a quoted text that are not
//! indented or start with a tab, `\'` in double quotes, comments that touch what is in front of them. Must not be asked
//! before the parser has refused.

use granit_parser::{ErrorKind, Event, ScalarStyle, ScanError, Span};

/// A text that was written anew, and where.
pub(super) struct Mended {
    pub text: String,
    pub edits: Edits,
}

/// Where a text was written anew, as offsets in the new one; and how many of these places were seen to be harmless.
#[derive(Default)]
pub(super) struct Edits {
    /// In quotes.
    quoted: Vec<usize>,
    /// In front of a comment.
    comments: Vec<usize>,
    harmless: usize,
}

impl Edits {
    pub fn is_empty(&self) -> bool {
        self.quoted.is_empty() && self.comments.is_empty()
    }

    /// Counts the edits that lie where the parser finds what they were made for. Then they changed no value.
    pub fn see(&mut self, event: &Event<'_>, span: &Span) {
        let (Some(start), Some(end)) = (span.start.byte_offset(), span.end.byte_offset()) else {
            return;
        };
        match event {
            Event::Scalar(_, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted, ..) => {
                self.harmless += before(&self.quoted, end) - before(&self.quoted, start + 1);
            }
            Event::Comment(..) => {
                self.harmless += usize::from(self.comments.binary_search(&start).is_ok());
            }
            _ => {}
        }
    }

    /// Whether all edits in a document that ends here are known to be harmless.
    pub fn are_harmless(&self, end: Option<usize>) -> bool {
        let end = end.unwrap_or(usize::MAX);
        self.harmless == before(&self.quoted, end) + before(&self.comments, end)
    }
}

fn before(edits: &[usize], end: usize) -> usize {
    edits.partition_point(|edit| *edit < end)
}

/// Whether a text that is refused with this error may be one that go-yaml reads.
pub(super) fn may_help(error: &ScanError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidQuotedScalarIndent
            | ErrorKind::TabInIndentation
            | ErrorKind::UnknownQuotedScalarEscape
            | ErrorKind::CommentNotSeparated
    )
}

/// The text for the parser; `None` if there is nothing to mend, or if it would be longer than the limit.
pub(super) fn mend(text: &str, limit: usize) -> Option<Mended> {
    let mut mender = Mender {
        text,
        limit,
        at: 0,
        line: 0,
        copied: 0,
        depth: 0,
        parent: -1,
        key: None,
        goes_on: false,
        closed: false,
        out: String::with_capacity(text.len() + text.len() / 8),
        edits: Edits::default(),
    };
    mender.run()?;
    mender.copy(text.len());
    (!mender.edits.is_empty()).then_some(Mended {
        text: mender.out,
        edits: mender.edits,
    })
}

/// Finds where quoted texts, blocks and comments are; it need not know more of YAML. Offsets and columns are in bytes.
struct Mender<'t> {
    text: &'t str,
    limit: usize,
    at: usize,
    /// Where the line starts.
    line: usize,
    /// Up to where the text was copied.
    copied: usize,
    /// How many brackets and braces are open.
    depth: usize,
    /// The column of the key or dash that what comes now belongs to.
    parent: isize,
    /// The column where what stands here starts: it is a key if a colon follows.
    key: Option<isize>,
    /// A plain text goes on in the next line if that is indented.
    goes_on: bool,
    /// A quote or a part of a collection in brackets ends directly in front.
    closed: bool,
    out: String,
    edits: Edits,
}

impl Mender<'_> {
    fn run(&mut self) -> Option<()> {
        while let Some(byte) = self.byte(0) {
            let closed = std::mem::take(&mut self.closed);
            match byte {
                b'\n' => self.next_line(),
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' if closed => {
                    self.copy(self.at);
                    self.out.push(' ');
                    self.edits.comments.push(self.out.len());
                    self.comment();
                }
                b'#' if self.at == 0 || self.text.as_bytes()[self.at - 1].is_ascii_whitespace() => {
                    self.comment();
                }
                _ => self.token(byte, closed)?,
            }
        }
        Some(())
    }

    fn token(&mut self, byte: u8, closed: bool) -> Option<()> {
        let column = self.column();
        if std::mem::take(&mut self.goes_on) && self.depth == 0 && column > self.parent {
            self.plain();
            return Some(());
        }
        if self.is_marker() {
            (self.at, self.parent, self.key) = (self.at + 3, -1, None);
            return Some(());
        }
        let ends = self.byte(1).is_none_or(|next| next.is_ascii_whitespace());
        match byte {
            b':' if ends || (closed && self.depth > 0) => {
                if self.depth == 0 {
                    self.parent = self.key.take().unwrap_or(column);
                }
                self.at += 1;
                return Some(());
            }
            b'-' | b'?' if ends => {
                if self.depth == 0 {
                    (self.parent, self.key) = (column, None);
                }
                self.at += 1;
                return Some(());
            }
            _ => {}
        }
        self.key.get_or_insert(column);
        match byte {
            b'[' | b'{' => {
                self.depth += 1;
                self.at += 1;
                self.closed = true;
            }
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
                self.closed = true;
            }
            b',' if self.depth > 0 => {
                self.at += 1;
                self.closed = true;
            }
            b'&' | b'*' | b'!' => self.skip(|byte| byte.is_ascii_whitespace()),
            b'|' | b'>' if self.depth == 0 => self.block(),
            b'\'' | b'"' => self.quoted(byte)?,
            _ => self.plain(),
        }
        Some(())
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn column(&self) -> isize {
        isize::try_from(self.at - self.line).unwrap_or(isize::MAX)
    }

    /// Whether a line that separates documents starts here.
    fn is_marker(&self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        self.at == self.line
            && (rest.starts_with(b"---") || rest.starts_with(b"..."))
            && rest.get(3).is_none_or(u8::is_ascii_whitespace)
    }

    fn next_line(&mut self) {
        self.at += 1;
        self.line = self.at;
        if self.depth == 0 {
            self.key = None;
        }
    }

    /// Up to such a byte, the next line, or another part of a collection in brackets.
    fn skip(&mut self, is_end: impl Fn(u8) -> bool) {
        let in_flow = self.depth > 0;
        while let Some(byte) = self.byte(0) {
            let ends_part = in_flow && matches!(byte, b',' | b'[' | b']' | b'{' | b'}');
            if byte == b'\n' || ends_part || is_end(byte) {
                break;
            }
            self.at += 1;
        }
    }

    fn comment(&mut self) {
        self.goes_on = false;
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn plain(&mut self) {
        loop {
            self.at += 1;
            self.skip(|byte| matches!(byte, b':' | b'#'));
            let previous = self.text.as_bytes()[self.at - 1];
            let ends = self.byte(1).is_none_or(|next| {
                next.is_ascii_whitespace()
                    || (self.depth > 0 && matches!(next, b',' | b'[' | b']' | b'{' | b'}'))
            });
            match self.byte(0) {
                Some(b':') if !ends => {}
                Some(b'#') if !previous.is_ascii_whitespace() => {}
                Some(b'\n') => {
                    self.goes_on = true;
                    return;
                }
                // What is plain may be a key: the colon is looked at next.
                _ => return,
            }
        }
    }

    /// A block, header and all.
    fn block(&mut self) {
        self.at += 1;
        let mut indent = None;
        while let Some(byte @ (b'0'..=b'9' | b'+' | b'-')) = self.byte(0) {
            if byte.is_ascii_digit() {
                indent = Some(self.parent.max(0) + isize::from(byte - b'0'));
            }
            self.at += 1;
        }
        let rest = &self.text[self.at..];
        let header = rest.find('\n').unwrap_or(rest.len());
        if rest.starts_with('#') {
            self.copy(self.at);
            self.out.push(' ');
            self.edits.comments.push(self.out.len());
        }
        self.at += header;
        while self.byte(0) == Some(b'\n') {
            let line = &self.text[self.at + 1..];
            let line = line.split('\n').next().unwrap_or_default();
            let spaces = line.len() - line.trim_start_matches(' ').len();
            let column = isize::try_from(spaces).unwrap_or(isize::MAX);
            if spaces < line.len() && column < *indent.get_or_insert(column.max(self.parent + 1)) {
                break;
            }
            self.at += 1 + line.len();
        }
    }

    /// A text in quotes; `None` for one that no reader takes, or that takes too much.
    fn quoted(&mut self, quote: u8) -> Option<()> {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            self.at += 1;
            match byte {
                b'\n' => self.continuation()?,
                b'\\' if quote == b'"' => match self.byte(0) {
                    Some(b'\'') => {
                        self.copy(self.at - 1);
                        self.copied = self.at;
                        self.edits.quoted.push(self.out.len());
                        self.at += 1;
                    }
                    Some(b'\n') => {}
                    _ => self.at += 1,
                },
                b'\'' if quote == byte && self.byte(0) == Some(quote) => self.at += 1,
                _ if byte == quote => {
                    self.closed = true;
                    return Some(());
                }
                _ => {}
            }
        }
        Some(())
    }

    /// Indents a line of a text in quotes deeper than what the text belongs to.
    fn continuation(&mut self) -> Option<()> {
        self.line = self.at;
        if self.is_marker() {
            return None;
        }
        let line = &self.text[self.at..];
        self.at += line.len() - line.trim_start_matches(' ').len();
        let missing = self.parent + 2 - self.column();
        let counts = match self.byte(0) {
            None | Some(b'\n') => false,
            Some(b'\t') => true,
            Some(_) => self.depth == 0 && missing > 1,
        };
        if let Some(missing) = usize::try_from(missing).ok().filter(|_| counts) {
            self.copy(self.at);
            self.edits.quoted.push(self.out.len());
            self.out.extend(std::iter::repeat_n(' ', missing));
        }
        (self.out.len() <= self.limit).then_some(())
    }

    fn copy(&mut self, end: usize) {
        self.out.push_str(&self.text[self.copied..end]);
        self.copied = end;
    }
}
