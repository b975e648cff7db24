//! Rollouts: what holds a change to a workload back until it has proved itself. The state machine ([`machine`]) and what
//! it makes of the desired objects ([`stage`]). Must not talk to the cluster, look at a clock, or write a log.

pub mod autoscaler;
pub mod job;
pub mod machine;
pub mod names;
pub mod order;
mod pin;
pub mod pods;
pub mod policy;
pub mod query;
pub mod reach;
mod share;
pub mod stage;
pub mod traffic;

/// `canary` on the pods, and the objects, that exist only for a rollout.
pub const TRACK_LABEL: &str = "driftless.dev/track";
/// On everything that exists, or is changed, only for a rollout: the first 10 digits of the change.
pub const ROLLOUT_LABEL: &str = "driftless.dev/rollout";
/// The name of the check, on its Job and the pods of that.
pub const CHECK_LABEL: &str = "driftless.dev/check";
/// `"true"` on a workload whose references to configuration are to content-named copies.
pub const PINNED_ANNOTATION: &str = "driftless.dev/pinned";
/// `never`: the object is applied though its revision is held back.
pub const HOLD_ANNOTATION: &str = "driftless.dev/hold";
/// What a person asks of the rollouts of an Environment: `TIME COMMAND [WORKLOAD]`.
pub const COMMAND_ANNOTATION: &str = "driftless.dev/rollout";
