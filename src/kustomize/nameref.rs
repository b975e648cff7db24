//! References by name: when an object got another name, the fields that refer to it follow.

mod filter;
mod shape;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::config::Config;
use super::context::Context;
use super::error::{BuildError, Result};
use super::fieldspec::{FieldSpec, apply};
use super::id::{Gvk, ResId};
use super::node;
use super::resources::Resources;
use crate::yaml::{Kind, NodeId, Tree};
use filter::Filter;
use shape::Shapes;

/// What there is to know of an object that may be referred to.
struct Candidate {
    current: ResId,
    previous: Vec<ResId>,
    original_namespace: String,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    origin: String,
}

struct Candidates {
    list: Vec<Candidate>,
    /// In each namespace that they are in now.
    by_previous_name: HashMap<String, BTreeMap<String, Vec<usize>>>,
    by_original_namespace: HashMap<String, Vec<usize>>,
}

/// Updates all references.
pub fn fix_references(
    context: &mut Context<'_>,
    resources: &mut Resources,
    config: &Config,
) -> Result<()> {
    let list = resources.list().iter().map(|resource| Candidate {
        current: resource.id(context),
        previous: resource.previous_ids(&context.tree),
        original_namespace: resource
            .original_id(context)
            .effective_namespace()
            .to_owned(),
        prefixes: resource.prefixes.clone(),
        suffixes: resource.suffixes.clone(),
        origin: resource.origin.to_string(),
    });
    let list: Vec<Candidate> = list.collect();
    let mut by_previous_name: HashMap<String, BTreeMap<String, Vec<usize>>> = HashMap::new();
    let mut by_original_namespace: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, candidate) in list.iter().enumerate() {
        let names: HashSet<&str> = candidate
            .previous
            .iter()
            .map(|id| id.name.as_str())
            .collect();
        for name in names {
            by_previous_name
                .entry(name.to_owned())
                .or_default()
                .entry(candidate.current.effective_namespace().to_owned())
                .or_default()
                .push(at);
        }
        by_original_namespace
            .entry(candidate.original_namespace.clone())
            .or_default()
            .push(at);
    }
    for (resource, candidate) in resources.list().iter().zip(&list) {
        check_subjects(&context.tree, resource.root, candidate)
            .map_err(|error| resource.origin.place(error))?;
    }
    if by_previous_name.is_empty() && have_shape(&context.tree, resources, &list, config) {
        return Ok(());
    }
    let candidates = Candidates {
        list,
        by_previous_name,
        by_original_namespace,
    };
    update(context, resources, config, &candidates)
}

#[inline(never)]
fn update(
    context: &mut Context<'_>,
    resources: &mut Resources,
    config: &Config,
    candidates: &Candidates,
) -> Result<()> {
    let mut by_kind: HashMap<&str, Vec<(usize, &Gvk, &FieldSpec)>> = HashMap::new();
    let references = config
        .name_reference
        .iter()
        .flat_map(|(target, referrers)| referrers.iter().map(move |spec| (target, spec)));
    for (order, (target, spec)) in references.enumerate() {
        by_kind
            .entry(&spec.gvk.kind)
            .or_default()
            .push((order, target, spec));
    }
    for (at, resource) in resources.list_mut().iter_mut().enumerate() {
        let original = resource.original_id(context);
        let mut filters: Vec<(usize, &Gvk, &FieldSpec)> = ["", &*original.gvk.kind]
            .into_iter()
            .collect::<HashSet<_>>()
            .into_iter()
            .filter_map(|kind| by_kind.get(kind))
            .flatten()
            .filter(|(_, _, spec)| original.gvk.is_selected(&spec.gvk))
            .copied()
            .collect();
        filters.sort_by_key(|(order, _, _)| *order);
        if filters.is_empty() {
            continue;
        }
        let bound_namespaces = bound_namespaces(&context.tree, resource.root);
        for (_, target, spec) in filters {
            let role_ref = spec
                .path
                .ends_with("roleRef/name")
                .then(|| role_ref(&context.tree, resource.root))
                .flatten();
            let filter = Filter {
                candidates,
                referrer: &candidates.list[at],
                bound_namespaces: &bound_namespaces,
                target,
                role_ref,
            };
            let spec = FieldSpec {
                gvk: Gvk::default(),
                ..spec.clone()
            };
            apply(
                &mut context.tree,
                resource.root,
                &spec,
                None,
                &mut |tree, id| filter.set(tree, id),
            )
            .map_err(|errors| {
                let errors = errors.each(|error| resource.origin.place(error));
                errors.context("updating name reference")
            })?;
        }
    }
    Ok(())
}

/// Whether all objects have the shape that references are looked for in.
fn have_shape(tree: &Tree, resources: &Resources, list: &[Candidate], config: &Config) -> bool {
    let mut shapes = Shapes::new(config);
    let mut all = resources.list().iter().zip(list);
    all.all(|(resource, known)| shapes.fit(tree, resource.root, &known.current.gvk))
}

/// A service account in a role binding that has a namespace, but an empty one, is an error.
fn check_subjects(
    tree: &Tree,
    object: NodeId,
    candidate: &Candidate,
) -> std::result::Result<(), BuildError> {
    let Some(subjects) = tree
        .get(object, "subjects")
        .filter(|_| candidate.current.gvk.kind == "RoleBinding")
    else {
        return Ok(());
    };
    for subject in tree.elements(subjects) {
        let is_account = tree
            .get(*subject, "kind")
            .is_some_and(|kind| tree.text(kind) == "ServiceAccount");
        let Some(namespace) = tree.get(*subject, "namespace").filter(|_| is_account) else {
            continue;
        };
        let node = tree.node(namespace);
        if node.kind != Kind::Scalar
            || crate::yaml::scalar_value(node).is_ok_and(|value| value != crate::yaml::Scalar::Str)
        {
            return Err(
                BuildError::new("the namespace of a subject is blank, or not text").at(node.place),
            );
        }
    }
    Ok(())
}

/// The namespaces of the service accounts that a role binding names.
fn bound_namespaces(tree: &Tree, object: NodeId) -> HashSet<String> {
    let mut namespaces = HashSet::new();
    if node::kind(tree, object) == "RoleBinding"
        && let Some(subjects) = tree.get(object, "subjects")
    {
        for subject in tree.elements(subjects) {
            let text = |name| tree.get(*subject, name).map(|id| tree.text(id));
            if let (Some("ServiceAccount"), Some(namespace)) = (text("kind"), text("namespace")) {
                namespaces.insert(namespace.to_owned());
            }
        }
    }
    namespaces
}

fn role_ref(tree: &Tree, object: NodeId) -> Option<Gvk> {
    let text = |name| {
        tree.at(object, &["roleRef", name])
            .map(|id| tree.text(id).to_owned())
    };
    Some(Gvk {
        group: text("apiGroup")?.into(),
        kind: text("kind")?.into(),
        ..Gvk::default()
    })
}
