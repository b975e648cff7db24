//! Traefik on the node, and the definitions of the kinds that routers read.

use std::{env, io::Write as _, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{
    main_job::stage::Stage,
    support::{
        node::{Node, demand},
        process::{Process, free_port, wait_for_port},
    },
};

/// A file or folder among the node's programs.
fn program(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os("BIN")?).join(name);
    path.exists().then_some(path)
}

pub fn is_built() -> bool {
    program("traefik").is_some()
}

/// Whether Traefik was built; the test is told to be skipped where it was not.
fn is_there(test: &str) -> bool {
    let there = is_built();
    if !there {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {test} (no Traefik; make test-rollouts builds it)"
        );
    }
    there
}

/// Installs the definitions as they are published: `gateway-api`, `istio-crds`, `traefik-crds`.
pub fn define(node: &Node, what: &str) {
    let folder = program(what).expect("tests/cluster/build.sh lays the definitions there");
    let folder = folder.to_str().expect("a path that is text");
    node.kubectl(&["apply", "--server-side", "-f", folder]);
    node.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=30s",
    ]);
}

/// A stage with Traefik in front of it; where one of the two cannot be had this test is skipped, and that is told.
pub async fn open(test: &str) -> Option<(Stage, Router)> {
    open_with(test, &[]).await
}

/// The same with further flags of Traefik's.
pub async fn open_with(test: &str, flags: &[String]) -> Option<(Stage, Router)> {
    if !is_there(test) {
        return None;
    }
    let node = demand(test)?;
    for definitions in ["gateway-api", "traefik-crds"] {
        define(node, definitions);
    }
    let stage = Stage::new(node).await;
    let router = Router::start(&stage, flags);
    Some((stage, router))
}

/// Traefik, with a Gateway `web` in the stage's namespace; killed when dropped.
pub struct Router {
    port: u16,
    host: String,
    /// Beside those that every one has.
    flags: Vec<String>,
    process: Process,
}

impl Router {
    fn start(stage: &Stage, flags: &[String]) -> Self {
        let port = free_port();
        let process = run(stage, port, flags);
        stage.node.apply(&format!(
            "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: traefik}}
spec: {{controllerName: traefik.io/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web, namespace: {}}}
spec:
  gatewayClassName: traefik
  listeners: [{{name: web, protocol: HTTP, port: {port}}}]
",
            stage.namespace.name
        ));
        Self {
            port,
            host: format!("{}.example.com", stage.namespace.name),
            flags: flags.to_vec(),
            process,
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The host that the routes of this stage are for.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// SIGKILL.
    pub fn stop(&mut self) {
        self.process.kill();
    }

    /// After [`Router::stop`].
    pub fn start_again(&mut self, stage: &Stage) {
        self.process = run(stage, self.port, &self.flags);
    }

    pub fn http_route(&self) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "api"},
            "spec": {"parentRefs": [{"name": "web"}], "hostnames": [self.host], "rules": [
                {"backendRefs": [{"name": "api", "port": 80}]},
            ]},
        })
    }

    pub fn ingress(&self) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "api"},
            "spec": {"rules": [{"host": self.host, "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "api", "port": {"number": 80}}}},
            ]}}]},
        })
    }

    pub fn traefik_service(&self) -> Value {
        json!({
            "apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": {"name": "api"},
            "spec": {"weighted": {"services": [{"name": "api", "port": 80}]}},
        })
    }

    /// What leads to the TraefikService.
    pub fn ingress_route(&self) -> Value {
        json!({
            "apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": {"name": "api"},
            "spec": {"entryPoints": ["web"], "routes": [{
                "kind": "Rule", "match": format!("Host(`{}`)", self.host),
                "services": [{"kind": "TraefikService", "name": "api"}],
            }]},
        })
    }
}

fn run(stage: &Stage, port: u16, flags: &[String]) -> Process {
    let log = stage.node.state().join("traefik.log");
    let mut command = Command::new(program("traefik").expect("Traefik was built"));
    command
        .env("KUBECONFIG", stage.node.kubeconfig())
        .arg(format!("--entrypoints.web.address=:{port}"))
        .arg("--providers.kubernetesgateway=true")
        .arg("--providers.kubernetescrd=true")
        // Else a canary without a ready pod takes the whole TraefikService with it.
        .arg("--providers.kubernetescrd.allowEmptyServices=true")
        .arg("--providers.kubernetesingressnginx=true")
        .arg("--providers.kubernetesingressnginx.watchingressWithoutClass=true")
        .args(flags);
    let process = Process::start(&mut command, &log);
    wait_for_port(port, &log);
    process
}
