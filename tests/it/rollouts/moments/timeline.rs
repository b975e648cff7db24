//! What the API server says happened in a rollout, and when: records and pods, as the test's own watch saw them.

use std::time::Instant;

use driftless::api::{EnvironmentStatus, RolloutPhase, RolloutStatus};
use serde_json::Value;

use crate::main_job::sight::Sight;
use crate::main_job::stage::{PATIENCE, Stage};

pub struct Timeline {
    sight: Sight,
}

impl Timeline {
    pub async fn of(stage: &Stage) -> Self {
        Self {
            sight: Sight::of(&stage.cluster, &["Environment", "Pod"]).await,
        }
    }

    /// What comes after this is told by the others.
    pub fn mark(&self) -> usize {
        self.sight.mark()
    }

    /// The records that were written since the mark, in order.
    pub fn records(&self, mark: usize) -> Vec<(Instant, RolloutStatus)> {
        let sightings = self.sight.since(mark);
        let records = sightings.iter().filter_map(|sighting| {
            let object = sighting.object.as_ref()?;
            Some((sighting.at, record(&sighting.kind, object)?))
        });
        records.collect()
    }

    /// Where the rollout was when it was seen last.
    pub fn last_phase(&self) -> Option<RolloutPhase> {
        let records = self.records(0);
        records.last().map(|(_, record)| record.phase)
    }

    /// When a record was written first that is so.
    pub fn first(&self, mark: usize, is: impl Fn(&RolloutStatus) -> bool) -> Option<Instant> {
        let records = self.records(mark);
        records
            .iter()
            .find(|(_, record)| is(record))
            .map(|(at, _)| *at)
    }

    /// Waits until a record is written that is so.
    pub async fn until(
        &self,
        mark: usize,
        what: &str,
        is: impl Fn(&RolloutStatus) -> bool,
    ) -> Instant {
        let seen = self.sight.expect(mark, PATIENCE, what, |sighting| {
            let object = sighting.object.as_ref();
            object
                .and_then(|object| record(&sighting.kind, object))
                .is_some_and(|record| is(&record))
        });
        seen.await.at
    }

    /// The versions that pods of the stable side ran, and when each was seen first.
    pub fn stable_versions(&self) -> Vec<(String, Instant)> {
        let mut versions: Vec<(String, Instant)> = Vec::new();
        for sighting in self.sight.since(0) {
            let Some(pod) = sighting.object.filter(|_| sighting.kind == "Pod") else {
                continue;
            };
            let labels = &pod["metadata"]["labels"];
            if labels["app"] != "api" || !labels["driftless.dev/track"].is_null() {
                continue;
            }
            let version = &pod["spec"]["containers"][0]["env"][0]["value"];
            let version = version.as_str().unwrap_or_default();
            if !versions.iter().any(|(known, _)| known == version) {
                versions.push((version.to_owned(), sighting.at));
            }
        }
        versions
    }
}

/// The one rollout of an Environment.
fn record(kind: &str, object: &Value) -> Option<RolloutStatus> {
    if kind != "Environment" {
        return None;
    }
    let status: EnvironmentStatus = serde_json::from_value(object["status"].clone()).ok()?;
    status.rollouts.into_iter().next()
}
