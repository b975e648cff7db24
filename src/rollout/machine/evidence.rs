//! The verdicts of a step: counted, held against their limits, and looked through for what is missing.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Machine, Outcome};
use crate::api::CheckStatus;

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
            known.at = Some(Time(verdict.at));
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

    /// Which evidence for the next step is not there.
    pub(super) fn missing_evidence(&self) -> Option<String> {
        self.policy.checks.iter().find_map(|check| {
            let name = &check.spec.name;
            let Some(known) = self.status_of(name) else {
                return Some(format!("check {name} was not made yet"));
            };
            let since = self.observed.looked_since;
            if since.is_some_and(|since| known.at.as_ref().is_some_and(|at| at.0 < since)) {
                return Some(format!("check {name} was not made since the agent started"));
            }
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

    fn status_of(&self, name: &str) -> Option<&CheckStatus> {
        self.record.checks.iter().find(|known| known.name == name)
    }
}
