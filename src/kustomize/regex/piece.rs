//! Parts of an expression, with what Go's limits are about.

use regex_syntax::hir::{Hir, Repetition};

use super::problem::{Problem, Result};

/// How many instructions an expression may become.
const MAX_SIZE: u64 = (128 << 20) / 40;
/// How many levels it may have. Groups that capture nothing are none. Go lets one have 1000; but what compiles it goes down as deep,
/// on the stack of a thread.
const MAX_HEIGHT: u32 = 100;
/// How many copies repetitions inside of each other may ask for.
const MAX_COPIES: u32 = 1000;

/// How often something may stand.
#[derive(Clone, Copy)]
pub struct Count {
    pub min: u32,
    pub max: Option<u32>,
    /// It is written with braces.
    pub braces: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Concatenation,
    Alternation,
    Other,
}

pub struct Piece {
    hir: Hir,
    shape: Shape,
    size: u64,
    height: u32,
    copies: u32,
}

impl Piece {
    pub fn leaf(hir: Hir) -> Self {
        Self {
            hir,
            shape: Shape::Other,
            size: 1,
            height: 1,
            copies: 1,
        }
    }

    /// One character, which may stand for those that differ from it in case.
    pub fn character(hir: Hir) -> Self {
        Self {
            shape: Shape::Text,
            ..Self::leaf(hir)
        }
    }

    pub fn into_hir(self) -> Hir {
        self.hir
    }

    /// Captures count, though nobody asks for what they caught.
    pub fn captured(self) -> Result<Self> {
        Self {
            shape: Shape::Other,
            size: self.size + 2,
            height: self.height + 1,
            ..self
        }
        .checked()
    }

    pub fn repeated(self, count: Count) -> Result<Self> {
        let Count { min, max, braces } = count;
        let (low, high) = (u64::from(min), max.map(u64::from));
        let size = match (low, high) {
            (0, None) => self.size + 2,
            (1, None) => self.size + 1,
            (_, None) => self.size * low + 1,
            (_, Some(high)) => high * self.size + (high - low),
        };
        let copies = match max.unwrap_or(min) {
            _ if !braces => self.copies,
            // Nothing of what is inside is left.
            0 if max.is_some() => 1,
            times => self.copies * times.max(1),
        };
        if copies > MAX_COPIES {
            return Err(Problem::RepeatCount);
        }
        Self {
            // Who only asks whether there is a match does not see which of them it is.
            hir: Hir::repetition(Repetition {
                min,
                max,
                greedy: true,
                sub: Box::new(self.hir),
            }),
            shape: Shape::Other,
            size: size.max(1),
            height: self.height + 1,
            copies,
        }
        .checked()
    }

    pub fn concatenation(pieces: Vec<Self>) -> Result<Self> {
        let shape = if pieces.iter().all(|piece| piece.shape == Shape::Text) {
            Shape::Text
        } else {
            Shape::Concatenation
        };
        Self::joined(pieces, shape, Hir::concat)
    }

    pub fn alternation(pieces: Vec<Self>) -> Result<Self> {
        let bars = pieces.len().saturating_sub(1) as u64;
        let mut joined = Self::joined(pieces, Shape::Alternation, Hir::alternation)?;
        joined.size += bars;
        joined.checked()
    }

    fn joined(mut pieces: Vec<Self>, shape: Shape, join: fn(Vec<Hir>) -> Hir) -> Result<Self> {
        if pieces.len() < 2 {
            return Ok(pieces.pop().unwrap_or_else(|| Self::leaf(Hir::empty())));
        }
        // One inside of another of its kind is no level of its own.
        let below = pieces
            .iter()
            .map(|piece| piece.height - u32::from(piece.shape == shape));
        Self {
            height: 1 + below.max().unwrap_or_default(),
            shape,
            size: pieces.iter().map(|piece| piece.size).sum(),
            copies: pieces.iter().map(|piece| piece.copies).max().unwrap_or(1),
            hir: join(pieces.into_iter().map(|piece| piece.hir).collect()),
        }
        .checked()
    }

    fn checked(self) -> Result<Self> {
        if self.size > MAX_SIZE {
            return Err(Problem::Large);
        }
        if self.height > MAX_HEIGHT {
            return Err(Problem::Depth);
        }
        Ok(self)
    }
}
