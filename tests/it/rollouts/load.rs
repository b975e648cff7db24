//! What the tests ask of the application, by the load generator of the demo.

use std::collections::BTreeMap;
use std::time::Duration;

#[expect(dead_code, reason = "the demo asks for more")]
#[path = "../../../demo/app/load.rs"]
mod generator;

pub use generator::{Load, Sample};
use generator::{exchange, version_of};

/// Waits until somebody answers: Services reach the proxies a moment after their pods are ready.
pub async fn answers(address: &str) {
    answers_as(address, "api").await;
}

/// As this host.
pub async fn answers_as(address: &str, host: &str) {
    crate::support::wait::wait_until(Duration::from_secs(30), "somebody answers", || async {
        let (text, ok, _) = exchange(address, host, &[], None).await.ok()?;
        (ok && !version_of(&text).is_empty()).then_some(())
    })
    .await;
}

/// What the application says at this address.
pub async fn ask_for_text(address: &str) -> String {
    crate::support::wait::wait_until(Duration::from_secs(30), "it answers", || async {
        let (text, _, _) = exchange(address, "api", &[], None).await.ok()?;
        Some(text)
    })
    .await
}

/// The versions that answer so many requests with this header, each on its own connection; `failed` where none does.
pub async fn versions_for(
    address: &str,
    host: &str,
    header: (&str, &str),
    requests: usize,
) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let version = match exchange(address, host, &[header], None).await {
            Ok((text, true, _)) => version_of(&text),
            _ => "failed".to_owned(),
        };
        *counts.entry(version).or_default() += 1;
    }
    counts
}

/// Waits until a request with this header is answered by this version: proxies follow a moment later.
pub async fn answered_by(address: &str, host: &str, header: (&str, &str), version: &str) {
    let what = format!("version {version} answers");
    crate::support::wait::wait_until(Duration::from_secs(30), &what, || async {
        let versions = versions_for(address, host, header, 1).await;
        versions.contains_key(version).then_some(())
    })
    .await;
}
