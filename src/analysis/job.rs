//! A Job of a check: made, followed to its end, and removed. One that an agent before this one made is found again.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Seen, Work};
use crate::cluster::{ClusterError, DryRun};
use crate::health::findings;
use crate::object::{FIELD_MANAGER, Object};
use crate::rollout::job::{BEGAN_ANNOTATION, Ended, Run, ended, has_run};
use crate::rollout::machine::Outcome;

const TIMEOUT: Duration = Duration::from_mins(10);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long its own end is waited for beyond its deadline: Kubernetes removes its pods first.
const SLACK: Duration = Duration::from_mins(2);

/// Makes the check's Job, or goes on with the one that is there.
pub(super) async fn run(work: &Work, template: Result<&Value, &String>) -> Seen {
    let no_data = |value: String| Seen {
        outcome: Outcome::NoData,
        value,
        began: work.now,
        faults: Vec::new(),
    };
    let template = match template {
        Ok(template) => template,
        Err(why) => return no_data(format!("job.{why}")),
    };
    let began = work.now.to_string();
    let job = work.check.spec.job.as_ref();
    let run = Run {
        check: &work.check.spec.name,
        names: &work.targets.names,
        change: &work.targets.change,
        ips: work
            .targets
            .pods
            .iter()
            .map(|pod| pod.ip.as_str())
            .collect(),
        began: &began,
        owner: work
            .targets
            .owner
            .as_ref()
            .map(|(id, uid)| (id, uid.as_str())),
        timeout: job
            .and_then(|job| job.timeout)
            .map_or(TIMEOUT, |timeout| timeout.0),
    };
    match follow(work, &run, template).await {
        Ok(seen) => seen,
        Err(error) => no_data(error.to_string()),
    }
}

async fn follow(work: &Work, run: &Run<'_>, template: &Value) -> Result<Seen, ClusterError> {
    let namespace = &run.names.namespace;
    let cluster = &work.actor.cluster;
    let mut found = None;
    for job in cluster.jobs(namespace, &run.selector()).await? {
        // What began before the weight was in effect says nothing of it.
        if found.is_none() && began(&job).is_some_and(|began| began >= work.since) {
            found = Some(job);
        } else {
            remove(work, &job).await?;
        }
    }
    let job = match found {
        Some(job) => job,
        None => make(work, &run.job(template)).await?,
    };
    let began = began(&job).unwrap_or(work.now);
    let (outcome, value) = until_its_end(work, run, &job).await?;
    remove(work, &job).await?;
    Ok(Seen {
        outcome,
        value,
        began,
        faults: Vec::new(),
    })
}

/// Only who leads writes.
fn may_write(work: &Work, action: &str) -> Result<(), ClusterError> {
    if work.actor.leadership.is_valid() {
        Ok(())
    } else {
        Err(ClusterError::unexpected(action, "another replica leads"))
    }
}

async fn make(work: &Work, job: &Object) -> Result<Object, ClusterError> {
    may_write(work, "make the Job of a check")?;
    let (cluster, identity) = (&work.actor.cluster, &work.actor.identity);
    let kinds = cluster.kinds().await;
    cluster
        .apply(&kinds, identity, job, FIELD_MANAGER, true, DryRun::No)
        .await
}

async fn remove(work: &Work, job: &Object) -> Result<(), ClusterError> {
    may_write(work, "remove the Job of a check")?;
    let (cluster, identity) = (&work.actor.cluster, &work.actor.identity);
    let kinds = cluster.kinds().await;
    let uid = job.uid().unwrap_or_default();
    cluster
        .delete(&kinds, identity, &job.id(), "v1", uid, None, "Background")
        .await
}

async fn until_its_end(
    work: &Work,
    run: &Run<'_>,
    job: &Object,
) -> Result<(Outcome, String), ClusterError> {
    let namespace = &run.names.namespace;
    let cluster = &work.actor.cluster;
    let name = job.name().to_owned();
    let own_deadline = job
        .at("/spec/activeDeadlineSeconds")
        .and_then(Value::as_u64)
        .map_or(run.timeout, Duration::from_secs);
    let deadline = tokio::time::Instant::now() + own_deadline + SLACK;
    let mut ran = false;
    let mut trouble: Option<String> = None;
    loop {
        let jobs = cluster.jobs(namespace, &run.selector()).await?;
        let Some(job) = jobs.into_iter().find(|job| job.name() == name) else {
            return Ok((Outcome::NoData, format!("the Job {name} is gone")));
        };
        let selector = format!("batch.kubernetes.io/job-name={name}");
        let pods = cluster.pods(namespace, &selector).await?;
        ran |= has_run(&pods);
        // What is known of pods stays known when they are gone.
        trouble = words(&job, &pods).or(trouble);
        match ended(&job, ran, trouble.as_deref()) {
            Some(Ended::Complete) => return Ok((Outcome::Pass, "complete".to_owned())),
            Some(Ended::Failed(why)) => return Ok((Outcome::Fail, format!("Job {name}: {why}"))),
            Some(Ended::NeverRan(why)) => {
                return Ok((Outcome::NoData, format!("Job {name} never ran: {why}")));
            }
            None if tokio::time::Instant::now() > deadline => {
                return Ok((Outcome::NoData, format!("Job {name} does not end")));
            }
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// What is wrong with its pods.
fn words(job: &Object, pods: &[Object]) -> Option<String> {
    let found = findings(job, pods, &[], Timestamp::now())
        .into_iter()
        .next()?;
    let container = found
        .container
        .map_or(String::new(), |name| format!(", container {name}"));
    Some(format!(
        "pod {}{container}: {}: {}",
        found.pod, found.reason, found.message
    ))
}

fn began(job: &Object) -> Option<Timestamp> {
    job.annotation(BEGAN_ANNOTATION)?.parse().ok()
}
