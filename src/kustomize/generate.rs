//! `ConfigMap`s and Secrets from literals, files and env files, and the service accounts of `IAMPolicyGenerator`.

use std::collections::BTreeMap;

use base64::Engine;

use super::context::Context;
use super::error::{BuildError, Problems, Result, fail};
use super::loader::Loader;
use super::node;
use super::resource::{Behavior, Origin, Resource};
use super::types::{GeneratorArgs, GeneratorOptions};
use crate::yaml::{Kind, Node, NodeId, Place, Style, Tag, Tree};

/// What a generator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    ConfigMap,
    Secret,
}

type Data = BTreeMap<String, Vec<u8>>;

/// The object that a generator makes.
#[inline(never)]
pub fn generate(
    context: &mut Context<'_>,
    loader: &Loader,
    made: Made,
    args: &GeneratorArgs,
) -> Result<Resource> {
    let kind = match made {
        Made::ConfigMap => "ConfigMap",
        Made::Secret => "Secret",
    };
    if args.name.is_empty() {
        return fail(format!("a {kind} must have a name"));
    }
    let data = load_data(context, loader, args)
        .map_err(|errors| errors.context(&format!("{kind} {}", args.name)))?;
    let tree = &mut context.tree;
    let root = base(tree, kind, &args.name, &args.namespace)?;
    match made {
        Made::ConfigMap => {
            for (key, value) in &data {
                match std::str::from_utf8(value) {
                    Ok(text) => add_data(tree, root, "data", key, text)?,
                    Err(_) => add_data(tree, root, "binaryData", key, &encode(value))?,
                }
            }
        }
        Made::Secret => {
            let secret_type = if args.secret_type.is_empty() {
                "Opaque"
            } else {
                &args.secret_type
            };
            put_text(tree, root, "type", secret_type)?;
            node::lookup(tree, root, &["data"], Some(Kind::Map))?;
            for (key, value) in &data {
                add_data(tree, root, "data", key, &encode(value))?;
            }
        }
    }
    if let Some(options) = &args.options {
        apply_options(tree, root, options)?;
    }
    let mut resource = Resource::new(root, Origin::default());
    resource.needs_hash = !args
        .options
        .as_ref()
        .is_some_and(|options| options.disable_name_suffix_hash);
    resource.behavior = Some(Behavior::of(&args.behavior));
    Ok(resource)
}

fn base(tree: &mut Tree, kind: &str, name: &str, namespace: &str) -> Result<NodeId> {
    let root = tree.add(Node {
        tag: Tag::Map,
        ..Node::of(Kind::Map)
    });
    put_text(tree, root, "apiVersion", "v1")?;
    put_text(tree, root, "kind", kind)?;
    let metadata = tree.empty(Kind::Map);
    tree.append_field(root, "metadata", Style::Plain, metadata);
    put_text(tree, metadata, "name", name)?;
    if !namespace.is_empty() {
        put_text(tree, metadata, "namespace", namespace)?;
    }
    Ok(root)
}

fn put_text(tree: &mut Tree, map: NodeId, name: &str, text: &str) -> Result<()> {
    let value = tree.scalar(text, Tag::Str);
    node::set_field(tree, map, name, value)
}

/// Puts a text into the data of a `ConfigMap` or a Secret.
pub fn put_data(tree: &mut Tree, root: NodeId, field: &str, key: &str, text: &str) -> Result<()> {
    let Some(map) = node::lookup(tree, root, &[field], Some(Kind::Map))? else {
        return Ok(());
    };
    let value = datum(tree, text);
    node::set_field(tree, map, key, value)
}

/// Like [`put_data`], for a key that is known not to be there.
pub fn add_data(tree: &mut Tree, root: NodeId, field: &str, key: &str, text: &str) -> Result<()> {
    let Some(map) = node::lookup(tree, root, &[field], Some(Kind::Map))? else {
        return Ok(());
    };
    let value = datum(tree, text);
    node::add_field(tree, map, key, Style::Plain, value);
    Ok(())
}

fn datum(tree: &mut Tree, text: &str) -> NodeId {
    tree.add(Node {
        style: if text.contains('\n') {
            Style::Literal
        } else {
            Style::Plain
        },
        ..Node::scalar(text, Tag::Str)
    })
}

fn apply_options(tree: &mut Tree, root: NodeId, options: &GeneratorOptions) -> Result<()> {
    for (field, map) in [
        ("labels", &options.labels),
        ("annotations", &options.annotations),
    ] {
        for (key, value) in map {
            if let Some(into) = node::lookup(tree, root, &["metadata", field], Some(Kind::Map))? {
                put_text(tree, into, key, value)?;
            }
        }
    }
    if options.immutable {
        let value = tree.scalar("true", Tag::Bool);
        node::set_field(tree, root, "immutable", value)?;
    }
    Ok(())
}

/// Base64, in lines of 70 characters if it is longer than one.
pub fn encode(bytes: &[u8]) -> String {
    const LINE: usize = 70;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    if text.len() < LINE {
        return text;
    }
    let mut lines = String::with_capacity(text.len() + text.len() / LINE + 1);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        lines.push_str(line);
        lines.push('\n');
        rest = more;
    }
    lines
}

fn load_data(context: &mut Context<'_>, loader: &Loader, args: &GeneratorArgs) -> Result<Data> {
    let mut data = Data::new();
    let mut problems = Problems::default();
    let mut put = |key: &str, value: Vec<u8>| {
        if data.insert(key.to_owned(), value).is_some() {
            return fail(format!("the key `{key}` is given twice"));
        }
        Ok(())
    };
    for (index, path) in args.envs.iter().enumerate() {
        let pairs = env_file(context, loader, path)
            .map_err(|errors| errors.field(&format!("envs[{index}]")));
        for (key, value, file) in problems.keep(pairs).unwrap_or_default() {
            problems.keep(put(&key, value.into_bytes()).map_err(|errors| errors.in_file(&file)));
        }
    }
    for (index, literal) in args.literals.iter().enumerate() {
        let done = match literal.split_once('=') {
            Some((key, value)) if !key.is_empty() => put(key, unquote(value).as_bytes().to_vec()),
            _ => fail(format!(
                "invalid literal source `{literal}`, expected key=value"
            )),
        };
        problems.keep(done.map_err(|errors| errors.field(&format!("literals[{index}]"))));
    }
    for (index, source) in args.files.iter().enumerate() {
        let done = file_source(source).and_then(|(key, path)| {
            let (_, bytes) = loader.load(context, path)?;
            put(key, bytes.to_vec())
        });
        problems.keep(done.map_err(|errors| errors.field(&format!("files[{index}]"))));
    }
    problems.finish()?;
    Ok(data)
}

/// Key and value of each line of an env file, and the file's path.
fn env_file(
    context: &mut Context<'_>,
    loader: &Loader,
    path: &str,
) -> Result<Vec<(String, String, String)>> {
    let (file, bytes) = loader.load(context, path)?;
    let mut problems = Problems::default();
    let mut pairs = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        match env_line(line, index == 0) {
            Ok(pair) => pairs.extend(pair.map(|(key, value)| (key, value, file.clone()))),
            Err(error) => {
                let line = u32::try_from(index + 1).unwrap_or(0);
                problems.add(error.in_file(&file).at(Place { line, column: 0 }));
            }
        }
    }
    problems.finish()?;
    Ok(pairs)
}

fn env_line(line: &[u8], first: bool) -> std::result::Result<Option<(String, String)>, BuildError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(BuildError::new("the line is not UTF-8"));
    };
    let text = if first {
        text.strip_prefix('\u{feff}').unwrap_or(text)
    } else {
        text
    };
    let text = text.trim_start();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Ok(None);
    }
    Ok(Some((key.to_owned(), value.to_owned())))
}

fn unquote(text: &str) -> &str {
    let bytes = text.as_bytes();
    match bytes {
        [first @ (b'"' | b'\''), .., last] if first == last => &text[1..text.len() - 1],
        _ => text,
    }
}

/// Key and path of `[key=]path`.
fn file_source(source: &str) -> Result<(&str, &str)> {
    match source.split('=').collect::<Vec<_>>()[..] {
        [path] => {
            let name = path
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or(path);
            Ok((name, path))
        }
        ["", path] => fail(format!("missing key name for file path `{path}`")),
        [key, ""] => fail(format!("missing file path for key name `{key}`")),
        [key, path] => Ok((key, path)),
        _ => fail(format!(
            "source `{source}`: key name or file path contains `=`"
        )),
    }
}

/// The service account of a GKE workload identity.
#[inline(never)]
pub fn iam_service_account(
    context: &mut Context<'_>,
    name: &str,
    namespace: &str,
    account: &str,
    project: &str,
) -> Result<Resource> {
    let tree = &mut context.tree;
    let root = base(tree, "ServiceAccount", name, namespace)?;
    let value = format!("{account}@{project}.iam.gserviceaccount.com");
    let annotations = [("iam.gke.io/gcp-service-account".to_owned(), value)];
    node::set_metadata_map(tree, root, "annotations", &annotations)?;
    Ok(Resource::new(root, Origin::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        assert_eq!(file_source("a/b.txt"), Ok(("b.txt", "a/b.txt")));
        assert_eq!(file_source("k=a/b.txt"), Ok(("k", "a/b.txt")));
        assert!(
            file_source("=x").is_err()
                && file_source("x=").is_err()
                && file_source("a=b=c").is_err()
        );
        assert_eq!(unquote("\"a\""), "a");
        assert_eq!(unquote("'a\""), "'a\"");
        assert_eq!(env_line(b"  # x", false), Ok(None));
        assert_eq!(
            env_line(b" A=b=c ", false),
            Ok(Some(("A".to_owned(), "b=c ".to_owned())))
        );
        assert_eq!(
            env_line(b"A", false),
            Ok(Some(("A".to_owned(), String::new())))
        );
    }

    #[test]
    fn long_base64_has_lines() {
        assert!(!encode(&[0; 51]).contains('\n'));
        assert_eq!(
            encode(&[0; 60]).lines().map(str::len).collect::<Vec<_>>(),
            [70, 10]
        );
    }
}
