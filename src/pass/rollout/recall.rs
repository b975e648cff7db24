//! What was held back before this agent started, rendered anew where what Git wants now cannot be had: its rollouts go on as
//! if the agent had never been away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Memory, Pass, Running, prepare};
use super::course::is_under_way;
use crate::api::{RenderSettings, RevisionStatus, RolloutPhase as Phase, RolloutStatus};
use crate::desired::Desired;
use crate::rollout::order::workload_of;
use crate::rollout::policy::policies;
use crate::rollout::stage;
use crate::sources::Snapshot;

/// So long what could not be rendered is left alone.
const AGAIN: Duration = Duration::from_secs(30);

/// Takes what the records are about for what is held, where nobody knows better.
pub(in super::super) async fn recall(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    snapshot: Option<&Snapshot>,
) {
    let Some(snapshot) = snapshot else {
        return;
    };
    let rollouts = &mut memory.rollouts;
    let now = Instant::now();
    if rollouts.looked
        || rollouts.next.is_some()
        || memory.running.is_none()
        || !is_under_way(&pass.report.rollouts)
    {
        return;
    }
    if let Some(again) = rollouts.recalled_at.map(|at| at + AGAIN)
        && now < again
    {
        return pass.due(again);
    }
    rollouts.recalled_at = Some(now);
    pass.due(now + AGAIN);
    let settings = RenderSettings::from(&pass.environment.spec);
    for revision in candidates(pass) {
        let desired = prepare::again(pass, memory, snapshot, &revision, &settings).await;
        if let Some(desired) = desired.filter(|it| brings_all(it, &pass.report.rollouts)) {
            memory.rollouts.next = Some(Arc::new(Running {
                revision,
                desired,
                settings,
            }));
            memory.rollouts.looked = true;
            return;
        }
    }
}

/// The revision that the status says was held, and those that brought the changes.
fn candidates(pass: &Pass<'_>) -> Vec<RevisionStatus> {
    let status = pass.environment.status.as_ref();
    let next = status.and_then(|status| status.next.as_ref());
    let mut found: Vec<RevisionStatus> = next
        .filter(|next| next.hash.is_some())
        .map(|next| next.revision.clone())
        .into_iter()
        .collect();
    for record in pass
        .report
        .rollouts
        .iter()
        .filter(|record| is_wanted(record))
    {
        let commit = &record.commit;
        if commit.is_empty() || found.iter().any(|revision| revision.commit == *commit) {
            continue;
        }
        let RevisionStatus { commit, short, .. } = RevisionStatus::of_commit(commit);
        found.push(RevisionStatus {
            commit,
            short,
            ..pass.report.revision.clone().unwrap_or_default()
        });
    }
    found
}

/// Whether Git is asked for the change of a record still: not where it only ends.
fn is_wanted(record: &RolloutStatus) -> bool {
    !matches!(
        record.phase,
        Phase::Restoring | Phase::Aborting | Phase::Removing
    )
}

/// Whether a revision has the changes of all records that do not only end, and policies for them. Where all of them end,
/// nothing was held that is known to be wanted.
fn brings_all(desired: &Desired, records: &[RolloutStatus]) -> bool {
    let Ok(policies) = policies(desired) else {
        return false;
    };
    let brings = |record: &RolloutStatus| {
        workload_of(record, policies.keys()).is_some() && stage::brings(desired, record)
    };
    let mut wanted = records.iter().filter(|record| is_wanted(record)).peekable();
    wanted.peek().is_some() && wanted.all(brings)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shop(image: &str, policy: Value) -> Desired {
        let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop"}, "spec": {
            "template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "api", "image": image}]}},
        }});
        let policy = json!({"apiVersion": "driftless.dev/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": "api", "namespace": "shop"}, "spec": policy});
        Desired::of_manifests([workload, policy])
    }

    #[test]
    fn what_is_held_has_the_changes_of_all_that_do_not_only_end() {
        let spec = json!({"workload": {"kind": "Deployment", "name": "api"}, "canary": {"steps": [{"weight": 25}]}, "checks": []});
        let next = shop("api:2", spec.clone());
        let workload = &next.objects[0].id;
        let record = |phase| RolloutStatus {
            workload: workload.to_string(),
            change: stage::change(workload, &next).unwrap(),
            phase,
            ..RolloutStatus::default()
        };
        let all = |desired: &Desired, phase| brings_all(desired, &[record(phase)]);
        for phase in [Phase::Analysing, Phase::Promoting, Phase::Failed] {
            assert!(all(&next, phase), "{phase:?}");
            assert!(!all(&shop("api:3", spec.clone()), phase), "{phase:?}");
        }
        for phase in [Phase::Restoring, Phase::Removing] {
            assert!(!all(&next, phase), "{phase:?}: it is not begun again");
            let both = [
                record(Phase::Analysing),
                RolloutStatus {
                    workload: "other".to_owned(),
                    ..record(phase)
                },
            ];
            assert!(brings_all(&next, &both), "{phase:?}");
        }
        // A policy that cannot be followed says nothing.
        let invalid = json!({"workload": {"kind": "Deployment", "name": "other"}, "canary": {"steps": [{"weight": 25}]}, "checks": []});
        assert!(!all(&shop("api:2", invalid), Phase::Analysing));
    }
}
