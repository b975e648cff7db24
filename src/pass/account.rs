//! The service account that an environment is written as: that it is missing, or not granted to the agent, is one problem
//! and not one of every object. Must not write.

use super::Pass;
use crate::cluster::Identity;
use crate::desired::Kinds;
use crate::object::Id;
use crate::plan::{LiveState, Refusal, RefusalReason};

/// What is refused, with one refusal about the service account in place of all that follow from it.
pub(super) async fn told_once(
    pass: &Pass<'_>,
    kinds: &Kinds,
    refusals: Vec<Refusal>,
) -> Vec<Refusal> {
    let has = |reason| refusals.iter().any(|refusal| refusal.reason == reason);
    let identity = &pass.identity;
    // An account that does not exist can be impersonated; it only has no rights.
    if has(RefusalReason::Forbidden) && is_missing(pass, kinds).await {
        let missing = Refusal::new(
            &id(identity),
            RefusalReason::NoServiceAccount,
            missing(identity),
        );
        return in_place_of(RefusalReason::Forbidden, missing, refusals);
    }
    if has(RefusalReason::NotGranted) {
        let message = not_granted(identity);
        let refused = Refusal::new(&id(identity), RefusalReason::NotGranted, message);
        return in_place_of(RefusalReason::NotGranted, refused, refusals);
    }
    refusals
}

async fn is_missing(pass: &Pass<'_>, kinds: &Kinds) -> bool {
    let id = id(&pass.identity);
    let live = pass.context.cluster.observe(kinds, &id, "v1", false).await;
    matches!(live, LiveState::Absent)
}

/// `one`, and what was refused for another reason.
fn in_place_of(reason: RefusalReason, one: Refusal, refusals: Vec<Refusal>) -> Vec<Refusal> {
    let others = refusals
        .into_iter()
        .filter(|refusal| refusal.reason != reason);
    std::iter::once(one).chain(others).collect()
}

fn id(identity: &Identity) -> Id {
    Id {
        group: String::new(),
        kind: "ServiceAccount".to_owned(),
        namespace: Some(identity.namespace.clone()),
        name: identity.name.clone(),
    }
}

fn missing(Identity { namespace, name }: &Identity) -> String {
    format!(
        "there is no such service account, and the environment is written as it; make it, with its rights: driftless install --tenant {namespace} --service-account {name} | kubectl apply -f -"
    )
}

/// What a person does where the agent may not act as the service account.
pub(super) fn not_granted(Identity { namespace, name }: &Identity) -> String {
    format!(
        "the agent may not act as the service account {namespace}/{name}; grant it: driftless install --tenant {namespace} --service-account {name} | kubectl apply -f -"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_stands_for_all_of_its_reason() {
        let map = |name: &str| Id {
            kind: "ConfigMap".to_owned(),
            name: name.to_owned(),
            ..id(&identity())
        };
        let refusals = vec![
            Refusal::new(&map("a"), RefusalReason::NotGranted, "no"),
            Refusal::new(&map("b"), RefusalReason::Invalid, "bad"),
            Refusal::new(&map("c"), RefusalReason::NotGranted, "no"),
        ];
        let one = Refusal::new(&id(&identity()), RefusalReason::NotGranted, "grant it");
        assert_eq!(
            in_place_of(RefusalReason::NotGranted, one.clone(), refusals.clone()),
            [one, refusals[1].clone()]
        );
    }

    fn identity() -> Identity {
        Identity {
            namespace: "shop".to_owned(),
            name: "deployer".to_owned(),
        }
    }
}
