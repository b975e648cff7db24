//! References by name: when an object got another name, the fields that refer to it follow.

mod shape;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::config::Config;
use super::context::Context;
use super::error::{BuildError, Result, fail};
use super::fieldspec::{FieldSpec, apply};
use super::id::{DEFAULT_NAMESPACE, Gvk, NO_NAMESPACE, ResId};
use super::node;
use super::resources::Resources;
use crate::yaml::{Kind, NodeId, Tag, Tree};
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

struct Filter<'c> {
    candidates: &'c Candidates,
    referrer: &'c Candidate,
    bound_namespaces: &'c HashSet<String>,
    target: &'c Gvk,
    role_ref: Option<Gvk>,
}

impl<'c> Filter<'c> {
    fn set(&self, tree: &mut Tree, id: NodeId) -> Result<()> {
        if tree.node(id).is_null() {
            return Ok(());
        }
        match tree.kind(id) {
            Kind::Scalar => self.set_scalar(tree, id),
            Kind::Map => self.set_map(tree, id),
            Kind::Seq => {
                for element in tree.elements(id).to_vec() {
                    match tree.kind(element) {
                        _ if tree.node(element).is_null() => {}
                        Kind::Scalar => self.set_scalar(tree, element)?,
                        Kind::Map => self.set_map(tree, element)?,
                        _ => return fail("a list of names, or of maps with names, is expected"),
                    }
                }
                Ok(())
            }
            Kind::Empty => fail("a name, a map or a list is expected"),
        }
    }

    fn set_scalar(&self, tree: &mut Tree, id: NodeId) -> Result<()> {
        let old = tree.text(id).to_owned();
        let same = |a: &ResId, b: &ResId| a.name == b.name;
        let Some(referral) = self.select(&old, None, same)? else {
            return Ok(());
        };
        if referral.current.name == old {
            return Ok(());
        }
        node::set_text(tree, id, &referral.current.name, Tag::None)
    }

    fn set_map(&self, tree: &mut Tree, map: NodeId) -> Result<()> {
        let Some(name) = tree.get(map, "name") else {
            return fail("path config error; no 'name' field in node");
        };
        let old = tree.text(name).to_owned();
        let namespace = tree
            .get(map, "namespace")
            .map(|id| tree.text(id).to_owned());
        let same = |a: &ResId, b: &ResId| a.name == b.name && a.namespace == b.namespace;
        let Some(referral) = self.select(&old, namespace.as_deref(), same)? else {
            return Ok(());
        };
        let found = &referral.current;
        if found.name == old && found.namespace.is_empty() {
            return Ok(());
        }
        for (field, text) in [("name", &found.name), ("namespace", &found.namespace)] {
            if !text.is_empty() {
                let value = tree.scalar(text, Tag::None);
                node::set_field(tree, map, field, value)?;
            }
        }
        Ok(())
    }

    /// Whether the referrer could refer to this object at all.
    fn is_in_reach(&self, candidate: &Candidate) -> bool {
        self.referrer.current.cluster_scoped
            || candidate.current.cluster_scoped
            || candidate.current.same_namespace(&self.referrer.current)
            || self.bound_namespaces.contains(&candidate.current.namespace)
    }

    /// Of the objects of one former name, those that the referrer could refer to.
    fn in_reach(&self, named: &'c BTreeMap<String, Vec<usize>>) -> Vec<&'c Candidate> {
        let mut positions: Vec<usize> = Vec::new();
        if self.referrer.current.cluster_scoped {
            positions.extend(named.values().flatten());
        } else {
            let own = [NO_NAMESPACE, self.referrer.current.effective_namespace()];
            // An empty namespace is bound as such, and counts as the default one.
            let bound = self.bound_namespaces.iter();
            let bound = bound.flat_map(|namespace| [namespace.as_str(), DEFAULT_NAMESPACE]);
            let reached: BTreeSet<&str> = own.into_iter().chain(bound).collect();
            positions.extend(reached.iter().filter_map(|one| named.get(*one)).flatten());
        }
        positions.sort_unstable();
        let candidates = positions.iter().map(|at| &self.candidates.list[*at]);
        candidates
            .filter(|candidate| self.is_in_reach(candidate))
            .collect()
    }

    fn in_namespace(&self, namespace: &str) -> Box<dyn Fn(&Candidate) -> bool + 'c> {
        let wanted = namespace.to_owned();
        let originals = self.candidates.by_original_namespace.get(namespace);
        let by_original = namespace != NO_NAMESPACE
            && originals.is_some_and(|list| {
                list.iter()
                    .any(|at| self.is_in_reach(&self.candidates.list[*at]))
            });
        if by_original {
            Box::new(move |candidate| candidate.original_namespace == wanted)
        } else {
            Box::new(move |candidate| {
                wanted != NO_NAMESPACE && candidate.current.effective_namespace() == wanted
            })
        }
    }

    /// The object that the old name means, if there is exactly one.
    fn select(
        &self,
        old: &str,
        namespace: Option<&str>,
        same: impl Fn(&ResId, &ResId) -> bool,
    ) -> Result<Option<&'c Candidate>> {
        let Some(named) = self.candidates.by_previous_name.get(old) else {
            return Ok(None);
        };
        let in_namespace = namespace.map(|namespace| self.in_namespace(namespace));
        let was = |candidate: &Candidate, gvk: &Gvk| {
            candidate.previous.iter().any(|id| id.gvk.is_selected(gvk))
        };
        let mut found: Vec<&Candidate> = self
            .in_reach(named)
            .into_iter()
            .filter(|candidate| {
                in_namespace.as_ref().is_none_or(|fits| fits(candidate))
                    && was(candidate, self.target)
                    && self.role_ref.as_ref().is_none_or(|gvk| was(candidate, gvk))
                    && self.is_near(candidate)
            })
            .collect();
        if let [one] = found[..] {
            return Ok(Some(one));
        }
        found.retain(|candidate| self.same_affixes(candidate, true));
        if found.len() > 1 {
            found.retain(|candidate| self.same_affixes(candidate, false));
        }
        match found[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            [first, ref rest @ ..]
                if rest
                    .iter()
                    .all(|other| same(&first.current, &other.current)) =>
            {
                Ok(Some(first))
            }
            _ => {
                let ids: Vec<String> = found
                    .iter()
                    .map(|candidate| format!("{} ({})", candidate.current, candidate.origin))
                    .collect();
                fail(format!(
                    "found multiple possible referrals for `{old}`: {}",
                    ids.join(", ")
                ))
            }
        }
    }

    fn is_near(&self, candidate: &Candidate) -> bool {
        self.referrer.current.cluster_scoped
            || candidate.current.cluster_scoped
            || candidate.current.gvk.kind == "ServiceAccount"
            || candidate.current.same_namespace(&self.referrer.current)
    }

    fn same_affixes(&self, candidate: &Candidate, allow_empty: bool) -> bool {
        let same = |a: &[String], b: &[String]| {
            (allow_empty && (a.is_empty() || b.is_empty())) || same_ending(a, b)
        };
        same(&candidate.prefixes, &self.referrer.prefixes)
            && same(&candidate.suffixes, &self.referrer.suffixes)
    }
}

/// Whether the shorter list is the end of the longer one; an empty one only of an empty one.
fn same_ending(a: &[String], b: &[String]) -> bool {
    let (short, long) = if a.len() > b.len() { (b, a) } else { (a, b) };
    if short.is_empty() {
        long.is_empty()
    } else {
        long.ends_with(short)
    }
}
