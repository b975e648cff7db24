//! Orders of promotion that policies name and nobody could keep.

use std::collections::{BTreeMap, BTreeSet};

use super::Policy;
use crate::object::Id;

/// Why the order that the policies name cannot be kept, by workload.
pub(super) fn problems(policies: &BTreeMap<Id, Policy>) -> Vec<(Id, String)> {
    let mut problems = Vec::new();
    for (workload, policy) in policies {
        for other in &policy.depends_on {
            if !policies.contains_key(other) {
                problems.push((
                    workload.clone(),
                    format!(
                        "spec.dependsOn: {other} has no RolloutPolicy in this environment; only what is rolled out is promoted in order"
                    ),
                ));
            }
        }
        if waits_for_itself(workload, policies) {
            problems.push((
                workload.clone(),
                format!("spec.dependsOn: {workload} would wait for itself"),
            ));
        }
    }
    problems
}

fn waits_for_itself(workload: &Id, policies: &BTreeMap<Id, Policy>) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![workload];
    while let Some(next) = open.pop() {
        for other in policies
            .get(next)
            .into_iter()
            .flat_map(|policy| &policy.depends_on)
        {
            if other == workload {
                return true;
            }
            if seen.insert(other) {
                open.push(other);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, depends_on: &[&str]) -> Policy {
        let id = |name: &str| Id {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
        };
        Policy {
            depends_on: depends_on.iter().map(|name| id(name)).collect(),
            ..Policy::gone(&id(name))
        }
    }

    #[test]
    fn an_order_that_cannot_be_kept_is_refused() {
        let policies: BTreeMap<Id, Policy> = [
            policy("api", &["worker"]),
            policy("worker", &["mail"]),
            policy("mail", &["worker", "nobody"]),
        ]
        .into_iter()
        .map(|policy| (policy.workload.clone(), policy))
        .collect();
        let problems: Vec<String> = problems(&policies)
            .into_iter()
            .map(|(id, message)| format!("{}: {message}", id.name))
            .collect();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].starts_with("mail: spec.dependsOn: Deployment.apps shop/nobody has no")
        );
        assert!(problems[1].contains("shop/mail would wait for itself"));
        assert!(problems[2].starts_with("worker:"));
    }
}
