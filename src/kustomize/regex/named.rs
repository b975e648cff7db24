//! The sets of characters that have names: `\d`, `[:alpha:]`, `\p{Greek}`.

use regex_syntax::hir::ClassUnicode;

use super::class::{Set, known_to_go, of_pairs, property};

/// The set of `\d`, `\s` and `\w`, which are ASCII.
pub fn perl(letter: char) -> Option<ClassUnicode> {
    Some(match letter {
        'd' => of_pairs(&[('0', '9')]),
        's' => of_pairs(&[('\t', '\n'), ('\x0C', '\r'), (' ', ' ')]),
        'w' => of_pairs(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => return None,
    })
}

/// The set of `[:name:]`.
pub fn posix(name: &str) -> Option<ClassUnicode> {
    Some(match name {
        "alnum" => of_pairs(&[('0', '9'), ('A', 'Z'), ('a', 'z')]),
        "alpha" => of_pairs(&[('A', 'Z'), ('a', 'z')]),
        "ascii" => of_pairs(&[('\0', '\x7F')]),
        "blank" => of_pairs(&[('\t', '\t'), (' ', ' ')]),
        "cntrl" => of_pairs(&[('\0', '\x1F'), ('\x7F', '\x7F')]),
        "digit" => of_pairs(&[('0', '9')]),
        "graph" => of_pairs(&[('!', '~')]),
        "lower" => of_pairs(&[('a', 'z')]),
        "print" => of_pairs(&[(' ', '~')]),
        "punct" => of_pairs(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        "space" => of_pairs(&[('\t', '\r'), (' ', ' ')]),
        "upper" => of_pairs(&[('A', 'Z')]),
        "word" => of_pairs(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        "xdigit" => of_pairs(&[('0', '9'), ('A', 'F'), ('a', 'f')]),
        _ => return None,
    })
}

/// The set of `\p{name}`. Case, spaces, dashes and underscores of the name do not matter.
pub fn unicode(name: &str) -> Option<Set> {
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let is_in = |list: &str| list.split(' ').any(|one| one == name);
    let set = match name.as_str() {
        "any" => of_pairs(&[('\0', char::MAX)]),
        "ascii" => of_pairs(&[('\0', '\x7F')]),
        "assigned" => {
            let mut set = category("cn");
            set.negate();
            set
        }
        // Go has no list of what these fold to.
        "lc" | "casedletter" => return Some(Set::Fixed(category("lc"))),
        _ if is_in(CATEGORIES) => category(&name),
        _ if is_in(SCRIPTS) => known(property(&format!("sc={name}"))),
        _ => {
            let mut aliases = ALIASES.split(' ').filter_map(|one| one.split_once('='));
            let (_, short) = aliases.find(|(long, _)| *long == name)?;
            category(short)
        }
    };
    Some(Set::Foldable(set))
}

/// A general category, as it was in Unicode 15.0.
fn category(name: &str) -> ClassUnicode {
    let set = property(&format!("gc={name}"));
    // A vowel sign that takes up space since Unicode 16.0.
    let moved = of_pairs(&[('\u{1171E}', '\u{1171E}')]);
    match name {
        "c" | "cn" => {
            // What came later is unassigned, whatever it is now.
            let mut unassigned = known_to_go().clone();
            unassigned.negate();
            unassigned.union(&set);
            unassigned
        }
        "mn" => {
            let mut marks = known(set);
            marks.union(&moved);
            marks
        }
        "mc" => {
            let mut marks = known(set);
            marks.difference(&moved);
            marks
        }
        _ => known(set),
    }
}

fn known(mut set: ClassUnicode) -> ClassUnicode {
    set.intersect(known_to_go());
    set
}

const CATEGORIES: &str = "\
    c cc cf cn co cs l ll lm lo lt lu m mc me mn n nd nl no p pc pd pe pf pi po ps s sc sk sm so z zl zp zs";

const ALIASES: &str = "\
    closepunctuation=pe combiningmark=m connectorpunctuation=pc control=cc currencysymbol=sc \
    dashpunctuation=pd decimalnumber=nd enclosingmark=me finalpunctuation=pf format=cf initialpunctuation=pi \
    letter=l letternumber=nl lineseparator=zl lowercaseletter=ll mark=m mathsymbol=sm modifierletter=lm \
    modifiersymbol=sk nonspacingmark=mn number=n openpunctuation=ps other=c otherletter=lo othernumber=no \
    otherpunctuation=po othersymbol=so paragraphseparator=zp privateuse=co punctuation=p separator=z \
    spaceseparator=zs spacingmark=mc surrogate=cs symbol=s titlecaseletter=lt unassigned=cn \
    uppercaseletter=lu cntrl=cc digit=nd punct=p";

/// Those whose names are one word: Go does not find the others.
const SCRIPTS: &str = "\
    adlam ahom arabic armenian avestan balinese bamum batak bengali bhaiksuki bopomofo brahmi braille \
    buginese buhid carian chakma cham cherokee chorasmian common coptic cuneiform cypriot cyrillic deseret \
    devanagari dogra duployan elbasan elymaic ethiopic georgian glagolitic gothic grantha greek gujarati \
    gurmukhi han hangul hanunoo hatran hebrew hiragana inherited javanese kaithi kannada katakana kawi \
    kharoshthi khmer khojki khudawadi lao latin lepcha limbu lisu lycian lydian mahajani makasar malayalam \
    mandaic manichaean marchen medefaidrin miao modi mongolian mro multani myanmar nabataean nandinagari newa \
    nko nushu ogham oriya osage osmanya palmyrene phoenician rejang runic samaritan saurashtra sharada \
    shavian siddham sinhala sogdian soyombo sundanese syriac tagalog tagbanwa takri tamil tangsa tangut \
    telugu thaana thai tibetan tifinagh tirhuta toto ugaritic vai vithkuqi wancho yezidi yi";
