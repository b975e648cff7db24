//! The Job of a check: its template with the names of the rollout, and how it ended. Must not make it.

use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::api::batch::v1::JobTemplateSpec;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::names::{Names, Side};
use super::{CHECK_LABEL, ROLLOUT_LABEL};
use crate::api::JobCheck;
use crate::desired::Desired;
use crate::object::{Id, Object};

/// When the Job was begun, to the digit: its creationTimestamp has whole seconds.
pub const BEGAN_ANNOTATION: &str = "driftless.dev/began";

/// The template of a check's Job: its own, or that of a CronJob of this environment.
///
/// # Errors
/// There is no such CronJob, or it is no template.
pub fn template(
    check: &JobCheck,
    namespace: Option<&str>,
    desired: &Desired,
) -> Result<Value, String> {
    let template = match &check.cron_job {
        None => check.template.clone().unwrap_or_default(),
        Some(name) => {
            let id = Id {
                group: "batch".to_owned(),
                kind: "CronJob".to_owned(),
                namespace: namespace.map(str::to_owned),
                name: name.clone(),
            };
            let cron_job = desired
                .get(&id)
                .ok_or_else(|| format!("cronJob: Git has no {id} in this environment"))?;
            let template = cron_job.object.at("/spec/jobTemplate");
            template.cloned().unwrap_or_default()
        }
    };
    // What is put into it relies on its shape.
    let typed: JobTemplateSpec = serde_json::from_value(template.clone())
        .map_err(|error| format!("template: it is no JobTemplateSpec: {error}"))?;
    let pod = typed.spec.and_then(|job| job.template.spec);
    if pod.is_none_or(|pod| pod.containers.is_empty()) {
        return Err("template: spec.template.spec.containers is missing".to_owned());
    }
    Ok(template)
}

/// One run of a check's Job.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    pub check: &'a str,
    pub names: &'a Names,
    /// The first digits of the change.
    pub change: &'a str,
    /// The addresses of the canary's ready pods.
    pub ips: Vec<&'a str>,
    /// Now.
    pub began: &'a str,
    /// Kind, name and UID of what the Job goes with.
    pub owner: Option<(&'a Id, &'a str)>,
    pub timeout: Duration,
}

impl Run<'_> {
    /// The labels that all Jobs of this check carry.
    pub fn selector(&self) -> String {
        format!(
            "{ROLLOUT_LABEL}={},{CHECK_LABEL}={}",
            self.change, self.check
        )
    }

    /// The Job from its template.
    pub fn job(&self, template: &Value) -> Object {
        let mut template = template.clone();
        self.fill(&mut template);
        let mut spec = template["spec"].take();
        default(&mut spec, "backoffLimit", json!(0));
        default(
            &mut spec,
            "activeDeadlineSeconds",
            json!(self.timeout.as_secs().max(1)),
        );
        // Should nobody be left to remove it.
        default(&mut spec, "ttlSecondsAfterFinished", json!(300));
        if let Some(spec) = spec.as_object_mut() {
            spec.remove("suspend");
        }
        let labels = json!({ROLLOUT_LABEL: self.change, CHECK_LABEL: self.check});
        let pods = &mut spec["template"];
        default(&mut pods["spec"], "restartPolicy", json!("Never"));
        merge(&mut pods["metadata"]["labels"], &labels);
        for list in ["initContainers", "containers"] {
            for container in pods["spec"][list].as_array_mut().into_iter().flatten() {
                self.environment(container);
            }
        }
        let mut metadata = json!({
            "name": self.name(),
            "namespace": self.names.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
        });
        merge(&mut metadata["labels"], &labels);
        merge(
            &mut metadata["annotations"],
            &json!({BEGAN_ANNOTATION: self.began}),
        );
        if let Some((id, uid)) = self.owner {
            metadata["ownerReferences"] = json!([{
                "apiVersion": format!("{}/v1", id.group), "kind": id.kind, "name": id.name, "uid": uid,
            }]);
        }
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), json!("batch/v1"));
        object.insert("kind".to_owned(), json!("Job"));
        object.insert("metadata".to_owned(), metadata);
        object.insert("spec".to_owned(), spec);
        Object(object)
    }

    /// Of at most 63 characters: the pods carry it as a label.
    fn name(&self) -> String {
        let Self {
            check,
            names,
            change,
            began,
            ..
        } = self;
        let digest = Sha256::digest(format!("{} {check} {change} {began}", names.workload));
        let mut hash = String::new();
        for byte in &digest[..4] {
            let _ = write!(hash, "{byte:02x}");
        }
        let text: String = format!("{}-{check}", names.workload)
            .to_lowercase()
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter
                } else {
                    '-'
                }
            })
            .take(54)
            .collect();
        format!("{}-{hash}", text.trim_end_matches('-'))
    }

    /// The names in every text of the template.
    fn fill(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                *text = self.names.fill(text, Side::Canary, Duration::ZERO);
            }
            Value::Array(list) => list.iter_mut().for_each(|value| self.fill(value)),
            Value::Object(map) => map.values_mut().for_each(|value| self.fill(value)),
            _ => {}
        }
    }

    /// The names as environment variables of a container, in front of its own.
    fn environment(&self, container: &mut Value) {
        let name = |text: &str| self.names.fill(text, Side::Canary, Duration::ZERO);
        let mut variables: Vec<Value> = [
            ("ROLLOUT_NAMESPACE", name("{{namespace}}")),
            ("ROLLOUT_WORKLOAD", name("{{workload}}")),
            ("ROLLOUT_CANARY", name("{{canary}}")),
            ("ROLLOUT_SERVICE", name("{{service}}")),
            ("ROLLOUT_CANARY_IPS", self.ips.join(",")),
        ]
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
        if let Some(own) = container["env"].as_array() {
            variables.retain(|ours| own.iter().all(|one| one["name"] != ours["name"]));
            variables.extend(own.iter().cloned());
        }
        container["env"] = Value::Array(variables);
    }
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Complete,
    /// Its pods ran, and failed.
    Failed(String),
    /// It failed without that a pod of it ran: nothing is known of the canary.
    NeverRan(String),
}

/// How it ended; `None` while it has not. `ran` says that a container of it was seen to run, `trouble` what is wrong with its
/// pods.
pub fn ended(job: &Object, ran: bool, trouble: Option<&str>) -> Option<Ended> {
    let condition = |kind: &str| {
        job.at("/status/conditions")?
            .as_array()?
            .iter()
            .find(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    if condition("Complete").is_some() {
        return Some(Ended::Complete);
    }
    let failed = condition("Failed")?;
    let text = |key: &str| failed[key].as_str().unwrap_or_default();
    let words = format!("{}: {}", text("reason"), trouble.unwrap_or(text("message")));
    Some(if ran {
        Ended::Failed(words)
    } else {
        Ended::NeverRan(words)
    })
}

/// Whether a container of these pods runs, or has run.
pub fn has_run(pods: &[Object]) -> bool {
    pods.iter()
        .flat_map(|pod| {
            ["containerStatuses", "initContainerStatuses"]
                .map(|list| pod.at(&format!("/status/{list}")))
        })
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .any(|status| {
            let is = |state: &str, what: &str| status[state][what].is_object();
            is("state", "running") || is("state", "terminated") || is("lastState", "terminated")
        })
}

fn default(into: &mut Value, key: &str, value: Value) {
    if into[key].is_null() {
        into[key] = value;
    }
}

fn merge(into: &mut Value, from: &Value) {
    if into.is_null() {
        *into = json!({});
    }
    for (key, value) in from.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}

#[cfg(test)]
mod tests;
