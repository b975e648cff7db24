//! The verdicts of a step: counted, held against their limits, and looked through for what is missing.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Machine, Outcome, after};
use crate::api::{CheckStatus, RolloutStatus};
use crate::rollout::policy::Policy;

/// No verdict is older than it may be for being so old.
const AT_LEAST: Duration = Duration::from_secs(10);

impl Machine<'_> {
    pub(super) fn take_verdicts(&mut self, in_effect: Timestamp) {
        for check in &self.policy.checks {
            if !self
                .record
                .checks
                .iter()
                .any(|known| known.name == check.spec.name)
            {
                self.record.checks.push(CheckStatus {
                    name: check.spec.name.clone(),
                    ..CheckStatus::default()
                });
            }
        }
        for verdict in &self.observed.verdicts {
            // What began before the weight was in effect says nothing of it.
            if verdict.at < in_effect {
                continue;
            }
            let known = self
                .record
                .checks
                .iter_mut()
                .find(|known| known.name == verdict.check);
            let Some(known) = known else {
                continue;
            };
            verdict.outcome.as_str().clone_into(&mut known.verdict);
            known.value.clone_from(&verdict.value);
            known.began = Some(Time(verdict.at));
            known.at = Some(Time(self.now));
            match verdict.outcome {
                Outcome::Pass => known.passed += 1,
                Outcome::Fail => known.failed += 1,
                Outcome::NoData => {}
            }
        }
    }

    pub(super) fn over_the_limit(&self) -> Option<String> {
        self.policy.checks.iter().find_map(|check| {
            let known = self.status_of(&check.spec.name)?;
            (known.failed >= check.failure_limit).then(|| {
                format!(
                    "check {} failed {} times at {} %: {}",
                    known.name, known.failed, self.record.weight, known.value
                )
            })
        })
    }

    /// Which evidence for what comes next is not there.
    pub(super) fn missing_evidence(&self) -> Option<String> {
        missing(self.policy, &self.record)
            .or_else(|| self.unseen_evidence())
            .or_else(|| self.outdated_evidence())
    }

    /// Which verdict is of a time before somebody looked without a break: an agent that has just started asks again.
    fn unseen_evidence(&self) -> Option<String> {
        let since = self.looked_since()?;
        self.policy.checks.iter().find_map(|check| {
            let known = self.status_of(&check.spec.name)?;
            let is_older = known.at.as_ref().is_some_and(|at| at.0 < since);
            is_older.then(|| format!("check {} was not made since the agent started", known.name))
        })
    }

    /// Which of the last verdicts is so old that another should have fallen since: an agent that was away does not go on
    /// from what it saw before.
    fn outdated_evidence(&self) -> Option<String> {
        self.policy.checks.iter().find_map(|check| {
            let known = self.status_of(&check.spec.name)?;
            let (at, began) = (known.at.as_ref()?.0, known.began.as_ref()?.0);
            let took = Duration::try_from(at.duration_since(began)).unwrap_or_default();
            let next = (check.interval * 2).max(AT_LEAST) + took;
            (self.now > after(at, next)).then(|| {
                let age = self.now.duration_since(at).as_secs();
                format!("the last verdict of check {} is {age} s old", known.name)
            })
        })
    }

    fn status_of(&self, name: &str) -> Option<&CheckStatus> {
        status_of(&self.record, name)
    }
}

/// Which evidence is not in the record.
pub(super) fn missing(policy: &Policy, record: &RolloutStatus) -> Option<String> {
    policy.checks.iter().find_map(|check| {
        let name = &check.spec.name;
        let Some(known) = status_of(record, name) else {
            return Some(format!("check {name} was not made yet"));
        };
        match known.verdict.as_str() {
            "Pass" if known.passed >= check.count => None,
            "Pass" => Some(format!(
                "check {name} passed {} of {} times",
                known.passed, check.count
            )),
            "" => Some(format!("check {name} was not made yet")),
            verdict => Some(format!("check {name}: {verdict}: {}", known.value)),
        }
    })
}

fn status_of<'a>(record: &'a RolloutStatus, name: &str) -> Option<&'a CheckStatus> {
    record.checks.iter().find(|known| known.name == name)
}
#[cfg(test)]
mod tests;
