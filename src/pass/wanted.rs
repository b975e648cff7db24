//! git: which revision is wanted.

use std::sync::Arc;

use super::{Memory, Pass};
use crate::api::RevisionStatus;
use crate::git::{Choice, Mirror, Movement, choose as choose_revision, movement};
use crate::sources::Snapshot;
use crate::status::Problem;

/// The revision that the rules choose, and where its files are.
pub(super) struct Wanted {
    pub choice: Choice,
    pub snapshot: Snapshot,
    /// It neither contains the running revision nor carries a higher version.
    pub diverged: bool,
}

impl Wanted {
    pub fn revision(&self) -> RevisionStatus {
        RevisionStatus {
            rule: i64::try_from(self.choice.rule).unwrap_or(i64::MAX),
            reference: self.choice.reference.clone(),
            version: self.choice.version.as_ref().map(ToString::to_string),
            commit: self.choice.commit.clone(),
            short: self.choice.commit.chars().take(7).collect(),
            diverged: self.diverged,
        }
    }
}

/// `None`, with the problem told, where it is not known; the mirror may still hold the running one.
pub(super) async fn choose(
    pass: &mut Pass<'_>,
    memory: &Memory,
) -> Result<Wanted, Option<Snapshot>> {
    let reference = pass.repository();
    let Some((repository, view)) = pass.context.sources.view(&reference, &memory.wake) else {
        pass.problem(unknown(
            "RepositoryNotFound",
            format!(
                "there is no Repository {}",
                pass.environment.spec.repository
            ),
        ));
        return Err(None);
    };
    let foreign = reference.namespace.as_deref() != Some(pass.namespace());
    if foreign
        && !repository
            .spec
            .allow
            .iter()
            .any(|namespace| namespace == pass.namespace())
    {
        pass.problem(Problem {
            unknown: false,
            ..unknown(
                "RepositoryNotAllowed",
                format!(
                    "the Repository {} does not allow the namespace {}; add it to its spec.allow",
                    pass.environment.spec.repository,
                    pass.namespace()
                ),
            )
        });
        return Err(None);
    }
    if let Some(problem) = view.problem {
        let message = format!("Repository {}: {problem}", pass.environment.spec.repository);
        pass.problem(unknown("RepositoryFailed", message));
    } else if view.snapshot.is_none() {
        pass.problem(unknown(
            Problem::PENDING,
            "the repository was not fetched yet".to_owned(),
        ));
    }
    let Some(snapshot) = view.snapshot else {
        return Err(None);
    };
    let rules = pass.environment.spec.follow.clone();
    let running = pass.report.revision.clone();
    let chosen = {
        let snapshot = snapshot.clone();
        tokio::task::spawn_blocking(move || decide(&rules, running.as_ref(), &snapshot)).await
    };
    match chosen {
        Ok(Ok((choice, diverged))) => Ok(Wanted {
            choice,
            snapshot,
            diverged,
        }),
        Ok(Err(message)) => {
            pass.problem(unknown("RevisionNotFound", message));
            Err(Some(snapshot))
        }
        Err(error) => {
            pass.problem(unknown(
                "RevisionNotFound",
                format!("the choice ended abnormally: {error}"),
            ));
            Err(Some(snapshot))
        }
    }
}

fn decide(
    rules: &[crate::api::FollowRule],
    running: Option<&RevisionStatus>,
    snapshot: &Snapshot,
) -> Result<(Choice, bool), String> {
    let mirror: &Arc<Mirror> = &snapshot.mirror;
    let mut contains = |descendant: &str, ancestor: &str| mirror.contains(descendant, ancestor);
    let choice =
        choose_revision(rules, &snapshot.refs, &mut contains).map_err(|error| error.to_string())?;
    let Some(running) = running else {
        return Ok((choice, false));
    };
    if running.commit == choice.commit {
        return Ok((choice, running.diverged));
    }
    let version = running
        .version
        .as_deref()
        .and_then(|version| version.parse().ok());
    let before = (running.commit.as_str(), version.as_ref());
    let movement =
        movement(Some(before), &choice, &mut contains).map_err(|error| error.to_string())?;
    Ok((choice, movement == Movement::Diverged))
}

fn unknown(reason: &'static str, message: String) -> Problem {
    Problem {
        reason,
        message,
        unknown: true,
        held: false,
    }
}
