//! From the text of a file to objects: documents checked, lists taken apart, encrypted files refused.

use std::collections::VecDeque;

use super::context::Context;
use super::error::{BuildError, Problems, Result};
use super::json::from_json;
use super::node;
use super::resource::{Origin, Resource};
use crate::yaml::{Document, Kind, NodeId, Tree, read, read_patches, to_inner_value};

/// The objects in the text of a file.
pub fn resources_from(context: &mut Context<'_>, text: &[u8], file: &str) -> Result<Vec<Resource>> {
    let documents = read(text, file, &context.yaml_limits())?;
    resources_of(context, &documents, file)
}

/// The patches in the text of a file, in which a key may occur twice.
pub fn patches_from(context: &mut Context<'_>, text: &[u8], file: &str) -> Result<Vec<Resource>> {
    let documents = read_patches(text, file, &context.yaml_limits())?;
    resources_of(context, &documents, file)
}

/// The objects in the documents of a file.
pub fn resources_of(
    context: &mut Context<'_>,
    documents: &[Document],
    file: &str,
) -> Result<Vec<Resource>> {
    let mut nodes = VecDeque::new();
    for document in documents {
        let line = document.line();
        let root = context.tree.import(&document.tree, document.root);
        let tree = &context.tree;
        let is_list = matches!(node::kind(tree, root), "List" | "ResourceList");
        if document.alone
            && is_list
            && (tree.get(root, "items").is_some() || tree.get(root, "functionConfig").is_some())
        {
            if let Some(items) = tree.get(root, "items") {
                nodes.extend(
                    tree.elements(items)
                        .iter()
                        .map(|item| (*item, tree.node(*item).place.line)),
                );
            }
        } else {
            nodes.push_back((root, line));
        }
    }
    let mut problems = Problems::default();
    let origin = |line: u32| Origin {
        file: file.to_owned(),
        line: line as usize,
    };
    let mut resources = Vec::new();
    while let Some((root, line)) = nodes.pop_front() {
        let checked = check(&context.tree, root).map_err(|error| origin(line).place(error).into());
        if problems.keep(checked) != Some(true) {
            continue;
        }
        let kind = node::kind(&context.tree, root);
        if kind.ends_with("List")
            && let Some(items) = context.tree.get(root, "items")
        {
            let expanded = expand(context, items)
                .map_err(|errors| errors.each(|error| origin(line).place(error)));
            nodes.extend(
                problems
                    .keep(expanded)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|item| (item, line)),
            );
            continue;
        }
        let mut resource = Resource::new(root, origin(line));
        problems.keep(
            resource
                .absorb_annotations(&mut context.tree)
                .map_err(|errors| errors.in_file(file)),
        );
        resources.push(resource);
    }
    problems.finish()?;
    context.check_budget()?;
    Ok(resources)
}

/// Why an encrypted file is refused.
pub const SOPS_REFUSAL: &str = "the file is encrypted with SOPS and cannot be decrypted here; commit it decrypted, or \
                                keep the secret outside of Git";

/// Whether SOPS left its mark on a document.
pub fn is_sops_encrypted(tree: &Tree, root: NodeId) -> bool {
    tree.at(root, &["sops", "mac"]).is_some()
}

/// Whether a node is an object; `false` for one without content.
fn check(tree: &Tree, root: NodeId) -> std::result::Result<bool, BuildError> {
    if tree.node(root).is_empty() {
        return Ok(false);
    }
    let at = |error: BuildError| error.at(tree.node(root).place);
    if tree.kind(root) != Kind::Map {
        return Err(at(BuildError::new(
            "missing Resource metadata: an object is expected",
        )));
    }
    if is_sops_encrypted(tree, root) {
        return Err(at(BuildError::new(SOPS_REFUSAL)));
    }
    let kind = node::checked_kind(tree, root);
    if kind.is_empty() {
        return Err(at(BuildError::new("missing kind in object")));
    }
    if !kind.ends_with("List") && node::name(tree, root).is_empty() {
        return Err(at(BuildError::new(format!(
            "missing metadata.name in the object of kind {kind}"
        ))));
    }
    Ok(true)
}

/// The objects in the `items` of a list. They pass through JSON, so all text in them is quoted.
fn expand(context: &mut Context<'_>, items: NodeId) -> Result<Vec<NodeId>> {
    let tree = &mut context.tree;
    if tree.node(items).is_null() {
        return Ok(Vec::new());
    }
    if tree.kind(items) != Kind::Seq {
        return Err(node::wrong_kind(tree, items, Kind::Seq)
            .field("items")
            .into());
    }
    let mut objects = Vec::new();
    for item in tree.elements(items).to_vec() {
        let place = tree.node(item).place;
        let value = to_inner_value(tree, item)?;
        let object = from_json(tree, &value);
        tree.node_mut(object).place = place;
        if check(tree, object)? {
            objects.push(object);
        }
    }
    Ok(objects)
}
