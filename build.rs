//! The engine's tables, and how the programs are linked.

#[path = "build/link.rs"]
mod link;
#[path = "build/tables.rs"]
mod tables;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    tables::write("");
    link::tell();
}
