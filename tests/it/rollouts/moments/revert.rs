//! A revert commit in the middle: back to stable at once, and nobody notices.

use std::time::{Duration, Instant};

use driftless::api::RolloutPhase as Phase;
use serde_json::json;

use super::timeline::Timeline;
use super::{on_new_connections, stable_stayed};
use crate::main_job::stage::Stage;
use crate::need_node;
use crate::rollouts::shop::{self, Shop};
use crate::rollouts::table;

const MOMENT: &str = "5 revert in the middle, by pods";
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_in_the_middle_goes_back_at_once() {
    let Some(node) = need_node!() else { return };
    let steps = json!([{"weight": 50, "for": "8s"}, {"pause": true}]);
    let shop = Shop::open(Stage::new(node).await, steps).await;
    let timeline = Timeline::of(&shop.stage).await;
    let stable = shop::stable_pods(&shop.stage);

    let mut reverts = Vec::new();
    for (version, phase) in [("2", Phase::Analysing), ("3", Phase::Paused)] {
        let mark = timeline.mark();
        shop.push(version, &[]).await;
        timeline
            .until(mark, &format!("{version} is {phase:?}"), |record| {
                record.phase == phase && record.in_effect_since.is_some()
            })
            .await;
        // It is met by now.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begin = Instant::now();
        let commit = shop.stage.revert().await;
        let written = timeline
            .until(mark, "weight 0 is recorded", |record| {
                record.phase == Phase::Aborting && record.weight == 0
            })
            .await;
        shop.over(&commit).await;
        reverts.push((version, phase, begin, written));
    }
    stable_stayed(MOMENT, &shop.stage, &stable);
    let samples = shop.load.end().await;
    for (version, phase, begin, written) in reverts {
        let took = written.saturating_duration_since(begin);
        table::judge(
            MOMENT,
            &format!("while {phase:?}: git push to weight 0 written"),
            &format!("{:.2} s", took.as_secs_f64()),
            &format!("under {} s", AT_ONCE.as_secs()),
            took < AT_ONCE,
        );
        let met = on_new_connections(&samples).filter(|sample| sample.is_of(version));
        let last = met.map(|sample| sample.at).max().expect("it was met");
        table::note(
            MOMENT,
            &format!("while {phase:?}: git push to the last new connection that met it"),
            &format!(
                "{:.2} s",
                last.saturating_duration_since(begin).as_secs_f64()
            ),
        );
    }
    table::none_failed(MOMENT, &samples, |_| false);
}
