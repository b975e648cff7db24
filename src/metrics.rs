//! temporary
use std::time::Duration;
#[derive(Default)]
pub struct Metrics;
impl Metrics {
    pub fn looked(&self, _: &str, _: bool, _: Duration) {}
    pub fn rendered(&self, _: &str) {}
    pub fn applied(&self, _: &str) {}
    pub fn deleted(&self, _: &str) {}
    pub fn drift_repaired(&self, _: &str) {}
    pub fn environment(&self, _: &str, _: &crate::api::EnvironmentStatus) {}
    pub fn forget(&self, _: &str) {}
    pub fn leads(&self, _: bool) {}
    pub fn passed(&self, _: &str, _: bool, _: Duration) {}
}
