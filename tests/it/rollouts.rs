//! Rollouts on the real node, with the demo application as versions of itself, under constant load.

mod by_pods;
mod by_route;
mod load;
mod middle;
mod shop;
