//! What the API server refused, or why it could not be asked.

use crate::object::Id;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {message}")]
pub struct ClusterError {
    /// What was to be done, to what.
    pub action: String,
    /// The API server's words.
    pub message: String,
    /// The HTTP status; 0 where there was no answer.
    pub code: u16,
    /// The machine-readable reason (`Conflict`, `Invalid`, …); empty where there was no answer.
    pub reason: String,
    /// Field, reason and message of each cause.
    pub causes: Vec<Refused>,
}

/// One cause of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub field: String,
    pub reason: String,
    pub message: String,
}

impl ClusterError {
    pub fn new(action: impl Into<String>, source: kube::Error) -> Self {
        let action = action.into();
        match source {
            kube::Error::Api(status) => Self {
                action,
                message: status.message.clone(),
                code: status.code,
                reason: status.reason.clone(),
                causes: status
                    .details
                    .iter()
                    .flat_map(|details| &details.causes)
                    .map(|cause| Refused {
                        field: cause.field.clone(),
                        reason: cause.reason.clone(),
                        message: cause.message.clone(),
                    })
                    .collect(),
            },
            other => Self {
                action,
                message: chain(&other),
                code: 0,
                reason: String::new(),
                causes: Vec::new(),
            },
        }
    }

    /// An answer that does not hold what was asked for.
    pub fn unexpected(action: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            message: message.into(),
            code: 0,
            reason: String::new(),
            causes: Vec::new(),
        }
    }

    /// Whether the API server says that this very object is not there (and not that it does not know the kind).
    pub fn is_absent(&self, id: &Id) -> bool {
        self.code == 404
            && self.reason == "NotFound"
            && self.message.contains(&format!("\"{}\" not found", id.name))
    }

    pub fn is_conflict(&self) -> bool {
        self.code == 409
    }

    /// Whether the agent may not act as the service account.
    pub fn is_impersonation(&self) -> bool {
        // Since 1.36 the API server asks for `impersonate-on:…` as well, and says that it is this which is missing.
        self.code == 403
            && (self.message.contains("cannot impersonate resource")
                || self.message.contains("cannot impersonate-on:"))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_be_impersonated() {
        let said = |message: &str| ClusterError {
            code: 403,
            ..ClusterError::unexpected("apply", message)
        };
        for message in [
            r#"serviceaccounts "deployer" is forbidden: User "a" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "shop""#,
            r#"services "web" is forbidden: User "a" cannot impersonate-on:serviceaccount:patch resource "services" in API group "" in the namespace "shop""#,
        ] {
            assert!(said(message).is_impersonation(), "{message}");
        }
        let own = r#"services "impersonate" is forbidden: User "a" cannot patch resource "services" in API group """#;
        assert!(!said(own).is_impersonation());
    }
}
