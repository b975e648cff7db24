//! The namespace of objects, and of what they say about namespaces.

use super::context::Context;
use super::error::{BuildError, Result, fail};
use super::fieldspec::{Create, FieldSpec, apply};
use super::id::ResId;
use super::node;
use super::resource::{HELM_GENERATED, Resource};
use super::resources::Resources;
use crate::yaml::{Kind, NodeId, Tag, Tree};

const NAME: &str = "metadata/name";
pub const NAMESPACE: &str = "metadata/namespace";

fn text(kind: Kind, tag: Tag) -> Create {
    Create { kind, tag }
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
    #[inline(never)]
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
            context.check_budget()?;
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
            let of_binding = matches!(&*spec.gvk.kind, "RoleBinding" | "ClusterRoleBinding");
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
