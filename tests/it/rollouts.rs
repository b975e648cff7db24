//! Rollouts on the real node, with the demo application as versions of itself, under constant load.

mod blue_green;
mod by_pods;
mod by_route;
mod denied;
mod edited;
mod evidence;
mod in_the_way;
mod lifecycle;
mod load;
mod metrics;
mod middle;
mod moments;
mod operations;
mod partition;
mod prometheus;
mod published;
mod recovery;
mod refusals;
mod router;
mod scaling;
mod shop;
mod table;
mod testers;
mod together;
mod unaccepted;
