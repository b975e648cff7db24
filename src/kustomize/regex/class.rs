//! Sets of characters, and which of them differ in case only.

use std::sync::OnceLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// The last character.
pub const MAX: u32 = 0x0010_FFFF;

/// A set that has a name.
pub enum Set {
    Foldable(ClassUnicode),
    /// Case matters to it, even where it is looked away from.
    Fixed(ClassUnicode),
}

/// What stands between the brackets of a class.
#[derive(Default)]
pub struct Items {
    fold: bool,
    /// Characters that stand for those that differ in case, too.
    ranges: Vec<ClassUnicodeRange>,
    /// The sets, as they are.
    sets: Vec<ClassUnicodeRange>,
}

impl Items {
    pub fn new(fold: bool) -> Self {
        Self {
            fold,
            ..Self::default()
        }
    }

    pub fn add_range(&mut self, low: u32, high: u32) {
        self.ranges.extend(range(low, high));
    }

    /// Adds a set, or all that is not in it. Differences in case are looked away from first.
    pub fn add_set(&mut self, set: Set, negated: bool) {
        let mut set = match set {
            Set::Foldable(set) if self.fold => folded(set),
            Set::Foldable(set) | Set::Fixed(set) => set,
        };
        if negated {
            set.negate();
        }
        self.sets.extend(set.iter());
    }

    pub fn finish(self, negated: bool) -> ClassUnicode {
        let mut all = ClassUnicode::new(self.ranges);
        if self.fold {
            all = folded(all);
        }
        all.union(&ClassUnicode::new(self.sets));
        if negated {
            all.negate();
        }
        all
    }
}

/// The characters between two numbers. Go knows surrogates, too, but no text has any.
fn range(low: u32, high: u32) -> Option<ClassUnicodeRange> {
    let low = char::from_u32(low).unwrap_or('\u{E000}');
    let high = char::from_u32(high).unwrap_or('\u{D7FF}');
    (low <= high).then(|| ClassUnicodeRange::new(low, high))
}

pub fn of_pairs(pairs: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(
        pairs
            .iter()
            .map(|(low, high)| ClassUnicodeRange::new(*low, *high)),
    )
}

/// One character, or those that it stands for without regard to case.
pub fn character(number: u32, fold: bool) -> Hir {
    let Some(character) = char::from_u32(number) else {
        return Hir::fail();
    };
    // Most texts have no case, or are not to be folded.
    if !fold || (character.is_ascii() && !character.is_ascii_alphabetic()) {
        return Hir::literal(character.to_string().into_bytes());
    }
    of(folded(of_pairs(&[(character, character)])))
}

pub fn of(set: ClassUnicode) -> Hir {
    Hir::class(Class::Unicode(set))
}

/// A set with all that differs from its characters in case only.
fn folded(mut set: ClassUnicode) -> ClassUnicode {
    // What letters of ASCII fold to is as old as Go.
    if set.is_ascii() {
        set.case_fold_simple();
        return set;
    }
    let mut known = set.clone();
    known.intersect(known_to_go());
    known.case_fold_simple();
    known.intersect(known_to_go());
    set.union(&known);
    set
}

/// The characters of Unicode 15.0, which is Go's. Later ones are unassigned to it, and have no case.
pub fn known_to_go() -> &'static ClassUnicode {
    static KNOWN: OnceLock<ClassUnicode> = OnceLock::new();
    KNOWN.get_or_init(|| property("age=15.0"))
}

/// The characters that have a property, in the words of `regex-syntax`. Nothing has one that it does not know.
pub fn property(query: &str) -> ClassUnicode {
    let hir = regex_syntax::parse(&format!(r"\p{{{query}}}"));
    match hir.map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(set))) => set,
        // A set of one character.
        Ok(HirKind::Literal(literal)) => {
            let text = String::from_utf8_lossy(&literal.0);
            ClassUnicode::new(text.chars().map(|c| ClassUnicodeRange::new(c, c)))
        }
        _ => ClassUnicode::empty(),
    }
}
