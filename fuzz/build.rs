//! The engine's tables.

#[path = "../build/tables.rs"]
mod tables;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../build/tables.rs");
    tables::write("../");
}
