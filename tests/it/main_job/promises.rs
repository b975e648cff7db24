//! The promises of the line, one per test.

mod adoption;
mod approvals;
mod deletion;
mod drift;
mod health;
mod jobs;
mod refusals;
mod replace;
mod replicas;
mod scaling;
mod waves;

use serde_json::json;

use super::stage::Stage;

/// Writes a key of the ConfigMap `settings`, as this field manager.
async fn edit(stage: &Stage, manager: &str, key: &str, value: &str) {
    stage
        .cluster
        .merge(
            manager,
            "ConfigMap",
            "settings",
            json!({"data": {key: value}}),
        )
        .await;
}
