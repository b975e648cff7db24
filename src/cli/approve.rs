//! `driftless approve`: shows exactly what an environment holds back, asks, and makes the Approval that admits that and
//! nothing else. Must not decide what is held: the status says it.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::connect::Target;
use super::output::{BOLD, Out, WAITS, note, styled};
use super::{Outcome, ask};
use crate::api::{Approval, ApprovalSpec, Environment, HumanDuration};

/// Admit what an environment holds back: a set of deletions, or a revision that diverged
#[derive(Args, Debug)]
#[command(
    after_help = "The Approval is bound to the commit, the objects and the deletions that are shown; it counts once. It takes the verb \
`approve` on the environment (ClusterRole driftless-approve).

Examples:
  driftless approve production -n shop
  driftless approve production -n shop --deletions --yes --expires 1h

Exit codes: 0 approved; 1 nothing is held, or you said no; 2 a problem."
)]
pub struct Arguments {
    /// The environment
    name: String,
    #[command(flatten)]
    target: Target,
    /// Only deletions
    #[arg(long, conflicts_with = "revision")]
    deletions: bool,
    /// Only the revision that waits
    #[arg(long)]
    revision: bool,
    /// How long it can be used
    #[arg(long, default_value = "24h", value_name = "TIME")]
    expires: HumanDuration,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// What waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Revision,
    Deletions,
}

/// What an Approval would admit.
#[derive(Debug, PartialEq, Eq)]
struct Proposal {
    commit: String,
    hash: String,
    deletions: String,
    /// What is shown to the person.
    text: String,
}

pub async fn run(arguments: &Arguments, out: &mut Out) -> Result<Outcome> {
    let Arguments {
        name,
        target,
        deletions,
        revision,
        expires,
        yes,
    } = arguments;
    let (client, namespace) = target.connect().await?;
    let environments: Api<Environment> = Api::namespaced(client.clone(), &namespace);
    let environment = ask::environment(&environments, name, &namespace).await?;
    let held: Vec<Held> = [(Held::Revision, !deletions), (Held::Deletions, !revision)]
        .into_iter()
        .filter_map(|(held, wanted)| wanted.then_some(held))
        .collect();
    let proposals: Vec<Proposal> = held
        .into_iter()
        .filter_map(|held| proposal(&environment, held))
        .collect();
    if proposals.is_empty() {
        note(&format!(
            "{namespace}/{name} holds nothing back that an approval would admit."
        ));
        return Ok(Outcome::Not);
    }
    let by = who(&client).await?;
    let approvals: Api<Approval> = Api::namespaced(client, &namespace);
    for proposal in proposals {
        write!(out, "{}", proposal.text)?;
        out.flush()?;
        if !yes && !ask::yes(&format!("Approve this as {by}?"))? {
            return Ok(Outcome::Not);
        }
        let approval = approval(&environment, proposal, &by, Timestamp::now(), *expires)?;
        let made = approvals
            .create(&PostParams::default(), &approval)
            .await
            .map_err(|error| ask::refused("make the Approval", error))?;
        writeln!(
            out,
            "Made the Approval {}; it can be used for {expires}.",
            made.name_any()
        )?;
    }
    Ok(Outcome::Done)
}

/// The user, as the API server knows them.
async fn who(client: &kube::Client) -> Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .map_err(|error| ask::refused("ask the API server who you are", error))?;
    let user = review.status.and_then(|status| status.user_info?.username);
    user.context("the API server did not say who you are")
}

fn proposal(environment: &Environment, held: Held) -> Option<Proposal> {
    let status = environment.status.as_ref()?;
    let title = format!(
        "{}/{}",
        environment.namespace().unwrap_or_default(),
        environment.name_any()
    );
    let bold = |text: String| styled(text, BOLD);
    match held {
        Held::Revision => {
            let waiting = status
                .held
                .iter()
                .find(|held| held.object.is_empty() && held.action == "apply")?;
            let next = status.next.as_ref()?;
            let from = status
                .revision
                .as_ref()
                .map_or("nothing", |revision| revision.commit.as_str());
            let mut text = format!("{}\n", bold(format!("{title}: take a revision")));
            let _ = writeln!(
                text,
                "  from  {from}\n  to    {}  {}",
                next.revision.commit, next.revision.reference
            );
            let _ = writeln!(text, "  {} {}", styled("!", WAITS), waiting.reason);
            Some(Proposal {
                commit: next.revision.commit.clone(),
                hash: String::new(),
                deletions: String::new(),
                text,
            })
        }
        Held::Deletions => {
            let deletions = status.deletions.clone()?;
            let revision = status.revision.as_ref()?;
            let objects: Vec<_> = status
                .held
                .iter()
                .filter(|held| held.action != "apply")
                .collect();
            let plural = if objects.len() == 1 {
                "object"
            } else {
                "objects"
            };
            let mut text = format!(
                "{}\n",
                bold(format!("{title}: delete {} {plural}", objects.len()))
            );
            let _ = writeln!(text, "  at    {}  {}", revision.commit, revision.reference);
            for object in objects {
                let _ = writeln!(
                    text,
                    "  {} {} {}: {}",
                    styled("-", WAITS),
                    object.action,
                    object.object,
                    object.reason
                );
            }
            Some(Proposal {
                commit: revision.commit.clone(),
                hash: status.hash.clone().unwrap_or_default(),
                deletions,
                text,
            })
        }
    }
}

fn approval(
    environment: &Environment,
    proposal: Proposal,
    by: &str,
    now: Timestamp,
    expires: HumanDuration,
) -> Result<Approval> {
    let Some(uid) = environment.uid() else {
        bail!("the environment has no UID");
    };
    let Proposal {
        commit,
        hash,
        deletions,
        text: _,
    } = proposal;
    let mut approval = Approval::new(
        "",
        ApprovalSpec {
            environment: environment.name_any(),
            environment_uid: uid,
            commit,
            hash,
            deletions,
            by: by.to_owned(),
            expires: Time(
                now.checked_add(expires.0)
                    .context("--expires: too far away")?,
            ),
        },
    );
    approval.metadata.name = None;
    approval.metadata.generate_name = Some(format!("{}-", environment.name_any()));
    Ok(approval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn environment(status: &serde_json::Value) -> Environment {
        serde_json::from_value(json!({
            "apiVersion": "driftless.dev/v1alpha1", "kind": "Environment",
            "metadata": {"name": "production", "namespace": "shop", "uid": "u-1"},
            "spec": {"repository": "shop", "follow": [{"branches": ["main"]}], "serviceAccount": "deployer"},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn deletions_are_bound_to_commit_hash_and_set() {
        let environment = environment(&json!({
            "revision": {"commit": "aaaa", "ref": "refs/heads/main"}, "hash": "hhhh", "deletions": "dddd",
            "held": [{"object": "Deployment.apps shop/api", "action": "delete", "reason": "more than 20% of the inventory"}],
        }));
        assert_eq!(proposal(&environment, Held::Revision), None);
        let proposal = proposal(&environment, Held::Deletions).unwrap();
        insta::assert_snapshot!(anstream::adapter::strip_str(&proposal.text).to_string());
        let approval = approval(
            &environment,
            proposal,
            "alice",
            Timestamp::UNIX_EPOCH,
            HumanDuration::from_secs(60),
        )
        .unwrap();
        insta::assert_json_snapshot!(approval);
    }

    #[test]
    fn a_revision_is_bound_to_its_commit_and_admits_no_deletion() {
        let environment = environment(&json!({
            "revision": {"commit": "aaaa", "ref": "refs/heads/main"}, "hash": "hhhh",
            "next": {"revision": {"commit": "bbbb", "ref": "refs/heads/main"}, "waitingFor": ["approval"]},
            "held": [{"object": "", "action": "apply", "reason": "Diverged: history was rewritten"}],
        }));
        assert_eq!(proposal(&environment, Held::Deletions), None);
        let proposal = proposal(&environment, Held::Revision).unwrap();
        assert_eq!(
            (
                proposal.commit.as_str(),
                proposal.hash.as_str(),
                proposal.deletions.as_str()
            ),
            ("bbbb", "", "")
        );
        insta::assert_snapshot!(anstream::adapter::strip_str(&proposal.text).to_string());
    }

    #[test]
    fn nothing_held_is_nothing_to_approve() {
        let environment = environment(&json!({"revision": {"commit": "aaaa"}, "hash": "hhhh"}));
        assert_eq!(proposal(&environment, Held::Revision), None);
        assert_eq!(proposal(&environment, Held::Deletions), None);
    }
}
