//! Bad input on the real node: every error is told with its place, in the status and an Event, and changes nothing in
//! the cluster. An error is never read as absence.

mod agents;
mod apiserver;
mod case;
mod cluster;
mod front;
mod kill;
mod manifests;
mod place;
mod secrets;
mod short;
mod witness;
mod world;
