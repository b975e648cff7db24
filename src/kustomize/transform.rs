//! The transformers that change fields one by one: labels, annotations, names, namespaces, images, replicas, values.

use regex::Regex;

use super::context::Context;
use super::error::{BuildError, Result, fail};
use super::fieldspec::{Create, FieldSpec, apply};
use super::id::{Gvk, ResId};
use super::node;
use super::resource::{HELM_GENERATED, Resource, Resources};
use super::selector::Selector;
use super::types::{Image, Replica};
use crate::yaml::{Kind, NodeId, Tag, Tree};

const NAME: &str = "metadata/name";
const NAMESPACE: &str = "metadata/namespace";

fn text(kind: Kind, tag: Tag) -> Create {
    Create { kind, tag }
}

/// Sets entries of the maps that the fields lead to: labels, selectors, annotations.
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
        }
    }
    Ok(())
}

/// Kinds whose names stay.
fn keeps_name(gvk: &Gvk) -> bool {
    matches!(gvk.kind.as_str(), "CustomResourceDefinition" | "Namespace")
        || (gvk.kind == "APIService" && gvk.group == "apiregistration.k8s.io")
}

/// Puts text in front of, or behind, the names.
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
    }
    Ok(())
}

/// Which subjects of role bindings get the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubjectMode {
    #[default]
    DefaultOnly,
    AllServiceAccounts,
    None,
}

impl SubjectMode {
    pub fn parse(mode: &str) -> Result<Self> {
        match mode {
            "" | "defaultOnly" => Ok(Self::DefaultOnly),
            "allServiceAccounts" => Ok(Self::AllServiceAccounts),
            "none" => Ok(Self::None),
            other => fail(format!(
                "invalid value `{other}` for setRoleBindingSubjects: must be one of defaultOnly, none, allServiceAccounts"
            )),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct NamespaceTransformer {
    pub namespace: String,
    pub specs: Vec<FieldSpec>,
    pub unset_only: bool,
    pub subjects: SubjectMode,
}

impl NamespaceTransformer {
    pub fn transform(&self, context: &mut Context<'_>, resources: &mut Resources) -> Result<()> {
        if self.namespace.is_empty() {
            return Ok(());
        }
        let key = |id: &ResId| {
            (
                id.gvk.clone(),
                id.name.clone(),
                id.effective_namespace().to_owned(),
            )
        };
        let mut count = std::collections::HashMap::new();
        for resource in resources.list() {
            *count.entry(key(&resource.id(context))).or_insert(0_usize) += 1;
        }
        for resource in resources.list_mut() {
            if resource.is_gone(&context.tree)
                || node::annotation(&context.tree, resource.root, HELM_GENERATED) == Some("true")
            {
                continue;
            }
            let before = key(&resource.id(context));
            resource.store_previous_id(context)?;
            self.transform_one(context, resource)
                .map_err(|errors| errors.each(|error| resource.origin.place(error)))?;
            let id = resource.id(context);
            let after = key(&id);
            if before != after {
                if let Some(count) = count.get_mut(&before) {
                    *count -= 1;
                }
                *count.entry(after.clone()).or_insert(0) += 1;
            }
            if count.get(&after) != Some(&1) {
                let error = BuildError::new(format!(
                    "namespace transformation produces ID conflict: {id}"
                ));
                return Err(resource.origin.place(error).into());
            }
        }
        Ok(())
    }

    pub fn transform_one(&self, context: &mut Context<'_>, resource: &Resource) -> Result<()> {
        let tree = &mut context.tree;
        let object = resource.root;
        let core = node::api_version(tree, object) == "v1";
        let kind = node::kind(tree, object).to_owned();
        let cluster_scoped = context
            .schemas
            .is_cluster_scoped(node::api_version(tree, object), &kind);
        if !cluster_scoped {
            let spec = FieldSpec::of(NAMESPACE, true);
            let create = text(Kind::Scalar, Tag::None);
            apply(tree, object, &spec, Some(&create), &mut |tree, id| {
                self.set(tree, id)
            })?;
        }
        let is_binding = matches!(kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        if is_binding {
            self.set_subjects(tree, object)?;
        }
        let create = text(Kind::Scalar, Tag::Str);
        for spec in &self.specs {
            let of_binding = matches!(spec.gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
            if spec.path == NAMESPACE
                || (!core && spec.path == NAME)
                || (is_binding && of_binding && spec.path == "subjects/namespace")
            {
                continue;
            }
            apply(tree, object, spec, Some(&create), &mut |tree, id| {
                self.set(tree, id)
            })
            .map_err(|errors| errors.context("namespace transformation failed"))?;
        }
        Ok(())
    }

    fn set(&self, tree: &mut Tree, id: NodeId) -> Result<()> {
        if self.unset_only
            && !tree.node(id).is_empty()
            && tree.kind(id) == Kind::Scalar
            && !tree.text(id).is_empty()
        {
            return Ok(());
        }
        node::set_text(tree, id, &self.namespace, Tag::Str)
    }

    fn set_subjects(&self, tree: &mut Tree, object: NodeId) -> Result<()> {
        let (field, value) = match self.subjects {
            SubjectMode::None => return Ok(()),
            SubjectMode::DefaultOnly => ("name", "default"),
            SubjectMode::AllServiceAccounts => ("kind", "ServiceAccount"),
        };
        let Some(subjects) = node::lookup(tree, object, &["subjects"], None)? else {
            return Ok(());
        };
        node::demand(tree, subjects, Kind::Seq)?;
        for subject in tree.elements(subjects).to_vec() {
            let Some(found) = node::lookup(tree, subject, &[field], None)? else {
                continue;
            };
            node::demand(tree, found, Kind::Scalar)?;
            if tree.node(found).is_null() || tree.text(found) != value {
                continue;
            }
            if let Some(namespace) =
                node::lookup(tree, subject, &["namespace"], Some(Kind::Scalar))?
            {
                self.set(tree, namespace)?;
            }
        }
        Ok(())
    }
}

/// Splits an image into name, tag and digest.
fn split_image(image: &str) -> (&str, &str, &str) {
    let start = image.find('/').filter(|at| *at > 0).unwrap_or(0);
    let find = |c: char| image[start..].find(c).map(|at| at + start);
    match (find(':'), find('@')) {
        (None, None) => (image, "", ""),
        (Some(colon), Some(at)) if colon < at => {
            (&image[..colon], &image[colon + 1..at], &image[at + 1..])
        }
        (_, Some(at)) => (&image[..at], "", &image[at + 1..]),
        (Some(colon), None) => (&image[..colon], &image[colon + 1..], ""),
    }
}

fn new_image(image: &Image, old: &str) -> String {
    let (name, mut tag, mut digest) = split_image(old);
    let name = if image.new_name.is_empty() {
        name
    } else {
        &image.new_name
    };
    let suffixed;
    if !image.new_tag.is_empty() {
        tag = &image.new_tag;
        digest = &image.digest;
    } else if !image.digest.is_empty() {
        tag = "";
        digest = &image.digest;
    } else if !image.tag_suffix.is_empty() {
        suffixed = format!("{tag}{}", image.tag_suffix);
        tag = &suffixed;
        digest = "";
    }
    let mut new = name.to_owned();
    if !tag.is_empty() {
        new.push(':');
        new.push_str(tag);
    }
    if !digest.is_empty() {
        new.push('@');
        new.push_str(digest);
    }
    new
}

/// Changes the names and tags of images.
pub fn set_images(
    context: &mut Context<'_>,
    resources: &mut Resources,
    image: &Image,
    specs: &[FieldSpec],
) -> Result<()> {
    let pattern = format!(
        "^{}(:[a-zA-Z0-9_.{{}}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{{}}-]*)?$",
        image.name
    );
    let Ok(regex) = Regex::new(&pattern) else {
        let name = &image.name;
        context.warnings.push(format!(
            "the image name `{name}` is not a regular expression, it matches nothing"
        ));
        return Ok(());
    };
    let set = |tree: &mut Tree, id: NodeId| -> Result<()> {
        node::demand(tree, id, Kind::Scalar)?;
        let old = tree.text(id);
        if !regex.is_match(old) {
            return Ok(());
        }
        let new = new_image(image, old);
        node::set_text(tree, id, &new, Tag::None)
    };
    for at in 0..resources.len() {
        let resource = &resources.list()[at];
        if node::kind(&context.tree, resource.root) == "CustomResourceDefinition" {
            continue;
        }
        let place =
            |errors: super::error::BuildErrors| errors.each(|error| resource.origin.place(error));
        containers(&mut context.tree, resource.root, &set).map_err(place)?;
    }
    for at in 0..resources.len() {
        let resource = &resources.list()[at];
        if node::kind(&context.tree, resource.root) == "CustomResourceDefinition" {
            continue;
        }
        for spec in specs {
            apply(
                &mut context.tree,
                resource.root,
                spec,
                None,
                &mut |tree, id| set(tree, id),
            )
            .map_err(|errors| errors.each(|error| resource.origin.place(error)))?;
        }
    }
    Ok(())
}

/// Calls `set` for the images of all lists named `containers` or `initContainers`.
fn containers(
    tree: &mut Tree,
    id: NodeId,
    set: &dyn Fn(&mut Tree, NodeId) -> Result<()>,
) -> Result<()> {
    match tree.kind(id) {
        Kind::Map => {
            for (key, value) in tree.pairs(id).collect::<Vec<_>>() {
                containers(tree, value, set)?;
                if matches!(tree.text(key), "containers" | "initContainers")
                    && tree.kind(value) == Kind::Seq
                {
                    for element in tree.elements(value).to_vec() {
                        if let Some(image) = node::field(tree, element, "image", None)? {
                            set(tree, image)?;
                        }
                    }
                }
            }
        }
        Kind::Seq => {
            for element in tree.elements(id).to_vec() {
                containers(tree, element, set)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Sets the number of replicas of the objects with this name.
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
        for at in resources.matching_any_id(context, |id| {
            id.name == replica.name && id.gvk.is_selected(&spec.gvk)
        }) {
            found = true;
            let resource = &resources.list()[at];
            apply(
                &mut context.tree,
                resource.root,
                spec,
                Some(&create),
                &mut |tree, id| node::set_text(tree, id, &count, Tag::Int),
            )
            .map_err(|errors| errors.each(|error| resource.origin.place(error)))?;
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
    fn images() {
        assert_eq!(split_image("nginx"), ("nginx", "", ""));
        assert_eq!(split_image("nginx:1@sha256:2"), ("nginx", "1", "sha256:2"));
        assert_eq!(split_image("host:5000/nginx"), ("host:5000/nginx", "", ""));
        assert_eq!(
            split_image("host:5000/nginx:1"),
            ("host:5000/nginx", "1", "")
        );
        assert_eq!(split_image("nginx@sha256:2"), ("nginx", "", "sha256:2"));
        let image = Image {
            new_name: "x".to_owned(),
            new_tag: "2".to_owned(),
            ..Image::default()
        };
        assert_eq!(new_image(&image, "a/b:1@sha256:0"), "x:2");
    }

    #[test]
    fn path_parts() {
        assert_eq!(insert_path_part("/a/b", 0, "x"), "/x/a/b");
        assert_eq!(insert_path_part("a/b", 5, "x"), "a/b/x");
    }
}
