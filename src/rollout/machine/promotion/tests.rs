use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::tests::{at, blue_green, policy, settled_in, steps, switched, well};
use super::super::{Observed, Outcome, is_ready_to_promote, step};
use super::*;
use crate::api::RolloutStatus;

fn after(
    policy: &crate::rollout::policy::Policy,
    record: &RolloutStatus,
    observed: &Observed,
    now: i64,
) -> RolloutStatus {
    step(policy, record, observed, at(now)).record.unwrap()
}

#[test]
fn what_waited_for_others_is_promoted_and_switched_only_on_fresh_evidence() {
    let ways = [policy(steps(), true, 1), blue_green(1)];
    for (policy, next) in ways.iter().zip([Phase::Promoting, Phase::Switched]) {
        let is_green = next == Phase::Switched;
        let proved = RolloutStatus {
            step: u32::try_from(policy.steps.len()).unwrap(),
            weight: if is_green { 0 } else { 50 },
            canary_replicas: 4,
            ..settled_in(policy, Phase::Proved)
        };
        let mut waits = well("x", &[(Outcome::Pass, 110)]);
        (waits.may_switch, waits.may_promote) = (false, false);
        let proved = after(policy, &proved, &waits, 110);
        assert_eq!(proved.phase, Phase::Proved);
        // At once, if it was seen just now.
        assert_eq!(after(policy, &proved, &well("x", &[]), 115).phase, next);
        // Not from what was seen two hours ago, nor before this agent looked, nor where nothing comes.
        let later = 110 + 7200;
        let held = after(policy, &proved, &well("x", &[]), later);
        assert_eq!(held.phase, Phase::Proved);
        assert!(held.message.contains("7200 s old"), "{}", held.message);
        let another = Observed {
            looked_since: Some(at(112)),
            ..well("x", &[])
        };
        assert_eq!(after(policy, &proved, &another, 115).phase, Phase::Proved);
        let dead = well("x", &[(Outcome::NoData, later)]);
        let dead = after(policy, &proved, &dead, later);
        assert_eq!(dead.phase, Phase::Proved);
        assert!(!is_ready_to_promote(policy, &dead, at(later)));
        let fresh = well("x", &[(Outcome::Pass, later + 9)]);
        assert_eq!(after(policy, &held, &fresh, later + 9).phase, next);
        // It ends like every hold: the other workloads of the revision were ready all the time.
        let ended = after(policy, &held, &well("x", &[]), later + 600);
        assert_eq!(ended.phase, Phase::Aborting);
    }
}

#[test]
fn proved_without_data_ends_though_the_whole_revision_waits_for_it() {
    let policy = policy(steps(), true, 1);
    let proved = RolloutStatus {
        step: 3,
        ..settled_in(&policy, Phase::Proved)
    };
    let seen = |record: &RolloutStatus, outcome, now| {
        let mut observed = well("x", &[(outcome, now)]);
        observed.may_promote = is_ready_to_promote(&policy, record, at(now));
        after(&policy, record, &observed, now)
    };
    let passed = seen(&proved, Outcome::Pass, 110);
    let dead = seen(&passed, Outcome::NoData, 120);
    let held = seen(&dead, Outcome::NoData, 130);
    assert_eq!(held.held_since, Some(Time(at(120))));
    assert!(held.message.starts_with("proved; holds: check check-0"));
    let ended = seen(&held, Outcome::NoData, 720);
    assert_eq!((ended.phase, ended.taken_back), (Phase::Aborting, true));
    assert_eq!(seen(&held, Outcome::Pass, 140).held_since, None);
}

#[test]
fn a_stable_side_that_never_becomes_whole_keeps_nobody() {
    let policy = policy(steps(), true, 1);
    let record = RolloutStatus {
        in_effect_since: None,
        written_at: None,
        ..settled_in(&policy, Phase::Restoring)
    };
    let mut observed = well("y", &[]);
    observed.stable.ready = false;
    let phase = |record: &RolloutStatus, observed: &Observed, now| {
        let after = after(&policy, record, observed, now);
        (after.phase, after)
    };
    assert_eq!(phase(&record, &observed, 200).0, Phase::Restoring);
    observed.stable.failure = Some("CrashLoopBackOff".to_owned());
    // What fails may be what the template of before is just being put in place of.
    let (still, settling) = phase(&record, &observed, 200);
    assert_eq!(still, Phase::Restoring);
    let restarting = Observed {
        stable: crate::rollout::machine::Side {
            restarting: true,
            ..observed.stable.clone()
        },
        ..observed.clone()
    };
    assert_eq!(phase(&settling, &restarting, 205).0, Phase::Restoring);
    assert_eq!(phase(&settling, &observed, 205).0, Phase::Aborting);
    observed.change = Some("x".to_owned());
    assert_eq!(phase(&settling, &observed, 205).0, Phase::Restoring);
    observed.written = false;
    observed.command = Some(("1".to_owned(), Command::Abort));
    assert_eq!(phase(&settling, &observed, 205).0, Phase::Aborting);
}

#[test]
fn suspended_after_the_switch_the_checks_begin_all_the_same() {
    let policy = blue_green(1);
    let record = RolloutStatus {
        in_effect_since: None,
        ..switched(&policy)
    };
    let suspended = |verdicts: &[(Outcome, i64)]| Observed {
        held: Some("suspended".to_owned()),
        ..well("x", verdicts)
    };
    let seen = after(&policy, &record, &suspended(&[]), 101);
    assert_eq!(seen.in_effect_since, Some(Time(at(101))));
    let bad = suspended(&[(Outcome::Fail, 110); 3]);
    assert_eq!(after(&policy, &seen, &bad, 112).phase, Phase::Aborting);
}

#[test]
fn suspended_a_promotion_that_fails_is_put_back() {
    let policy = policy(steps(), true, 1);
    let record = settled_in(&policy, Phase::Promoting);
    let mut observed = well("x", &[]);
    observed.held = Some("suspended".to_owned());
    observed.stable.ready = false;
    let waits = after(&policy, &record, &observed, 200);
    assert_eq!(
        (waits.phase, waits.message.as_str()),
        (Phase::Promoting, "suspended")
    );
    observed.stable.failure = Some("CrashLoopBackOff".to_owned());
    let failed = after(&policy, &record, &observed, 200);
    assert_eq!((failed.phase, failed.taken_back), (Phase::Restoring, true));
}

#[test]
fn a_promotion_whose_write_is_refused_goes_back_after_maxhold() {
    let policy = policy(steps(), true, 1);
    let record = settled_in(&policy, Phase::Promoting);
    let mut observed = well("x", &[]);
    observed.written = false;
    assert_eq!(
        after(&policy, &record, &observed, 200).phase,
        Phase::Promoting
    );
    observed.refused = Some("Deployment.apps shop/api: Denied: not today".to_owned());
    // It may be written the next time.
    let held = after(&policy, &record, &observed, 200);
    assert_eq!((held.phase, held.weight), (Phase::Promoting, 10));
    assert!(held.message.ends_with("Denied: not today"));
    let written = after(&policy, &held, &well("x", &[]), 300);
    assert_eq!(written.phase, Phase::Finishing);
    let refused = after(&policy, &held, &observed, 800);
    assert_eq!((refused.phase, refused.weight), (Phase::Restoring, 10));
    assert!(refused.taken_back && refused.message.ends_with("Denied: not today"));
}
