//! The transformers that change fields one by one: labels, annotations, names, replicas, values.

use super::context::Context;
use super::error::{Result, fail};
use super::fieldspec::{Create, FieldSpec, apply};
use super::id::Gvk;
use super::namespace::{NAMESPACE, NamespaceTransformer};
use super::node;
use super::resources::Resources;
use super::selector::Selector;
use super::types::Replica;
use crate::yaml::{Kind, Tag};

const NAME: &str = "metadata/name";

fn text(kind: Kind, tag: Tag) -> Create {
    Create { kind, tag }
}

/// Sets entries of the maps that the fields lead to: labels, selectors, annotations.
#[inline(never)]
pub fn set_entries(
    context: &mut Context<'_>,
    resources: &mut Resources,
    pairs: &[(String, String)],
    specs: &[FieldSpec],
) -> Result<()> {
    let create = text(Kind::Map, Tag::Map);
    for resource in resources.list_mut() {
        for (key, value) in pairs {
            // One node for all places, as kustomize has it: what changes one of them later changes all.
            let value = context.tree.scalar(value, Tag::Str);
            for spec in specs {
                let noted = spec.path == "metadata/annotations" && !resource.notes().is_empty();
                // kustomize has notes of its own there.
                let spec = if noted && !spec.create {
                    &FieldSpec {
                        create: true,
                        ..spec.clone()
                    }
                } else {
                    spec
                };
                apply(
                    &mut context.tree,
                    resource.root,
                    spec,
                    Some(&create),
                    &mut |tree, map| {
                        if tree.kind(map) == Kind::Scalar && tree.node(map).is_null() {
                            return Ok(());
                        }
                        node::set_field(tree, map, key, value)
                    },
                )
                .map_err(|errors| errors.each(|error| resource.origin.place(error)))?;
            }
            context.check_budget()?;
        }
    }
    Ok(())
}

/// Kinds whose names stay.
fn keeps_name(gvk: &Gvk) -> bool {
    matches!(&*gvk.kind, "CustomResourceDefinition" | "Namespace")
        || (gvk.kind == "APIService" && gvk.group == "apiregistration.k8s.io")
}

/// Puts text in front of, or behind, the names.
#[inline(never)]
pub fn affix_names(
    context: &mut Context<'_>,
    resources: &mut Resources,
    prefix: &str,
    suffix: &str,
    specs: &[FieldSpec],
) -> Result<()> {
    let create = text(Kind::Scalar, Tag::Str);
    for resource in resources.list_mut() {
        let id = resource.original_id(context);
        if keeps_name(&id.gvk) {
            continue;
        }
        for spec in specs.iter().filter(|spec| id.gvk.is_selected(&spec.gvk)) {
            if spec.path == NAME && !(prefix.is_empty() && suffix.is_empty()) {
                if !prefix.is_empty() {
                    resource.prefixes.push(prefix.to_owned());
                }
                if !suffix.is_empty() {
                    resource.suffixes.push(suffix.to_owned());
                }
                resource.store_previous_id(context)?;
            }
            apply(
                &mut context.tree,
                resource.root,
                spec,
                Some(&create),
                &mut |tree, name| {
                    let affixed = format!("{prefix}{}{suffix}", tree.text(name));
                    node::set_text(tree, name, &affixed, Tag::None)
                },
            )
            .map_err(|errors| errors.each(|error| resource.origin.place(error)))?;
        }
        context.check_budget()?;
    }
    Ok(())
}

/// Sets the number of replicas of the objects with this name.
#[inline(never)]
pub fn set_replicas(
    context: &mut Context<'_>,
    resources: &mut Resources,
    replica: &Replica,
    specs: &[FieldSpec],
) -> Result<()> {
    let create = text(Kind::Scalar, Tag::Int);
    let count = replica.count.to_string();
    let mut found = false;
    for spec in specs {
        for at in resources.matching_any_id(context, &replica.name, |id| {
            id.name == replica.name && id.gvk.is_selected(&spec.gvk)
        }) {
            found = true;
            resources.change(context, at, |context, resource| {
                apply(
                    &mut context.tree,
                    resource.root,
                    spec,
                    Some(&create),
                    &mut |tree, id| node::set_text(tree, id, &count, Tag::Int),
                )
                .map_err(|errors| errors.each(|error| resource.origin.place(error)))
            })?;
        }
    }
    if found {
        return Ok(());
    }
    let kinds: Vec<String> = specs.iter().map(|spec| spec.gvk.to_string()).collect();
    fail(format!(
        "resource with name {} does not match a config with the following GVK [{}]",
        replica.name,
        kinds.join(" ")
    ))
}

/// A place for the value of a `ValueAddTransformer`.
#[derive(Clone, Debug, Default)]
pub struct ValueTarget {
    pub selector: Option<Selector>,
    pub field_path: String,
    pub file_path_position: i64,
}

/// Puts a value into fields, or into one part of the paths that stand there.
#[inline(never)]
pub fn add_value(
    context: &mut Context<'_>,
    resources: &mut Resources,
    value: &str,
    target: &ValueTarget,
) -> Result<()> {
    let selected = match &target.selector {
        Some(selector) => resources.select(context, selector)?,
        None => (0..resources.len()).collect(),
    };
    let namespace = NamespaceTransformer {
        namespace: value.to_owned(),
        ..NamespaceTransformer::default()
    };
    let path = super::fieldspec::split_path(&format!("/{}", target.field_path), '/');
    for at in selected {
        let resource = &resources.list_mut()[at];
        if target.field_path == NAMESPACE {
            namespace.transform_one(context, resource)?;
            continue;
        }
        let tree = &mut context.tree;
        let Some(field) = node::lookup(tree, resource.root, &path, Some(Kind::Scalar))? else {
            continue;
        };
        node::demand(tree, field, Kind::Scalar)?;
        let new = match usize::try_from(target.file_path_position) {
            Ok(position) if position > 0 => insert_path_part(tree.text(field), position - 1, value),
            _ => value.to_owned(),
        };
        node::set_text(tree, field, &new, Tag::None)?;
        context.check_budget()?;
    }
    Ok(())
}

fn insert_path_part(path: &str, position: usize, part: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    let joined = parts.join("/");
    if absolute {
        format!("/{joined}")
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_parts() {
        assert_eq!(insert_path_part("/a/b", 0, "x"), "/x/a/b");
        assert_eq!(insert_path_part("a/b", 5, "x"), "a/b/x");
    }
}
