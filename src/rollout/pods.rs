//! What a canary's pods say by themselves: one that restarts or is killed is a fault, whatever the checks say.

use serde_json::Value;

use crate::object::Object;

/// The first fault of these pods, with pod, container and reason; init containers and sidecars are held to the same.
pub fn fault(pods: &[Object]) -> Option<String> {
    pods.iter().find_map(|pod| {
        let (status, why) = ["containerStatuses", "initContainerStatuses"]
            .into_iter()
            .filter_map(|list| pod.at(&format!("/status/{list}"))?.as_array())
            .flatten()
            .find_map(|status| Some((status, of_container(status)?)))?;
        Some(format!(
            "pod {}, container {}: {why}",
            pod.name(),
            status["name"].as_str().unwrap_or_default()
        ))
    })
}

fn of_container(status: &Value) -> Option<String> {
    let ended = |state: &str| Some(&status[state]["terminated"]).filter(|ended| ended.is_object());
    if status["restartCount"].as_u64().unwrap_or(0) > 0 {
        let last = ended("lastState").or_else(|| ended("state"));
        return Some(format!(
            "restarted: {}",
            last.map_or_else(|| "it ended".to_owned(), why)
        ));
    }
    // Before the kubelet has started it again.
    ended("state")
        .filter(|ended| ended["reason"] == "OOMKilled")
        .map(why)
}

/// `OOMKilled`, or `Error, exit code 1`.
fn why(ended: &Value) -> String {
    let reason = ended["reason"].as_str().unwrap_or("it ended");
    match ended["exitCode"].as_i64() {
        Some(code) if reason != "OOMKilled" => format!("{reason}, exit code {code}"),
        _ => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: Value) -> Object {
        Object::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "api-canary-1"}, "status": status,
        }))
        .unwrap()
    }

    fn container(name: &str, restarts: u32, state: Value, last: Value) -> Value {
        json!({"name": name, "restartCount": restarts, "state": state, "lastState": last})
    }

    #[test]
    fn each_kind_of_container_is_held_to_it() {
        let running = || json!({"running": {"startedAt": "2026-11-01T00:00:00Z"}});
        let ended =
            |reason: &str, code: i64| json!({"terminated": {"reason": reason, "exitCode": code}});
        let well = || container("api", 0, running(), json!({}));
        let none: Option<&str> = None;
        for (containers, init, expected) in [
            (
                well(),
                container("migrate", 0, ended("Completed", 0), json!({})),
                none,
            ),
            (
                container("api", 1, running(), ended("Error", 3)),
                well(),
                Some("pod api-canary-1, container api: restarted: Error, exit code 3"),
            ),
            (
                container(
                    "api",
                    2,
                    json!({"waiting": {"reason": "CrashLoopBackOff"}}),
                    ended("OOMKilled", 137),
                ),
                well(),
                Some("pod api-canary-1, container api: restarted: OOMKilled"),
            ),
            (
                container("api", 0, ended("OOMKilled", 137), json!({})),
                well(),
                Some("pod api-canary-1, container api: OOMKilled"),
            ),
            (
                well(),
                container("proxy", 1, running(), ended("OOMKilled", 137)),
                Some("pod api-canary-1, container proxy: restarted: OOMKilled"),
            ),
            (
                well(),
                container("migrate", 1, running(), json!({})),
                Some("pod api-canary-1, container migrate: restarted: it ended"),
            ),
        ] {
            let pods = [
                pod(json!({})),
                pod(json!({"containerStatuses": [containers], "initContainerStatuses": [init]})),
            ];
            assert_eq!(fault(&pods).as_deref(), expected);
        }
    }
}
