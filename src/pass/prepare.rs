//! tree, render, desired: from a commit to the objects that it wants.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::wanted::Wanted;
use super::{Memory, Pass, Running};
use crate::api::{ObjectFailure, RenderSettings, RevisionStatus};
use crate::cluster::ClusterError;
use crate::desired::{Desired, Kinds, Problem as DesiredProblem, Scope, Source, desired};
use crate::git::{Choice, Mirror};
use crate::images::{resolve, substitute};
use crate::kustomize::{BuildOptions, Limits, LoadRestrictor, ParsedFiles};
use crate::render::{self, How, Kept, renew};
use crate::sources::Snapshot;
use crate::status::Problem;

/// What was rendered last: the objects as the files say them.
pub(super) struct Rendered {
    commit: String,
    path: String,
    kept: Kept<Arc<Vec<Source>>>,
}

/// What there is to keep after this step.
pub(super) enum Prepared {
    /// What is kept already.
    Same,
    /// The wanted revision, with its objects.
    Wanted(Box<(Running, Wanted)>),
    /// The wanted one is not to be had; the problem is told. The one before it is kept.
    Before(Option<Snapshot>),
}

pub(super) async fn prepare(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    wanted: Result<Wanted, Option<Snapshot>>,
) -> Prepared {
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(snapshot) => {
            mend(pass, memory, snapshot.as_ref());
            return Prepared::Before(snapshot);
        }
    };
    let revision = wanted.revision();
    if let Some(running) = &memory.running
        && running.revision == revision
        && memory.generation == pass.environment.metadata.generation
    {
        count(pass, memory, &wanted, false);
        return Prepared::Same;
    }
    let settings = RenderSettings::from(&pass.environment.spec);
    let result = objects(
        pass,
        memory,
        &wanted.snapshot.mirror,
        &revision,
        &wanted.choice,
        &settings,
    )
    .await;
    count(
        pass,
        memory,
        &wanted,
        matches!(result, Ok((_, true)) | Err(_)),
    );
    match result {
        Ok((desired, _)) => {
            let candidate = Running {
                revision,
                desired,
                settings,
            };
            Prepared::Wanted(Box::new((candidate, wanted)))
        }
        Err(failure) => {
            tell(pass, &revision, failure);
            mend(pass, memory, Some(&wanted.snapshot));
            Prepared::Before(Some(wanted.snapshot))
        }
    }
}

/// So long a mirror that was just made anew is left alone, if it is damaged again: then the disk is.
const MEND_EVERY: Duration = Duration::from_secs(30);

/// Has a mirror that lost something fetched anew: it is only a cache, and nobody else would notice.
fn mend(pass: &mut Pass<'_>, memory: &mut Memory, snapshot: Option<&Snapshot>) {
    if !snapshot.is_some_and(|snapshot| snapshot.mirror.is_damaged()) {
        return;
    }
    let now = Instant::now();
    if memory
        .mended_at
        .is_none_or(|at| now.duration_since(at) >= MEND_EVERY)
    {
        memory.mended_at = Some(now);
        pass.context.sources.look(&pass.repository());
    }
    pass.due(now + MEND_EVERY);
}

/// Tells the repository what its change cost here, once.
fn count(pass: &Pass<'_>, memory: &mut Memory, wanted: &Wanted, rendered: bool) {
    let serial = wanted.snapshot.serial;
    if memory.counted != serial {
        memory.counted = serial;
        let reference = pass.repository();
        pass.context
            .sources
            .count_render(&reference, serial, &wanted.choice.commit, rendered);
    }
}

/// The revision that the status says was applied, rendered anew: after a restart.
pub(super) async fn before(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    snapshot: &Snapshot,
    how: Known,
) -> Option<Running> {
    let revision = pass.report.revision.clone()?;
    // The spec may have changed since.
    let settings = pass
        .report
        .settings
        .clone()
        .unwrap_or_else(|| RenderSettings::from(&pass.environment.spec));
    let desired = again(pass, memory, snapshot, &revision, &settings).await?;
    let is_known = pass.report.hash.as_deref() == Some(desired.hash.as_str());
    (is_known || how == Known::ByItsCommit).then_some(Running {
        revision,
        desired,
        settings,
    })
}

/// The objects of a revision that was chosen before; `None` where they cannot be had any more.
pub(super) async fn again(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    snapshot: &Snapshot,
    revision: &RevisionStatus,
    settings: &RenderSettings,
) -> Option<Desired> {
    let choice = Choice {
        rule: usize::try_from(revision.rule).unwrap_or_default(),
        reference: revision.reference.clone(),
        version: revision
            .version
            .as_deref()
            .and_then(|version| version.parse().ok()),
        commit: revision.commit.clone(),
    };
    let mirror = &snapshot.mirror;
    let objects = objects(pass, memory, mirror, revision, &choice, settings).await;
    objects.ok().map(|(desired, _)| desired)
}

/// How a revision is known to be what was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its objects are the same.
    ByItsHash,
    /// Its commit says today what it says: another version of the agent may have rendered it.
    ByItsCommit,
}

/// Why there are no objects.
enum Failure {
    /// Files, kustomizations or objects are wrong, each with its place.
    Render(Vec<DesiredProblem>),
    /// Something that may go better next time.
    Once(String),
}

/// The objects of a revision, and whether they had to be rendered.
async fn objects(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    mirror: &Arc<Mirror>,
    revision: &RevisionStatus,
    choice: &Choice,
    settings: &RenderSettings,
) -> Result<(Desired, bool), Failure> {
    let path = crate::tree::join("", &settings.path)
        .ok_or_else(|| place("spec.path", "leaves the repository"))?;
    let images = resolve(&settings.images, choice)
        .map_err(|error| place("spec.images", &error.to_string()))?;
    let (sources, rendered) = sources(pass, memory, mirror, revision, &path).await?;
    let mut sources: Vec<Source> = sources.as_ref().clone();
    if !images.is_empty() {
        for source in &mut sources {
            substitute(std::slice::from_mut(&mut source.object), &images);
        }
    }
    let mut kinds = pass.context.cluster.kinds().await;
    let mut result = scoped(settings, memory, &kinds, sources.clone());
    if matches!(&result, Err(problems) if problems.iter().any(|problem| problem.unknown_kind)) {
        // A definition may have come since they were asked for.
        kinds = refreshed(pass)
            .await
            .map_err(|error| Failure::Once(error.to_string()))?;
        result = scoped(settings, memory, &kinds, sources);
    }
    match result {
        Ok(desired) => Ok((desired, rendered)),
        Err(problems) => Err(Failure::Render(problems)),
    }
}

async fn refreshed(pass: &Pass<'_>) -> Result<Arc<Kinds>, ClusterError> {
    pass.context.cluster.refresh_kinds().await
}

fn scoped(
    settings: &RenderSettings,
    memory: &Memory,
    kinds: &Kinds,
    sources: Vec<Source>,
) -> Result<Desired, Vec<DesiredProblem>> {
    let kinds = kinds.with_definitions(&sources);
    desired(
        sources,
        &Scope {
            owner: &memory.owner,
            namespace: settings.namespace.as_deref(),
            create_namespace: settings.create_namespace,
            service_account: &settings.service_account,
            prune: &settings.prune,
            kinds: &kinds,
        },
    )
}

/// The objects as the files say them; rendered only if something that was read has changed.
async fn sources(
    pass: &mut Pass<'_>,
    memory: &mut Memory,
    mirror: &Arc<Mirror>,
    revision: &RevisionStatus,
    path: &str,
) -> Result<(Arc<Vec<Source>>, bool), Failure> {
    let known = match memory.rendered.take().filter(|known| known.path == path) {
        Some(known) if known.commit == revision.commit => {
            let sources = known.kept.made.clone();
            memory.rendered = Some(known);
            return Ok((sources, false));
        }
        known => known,
    };
    let _turn = pass
        .context
        .renders
        .acquire()
        .await
        .map_err(|error| Failure::Once(error.to_string()))?;
    let work = {
        let (mirror, commit, path) = (mirror.clone(), revision.commit.clone(), path.to_owned());
        let (file_limit, limits) = (pass.context.file_limit, pass.context.limits);
        let parsed = pass.context.parsed.clone();
        let work = move || work(&mirror, commit, path, known, file_limit, limits, &parsed);
        tokio::task::spawn_blocking(work)
    };
    let (rendered, fresh) = work
        .await
        .map_err(|error| Failure::Once(format!("the render ended abnormally: {error}")))??;
    if fresh {
        memory.renders += 1;
        pass.report.renders = memory.renders;
        pass.context.metrics.rendered(&memory.owner.name);
    }
    let sources = rendered.kept.made.clone();
    memory.rendered = Some(rendered);
    Ok((sources, fresh))
}

fn work(
    mirror: &Mirror,
    commit: String,
    path: String,
    known: Option<Rendered>,
    file_limit: usize,
    limits: Limits,
    parsed: &ParsedFiles,
) -> Result<(Rendered, bool), Failure> {
    let files = mirror
        .commit(&commit)
        .map_err(|error| Failure::Once(error.to_string()))?;
    // Overlays share bases across the directories of their repository: all of the commit may be read, nothing else can.
    let options = BuildOptions {
        load_restrictor: LoadRestrictor::None,
        limits,
        ..BuildOptions::default()
    };
    let how = How {
        options: &options,
        file_limit,
        parsed: Some(parsed),
    };
    let before = known.map(|known| known.kept);
    let (kept, fresh) = renew(&files, &path, how, before, sources_of).map_err(|errors| {
        let problems = errors.0.iter().map(|error| DesiredProblem {
            object: String::new(),
            origin: String::new(),
            message: error.to_string(),
            unknown_kind: false,
        });
        Failure::Render(problems.collect())
    })?;
    Ok((Rendered { commit, path, kept }, fresh))
}

fn sources_of(rendered: render::Rendered) -> Arc<Vec<Source>> {
    let sources = rendered.resources.into_iter().map(|resource| Source {
        origin: match resource.origin.line {
            0 => resource.origin.file,
            line => format!("{}:{line}", resource.origin.file),
        },
        object: resource.object,
    });
    Arc::new(sources.collect())
}

fn place(origin: &str, message: &str) -> Failure {
    Failure::Render(vec![DesiredProblem {
        object: String::new(),
        origin: origin.to_owned(),
        message: message.to_owned(),
        unknown_kind: false,
    }])
}

fn tell(pass: &mut Pass<'_>, revision: &RevisionStatus, failure: Failure) {
    match failure {
        Failure::Once(message) => {
            pass.next.retry = true;
            pass.problem(Problem {
                reason: "RenderFailed",
                message: format!("{}: {message}", revision.short),
                unknown: false,
                held: false,
            });
        }
        Failure::Render(problems) => {
            let first = problems
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            let more = match problems.len() {
                0 | 1 => String::new(),
                several => format!(" (and {} more)", several - 1),
            };
            pass.problem(Problem {
                reason: "RenderFailed",
                message: format!("{} cannot be rendered: {first}{more}", revision.short),
                unknown: false,
                held: false,
            });
            pass.report
                .failures
                .extend(problems.into_iter().map(|problem| ObjectFailure {
                    object: problem.object.clone(),
                    container: None,
                    reason: "RenderFailed".to_owned(),
                    message: if problem.origin.is_empty() {
                        problem.message
                    } else {
                        format!("{}: {}", problem.origin, problem.message)
                    },
                }));
        }
    }
}
