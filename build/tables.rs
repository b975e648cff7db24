//! The engine's tables as Rust: every render needs them, and none should read them anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// Writes what `src/kustomize` includes from `OUT_DIR`; `root` leads from the package to this repository.
pub fn write(root: &str) {
    let out = env::var("OUT_DIR").expect("cargo sets it");
    for (name, make) in [
        ("fieldspecs", field_specs as fn(&str) -> String),
        ("schema", schema),
    ] {
        let source = format!("{root}src/kustomize/{name}.txt");
        println!("cargo::rerun-if-changed={source}");
        let text = fs::read_to_string(&source).expect("the table is there");
        let path = Path::new(&out).join(format!("{name}.rs"));
        fs::write(path, make(&text)).expect("OUT_DIR can be written to");
    }
}

/// The table of `tools/field-specs.py`: a slice of rows for each section.
fn field_specs(text: &str) -> String {
    let mut code = String::new();
    let mut in_references = false;
    let close = |code: &mut String, in_references: bool| {
        if !code.is_empty() {
            code.push_str(if in_references { "])];\n" } else { "];\n" });
        }
    };
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            close(&mut code, in_references);
            let name = name.trim_end_matches(']');
            in_references = name == "nameReference";
            let rows = if in_references { "Referred" } else { "Row" };
            let _ = writeln!(code, "static {}: &[{rows}] = &[", upper_snake(name));
            continue;
        }
        let (create, rest) = match line.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let words: Vec<&str> = rest
            .split(' ')
            .map(|word| if word == "-" { "" } else { word })
            .collect();
        match words[..] {
            ["=", group, version, kind] => {
                if !code.ends_with("&[\n") {
                    code.push_str("]),\n");
                }
                let _ = writeln!(code, "({group:?}, {version:?}, {kind:?}, &[");
            }
            [group, version, kind, path] => {
                let _ = writeln!(
                    code,
                    "({group:?}, {version:?}, {kind:?}, {path:?}, {create}),"
                );
            }
            _ => panic!("{line:?} is no line of fieldspecs.txt"),
        }
    }
    close(&mut code, in_references);
    code
}

fn upper_snake(name: &str) -> String {
    let mut result = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            result.push('_');
        }
        result.push(letter.to_ascii_uppercase());
    }
    result
}

/// The table of `tools/merge-schema.py`: the types, and the kinds and definitions that have them, sorted.
fn schema(text: &str) -> String {
    let shape = |text: &str| match text {
        "x" => "Shape::Anything".to_owned(),
        "o" => "Shape::Known".to_owned(),
        number => format!("Shape::Builtin({number})"),
    };
    let maybe = |shape: Option<String>| match shape {
        Some(shape) => format!("Some({shape})"),
        None => "None".to_owned(),
    };
    let mut types: Vec<Type> = Vec::new();
    let mut kinds = BTreeMap::new();
    let mut definitions = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match (&words[..], types.last_mut()) {
            (["T"], _) => types.push(Type::default()),
            (["k", api_version, kind, of], _) => {
                kinds.insert((api_version.to_string(), kind.to_string()), shape(of));
            }
            (["d", name, of], _) => {
                definitions.insert(name.to_string(), shape(of));
            }
            (["f", name, of], Some(last)) => {
                last.fields.insert(name.to_string(), shape(of));
            }
            (["e", of], Some(last)) => last.elements = Some(shape(of)),
            (["a", of], Some(last)) => last.other = Some(shape(of)),
            (["m", keys @ ..], Some(last)) => {
                let keys = keys.iter().flat_map(|keys| keys.split(','));
                let keys: Vec<String> =
                    keys.map(|key| format!("Word::Borrowed({key:?})")).collect();
                last.merge = Some(format!("&[{}]", keys.join(", ")));
            }
            _ => panic!("{line:?} is no line of schema.txt"),
        }
    }
    let mut code = format!("static TYPES: [BuiltinType; {}] = [\n", types.len());
    for Type {
        fields,
        other,
        elements,
        merge,
    } in types
    {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, shape)| format!("({name:?}, {shape})"))
            .collect();
        let _ = writeln!(
            code,
            "BuiltinType {{ fields: &[{}], other: {}, elements: {}, merge: {} }},",
            fields.join(", "),
            maybe(other),
            maybe(elements),
            maybe(merge),
        );
    }
    code.push_str("];\n");
    let _ = writeln!(
        code,
        "static KINDS: [((&str, &str), Shape); {}] = [",
        kinds.len()
    );
    for ((api_version, kind), shape) in kinds {
        let _ = writeln!(code, "(({api_version:?}, {kind:?}), {shape}),");
    }
    code.push_str("];\n");
    let _ = writeln!(
        code,
        "static DEFINITIONS: [(&str, Shape); {}] = [",
        definitions.len()
    );
    for (name, shape) in definitions {
        let _ = writeln!(code, "({name:?}, {shape}),");
    }
    code.push_str("];\n");
    code
}

#[derive(Default)]
struct Type {
    fields: BTreeMap<String, String>,
    other: Option<String>,
    elements: Option<String>,
    merge: Option<String>,
}
