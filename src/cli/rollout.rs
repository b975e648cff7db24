//! `driftless promote`, `abort`, `retry` and `pause`: a person's word on the rollouts of an Environment, as an annotation
//! that the agent serves once. Must not decide what follows from it.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::connect::Target;
use super::output::{Out, note};
use super::{Outcome, ask};
use crate::api::{Environment, RolloutPhase as Phase, RolloutStatus};
use crate::rollout::COMMAND_ANNOTATION;

/// Which rollout is meant
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  driftless promote production -n shop
  driftless abort production api -n shop

Exit codes: 0 the agent was told; 1 there is no rollout that this could be said of; 2 a problem.")]
pub struct Arguments {
    /// The environment
    name: String,
    /// The workload; all of the environment's where it is not given
    workload: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Promote,
    Abort,
    Retry,
    Pause,
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Pause => "pause",
        }
    }

    /// Whether it says anything to a rollout in this phase.
    fn concerns(self, phase: Phase) -> bool {
        match self {
            Self::Promote => {
                matches!(phase, Phase::Paused | Phase::Analysing | Phase::Switched)
            }
            Self::Pause => phase == Phase::Analysing,
            Self::Retry => phase == Phase::Failed,
            Self::Abort => !matches!(
                phase,
                Phase::Finishing | Phase::Aborting | Phase::Removing | Phase::Failed
            ),
        }
    }
}

pub async fn run(arguments: &Arguments, word: Word, out: &mut Out) -> Result<Outcome> {
    let Arguments {
        name,
        workload,
        target,
    } = arguments;
    let (client, namespace) = target.connect().await?;
    let api: Api<Environment> = Api::namespaced(client, &namespace);
    let environment = ask::environment(&api, name, &namespace).await?;
    let status = environment.status.unwrap_or_default();
    let meant: Vec<&RolloutStatus> = status
        .rollouts
        .iter()
        .filter(|rollout| {
            workload
                .as_ref()
                .is_none_or(|workload| short(rollout) == workload)
        })
        .collect();
    if let (Some(workload), []) = (workload, meant.as_slice()) {
        let others: Vec<_> = status.rollouts.iter().map(short).collect();
        bail!(
            "{namespace}/{name} has no rollout of {workload}; it has {}",
            if others.is_empty() {
                "none at all".to_owned()
            } else {
                others.join(", ")
            }
        );
    }
    if !meant.iter().any(|rollout| word.concerns(rollout.phase)) {
        let state = meant
            .iter()
            .map(|rollout| format!("{} is {:?}", rollout.workload, rollout.phase));
        let state: Vec<String> = state.collect();
        note(&format!(
            "{namespace}/{name} has no rollout to {}{}{}.",
            word.as_str(),
            if state.is_empty() { "" } else { ": " },
            state.join(", ")
        ));
        if let Some(instead) = instead(word, &meant, &status.rollouts) {
            note(&instead);
        }
        return Ok(Outcome::Not);
    }
    let mut value = format!("{:.9} {}", Timestamp::now(), word.as_str());
    if let Some(workload) = workload {
        value = format!("{value} {workload}");
    }
    let patch = json!({"metadata": {"annotations": {COMMAND_ANNOTATION: value}}});
    let params = PatchParams {
        field_manager: Some("driftless-cli".to_owned()),
        ..PatchParams::default()
    };
    api.patch_metadata(name, &params, &Patch::Merge(patch))
        .await
        .map_err(|error| ask::refused(format!("tell the environment {name}"), error))?;
    for rollout in meant.iter().filter(|rollout| word.concerns(rollout.phase)) {
        writeln!(
            out,
            "Asked to {} the rollout of {} in {namespace}/{}; driftless status {name} shows what became of it.",
            word.as_str(),
            rollout.workload,
            environment.metadata.name.as_deref().unwrap_or(name),
        )?;
    }
    Ok(Outcome::Done)
}

/// What to say in place of an abort that comes when the change was promoted already.
fn instead(word: Word, meant: &[&RolloutStatus], all: &[RolloutStatus]) -> Option<String> {
    let promoted = meant
        .iter()
        .find(|rollout| word == Word::Abort && rollout.phase == Phase::Finishing)?;
    let others: Vec<&str> = all
        .iter()
        .filter(|other| word.concerns(other.phase))
        .map(short)
        .collect();
    let name = short(promoted);
    Some(match others.as_slice() {
        [] => format!("{name} is promoted; to take its change back, revert the commit."),
        [one] => format!(
            "{name} is promoted and waits for {one}; abort {one}, and {name} goes back with it."
        ),
        [one, ..] => format!(
            "{name} is promoted and waits for {}; abort one of them, such as {one}, and {name} goes back with it.",
            others.join(", ")
        ),
    })
}

fn short(rollout: &RolloutStatus) -> &str {
    rollout
        .workload
        .rsplit('/')
        .next()
        .unwrap_or(&rollout.workload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promoted_is_taken_back_with_what_it_waits_for() {
        let rollout = |name: &str, phase| RolloutStatus {
            workload: format!("Deployment.apps shop/{name}"),
            phase,
            ..RolloutStatus::default()
        };
        let told = |word, others: &[Phase]| {
            let mut all = vec![rollout("db", Phase::Finishing)];
            let names = ["api", "worker"].into_iter();
            all.extend(names.zip(others).map(|(name, phase)| rollout(name, *phase)));
            instead(word, &[&all[0]], &all)
        };
        assert_eq!(told(Word::Promote, &[Phase::Proved]), None);
        for (others, words) in [
            (
                &[][..],
                "db is promoted; to take its change back, revert the commit.",
            ),
            (
                &[Phase::Promoting],
                "db is promoted and waits for api; abort api, and db goes back with it.",
            ),
            (
                &[Phase::Proved, Phase::Proved],
                "db is promoted and waits for api, worker; abort one of them, such as api, and db goes back with it.",
            ),
        ] {
            assert_eq!(told(Word::Abort, others).as_deref(), Some(words));
        }
    }

    #[test]
    fn a_word_says_something_only_where_it_changes_something() {
        for (word, phase, concerns) in [
            (Word::Promote, Phase::Paused, true),
            (Word::Promote, Phase::Failed, false),
            (Word::Retry, Phase::Failed, true),
            (Word::Retry, Phase::Analysing, false),
            (Word::Abort, Phase::Starting, true),
            (Word::Abort, Phase::Switched, true),
            (Word::Promote, Phase::Switched, true),
            (Word::Abort, Phase::Promoting, true),
            (Word::Abort, Phase::Finishing, false),
            (Word::Abort, Phase::Restoring, true),
            (Word::Pause, Phase::Analysing, true),
            (Word::Pause, Phase::Paused, false),
        ] {
            assert_eq!(word.concerns(phase), concerns, "{word:?} {phase:?}");
        }
    }
}
