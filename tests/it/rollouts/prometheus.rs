//! A real Prometheus, as Debian packages it, that scrapes the pods of a namespace each second. Debian's knows nothing of
//! Kubernetes: it is told of the pods by a file.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    main_job::{cluster::Cluster, stage::Stage},
    support::process::{Process, free_port, wait_for_port},
};

pub struct Prometheus {
    port: u16,
    folder: PathBuf,
    process: Option<Process>,
    /// Who tells of the pods.
    teller: JoinHandle<()>,
}

impl Prometheus {
    /// `jobs` are further scrape configs, as YAML.
    pub fn start(stage: &Stage, jobs: &str) -> Self {
        let folder = stage
            .node
            .state()
            .join(format!("prometheus-{}", stage.namespace.name));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let targets = folder.join("pods.json");
        let config = format!(
            "\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: pods
  file_sd_configs: [{{files: [{}]}}]
{jobs}",
            targets.display(),
        );
        std::fs::write(folder.join("prometheus.yml"), config).expect("a file can be written");
        let teller = tokio::spawn(tell(stage.cluster.clone(), targets));
        let mut prometheus = Self {
            port: free_port(),
            folder,
            process: None,
            teller,
        };
        prometheus.start_again();
        prometheus
    }

    /// After [`Prometheus::stop`], with what it knew.
    pub fn start_again(&mut self) {
        let log = self.folder.join("log");
        let mut command = Command::new("prometheus");
        command
            .arg(format!(
                "--config.file={}",
                self.folder.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                self.folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port));
        self.process = Some(Process::start(&mut command, &log));
        wait_for_port(self.port, &log);
    }

    pub fn stop(&mut self) {
        self.process = None;
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.teller.abort();
    }
}

/// Writes which pods there are.
async fn tell(cluster: Cluster, file: PathBuf) {
    let mut known = Value::Null;
    loop {
        let pods = cluster.api("Pod").list(&ListParams::default()).await;
        let targets: Vec<Value> = pods
            .into_iter()
            .flatten()
            .filter_map(|pod| {
                let ip = pod.data.pointer("/status/podIP")?.as_str()?;
                let port = pod
                    .data
                    .pointer("/spec/containers/0/ports/0/containerPort")?;
                let metadata = &pod.metadata;
                let labels = json!({"pod": metadata.name, "namespace": metadata.namespace});
                Some(json!({"targets": [format!("{ip}:{port}")], "labels": labels}))
            })
            .collect();
        let targets = Value::Array(targets);
        if targets != known {
            write(&file, &targets);
            known = targets;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// At once: a file that is half written would be read.
fn write(file: &Path, targets: &Value) {
    let new = file.with_extension("new");
    std::fs::write(&new, targets.to_string()).expect("a file can be written");
    std::fs::rename(&new, file).expect("a file can be renamed");
}
