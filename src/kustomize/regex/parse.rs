//! Go's syntax of regular expressions, with the flags that `regexp.Compile` sets.

use regex_syntax::hir::{Dot, Hir, Look};

use super::class::{self, Items};
use super::piece::{Count, Piece};
use super::problem::{Problem, Result};

/// How many bounds of ranges and characters an expression may have.
const MAX_BOUNDS: usize = (128 << 20) / 4;
/// The largest number of a repetition in braces.
const MAX_REPEAT: u32 = 1000;

#[derive(Clone, Copy, Default)]
pub struct Flags {
    /// `i`: case does not matter.
    pub fold: bool,
    /// `m`: `^` and `$` stand at lines, too.
    lines: bool,
    /// `s`: `.` is line breaks, too.
    dot_all: bool,
}

/// A group that is not closed yet, or the whole.
#[derive(Default)]
struct Group {
    captures: bool,
    /// The flags that are back behind it.
    flags: Flags,
    alternatives: Vec<Piece>,
    pieces: Vec<Piece>,
}

impl Group {
    fn next_alternative(&mut self) -> Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        self.alternatives.push(Piece::concatenation(pieces)?);
        Ok(())
    }

    fn finish(mut self) -> Result<Piece> {
        self.next_alternative()?;
        let piece = Piece::alternation(self.alternatives)?;
        if self.captures {
            return piece.captured();
        }
        Ok(piece)
    }
}

#[derive(Default)]
pub struct Parser<'p> {
    pub rest: &'p str,
    pub flags: Flags,
    /// The innermost group.
    group: Group,
    /// Those around it, the outermost first.
    outer: Vec<Group>,
    /// So many bounds of ranges and characters there are.
    bounds: usize,
}

/// Reads a regular expression.
pub fn parse(pattern: &str) -> Result<Hir> {
    let mut parser = Parser {
        rest: pattern,
        ..Parser::default()
    };
    let mut was_repeat = false;
    while !parser.rest.is_empty() {
        was_repeat = parser.step(was_repeat)?;
    }
    if !parser.outer.is_empty() {
        return Err(Problem::OpenParen);
    }
    Ok(parser.group.finish()?.into_hir())
}

impl Parser<'_> {
    /// Reads one thing, and says whether it was a repetition. One must not follow another, but anything in between will do,
    /// even if it is nothing, as flags are.
    fn step(&mut self, was_repeat: bool) -> Result<bool> {
        if let Some(count) = self.repetition()? {
            // Whether it is greedy does not matter.
            self.eat("?");
            if was_repeat {
                return Err(Problem::RepeatedRepeat);
            }
            let piece = self.group.pieces.pop().ok_or(Problem::NothingToRepeat)?;
            self.group.pieces.push(piece.repeated(count)?);
            return Ok(true);
        }
        match self.next() {
            Some('(') if self.eat("?") => self.flags_or_group()?,
            Some('(') => self.open(true),
            Some('|') => self.group.next_alternative()?,
            Some(')') => self.close()?,
            Some('^') if self.flags.lines => self.look(Look::StartLF),
            Some('^') => self.look(Look::Start),
            Some('$') if self.flags.lines => self.look(Look::EndLF),
            Some('$') => self.look(Look::End),
            Some('.') if self.flags.dot_all => self.leaf(Hir::dot(Dot::AnyChar)),
            Some('.') => self.leaf(Hir::dot(Dot::AnyCharExceptLF)),
            Some('[') => self.class()?,
            Some('\\') => self.escape()?,
            Some(other) => self.literal(u32::from(other))?,
            None => {}
        }
        Ok(false)
    }

    pub fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    pub fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// What stands in front of a character, which is read, too.
    pub fn until(&mut self, end: char) -> Option<&str> {
        let (before, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(before)
    }

    pub fn leaf(&mut self, hir: Hir) {
        self.group.pieces.push(Piece::leaf(hir));
    }

    fn look(&mut self, look: Look) {
        self.leaf(Hir::look(look));
    }

    pub fn literal(&mut self, number: u32) -> Result<()> {
        let hir = class::character(number, self.flags.fold);
        self.group.pieces.push(Piece::character(hir));
        self.grow(1)
    }

    pub fn set(&mut self, items: Items, negated: bool) -> Result<()> {
        let set = items.finish(negated);
        let bounds = 2 * set.ranges().len();
        self.leaf(class::of(set));
        self.grow(bounds)
    }

    fn grow(&mut self, bounds: usize) -> Result<()> {
        self.bounds += bounds;
        if self.bounds > MAX_BOUNDS {
            return Err(Problem::Large);
        }
        Ok(())
    }

    fn open(&mut self, captures: bool) {
        let group = Group {
            captures,
            flags: self.flags,
            ..Group::default()
        };
        self.outer.push(std::mem::replace(&mut self.group, group));
    }

    fn close(&mut self) -> Result<()> {
        let outer = self.outer.pop().ok_or(Problem::LooseParen)?;
        let group = std::mem::replace(&mut self.group, outer);
        self.flags = group.flags;
        self.group.pieces.push(group.finish()?);
        Ok(())
    }

    /// Reads what is behind `(?`: a name, or flags that hold to the end of the group around or for a group of their own.
    fn flags_or_group(&mut self) -> Result<()> {
        if self.eat("P<") || self.eat("<") {
            let name = self.until('>').ok_or(Problem::GroupName)?;
            let fits = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(fits) {
                return Err(Problem::GroupName);
            }
            self.open(true);
            return Ok(());
        }
        let mut flags = self.flags;
        let mut on = true;
        let mut is_complete = true;
        loop {
            match self.next() {
                Some('i') => flags.fold = on,
                Some('m') => flags.lines = on,
                Some('s') => flags.dot_all = on,
                Some('U') => {}
                Some('-') if on => {
                    on = false;
                    is_complete = false;
                    continue;
                }
                Some(end @ (':' | ')')) if is_complete => {
                    if end == ':' {
                        self.open(false);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(Problem::UnknownFlag),
            }
            is_complete = true;
        }
    }

    /// Reads a repetition, if one is next.
    fn repetition(&mut self) -> Result<Option<Count>> {
        let (min, max) = match self.rest.as_bytes().first() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => return self.braces(),
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(Count {
            min,
            max,
            braces: false,
        }))
    }

    /// Reads `{2}`, `{2,}` or `{2,4}`. A brace that starts nothing like it is a character.
    fn braces(&mut self) -> Result<Option<Count>> {
        let behind = self.rest.get(1..).unwrap_or_default();
        let end = behind.find(|c: char| c != ',' && !c.is_ascii_digit());
        let (inner, rest) = behind.split_at(end.unwrap_or(behind.len()));
        let Some(rest) = rest.strip_prefix('}') else {
            return Ok(None);
        };
        let numbers = match inner.split_once(',') {
            Some((min, "")) => number(min).map(|min| (min, None)),
            Some((min, max)) => number(min).zip(number(max).map(Some)),
            None => number(inner).map(|count| (count, Some(count))),
        };
        let Some((min, max)) = numbers else {
            return Ok(None);
        };
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || min > max) {
            return Err(Problem::RepeatCount);
        }
        self.rest = rest;
        Ok(Some(Count {
            min,
            max,
            braces: true,
        }))
    }
}

/// A number without zeros in front. One that is too large for us is too large for Go.
fn number(digits: &str) -> Option<u32> {
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    let is_padded = digits.len() > 1 && digits.starts_with('0');
    (is_number && !is_padded && !digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX))
}
