//! The line: one function that names its steps in order. A pass never waits inside a step: what is not there yet ends it,
//! and a watch event, a timer or a commit starts the next.

mod account;
mod admit;
mod apply;
mod approval;
mod deletion;
mod dry_run;
mod health;
mod memory;
mod observe;
mod prepare;
mod prune;
mod report;
mod rollout;
mod wanted;

use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::Semaphore;

use crate::api::{Approval, Environment, RenderSettings, Repository, RevisionStatus};
use crate::cluster::scalers::Scalers;
use crate::cluster::{Cluster, Events, Identity, Leadership, PodWatches, Tracker};
use crate::desired::Desired;
use crate::fields::HandTools;
use crate::health::Checks;
use crate::kustomize::{self, ParsedFiles};
use crate::metrics::Metrics;
use crate::sources::Sources;
use crate::status::{Problem, Progress, Report, sync_requested};

pub use memory::Memory;

/// What all passes share.
pub struct Context {
    pub cluster: Arc<Cluster>,
    pub tracker: Arc<Tracker>,
    pub pods: PodWatches,
    pub scalers: Arc<Scalers>,
    pub leadership: Arc<Leadership>,
    pub events: Events,
    pub metrics: Arc<Metrics>,
    pub sources: Arc<Sources>,
    pub approvals: Store<Approval>,
    pub environments: Store<Environment>,
    /// At most so many renders at once.
    pub renders: Semaphore,
    /// The files of all repositories that renders parsed.
    pub parsed: Arc<ParsedFiles>,
    /// At most so many requests of one pass at once.
    pub parallel: usize,
    pub hand_tools: HandTools,
    /// At most so many files are read for one environment.
    pub file_limit: usize,
    /// What one render may ask for.
    pub limits: kustomize::Limits,
    /// The namespace of the agent.
    pub namespace: String,
}

/// A revision with its objects.
pub struct Running {
    pub revision: RevisionStatus,
    pub desired: Desired,
    /// What it was rendered with.
    pub settings: RenderSettings,
}

/// What a pass leaves behind: when the next is due at the latest.
#[derive(Debug, Default)]
pub struct Next {
    pub at: Option<Instant>,
    /// Something went wrong that may go better soon.
    pub retry: bool,
}

/// How long after a full apply the next is due.
const REAPPLY_EVERY: std::time::Duration = std::time::Duration::from_hours(24);

/// What a pass is about, and what it found so far.
struct Pass<'a> {
    context: &'a Context,
    environment: &'a Environment,
    identity: Identity,
    now: Timestamp,
    report: Report,
    next: Next,
    /// The Environment with the status that this pass has written so far.
    written: Option<Environment>,
    /// The candidate was compared with what is applied, nothing was in its way, and it waits for its rollouts.
    holds: bool,
    /// What is told at the end: whether it is a warning, reason, action, note.
    events: Vec<(bool, &'static str, &'static str, String)>,
}

/// Makes the cluster what Git says, as far as that goes now.
pub async fn pass(context: &Context, environment: &Environment, memory: &mut Memory) -> Next {
    let mut pass = Pass::new(context, environment, memory);
    if let Err(error) = observe::inventory(&mut pass, memory).await {
        pass.stop("InventoryUnknown", error);
        return report::write(pass, memory).await;
    }
    if environment.metadata.deletion_timestamp.is_some() {
        return deletion::run(pass, memory).await;
    }
    if let Err(error) = deletion::guard(&pass).await {
        pass.stop("FinalizerFailed", error.to_string());
        return report::write(pass, memory).await;
    }
    if environment.spec.suspend {
        pass.report.suspended = true;
        if rollout::is_under_way(&pass.report.rollouts) {
            only_rollouts(&mut pass, memory).await;
        }
        return report::write(pass, memory).await;
    }

    match Checks::compile(&environment.spec.health.checks) {
        Ok(checks) => memory.checks = checks,
        Err(errors) => {
            let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
            pass.problem(Problem {
                reason: "InvalidCheck",
                message: format!("spec.health.checks: {}", all.join("; ")),
                unknown: false,
                held: false,
            });
            return report::write(pass, memory).await;
        }
    }

    let wanted = wanted::choose(&mut pass, memory).await; // git
    let prepared = prepare::prepare(&mut pass, memory, wanted).await; // tree, render, desired
    let running = admit::admit(&mut pass, memory, prepared).await; // plan and dry run of what is new
    if let Some(running) = running {
        keep(&mut pass, memory, running).await;
    }
    report::write(pass, memory).await // status
}

/// The rest of the line, from what is to be kept on.
async fn keep(pass: &mut Pass<'_>, memory: &mut Memory, running: Arc<Running>) {
    let mut rolling = match rollout::stage(pass, memory, running).await {
        Ok(rolling) => rolling, // what rollouts ask for
        Err(message) => {
            pass.stop("RolloutUnknown", message);
            return;
        }
    };
    let running = rolling.running.clone();
    let live = observe::observe(pass, memory, &running).await; // observe
    rolling.notice(&live);
    let plan = pass.plan(memory, &running, &live); // plan
    if let Err(problem) = observe::write_ahead(pass, memory, &running).await {
        pass.stop("StatusNotWritten", problem);
        return;
    }
    observe::settle(memory, &plan);
    let applied = apply::apply(pass, memory, &rolling, &live, &plan).await; // apply, and health, wave by wave
    prune::prune(pass, memory, &rolling, plan, applied).await; // prune
    rollout::advance(pass, memory, &rolling).await; // the next state of the rollouts
}

/// What rollouts need that hold still, or end, while nothing else is kept: no revision is taken.
async fn only_rollouts(pass: &mut Pass<'_>, memory: &mut Memory) {
    if let Ok(checks) = Checks::compile(&pass.environment.spec.health.checks) {
        memory.checks = checks;
    }
    rollout::still_held(pass);
    let snapshot = match wanted::choose(pass, memory).await {
        Ok(wanted) => Some(wanted.snapshot),
        Err(snapshot) => snapshot,
    };
    match admit::running(pass, memory, snapshot.as_ref()).await {
        Some(running) => keep(pass, memory, running).await,
        None => pass.stop(
            "RolloutUnknown",
            "the revision that is applied cannot be read, so that its rollouts stay as they are",
        ),
    }
}

/// Runs all of these, at most `parallel` at once.
async fn together<F: Future>(parallel: usize, work: Vec<F>) -> Vec<F::Output> {
    stream::iter(work)
        .buffer_unordered(parallel)
        .collect()
        .await
}

impl<'a> Pass<'a> {
    fn new(context: &'a Context, environment: &'a Environment, memory: &mut Memory) -> Self {
        memory.seen.extend(context.tracker.take(&memory.owner.id));
        memory.reapply |= memory.reapplied_at.elapsed() >= REAPPLY_EVERY;
        let status = environment.status.clone().unwrap_or_default();
        Self {
            context,
            environment,
            identity: Identity {
                namespace: environment.namespace().unwrap_or_default(),
                name: environment.spec.service_account.clone(),
            },
            now: Timestamp::now(),
            report: Report {
                generation: environment.metadata.generation,
                revision: status.revision,
                hash: status.hash,
                settings: status.settings,
                renders: memory.renders,
                sync: sync_requested(environment).map(str::to_owned),
                rollouts: status.rollouts,
                ..Report::default()
            },
            next: Next {
                at: Some(memory.reapplied_at + REAPPLY_EVERY),
                retry: false,
            },
            written: None,
            holds: false,
            events: Vec::new(),
        }
    }

    fn namespace(&self) -> &str {
        &self.identity.namespace
    }

    /// The Repository that the environment names.
    fn repository(&self) -> ObjectRef<Repository> {
        match self.environment.spec.repository.split_once('/') {
            Some((namespace, name)) => ObjectRef::new(name).within(namespace),
            None => ObjectRef::new(&self.environment.spec.repository).within(self.namespace()),
        }
    }

    /// The wanted revision is not reached, for this reason; what is there is kept. The first reason stands.
    fn problem(&mut self, problem: Problem) {
        if self.report.problem.is_none() {
            self.report.problem = Some(problem);
        }
    }

    /// The pass cannot go on, and is tried again.
    fn stop(&mut self, reason: &'static str, message: impl Into<String>) {
        self.next.retry = true;
        if self.report.hash.is_some() {
            self.report.progress = Progress::Progressing;
        }
        self.problem(Problem {
            reason,
            message: message.into(),
            unknown: false,
            held: false,
        });
    }

    /// The next pass is due then, or earlier.
    fn due(&mut self, at: Instant) {
        self.next.at = Some(self.next.at.map_or(at, |known| known.min(at)));
    }

    /// The next pass is due at this time of the clock, or earlier.
    fn due_at(&mut self, at: Timestamp) {
        let wait = at.duration_since(self.now);
        let wait = std::time::Duration::try_from(wait).unwrap_or_default();
        self.due(Instant::now() + wait + std::time::Duration::from_millis(50));
    }
}
