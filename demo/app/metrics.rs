//! What Prometheus reads: requests by code, and how long they took.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};
use prometheus_client::registry::Registry;

pub struct Metrics {
    registry: Registry,
    requests: Family<Vec<(&'static str, String)>, Counter>,
    seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
        let (mut registry, requests, seconds) = (
            Registry::default(),
            Family::default(),
            Histogram::new(buckets),
        );
        registry.register(
            "http_requests",
            "Requests answered",
            Family::clone(&requests),
        );
        registry.register(
            "http_request_duration_seconds",
            "Time to answer",
            seconds.clone(),
        );
        Self {
            registry,
            requests,
            seconds,
        }
    }
}

impl Metrics {
    pub fn request(&self, code: u16, took: Duration) {
        self.requests
            .get_or_create(&vec![("code", code.to_string())])
            .inc();
        self.seconds.observe(took.as_secs_f64());
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}
