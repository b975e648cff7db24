//! `replacements`: a value from one object into fields of others.

use super::context::Context;
use super::decode::{Decoder, Mode};
use super::error::{BuildError, Problems, Result, fail};
use super::fieldspec::split_field_path;
use super::id::ResId;
use super::loader::Loader;
use super::node;
use super::path::find;
use super::resource::Resource;
use super::resources::Resources;
use super::selector::Matcher;
use super::structured;
use super::types::{FieldOptions, Replacement, Source, Target, replacement};
use crate::yaml::{Kind, NodeId, Tag, Tree, exceeded, parse};

/// The replacements of a list, those in files loaded.
#[inline(never)]
pub fn load(
    context: &mut Context<'_>,
    loader: &Loader,
    list: &[Replacement],
) -> Result<Vec<Replacement>> {
    let mut all = Vec::new();
    let mut problems = Problems::default();
    for (index, entry) in list.iter().enumerate() {
        if entry.path.is_empty() {
            all.push(entry.clone());
            continue;
        }
        let loaded = load_file(context, loader, entry);
        let loaded = loaded.map_err(|errors| errors.below_field(&format!("[{index}]")));
        all.extend(problems.keep(loaded).into_iter().flatten());
    }
    problems.finish()?;
    Ok(all)
}

/// The replacements in the file that an entry names.
fn load_file(
    context: &mut Context<'_>,
    loader: &Loader,
    entry: &Replacement,
) -> Result<Vec<Replacement>> {
    if entry.source.is_some()
        || entry
            .targets
            .as_ref()
            .is_some_and(|targets| !targets.is_empty())
    {
        return fail("cannot specify both path and inline replacement");
    }
    let (file, text) = loader
        .load_text(context, &entry.path)
        .map_err(|errors| errors.field("path"))?;
    let Some(document) = parse(&text, &file, &context.yaml_limits())? else {
        return Err(
            BuildError::new("a replacement, or a list of them, is expected")
                .in_file(&file)
                .into(),
        );
    };
    let mut decoder = Decoder::new(&document.tree, Mode::Lenient);
    let from_file: Vec<Replacement> = match document.tree.kind(document.root) {
        Kind::Seq => {
            let elements = decoder.elements(document.root, "");
            elements
                .into_iter()
                .map(|(id, path)| replacement(&mut decoder, id, &path))
                .collect()
        }
        Kind::Map => vec![replacement(&mut decoder, document.root, "")],
        _ => {
            return Err(
                BuildError::new("a replacement, or a list of them, is expected")
                    .in_file(&file)
                    .into(),
            );
        }
    };
    decoder
        .finish(from_file)
        .map_err(|errors| errors.in_file(&file))
}

/// Does the replacements, in order.
#[inline(never)]
pub fn replace(
    context: &mut Context<'_>,
    resources: &mut Resources,
    list: &[Replacement],
) -> Result<()> {
    let mut problems = Problems::default();
    for (index, entry) in list.iter().enumerate() {
        let done = replace_one(context, resources, entry);
        problems.keep(done.map_err(|errors| errors.below_field(&format!("[{index}]"))));
        if context.is_spent() {
            break;
        }
    }
    problems.finish()
}

fn replace_one(
    context: &mut Context<'_>,
    resources: &mut Resources,
    entry: &Replacement,
) -> Result<()> {
    let (Some(targets), true) = (
        &entry.targets,
        entry.source.is_some() || entry.source_value.is_some(),
    ) else {
        return fail("replacements must specify a source and at least one target");
    };
    let value = match (&entry.source, &entry.source_value) {
        (Some(_), Some(_)) => return fail("value and resource selectors are mutually exclusive"),
        (_, Some(text)) => context.tree.scalar(text, Tag::None),
        (Some(source), None) => source_value(context, resources, source)?,
        (None, None) => return Ok(()),
    };
    for target in targets {
        apply(context, resources, value, target)?;
    }
    context.check_budget()
}

/// Everything that the object is and was called.
fn ids(context: &Context<'_>, resource: &Resource) -> Vec<ResId> {
    let mut ids = vec![ResId {
        cluster_scoped: false,
        ..resource.id(context)
    }];
    ids.extend(resource.previous_ids(&context.tree));
    ids
}

fn describe(id: &ResId) -> String {
    id.to_string()
}

fn source_value(
    context: &mut Context<'_>,
    resources: &Resources,
    source: &Source,
) -> Result<NodeId> {
    let selects = |resource: &&Resource| {
        ids(context, resource)
            .iter()
            .any(|id| id.is_selected(&source.id))
    };
    let name = Some(source.id.name.as_str()).filter(|name| !name.is_empty());
    let found: Vec<&Resource> = resources
        .named(&context.tree, name)
        .iter()
        .map(|at| &resources.list()[*at])
        .filter(selects)
        .collect();
    let [holder] = found[..] else {
        let what = if found.is_empty() {
            "nothing selected by"
        } else {
            "multiple matches for selector"
        };
        return fail(format!("{what} {}", describe(&source.id)));
    };
    let path = if source.field_path.is_empty() {
        "metadata.name"
    } else {
        &source.field_path
    };
    let tree = &mut context.tree;
    let found = node::lookup(tree, holder.root, &split_field_path(path), None)?;
    let Some(found) = found.filter(|found| !tree.node(*found).is_empty()) else {
        return fail(format!(
            "fieldPath `{path}` is missing for replacement source {}",
            describe(&source.id)
        ));
    };
    let Some(options) = source
        .options
        .as_ref()
        .filter(|options| !options.delimiter.is_empty())
    else {
        return Ok(found);
    };
    if tree.kind(found) != Kind::Scalar {
        return fail("delimiter option can only be used with scalar nodes");
    }
    let text = tree.text(found);
    let part = usize::try_from(options.index)
        .ok()
        .and_then(|index| text.split(&options.delimiter).nth(index));
    let Some(part) = part.map(str::to_owned) else {
        return fail(format!(
            "options.index {} is out of bounds for value {text}",
            options.index
        ));
    };
    let copy = tree.copy(found);
    tree.set_made_text(copy, part);
    Ok(copy)
}

fn apply(
    context: &mut Context<'_>,
    resources: &mut Resources,
    value: NodeId,
    target: &Target,
) -> Result<()> {
    let Some(select) = &target.select else {
        return fail("target must specify resources to select");
    };
    let default = ["metadata.name".to_owned()];
    let paths = if target.field_paths.is_empty() {
        &default[..]
    } else {
        &target.field_paths
    };
    let select = Matcher::new(select)?;
    let reject: Vec<(bool, Matcher)> = target
        .reject
        .iter()
        .map(|selector| Ok((selector.id == ResId::default(), Matcher::new(selector)?)))
        .collect::<Result<_>>()?;
    let candidates = resources.named(&context.tree, select.literal_name());
    for at in candidates.into_owned() {
        let resource = &resources.list()[at];
        let ids = ids(context, resource);
        let labels = node::metadata_map(&context.tree, resource.root, "labels");
        let annotations = node::metadata_map(&context.tree, resource.root, "annotations");
        let fits = |matcher: &Matcher| {
            matcher.labels.matches(&labels) && matcher.annotations.matches(&annotations)
        };
        let is_rejected = |(any_id, matcher): &(bool, Matcher)| {
            let by_labels =
                !(matcher.labels.is_empty() && matcher.annotations.is_empty()) && fits(matcher);
            by_labels || (!any_id && ids.iter().any(|id| matcher.id(id)))
        };
        if !fits(&select) || reject.iter().any(is_rejected) || !ids.iter().any(|id| select.id(id)) {
            continue;
        }
        resources.change(context, at, |context, resource| {
            put_all(context, resource, value, paths, target.options.as_ref())
        })?;
    }
    Ok(())
}

fn put_all(
    context: &mut Context<'_>,
    resource: &Resource,
    value: NodeId,
    paths: &[String],
    options: Option<&FieldOptions>,
) -> Result<()> {
    for path in paths {
        put(context, resource, value, path, options).map_err(|errors| {
            let words = format!(
                "field `{path}` of {}",
                node::describe(&context.tree, resource.root)
            );
            errors
                .context(&words)
                .each(|error| resource.origin.place(error))
        })?;
    }
    let limit = context.options.limits.depth;
    if context.tree.depth(resource.root) > limit + 1 {
        return fail(exceeded(
            &format!("the replacement nests deeper than {limit} levels"),
            "--max-depth",
        ));
    }
    Ok(())
}

/// Puts the value where the path leads, also into JSON or YAML that stands in a text.
fn put(
    context: &mut Context<'_>,
    resource: &Resource,
    value: NodeId,
    path: &str,
    options: Option<&FieldOptions>,
) -> Result<()> {
    let create = options
        .filter(|options| options.create)
        .map(|_| context.tree.kind(value));
    let parts = split_field_path(path);
    node::check_path(&parts)?;
    if parts.iter().any(String::is_empty) {
        return fail("the path has an empty part");
    }
    let budget = context.budget();
    let limits = context.yaml_limits();
    let tree = &mut context.tree;
    let mut set_inside = |tree: &mut Tree, target: NodeId| set(tree, target, value, options);
    if structured::put(
        tree,
        resource.root,
        &mut set_inside,
        &parts,
        create,
        &limits,
    )
    .is_ok()
    {
        return Ok(());
    }
    let words = if create.is_some() {
        "unable to find or create field"
    } else {
        "unable to find field"
    };
    let targets = find(tree, resource.root, &parts, create, &limits)
        .map_err(|errors| errors.context(&format!("{words} in replacement target")))?;
    if targets.is_empty() {
        return fail(format!("{words} in replacement target"));
    }
    for target in targets {
        set(tree, target, value, options)?;
        budget.check(tree)?;
    }
    Ok(())
}

fn set(
    tree: &mut Tree,
    target: NodeId,
    value: NodeId,
    options: Option<&FieldOptions>,
) -> Result<()> {
    let value = tree.copy(value);
    if let Some(options) = options.filter(|options| !options.delimiter.is_empty()) {
        if tree.kind(target) != Kind::Scalar {
            return fail("delimiter option can only be used with scalar nodes");
        }
        let text = if tree.node(value).is_null() {
            ""
        } else {
            tree.text(value)
        };
        let joined = with_part(tree.text(target), options, text);
        tree.set_made_text(value, joined);
    }
    overwrite(tree, target, value);
    Ok(())
}

/// The text with the part at the index replaced; in front where the index is negative, at the end where there is no such
/// part.
fn with_part(old: &str, options: &FieldOptions, part: &str) -> String {
    let delimiter = options.delimiter.as_str();
    let Ok(index) = usize::try_from(options.index) else {
        return format!("{part}{delimiter}{old}");
    };
    let mut start = 0;
    for (at, there) in old.split(delimiter).enumerate() {
        let end = start + there.len();
        if at == index {
            return format!("{}{part}{}", &old[..start], &old[end..]);
        }
        start = end + delimiter.len();
    }
    format!("{old}{delimiter}{part}")
}

/// A scalar gets the text of the value, anything else becomes the value.
fn overwrite(tree: &mut Tree, target: NodeId, value: NodeId) {
    if tree.kind(target) == Kind::Scalar {
        let text = tree.node(value).text.clone();
        tree.node_mut(target).text = text;
    } else {
        tree.assign(target, value);
    }
}
