//! The labels of the metrics. Values are names of our objects or one of a closed set: nothing that a stranger types.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Environment {
    pub environment: String,
}

impl Environment {
    pub fn of(name: &str) -> Self {
        Self {
            environment: name.to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EnvironmentOutcome {
    pub environment: String,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Repository {
    pub repository: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RepositoryOutcome {
    pub repository: String,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct WebhookOutcome {
    pub outcome: Webhook,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Transition {
    pub environment: String,
    /// That of the Event.
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Workload {
    pub environment: String,
    pub workload: String,
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Ok,
    Error,
}

impl Outcome {
    pub fn of(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Error }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        let value = match self {
            Self::Ok => "ok",
            Self::Error => "error",
        };
        EncodeLabelValue::encode(&value, encoder)
    }
}

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Webhook {
    /// The pass was asked for.
    Accepted,
    /// One is asked for within a second anyway.
    Coalesced,
    /// Not ours, or not signed by whom it should be.
    Refused,
    TooLarge,
    /// The API server did not take the request.
    Failed,
}

impl EncodeLabelValue for Webhook {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        let value = match self {
            Self::Accepted => "accepted",
            Self::Coalesced => "coalesced",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Failed => "failed",
        };
        EncodeLabelValue::encode(&value, encoder)
    }
}
