//! Objects that were there before: whose they are, and whether they may be taken.

use crate::desired::DesiredObject;
use crate::fields::{HandTools, is_claimed};
use crate::object::{ADOPT_ANNOTATION, ENVIRONMENT_ANNOTATION, Object};

/// Whether an object that belongs to no environment may be taken.
pub(super) enum Adoption {
    /// With `force`, fields of other managers are taken too.
    Allowed {
        force: bool,
    },
    Refused(String),
}

pub(super) fn elsewhere(live: &Object) -> String {
    let owner = live.annotation(ENVIRONMENT_ANNOTATION).unwrap_or("unknown");
    format!("the environment {owner} owns it; remove it there first, and it is handed over")
}

pub(super) fn adopt(desired: &DesiredObject, live: &Object, hand: &HandTools) -> Adoption {
    let asked = [&desired.object, live]
        .iter()
        .any(|object| object.annotation(ADOPT_ANNOTATION) == Some("true"));
    if asked {
        return Adoption::Allowed { force: true };
    }
    if let Some(owner) = foreign_owner(live) {
        return Adoption::Refused(format!(
            "{owner} owns it; take it out of there, then annotate it in Git with {ADOPT_ANNOTATION}: \"true\" to adopt it"
        ));
    }
    // What people set by hand, Git sets now. Others may have reasons: a conflict with them is told.
    let force = !is_claimed(live, &desired.object, hand);
    Adoption::Allowed { force }
}

/// Which tool says that it owns the object, and as what.
fn foreign_owner(live: &Object) -> Option<String> {
    let marks: [(&str, Option<&str>); 7] = [
        (
            "the Helm release",
            live.annotation("meta.helm.sh/release-name"),
        ),
        (
            "the Argo CD application",
            live.annotation("argocd.argoproj.io/tracking-id"),
        ),
        (
            "the Argo CD application",
            live.label("argocd.argoproj.io/instance"),
        ),
        (
            "the Flux Kustomization",
            live.label("kustomize.toolkit.fluxcd.io/name"),
        ),
        (
            "the Flux HelmRelease",
            live.label("helm.toolkit.fluxcd.io/name"),
        ),
        (
            "Helm",
            live.label("app.kubernetes.io/managed-by")
                .filter(|tool| *tool == "Helm")
                .map(|_| ""),
        ),
        ("the ApplySet", live.label("applyset.kubernetes.io/part-of")),
    ];
    marks
        .into_iter()
        .find_map(|(tool, name)| Some(format!("{tool} {}", name?).trim_end().to_owned()))
}
