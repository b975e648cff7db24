//! Headers of requests, some with values of Secrets. These are told to nobody but the server.

use http::{HeaderName, HeaderValue};

use super::Actor;
use crate::api::HeaderSpec;

/// Headers with their values.
#[derive(Default)]
pub(super) struct Headers {
    pub all: Vec<(HeaderName, HeaderValue)>,
    secrets: Vec<String>,
}

/// Reads what lies in Secrets of the namespace.
///
/// # Errors
/// One of them cannot be had: why, without its value.
pub(super) async fn resolve(
    actor: &Actor,
    namespace: &str,
    specs: impl Iterator<Item = &HeaderSpec>,
) -> Result<Headers, String> {
    let mut headers = Headers::default();
    for spec in specs {
        let name = HeaderName::from_bytes(spec.name.as_bytes())
            .map_err(|_| format!("{:?} is no name of a header", spec.name))?;
        let value = match &spec.value_from {
            None => spec.value.clone().unwrap_or_default(),
            Some(from) => {
                let (secret, key) = (&from.secret_key_ref.name, &from.secret_key_ref.key);
                let value = actor
                    .cluster
                    .secret_value(&actor.identity, namespace, secret, key)
                    .await
                    .map_err(|error| error.to_string())?
                    .ok_or_else(|| format!("the Secret {namespace}/{secret} has no key {key}"))?;
                // Editors end files with a line break; no header has one.
                let value = String::from_utf8(value)
                    .map_err(|_| {
                        format!("the key {key} of the Secret {namespace}/{secret} is no text")
                    })?
                    .trim_end_matches(['\r', '\n'])
                    .to_owned();
                headers.secrets.push(value.clone());
                value
            }
        };
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| format!("the value of the header {name} cannot be sent"))?;
        value.set_sensitive(spec.value_from.is_some());
        headers.all.push((name, value));
    }
    Ok(headers)
}

/// `text` without the values of Secrets, and without the parts of them that credentials consist of.
pub(super) fn redacted(text: String, headers: &Headers) -> String {
    headers
        .secrets
        .iter()
        .flat_map(|secret| std::iter::once(secret.as_str()).chain(secret.split_whitespace()))
        // `Bearer` and `Basic` are no secrets.
        .filter(|part| part.len() > 6)
        .fold(text, |text, part| text.replace(part, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_told_to_nobody() {
        let headers = Headers {
            secrets: vec!["Bearer abcdefgh".to_owned(), "x".to_owned()],
            ..Headers::default()
        };
        assert_eq!(
            redacted("refused: Bearer abcdefgh, abcdefgh, x".to_owned(), &headers),
            "refused: …, …, x"
        );
    }
}
