//! The command line: what a person types becomes one call of the modules below. Must hold no decision of its own.

pub mod crds;
