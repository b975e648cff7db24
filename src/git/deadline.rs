//! How long one conversation with a server may still take.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::GitError;
use super::remote::Remote;

/// How often a wait looks whether it was cancelled.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// The limits of one conversation.
pub(super) struct Deadline<'a> {
    pub(super) remote: &'a Remote,
    cancel: &'a AtomicBool,
    end: Instant,
}

impl<'a> Deadline<'a> {
    pub(super) fn new(remote: &'a Remote, cancel: &'a AtomicBool) -> Self {
        Self {
            remote,
            cancel,
            end: Instant::now() + remote.limits.total,
        }
    }

    /// An error where the conversation must end, having waited for `action` since `since` with the limit `limit`.
    pub(super) fn check(
        &self,
        action: &'static str,
        since: Instant,
        limit: Duration,
    ) -> Result<(), GitError> {
        let url = || self.remote.url.clone();
        if self.cancel.load(Ordering::Relaxed) {
            return Err(GitError::Cancelled { url: url() });
        }
        let now = Instant::now();
        if now >= self.end {
            return Err(GitError::Timeout {
                url: url(),
                action: "all of it",
                seconds: self.remote.limits.total.as_secs(),
            });
        }
        if now.duration_since(since) >= limit {
            return Err(GitError::Timeout {
                url: url(),
                action,
                seconds: limit.as_secs(),
            });
        }
        Ok(())
    }

    /// Waits for `future`, no longer than `limit`.
    pub(super) async fn wait<F: Future>(
        &self,
        action: &'static str,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, GitError> {
        let since = Instant::now();
        self.check(action, since, Duration::MAX)?;
        let mut future = std::pin::pin!(future);
        let tick = TICK.min(limit);
        loop {
            if let Ok(output) = tokio::time::timeout(tick, &mut future).await {
                return Ok(output);
            }
            self.check(action, since, limit)?;
        }
    }
}
