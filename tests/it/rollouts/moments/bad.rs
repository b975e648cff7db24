//! Five bad versions, one after the other: each is taken back, hurts no more than its share, and leaves the stable pods alone.

use std::time::{Duration, Instant};

use driftless::api::RolloutPhase as Phase;
use serde_json::{Value, json};

use super::timeline::Timeline;
use super::{on_new_connections, share, stable_stayed, three_sigma};
use crate::main_job::stage::{Stage, condition};
use crate::need_node;
use crate::rollouts::load::Sample;
use crate::rollouts::shop::{self, SHOP, Shop};
use crate::rollouts::table;

const MOMENT: &str = "2 bad versions, by pods";
const INTERVAL: Duration = Duration::from_secs(2);
const FAILURE_LIMIT: u32 = 3;

/// About 400 requests.
const WINDOW: Duration = Duration::from_secs(2);

struct Bad {
    version: &'static str,
    what: &'static str,
    env: &'static [(&'static str, &'static str)],
    image: Option<&'static str>,
    /// What finds the slow one.
    check: Option<fn() -> Value>,
    /// What the status says of it.
    why: &'static str,
}

const BAD: [Bad; 5] = [
    Bad {
        version: "2",
        what: "answers 500",
        env: &[("FAIL_RATE", "1")],
        image: None,
        check: None,
        why: "check answers failed 3 times at 25 %",
    },
    Bad {
        version: "3",
        what: "slow",
        env: &[("LATENCY", "300ms")],
        image: None,
        check: Some(|| json!({"name": "latency", "http": {"path": "/", "timeout": "150ms"}})),
        why: "check latency failed 3 times at 25 %",
    },
    Bad {
        version: "4",
        what: "never ready",
        env: &[("NEVER_READY", "true")],
        image: None,
        check: None,
        why: "the canary failed",
    },
    Bad {
        version: "5",
        what: "crash loop",
        env: &[("CRASH_AFTER", "7s")],
        image: None,
        check: None,
        why: "the canary failed",
    },
    Bad {
        version: "6",
        what: "no such image",
        env: &[],
        image: Some("127.0.0.1:5000/nothing:1"),
        check: None,
        why: "the canary failed",
    },
];

impl Bad {
    /// Whether a request came to harm: a slow answer is a bad one.
    fn hurt(&self, sample: &Sample) -> bool {
        sample.failed() || self.check.is_some() && sample.is_of(self.version)
    }
}

/// What was noted while one of them was there.
struct Course {
    pushed: Instant,
    over: Instant,
    mark: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_versions_are_taken_back_and_hurt_no_more_than_their_share() {
    let Some(node) = need_node!() else { return };
    let steps = json!([{"weight": 25, "for": "20s"}, {"weight": 50, "for": "20s"}]);
    let policy = shop::policy(
        steps,
        json!({"checkInterval": "2s", "failureLimit": FAILURE_LIMIT}),
    );
    let health = json!({"health": {"grace": "10s", "timeout": "20s"}});
    let mut shop = Shop::open_as(Stage::new(node).await, shop::api, policy, health).await;
    let timeline = Timeline::of(&shop.stage).await;
    let stable = shop::stable_pods(&shop.stage);

    let mut courses = Vec::new();
    for bad in &BAD {
        let (mark, pushed) = (timeline.mark(), Instant::now());
        try_out(&mut shop, bad).await;
        assert_eq!(shop::stable_pods(&shop.stage), stable, "{}", bad.what);
        shop::nothing_left(&shop.stage).await;
        tokio::time::sleep(WINDOW).await;
        courses.push(Course {
            pushed,
            over: Instant::now(),
            mark,
        });
    }
    stable_stayed(MOMENT, &shop.stage, &stable);
    let samples = shop.load.end().await;
    for (bad, course) in BAD.iter().zip(&courses) {
        judge(bad, course, &timeline, &samples);
    }
    // Between them there is nothing to fail.
    let (begin, end) = (courses[0].pushed, courses[4].over);
    table::none_failed(MOMENT, &samples, |sample| {
        sample.at >= begin && sample.at < end && BAD.iter().any(|bad| bad.hurt(sample))
    });
}

/// Pushes it, and waits until it is taken back.
async fn try_out(shop: &mut Shop, bad: &Bad) {
    let (image, policy) = (shop.image.clone(), shop.policy.clone());
    if let Some(other) = bad.image {
        other.clone_into(&mut shop.image);
    }
    if let Some(check) = bad.check {
        shop.policy["spec"]["checks"] = json!([check()]);
    }
    // Nobody is with it any more when it goes.
    let env: Vec<_> = bad.env.iter().copied().chain([("DRAIN", "1s")]).collect();
    let commit = shop.push(bad.version, &env).await;
    (shop.image, shop.policy) = (image, policy);
    let failed = shop
        .stage
        .until(SHOP, &format!("{} is taken back", bad.what), |status| {
            shop::is_taken_back(status) && status.rollouts[0].commit == commit
        })
        .await;
    let (_, _, message) = condition(&failed, "Ready");
    assert!(message.contains(bad.why), "{}: {message}", bad.what);
}

fn judge(bad: &Bad, course: &Course, timeline: &Timeline, samples: &[Sample]) {
    let records: Vec<_> = timeline
        .records(course.mark)
        .into_iter()
        .filter(|(at, _)| *at < course.over)
        .collect();
    let first = |phase: Phase| {
        let found = records.iter().find(|(_, record)| record.phase == phase);
        found.map(|(at, _)| *at).expect("it was taken back")
    };
    // Settled: the record says that the rollout is over. Until then the canary's pods drain the connections that were kept.
    let (aborted, settled) = (first(Phase::Aborting), first(Phase::Failed));
    // One that never was ready never had any of the traffic.
    let weights = records
        .iter()
        .filter_map(|(_, record)| record.achieved_weight);
    let weight = weights.max().unwrap_or(0);
    assert!(weight <= 25, "{}: {weight} %", bad.what);

    let during: Vec<Sample> = samples
        .iter()
        .filter(|sample| sample.at >= course.pushed && sample.at < course.over)
        .cloned()
        .collect();
    let windows = Windows::of(&during, course.pushed, bad, weight);
    let (hurt, requests) = windows.worst.expect("there was load");
    table::must(
        MOMENT,
        &format!("{}: failed, worst window of 2 s", bad.what),
        &format!(
            "{:.1} % of {requests} ({:.1} % of the new connections)",
            share(hurt, requests),
            windows.worst_on_new
        ),
        &format!("{weight} % + 3 sigma = {:.1} %", allowed(weight, requests)),
        share(hurt, requests) <= allowed(weight, requests),
    );
    let late = during
        .iter()
        .filter(|sample| sample.at >= settled)
        .filter(|sample| sample.failed() || sample.is_of(bad.version))
        .count();
    let after = during.iter().filter(|sample| sample.at >= settled).count();
    table::must(
        MOMENT,
        &format!(
            "{}: failed, or met it, once the abort had settled",
            bad.what
        ),
        &format!("{late} of {after}"),
        "0",
        late == 0,
    );
    let limit = INTERVAL * (FAILURE_LIMIT + 1);
    let what = format!("{}: first bad answer to weight 0 written", bad.what);
    match during.iter().find(|sample| bad.hurt(sample)) {
        Some(sample) => {
            let took = aborted.saturating_duration_since(sample.at);
            table::judge(
                MOMENT,
                &what,
                &format!("{:.1} s", took.as_secs_f64()),
                &format!("under {} s", limit.as_secs()),
                took < limit,
            );
        }
        None => table::note(MOMENT, &what, "nobody met it"),
    }
}

/// The share of so many requests that may meet a version of this weight, in percent.
fn allowed(weight: u32, requests: usize) -> f64 {
    f64::from(weight) + three_sigma(weight, requests)
}

struct Windows {
    /// Of the window that comes closest to what is allowed, or is the furthest above it: hurt, and all.
    worst: Option<(usize, usize)>,
    /// The greatest share of those on new connections, in percent.
    worst_on_new: f64,
}

impl Windows {
    fn of(samples: &[Sample], begin: Instant, bad: &Bad, weight: u32) -> Self {
        let number = |sample: &Sample| {
            sample.at.saturating_duration_since(begin).as_millis() / WINDOW.as_millis()
        };
        let above = |(hurt, all): (usize, usize)| share(hurt, all) - allowed(weight, all);
        let mut windows = Self {
            worst: None,
            worst_on_new: 0.0,
        };
        for window in samples.chunk_by(|one, other| number(one) == number(other)) {
            let hurt = window.iter().filter(|sample| bad.hurt(sample)).count();
            let these = (hurt, window.len());
            if windows
                .worst
                .is_none_or(|worst| above(these) > above(worst))
            {
                windows.worst = Some(these);
            }
            let hurt = on_new_connections(window)
                .filter(|sample| bad.hurt(sample))
                .count();
            let of_new = share(hurt, on_new_connections(window).count());
            windows.worst_on_new = windows.worst_on_new.max(of_new);
        }
        windows
    }
}
