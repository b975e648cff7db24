//! What stands behind a backslash or in brackets.

use regex_syntax::hir::{Hir, Look};

use super::class::{Items, MAX, Set};
use super::named;
use super::parse::Parser;
use super::problem::{Problem, Result};

impl Parser<'_> {
    /// Reads what is behind a backslash.
    pub fn escape(&mut self) -> Result<()> {
        let place = match self.rest.as_bytes().first() {
            Some(b'A') => Hir::look(Look::Start),
            Some(b'z') => Hir::look(Look::End),
            Some(b'b') => Hir::look(Look::WordAscii),
            Some(b'B') => not_at_a_word(),
            Some(b'Q') => {
                let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                return text
                    .chars()
                    .skip(1)
                    .try_for_each(|c| self.literal(u32::from(c)));
            }
            _ => {
                let mut items = Items::new(self.flags.fold);
                if self.escaped_set(&mut items)? {
                    return self.set(items, false);
                }
                let number = self.escaped_character()?;
                return self.literal(number);
            }
        };
        self.next();
        self.leaf(place);
        Ok(())
    }

    /// Reads `d`, `W`, `pL` or `P{Greek}` behind a backslash, if that is next.
    fn escaped_set(&mut self, items: &mut Items) -> Result<bool> {
        let Some(letter) = self.rest.chars().next() else {
            return Ok(false);
        };
        let mut negated = letter.is_ascii_uppercase();
        let letter = letter.to_ascii_lowercase();
        if let Some(set) = named::perl(letter) {
            self.next();
            items.add_set(Set::Foldable(set), negated);
            return Ok(true);
        }
        if letter != 'p' {
            return Ok(false);
        }
        self.next();
        let mut buffer = [0; 4];
        let name = match self.next() {
            Some('{') => self.until('}'),
            Some(letter) => Some(&*letter.encode_utf8(&mut buffer)),
            None => None,
        };
        let mut name = name.ok_or(Problem::UnknownClass)?;
        if let Some(others) = name.strip_prefix('^') {
            name = others;
            negated = !negated;
        }
        let set = named::unicode(name).ok_or(Problem::UnknownClass)?;
        items.add_set(set, negated);
        Ok(true)
    }

    /// Reads the number of one character behind a backslash.
    fn escaped_character(&mut self) -> Result<u32> {
        let letter = self.next().ok_or(Problem::LastBackslash)?;
        match letter {
            'a' => Ok(0x07),
            'f' => Ok(0x0C),
            'n' => Ok(0x0A),
            'r' => Ok(0x0D),
            't' => Ok(0x09),
            'v' => Ok(0x0B),
            'x' => self.hexadecimal(),
            '0'..='7' => {
                let bytes = self.rest.as_bytes();
                let more = bytes.iter().take(2);
                let end = more.take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                // One digit that is not zero would be what a group caught.
                if letter != '0' && end == 0 {
                    return Err(Problem::UnknownEscape);
                }
                let (digits, rest) = self.rest.split_at(end);
                self.rest = rest;
                u32::from_str_radix(&format!("{letter}{digits}"), 8)
                    .map_err(|_| Problem::UnknownEscape)
            }
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => Ok(u32::from(letter)),
            _ => Err(Problem::UnknownEscape),
        }
    }

    /// Reads two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Result<u32> {
        let digits = if self.eat("{") {
            self.until('}')
        } else {
            let (digits, rest) = self
                .rest
                .split_at_checked(2)
                .ok_or(Problem::UnknownEscape)?;
            self.rest = rest;
            Some(digits)
        };
        digits
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .filter(|number| *number <= MAX)
            .ok_or(Problem::UnknownEscape)
    }

    /// Reads what is behind a `[`.
    pub fn class(&mut self) -> Result<()> {
        let mut items = Items::new(self.flags.fold);
        let negated = self.eat("^");
        let mut is_first = true;
        while is_first || !self.eat("]") {
            is_first = false;
            self.class_item(&mut items)?;
        }
        self.set(items, negated)
    }

    fn class_item(&mut self, items: &mut Items) -> Result<()> {
        if let Some(rest) = self.rest.strip_prefix("[:")
            && let Some((name, rest)) = rest.split_once(":]")
        {
            self.rest = rest;
            let others = name.strip_prefix('^');
            let set = named::posix(others.unwrap_or(name)).ok_or(Problem::UnknownClass)?;
            items.add_set(Set::Foldable(set), others.is_some());
            return Ok(());
        }
        if let Some(rest) = self.rest.strip_prefix('\\') {
            let before = std::mem::replace(&mut self.rest, rest);
            if self.escaped_set(items)? {
                return Ok(());
            }
            self.rest = before;
        }
        let low = self.class_character()?;
        let mut high = low;
        // The last dash is a character.
        if self.rest.len() > 1 && !self.rest.starts_with("-]") && self.eat("-") {
            high = self.class_character()?;
            if high < low {
                return Err(Problem::BackwardRange);
            }
        }
        items.add_range(low, high);
        Ok(())
    }

    fn class_character(&mut self) -> Result<u32> {
        match self.next().ok_or(Problem::OpenBracket)? {
            '\\' => self.escaped_character(),
            other => Ok(u32::from(other)),
        }
    }
}

/// Where no word of ASCII begins or ends. That is so inside of a character, too, and a match that was found there and is
/// dropped would hide others; what Unicode says about words is never true there.
fn not_at_a_word() -> Hir {
    let anywhere = [Look::WordUnicode, Look::WordUnicodeNegate].map(Hir::look);
    let between_characters = Hir::alternation(Vec::from(anywhere));
    Hir::concat(vec![Hir::look(Look::WordAsciiNegate), between_characters])
}
