//! Rollouts on the real node, with the demo application as versions of itself, under constant load.

mod blue_green;
mod by_pods;
mod by_route;
mod in_the_way;
mod load;
mod middle;
mod moments;
mod partition;
mod published;
mod refusals;
mod router;
mod shop;
mod table;
mod testers;
mod unaccepted;
