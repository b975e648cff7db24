//! Strategic-merge and JSON patches: which objects they are for, and what they do to them.

use std::collections::HashSet;

use super::context::Context;
use super::error::{BuildError, BuildErrors, Problems, Result, fail};
use super::factory::patches_from;
use super::json::read_again;
use super::jsonpatch::JsonPatch;
use super::loader::Loader;
use super::merge::merge;
use super::node;
use super::resource::{ALLOW_KIND_CHANGE, ALLOW_NAME_CHANGE, Resource};
use super::resources::Resources;
use super::selector::Selector;
use super::types::Patch;
use crate::yaml::{Kind, NodeId, Style, Tag, Tree, exceeded, to_value};

/// An entry of `patches`, loaded.
#[derive(Debug)]
pub struct PatchTransformer {
    merges: Vec<Resource>,
    json: Option<JsonPatch>,
    target: Option<Selector>,
    source: String,
}

impl PatchTransformer {
    pub fn load(context: &mut Context<'_>, loader: &Loader, patch: &Patch) -> Result<Self> {
        let inline = patch.inline.trim();
        let (text, source, file) = match (inline.is_empty(), patch.path.is_empty()) {
            (true, true) => return fail("must specify one of patch and path"),
            (false, false) => return fail("patch and path can't be set at the same time"),
            (false, true) => (
                inline.to_owned(),
                "the inline patch".to_owned(),
                String::new(),
            ),
            (true, false) => {
                let (file, text) = loader
                    .load_text(context, &patch.path)
                    .map_err(|errors| errors.field("path"))?;
                (text, format!("the patch `{}`", patch.path), file)
            }
        };
        let merges = patches_from(context, text.as_bytes(), &file);
        let json = JsonPatch::read(&text, &context.yaml_limits());
        let (merges, json) = match (merges, json) {
            (Ok(merges), Ok(Some(json))) if !merges.is_empty() && !json.is_empty() => {
                return fail(format!(
                    "{source} illegally qualifies as both a strategic merge and a JSON patch"
                ));
            }
            (Ok(merges), _) => (merges, None),
            (Err(_), Ok(json)) => (Vec::new(), json),
            (Err(merge), Err(json)) => {
                let looks_like_list = text.trim_start().starts_with(['[', '-']);
                let why = if looks_like_list { json } else { merge };
                let why = if file.is_empty() {
                    why.inline("patch")
                } else {
                    why.in_file(&file)
                };
                return Err(why.context(&format!("unable to parse SM or JSON patch from {source}")));
            }
        };
        let mut transformer = Self {
            merges,
            json,
            target: patch.target.clone(),
            source,
        };
        for merge in &mut transformer.merges {
            if merge.origin.file.is_empty() {
                merge.origin.line = 0;
            }
            for (allowed, flag, name) in [
                (
                    patch.allow_name_change,
                    &mut merge.allow_name_change,
                    ALLOW_NAME_CHANGE,
                ),
                (
                    patch.allow_kind_change,
                    &mut merge.allow_kind_change,
                    ALLOW_KIND_CHANGE,
                ),
            ] {
                if allowed {
                    *flag = true;
                    note(&mut context.tree, merge.root, name)?;
                }
            }
        }
        Ok(transformer)
    }

    #[inline(never)]
    pub fn transform(&self, context: &mut Context<'_>, resources: &mut Resources) -> Result<()> {
        if let Some(json) = &self.json {
            let Some(target) = &self.target else {
                return fail(format!(
                    "must specify a target for JSON patch: {}",
                    self.source
                ));
            };
            let mut problems = Problems::default();
            for at in resources.select(context, target)? {
                let applied = resources.change(context, at, |context, resource| {
                    resource.store_previous_id(context)?;
                    apply_json(context, resource, json)
                        .map_err(|errors| errors.context(&self.source))
                });
                problems.keep(applied);
                if context.is_spent() {
                    break;
                }
            }
            return problems.finish();
        }
        match (&self.target, &self.merges[..]) {
            (_, []) => Ok(()),
            (Some(target), [patch]) => {
                let selected = resources.select(context, target)?;
                apply_to_selected(context, resources, &selected, patch)
                    .map_err(|errors| errors.context(&self.source))
            }
            (Some(_), _) => fail(format!(
                "Multiple Strategic-Merge Patches in one `patches` entry is not allowed to set `patches.target` field: {}",
                self.source
            )),
            (None, patches) => {
                let mut problems = Problems::default();
                for patch in patches {
                    let Some(at) = problems.keep(resources.target_of(context, patch)) else {
                        continue;
                    };
                    let patch = patch.copy(&mut context.tree);
                    resources.change(context, at, |context, target| {
                        apply_merge(context, target, &patch)
                            .map_err(|errors| errors.context(&self.source))
                    })?;
                }
                problems.finish()
            }
        }
    }
}

/// The strategic-merge patches of `patchesStrategicMerge` (paths or inline) or of one text.
#[inline(never)]
pub fn load_merges(
    context: &mut Context<'_>,
    loader: &Loader,
    paths: &[String],
    text: &str,
) -> Result<Vec<Resource>> {
    let mut patches = Vec::new();
    let mut problems = Problems::default();
    for (index, path) in paths.iter().enumerate() {
        let place = |errors: BuildErrors| errors.inline(&format!("[{index}]"));
        match patches_from(context, path.as_bytes(), "") {
            Ok(inline) => {
                patches.extend(inline);
                continue;
            }
            Err(errors) if path.contains('\n') => {
                problems.keep::<()>(Err(place(errors)));
                continue;
            }
            Err(_) => {}
        }
        let loaded = loader
            .load(context, path)
            .and_then(|(file, bytes)| patches_from(context, &bytes, &file));
        patches.extend(problems.keep(loaded.map_err(place)).into_iter().flatten());
    }
    problems.finish()?;
    if !text.is_empty() {
        patches.extend(patches_from(context, text.as_bytes(), "")?);
    }
    if patches.is_empty() {
        return fail(format!(
            "patch appears to be empty; files=[{}]",
            paths.join(" ")
        ));
    }
    Ok(patches)
}

/// Merges each patch into the one object that it names.
#[inline(never)]
pub fn apply_merges(
    context: &mut Context<'_>,
    resources: &mut Resources,
    patches: &[Resource],
) -> Result<()> {
    let mut problems = Problems::default();
    for patch in patches {
        if let Some(at) = problems.keep(resources.target_of(context, patch)) {
            apply_to_selected(context, resources, &[at], patch)?;
        }
    }
    problems.finish()
}

/// Merges a patch into all objects that have the identity of a selected one.
fn apply_to_selected(
    context: &mut Context<'_>,
    resources: &mut Resources,
    selected: &[usize],
    patch: &Resource,
) -> Result<()> {
    let ids: HashSet<_> = selected
        .iter()
        .map(|at| resources.list()[*at].id(context))
        .collect();
    for at in resources.with_identities(context, &ids) {
        let mut copy = patch.copy(&mut context.tree);
        copy.copy_metadata_from(&mut context.tree, patch)?;
        resources.change(context, at, |context, resource| {
            let api_version = node::api_version(&context.tree, resource.root).to_owned();
            node::set_at(&mut context.tree, copy.root, &["apiVersion"], &api_version)?;
            apply_merge(context, resource, &copy)
        })?;
    }
    resources.check_unique(context)
}

/// Merges a patch into an object. Its kind, name and namespace stay unless the patch may change them.
fn apply_merge(context: &mut Context<'_>, resource: &mut Resource, patch: &Resource) -> Result<()> {
    let object = resource.root;
    let tree = &context.tree;
    let name = node::name(tree, object).to_owned();
    let namespace = node::namespace(tree, object).to_owned();
    let kind = node::kind(tree, object).to_owned();
    if patch.allow_name_change || patch.allow_kind_change {
        resource.store_previous_id(context)?;
    }
    let mut notes = Vec::new();
    if clears_annotations(&context.tree, patch.root) {
        notes = resource.notes();
        mark(&mut context.tree, object, &notes)?;
    }
    let merged =
        merge(&mut context.tree, &context.schemas, object, patch.root).map_err(|errors| {
            let words = format!("merging into {}", node::describe(&context.tree, object));
            errors
                .context(&words)
                .each(|error| patch.origin.place(error))
        })?;
    let tree = &mut context.tree;
    if merged.is_none() {
        resource.delete(tree);
    }
    // What replaces the whole object (`$patch: replace` at the top) is let go, as kustomize does.
    if resource.is_gone(tree) {
        return Ok(());
    }
    if !notes.is_empty() && !unmark(tree, object, &notes) {
        resource.forget_build_state();
    }
    if !patch.allow_kind_change {
        node::set_at(tree, object, &["kind"], &kind)?;
    }
    if !patch.allow_name_change {
        node::set_at(tree, object, &["metadata", "name"], &name)?;
    }
    node::set_namespace(tree, object, &namespace)?;
    context.check_budget()
}

/// Adds such a note, which makes text of all annotations.
fn note(tree: &mut Tree, object: NodeId, name: &str) -> Result<()> {
    let mut annotations = node::metadata_map(tree, object, "annotations");
    annotations.push((name.to_owned(), "enabled".to_owned()));
    node::set_metadata_map(tree, object, "annotations", &annotations)
}

/// What kustomize keeps for itself, and in which annotation.
type Notes = [(&'static str, String)];

/// kustomize keeps its notes in the annotations; so they stand there while a patch is applied.
fn mark(tree: &mut Tree, object: NodeId, notes: &Notes) -> Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    if let Some(annotations) =
        node::lookup(tree, object, &["metadata", "annotations"], Some(Kind::Map))?
        && tree.kind(annotations) == Kind::Map
    {
        for (name, text) in notes {
            let value = tree.scalar(text, Tag::Str);
            tree.append_field(annotations, name, Style::Plain, value);
        }
    }
    Ok(())
}

/// Whether the notes were still there.
fn unmark(tree: &mut Tree, object: NodeId, notes: &Notes) -> bool {
    let Some(annotations) = tree.at(object, &["metadata", "annotations"]) else {
        return false;
    };
    let there = notes.iter();
    let there = there.filter(|(name, _)| tree.remove(annotations, name).is_some());
    there.count() > 0
}

/// Whether a patch may take annotations away that it does not name.
fn clears_annotations(tree: &Tree, patch: NodeId) -> bool {
    let takes_away = |id: NodeId| tree.node(id).is_null() || tree.get(id, "$patch").is_some();
    let metadata = tree.get(patch, "metadata");
    metadata.is_some_and(takes_away)
        || metadata
            .and_then(|id| tree.get(id, "annotations"))
            .is_some_and(takes_away)
}

/// Applies a JSON patch to an object.
pub fn apply_json(
    context: &mut Context<'_>,
    resource: &mut Resource,
    patch: &JsonPatch,
) -> Result<()> {
    let tree = &mut context.tree;
    let object = resource.root;
    let place = |error: BuildError| resource.origin.place(error);
    // So there are annotations for the patch to add to.
    let notes = resource.notes();
    mark(tree, object, &notes)?;
    let mut value = to_value(tree, object)?;
    patch.apply(&mut value).map_err(|errors| {
        let words = format!("cannot be applied to {}", node::describe(tree, object));
        errors.context(&words)
    })?;
    if !value.is_object() {
        return Err(place(BuildError::new("the JSON patch leaves no object")).into());
    }
    let patched = read_again(tree, &value);
    let limit = context.options.limits.depth;
    if tree.depth(patched) > limit + 1 {
        return Err(place(BuildError::new(exceeded(
            &format!("the JSON patch nests deeper than {limit} levels"),
            "--max-depth",
        )))
        .into());
    }
    tree.assign(object, patched);
    let mut annotations = node::metadata_map(tree, object, "annotations");
    annotations.retain(|(key, _)| notes.iter().all(|(note, _)| note != key));
    node::set_metadata_map(tree, object, "annotations", &annotations)?;
    context.check_budget()
}
