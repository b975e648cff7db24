//! What the history of an Environment keeps: the revisions that were applied or taken back, and what became of them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Progress, Report, failure_message};
use crate::api::{HistoryEntry, Outcome, RevisionStatus};

/// How many revisions the history keeps.
const HISTORY: usize = 10;

/// A revision that a rollout took back.
#[derive(Clone, Debug)]
pub struct TakenBack {
    pub revision: RevisionStatus,
    pub hash: String,
    /// Of which workload, and why.
    pub message: String,
}

/// The entry of the revision that was applied last.
pub fn newest_applied(history: &[HistoryEntry]) -> Option<&HistoryEntry> {
    history
        .iter()
        .find(|entry| entry.outcome != Outcome::TakenBack)
}

/// The history after this report.
pub(super) fn history(
    before: &[HistoryEntry],
    report: &Report,
    now: Timestamp,
) -> Vec<HistoryEntry> {
    let mut history = before.to_vec();
    for taken in &report.taken_back {
        let entry = HistoryEntry {
            revision: taken.revision.clone(),
            hash: taken.hash.clone(),
            outcome: Outcome::TakenBack,
            taken_back_at: Some(Time(now)),
            message: Some(taken.message.clone()),
            ..HistoryEntry::default()
        };
        history.insert(0, entry);
    }
    apply(&mut history, report, now);
    while history.len() > HISTORY {
        let last = history.len() - 1;
        // However often changes are taken back, what is applied is known.
        let is_newest = newest_applied(&history[..last]).is_none();
        history.remove(last - usize::from(is_newest));
    }
    history
}

/// What became of the revision that is applied.
fn apply(history: &mut Vec<HistoryEntry>, report: &Report, now: Timestamp) {
    let (Some(revision), Some(hash)) = (&report.revision, &report.hash) else {
        return;
    };
    let outcome = match report.progress {
        Progress::None => return,
        Progress::Progressing => Outcome::Progressing,
        Progress::Healthy => Outcome::Healthy,
        Progress::Failed => Outcome::Failed,
    };
    let applied = |entry: &HistoryEntry| entry.outcome != Outcome::TakenBack;
    let mut newest = history.iter().position(applied);
    let same = newest.is_some_and(|newest| {
        let newest = &history[newest];
        newest.hash == *hash && newest.revision.commit == revision.commit
    });
    if !same {
        if let Some(newest) = newest.and_then(|newest| history.get_mut(newest))
            && newest.outcome == Outcome::Progressing
        {
            newest.outcome = Outcome::Superseded;
        }
        history.insert(
            0,
            HistoryEntry {
                revision: revision.clone(),
                hash: hash.clone(),
                applied_at: Some(Time(now)),
                approved_by: report.approved_by.clone(),
                ..HistoryEntry::default()
            },
        );
        newest = Some(0);
    }
    if let Some(newest) = newest.and_then(|newest| history.get_mut(newest)) {
        // Deletions are approved after their revision was taken.
        if newest.approved_by.is_none() {
            newest.approved_by.clone_from(&report.approved_by);
        }
        // What was healthy once stays so in the history: later trouble is the cluster's, not the revision's.
        if newest.outcome != Outcome::Healthy {
            newest.outcome = outcome;
            newest.message = (outcome == Outcome::Failed).then(|| failure_message(report));
            if outcome == Outcome::Healthy {
                newest.healthy_at = Some(Time(now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The history after a healthy pass over this commit.
    fn after(
        before: &[HistoryEntry],
        commit: &str,
        approved_by: Option<&str>,
    ) -> Vec<HistoryEntry> {
        let report = Report {
            revision: Some(RevisionStatus {
                commit: commit.to_owned(),
                ..RevisionStatus::default()
            }),
            hash: Some("hash".to_owned()),
            progress: Progress::Healthy,
            approved_by: approved_by.map(str::to_owned),
            ..Report::default()
        };
        history(before, &report, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn who_approved_a_revisions_deletions_stands_beside_it() {
        let applied = after(&[], "a", None);
        let approved = after(&applied, "a", Some("alice"));
        let next = after(&approved, "b", None);
        let by: Vec<_> = next
            .iter()
            .map(|entry| entry.approved_by.as_deref())
            .collect();
        assert_eq!(by, [None, Some("alice")]);
    }

    #[test]
    fn what_was_taken_back_stands_in_front_of_what_stays_applied() {
        let taken = |commit: &str| TakenBack {
            revision: RevisionStatus {
                commit: commit.to_owned(),
                ..RevisionStatus::default()
            },
            hash: "other".to_owned(),
            message: "check errors failed 3 times at 25 %: 0.2 is more than 0.01".to_owned(),
        };
        let report = |commit: &str, taken_back: Vec<TakenBack>| Report {
            revision: Some(RevisionStatus {
                commit: commit.to_owned(),
                ..RevisionStatus::default()
            }),
            hash: Some("hash".to_owned()),
            progress: Progress::Healthy,
            taken_back,
            ..Report::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        let mut seen = after(&[], "a", None);
        seen = history(&seen, &report("a", vec![taken("b")]), now);
        // The next passes over the same revision change nothing.
        let again = history(&seen, &report("a", Vec::new()), now);
        assert_eq!(seen, again);
        assert_eq!(newest_applied(&seen).unwrap().revision.commit, "a");
        seen = history(&seen, &report("c", Vec::new()), now);
        let told: Vec<_> = seen
            .iter()
            .map(|entry| (entry.revision.commit.as_str(), entry.outcome))
            .collect();
        assert_eq!(
            told,
            [
                ("c", Outcome::Healthy),
                ("b", Outcome::TakenBack),
                ("a", Outcome::Healthy)
            ]
        );
        assert!(seen[1].message.as_ref().unwrap().contains("0.2"));
        for number in 0..20 {
            seen = history(&seen, &report("c", vec![taken(&number.to_string())]), now);
        }
        assert_eq!(seen.len(), HISTORY);
        assert_eq!(seen[0].revision.commit, "19");
        let applied = newest_applied(&seen).unwrap();
        assert_eq!(applied.revision.commit, "c");
        assert_eq!(seen.last(), Some(applied));
    }
}
