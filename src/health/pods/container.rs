//! What one container's status says. Must not take over its termination message: that is what the program wrote, and
//! may be its log.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Finding, Gravity, SLOW, STEADY, started};
use crate::health::Reason;
use crate::health::read::{condition, cut, list, str_of, text, time};
use crate::object::Object;

/// So many restarts in a row are a verdict. The kubelet makes them after about 1, 10 and 20 seconds: a program that is
/// gone four times within some 40 seconds has outlived the start of what it may have waited for, and the next try is 40
/// seconds away.
const RESTARTS: i64 = 3;
/// A container that ran so long before it ended is not looping: the kubelet starts its back-off anew, too.
const LONG_RUN: SignedDuration = SignedDuration::from_mins(10);

pub(super) struct Container<'a> {
    pub pod: &'a Object,
    pub status: &'a Value,
    pub spec: Option<&'a Value>,
    pub is_job: bool,
    pub is_init: bool,
}

impl Container<'_> {
    pub(super) fn finding(&self, now: Timestamp) -> Option<Finding> {
        let state = self.status.get("state")?;
        if let Some(waiting) = state.get("waiting").filter(|it| it.is_object()) {
            return self.waiting(waiting);
        }
        if let Some(terminated) = state.get("terminated").filter(|it| it.is_object()) {
            return self.ended(terminated);
        }
        self.running(state.get("running")?, now)
    }

    fn found(&self, reason: Reason, message: &str, gravity: Gravity) -> Finding {
        Finding {
            pod: self.pod.name().to_owned(),
            container: Some(str_of(self.status, "name").to_owned()),
            reason,
            message: cut(message),
            gravity,
            since: self.since(),
        }
    }

    /// No state carries a time of its own while it waits: the end of the last run, else when the pod ceased to be ready.
    fn since(&self) -> Option<Timestamp> {
        let last_end = self.status.pointer("/lastState/terminated/finishedAt");
        let unready = || {
            condition(self.pod, "ContainersReady")
                .filter(|ready| !ready.is_true())
                .and_then(|ready| ready.since)
        };
        time(last_end)
            .filter(|end| *end > Timestamp::UNIX_EPOCH)
            .or_else(unready)
            .or_else(|| started(self.pod))
    }

    fn restarts(&self) -> i64 {
        self.status
            .get("restartCount")
            .and_then(Value::as_i64)
            .unwrap_or(0)
    }

    fn last_run(&self) -> Option<&Value> {
        self.status
            .pointer("/lastState/terminated")
            .filter(|it| it.is_object())
    }

    /// Whether it is to run for as long as the pod: the pod's own containers, and its sidecars.
    fn is_lasting(&self) -> bool {
        let is_sidecar = self
            .spec
            .is_some_and(|spec| str_of(spec, "restartPolicy") == "Always");
        is_sidecar
            || !self.is_init
                && !self.is_job
                && matches!(text(self.pod, "/spec/restartPolicy"), "Always" | "")
    }

    fn waiting(&self, waiting: &Value) -> Option<Finding> {
        let said = str_of(waiting, "message");
        let image = || {
            self.spec
                .map(|spec| str_of(spec, "image"))
                .filter(|image| !image.is_empty())
                .unwrap_or_else(|| str_of(self.status, "image"))
        };
        Some(match str_of(waiting, "reason") {
            // What a start usually passes through.
            "PodInitializing" | "ContainerCreating" | "" => return None,
            "CrashLoopBackOff" => match self.last_run() {
                Some(run) => self.crash(run, true),
                None => self.found(
                    Reason::CrashLoopBackOff,
                    &times(self.restarts()),
                    Gravity::Named,
                ),
            },
            "ErrImagePull" => self.found(
                Reason::ErrImagePull,
                &pull_failure(image(), said),
                Gravity::Waiting,
            ),
            "ImagePullBackOff"
            | "RegistryUnavailable"
            | "ImageInspectError"
            | "SignatureValidationFailed" => self.found(
                Reason::ImagePullBackOff,
                &pull_failure(image(), said),
                Gravity::Waiting,
            ),
            "ErrImageNeverPull" => self.found(
                Reason::ErrImageNeverPull,
                &format!("image {} is not on the node", image()),
                Gravity::Waiting,
            ),
            "InvalidImageName" => self.found(Reason::InvalidImageName, said, Gravity::Verdict),
            "CreateContainerConfigError" => {
                let gravity = if said.contains("runAsNonRoot") {
                    Gravity::Verdict
                } else {
                    Gravity::Waiting
                };
                self.found(Reason::CreateContainerConfigError, said, gravity)
            }
            "CreateContainerError" => {
                let gravity = if said.contains("no command specified") {
                    Gravity::Verdict
                } else {
                    Gravity::Waiting
                };
                self.found(Reason::CreateContainerError, said, gravity)
            }
            "RunContainerError" | "StartError" | "ContainerCannotRun" => self.no_start(said),
            other => self.found(
                Reason::ContainerCreating,
                &format!("{other}: {said}"),
                Gravity::Waiting,
            ),
        })
    }

    fn ended(&self, run: &Value) -> Option<Finding> {
        let code = exit_code(run);
        if code == 0 && !self.is_lasting() {
            return None;
        }
        Some(self.crash(run, false))
    }

    /// A start that the container runtime refused. Its words come from the runtime, not from the program.
    fn no_start(&self, said: &str) -> Finding {
        let program = said.find("exec:").map(|start| &said[start..]);
        let missing = program.is_some_and(|said| {
            [
                "no such file",
                "not found",
                "permission denied",
                "is a directory",
                "exec format",
            ]
            .iter()
            .any(|cause| said.contains(cause))
        });
        let gravity = if missing || self.restarts() >= RESTARTS {
            Gravity::Verdict
        } else {
            Gravity::Named
        };
        self.found(Reason::RunContainerError, program.unwrap_or(said), gravity)
    }

    /// A container that ended. A Job's own limit decides over its retries; elsewhere what ends again and again, and what
    /// can never run, is a verdict.
    fn crash(&self, run: &Value, backs_off: bool) -> Finding {
        let ended_as = str_of(run, "reason");
        if matches!(ended_as, "StartError" | "ContainerCannotRun") {
            return self.no_start(str_of(run, "message"));
        }
        let code = exit_code(run);
        let restarts = self.restarts();
        let out_of_memory = ended_as == "OOMKilled";
        let ran_long = run_time(run).is_some_and(|time| time >= LONG_RUN);
        let reason = match (out_of_memory, backs_off) {
            (true, _) => Reason::OOMKilled,
            (false, true) => Reason::CrashLoopBackOff,
            (false, false) if restarts >= RESTARTS => Reason::CrashLoopBackOff,
            (false, false) => Reason::Error,
        };
        let enough = match code {
            _ if out_of_memory => 2,
            // A shell that did not find a program, or may not run it, will not the next time.
            126 | 127 => 1,
            _ => RESTARTS,
        };
        let gravity = if !self.is_job && !ran_long && restarts >= enough {
            Gravity::Verdict
        } else {
            Gravity::Named
        };
        let mut message = if out_of_memory {
            match self.memory_limit() {
                Some(limit) => format!("killed: it used more memory than its limit of {limit}"),
                None => "killed: the node or its pod ran out of memory".to_owned(),
            }
        } else {
            self.exit(code)
        };
        if restarts > 0 {
            message.push_str(", ");
            message.push_str(&times(restarts));
        }
        let mut finding = self.found(reason, &message, gravity);
        finding.since = time(run.get("finishedAt")).or(finding.since);
        finding
    }

    fn exit(&self, code: i64) -> String {
        let mut words = format!("exited with code {code}");
        words.push_str(match code {
            0 => ", but is meant to keep running",
            126 => " (a command that may not be executed)",
            127 => " (a command that was not found)",
            137 | 143 if self.has("livenessProbe") => " (killed, perhaps by its liveness probe)",
            137 => " (killed)",
            139 => " (segmentation fault)",
            143 => " (terminated)",
            _ => "",
        });
        words
    }

    fn has(&self, field: &str) -> bool {
        self.spec
            .and_then(|spec| spec.get(field))
            .is_some_and(Value::is_object)
    }

    fn memory_limit(&self) -> Option<&str> {
        self.spec?.pointer("/resources/limits/memory")?.as_str()
    }

    fn running(&self, running: &Value, now: Timestamp) -> Option<Finding> {
        if !self.is_lasting() {
            return None;
        }
        let since = time(running.get("startedAt"))?;
        let runs = now.duration_since(since);
        let at = |mut finding: Finding| {
            finding.since = Some(since);
            Some(finding)
        };
        if self.status.get("ready").and_then(Value::as_bool) != Some(true) {
            if runs < SLOW {
                return None;
            }
            let startup = self.has("startupProbe")
                && self.status.get("started").and_then(Value::as_bool) == Some(false);
            let field = if startup {
                "startupProbe"
            } else {
                "readinessProbe"
            };
            let probe = match self.spec.and_then(|spec| spec.get(field)) {
                Some(probe) => format!(
                    "its {} probe ({}) does not pass",
                    words(field),
                    describe(probe)
                ),
                None => "it is not ready".to_owned(),
            };
            return at(self.found(
                Reason::ContainersNotReady,
                &format!("runs, but {probe}"),
                Gravity::Named,
            ));
        }
        let last = self.last_run().filter(|_| self.restarts() > 0)?;
        if runs >= STEADY {
            return None;
        }
        let message = format!(
            "{}; the last run {}",
            times(self.restarts()),
            if str_of(last, "reason") == "OOMKilled" {
                "was killed for its memory".to_owned()
            } else {
                self.exit(exit_code(last))
            }
        );
        at(self.found(Reason::Restarted, &message, Gravity::Named))
    }
}

fn words(field: &str) -> &str {
    field.trim_end_matches("Probe")
}

/// What a probe asks, without arguments and headers.
fn describe(probe: &Value) -> String {
    let port = |it: &Value| match it.get("port") {
        Some(Value::String(name)) => name.clone(),
        Some(port) => port.to_string(),
        None => String::new(),
    };
    if let Some(http) = probe.get("httpGet") {
        let path = str_of(http, "path").split('?').next().unwrap_or_default();
        format!("HTTP GET :{}{path}", port(http))
    } else if let Some(tcp) = probe.get("tcpSocket") {
        format!("TCP :{}", port(tcp))
    } else if let Some(grpc) = probe.get("grpc") {
        format!("gRPC :{}", port(grpc))
    } else {
        let program = probe.pointer("/exec/command/0").and_then(Value::as_str);
        format!("exec {}", program.unwrap_or_default())
    }
}

fn times(restarts: i64) -> String {
    match restarts {
        1 => "restarted once".to_owned(),
        _ => format!("restarted {restarts} times"),
    }
}

/// What a pull failed with, without the layers of the runtime that pass it on.
fn pull_failure(image: &str, said: &str) -> String {
    let said = said
        .rsplit_once(" desc = ")
        .map_or(said, |(_, cause)| cause);
    let cause = match said.rfind(image).filter(|_| !image.is_empty()) {
        Some(place) => said[place + image.len()..].trim_start_matches(['"', ':', ' ']),
        None => said,
    };
    match cause {
        "" => format!("image {image} cannot be pulled"),
        _ => format!("image {image}: {cause}"),
    }
}

fn exit_code(run: &Value) -> i64 {
    run.get("exitCode").and_then(Value::as_i64).unwrap_or(-1)
}

fn run_time(run: &Value) -> Option<SignedDuration> {
    let from = time(run.get("startedAt"))?;
    let to = time(run.get("finishedAt"))?;
    (from > Timestamp::UNIX_EPOCH).then(|| to.duration_since(from))
}

/// The exit codes of a pod's containers, in words.
pub(super) fn exits(pod: &Object) -> Option<String> {
    let words: Vec<String> = ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .flat_map(|group| list(pod.at(group)))
        .filter_map(|status| {
            let run = status.pointer("/state/terminated")?;
            let code = exit_code(run);
            (code != 0).then(|| format!("{} exited with code {code}", str_of(status, "name")))
        })
        .collect();
    (!words.is_empty()).then(|| cut(&words.join(", ")))
}
