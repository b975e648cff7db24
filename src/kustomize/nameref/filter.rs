//! Which object a reference means, and its name now.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::error::{Result, fail};
use super::super::id::{DEFAULT_NAMESPACE, Gvk, NO_NAMESPACE, ResId};
use super::super::node;
use super::{Candidate, Candidates};
use crate::yaml::{Kind, NodeId, Tag, Tree};

/// One field of an object, which may name others.
pub(super) struct Filter<'c> {
    pub(super) candidates: &'c Candidates,
    pub(super) referrer: &'c Candidate,
    pub(super) bound_namespaces: &'c HashSet<String>,
    pub(super) target: &'c Gvk,
    pub(super) role_ref: Option<Gvk>,
}

impl<'c> Filter<'c> {
    /// Gives the field the name that its object has now.
    pub(super) fn set(&self, tree: &mut Tree, id: NodeId) -> Result<()> {
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
