//! Rollouts on the real node, with the demo application as versions of itself, under constant load.

mod by_pods;
mod by_route;
mod evidence;
mod load;
mod metrics;
mod middle;
mod prometheus;
mod shop;
