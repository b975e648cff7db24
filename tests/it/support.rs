//! What the tests stand on: the node, real Git servers, repositories, the agent as a process. Decides nothing about
//! what is right: no assertions on the product here.
#![allow(dead_code, reason = "helpers are used as the tests need them")]

pub mod agent;
pub mod git;
pub mod node;
pub mod process;
pub mod repo;
pub mod status;
pub mod table;
pub mod wait;
pub mod wire;
