//! Rollouts on the real node, with the demo application as versions of itself, under constant load.

mod by_pods;
mod by_route;
mod lifecycle;
mod load;
mod middle;
mod operations;
mod recovery;
mod scaling;
mod shop;
mod together;
