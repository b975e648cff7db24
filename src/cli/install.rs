//! `driftless install`: the files of `deploy/`, with the names that were asked for. Must not know a cluster.

#[cfg(test)]
mod tests;

use anyhow::Result;
use clap::Args;

use super::output::{self, Out};
use super::{Outcome, crds};

/// The namespace and image that the files have.
const NAMESPACE: &str = "driftless-system";
const IMAGE: &str = "image: driftless\n";

/// In the order of `deploy/kustomization.yaml`; the definitions stand behind the namespace.
const FILES: [&str; 8] = [
    include_str!("../../deploy/namespace.yaml"),
    include_str!("../../deploy/approval-policy.yaml"),
    include_str!("../../deploy/serviceaccount.yaml"),
    include_str!("../../deploy/rbac.yaml"),
    include_str!("../../deploy/deployment.yaml"),
    include_str!("../../deploy/service.yaml"),
    include_str!("../../deploy/networkpolicy.yaml"),
    include_str!("../../deploy/poddisruptionbudget.yaml"),
];
const IMPERSONATION: &str = include_str!("../../deploy/tenant/impersonation.yaml");

/// Print the installation, or what a namespace with environments needs, as YAML
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  driftless install --image registry.example.com/driftless:1.0 | kubectl apply --server-side -f -
  driftless install --tenant shop --service-account deployer | kubectl apply -f -
  driftless install --image … --repository https://git.example.com/cluster.git --path clusters/eu")]
pub struct Arguments {
    /// The agent's image
    #[arg(long, required_unless_present = "tenant", value_parser = one_word)]
    image: Option<String>,
    /// The agent's own namespace
    #[arg(short, long, default_value = NAMESPACE, value_parser = name)]
    namespace: String,
    /// How many agents; one leads
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=9))]
    replicas: Option<u8>,
    /// Instead: what the environments of this namespace need: that the agent may act as its service accounts
    #[arg(long, value_name = "NAMESPACE", value_parser = name, conflicts_with_all = ["image", "replicas", "repository"])]
    tenant: Option<String>,
    /// Only as this one, which is printed as well, with the rights of the ClusterRole `edit` in its namespace
    #[arg(long, value_name = "NAME", value_parser = name, requires = "tenant")]
    service_account: Option<String>,
    /// As well: a root environment from this repository, which may hold everything else
    #[arg(long, value_name = "URL", requires = "path")]
    repository: Option<String>,
    /// The root environment's path in it
    #[arg(long, requires = "repository")]
    path: Option<String>,
    /// The branch that the root environment follows
    #[arg(long, default_value = "main", requires = "repository")]
    branch: String,
}

pub fn run(arguments: &Arguments, out: &mut Out) -> Result<Outcome> {
    output::text(out, &documents(arguments).join("---\n"))
}

fn documents(arguments: &Arguments) -> Vec<String> {
    match (&arguments.tenant, &arguments.image) {
        (Some(tenant), _) => match &arguments.service_account {
            Some(account) => vec![
                self::account(tenant, account),
                impersonation(tenant, Some(account), &arguments.namespace),
            ],
            None => vec![impersonation(tenant, None, &arguments.namespace)],
        },
        (None, image) => installation(arguments, image.as_deref().unwrap_or_default()),
    }
}

fn installation(arguments: &Arguments, image: &str) -> Vec<String> {
    let [namespace, others @ ..] = &FILES;
    let mut documents = vec![(*namespace).to_owned()];
    documents.extend(crds::files().into_iter().map(|(_, yaml)| yaml));
    documents.extend(others.iter().map(|file| (*file).to_owned()));
    for document in &mut documents {
        *document = in_namespace(document, &arguments.namespace)
            .replace(IMAGE, &format!("image: {image}\n"));
        if let Some(replicas) = arguments.replicas {
            *document = document.replace("  replicas: 2\n", &format!("  replicas: {replicas}\n"));
        }
    }
    if let (Some(url), Some(path)) = (&arguments.repository, &arguments.path) {
        documents.push(root(&arguments.namespace, url, path, &arguments.branch));
    }
    documents
}

/// A name that Kubernetes takes, and that stands in YAML as it is.
fn name(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let ends = !text.starts_with(['-', '.']) && !text.ends_with(['-', '.']);
    if text.is_empty() || text.len() > 253 || !text.chars().all(inside) || !ends {
        return Err("must be lower-case letters, digits and dashes".to_owned());
    }
    Ok(text.to_owned())
}

fn one_word(text: &str) -> Result<String, String> {
    if text.is_empty()
        || text
            .chars()
            .any(|c| c.is_whitespace() || matches!(c, '#' | '{' | '[' | '\'' | '"'))
    {
        return Err("must be the name of an image".to_owned());
    }
    Ok(text.to_owned())
}

fn in_namespace(document: &str, namespace: &str) -> String {
    document
        .replace(
            &format!("namespace: {NAMESPACE}\n"),
            &format!("namespace: {namespace}\n"),
        )
        .replace(
            &format!("name: {NAMESPACE}\n"),
            &format!("name: {namespace}\n"),
        )
}

/// A service account, and its rights in its own namespace.
fn account(tenant: &str, account: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {account}
  namespace: {tenant}
---
# What its environments may write: everything that ClusterRole `edit` allows here, and Roles where you bind `admin` instead.
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {account}-edit
  namespace: {tenant}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: edit
subjects:
- kind: ServiceAccount
  name: {account}
  namespace: {tenant}
"
    )
}

/// The agent's right to act as the tenant's service accounts, or as exactly one.
fn impersonation(tenant: &str, account: Option<&str>, agent: &str) -> String {
    let mut file = in_namespace(IMPERSONATION, agent);
    if let Some(account) = account {
        let name = format!("driftless-impersonation-{account}");
        file = file.replace("driftless-impersonation", &name);
    }
    let mut text = String::new();
    for line in file.lines() {
        let more = match (line, account) {
            ("metadata:", _) => format!("\n  namespace: {tenant}"),
            ("  resources: [serviceaccounts]", Some(account)) => {
                format!("\n  resourceNames: [{account}]")
            }
            _ => String::new(),
        };
        text.push_str(line);
        text.push_str(&more);
        text.push('\n');
    }
    text
}

/// The environment that holds everything else, under an account that may write everything.
fn root(namespace: &str, url: &str, path: &str, branch: &str) -> String {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let impersonation = impersonation(namespace, Some("driftless-root"), namespace);
    format!(
        "\
# What the root environment writes as: it holds the whole cluster, so it may write everything.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: driftless-root
  namespace: {namespace}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: driftless-root
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: cluster-admin
subjects:
- kind: ServiceAccount
  name: driftless-root
  namespace: {namespace}
---
{impersonation}---
apiVersion: driftless.dev/v1alpha1
kind: Repository
metadata:
  name: root
  namespace: {namespace}
spec:
  url: {url}
---
apiVersion: driftless.dev/v1alpha1
kind: Environment
metadata:
  name: root
  namespace: {namespace}
spec:
  repository: root
  follow:
  - branches: [{branch}]
  path: {path}
  serviceAccount: driftless-root
",
        url = text(url),
        path = text(path),
        branch = text(branch),
    )
}
