//! The engine's tables, and how the programs are linked.

use std::env;

#[path = "build/tables.rs"]
mod tables;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    tables::write();
    // Relocating the program's own tables takes longer than most renders: in releases it is linked to its place, once.
    // What is allocated, the stack and the libraries still lie where nobody can tell.
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    if is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release")
    {
        println!("cargo::rustc-link-arg-bin=driftless=-no-pie");
    }
}
