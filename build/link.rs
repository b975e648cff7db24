//! How the programs are linked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What the standard library and the dependencies ask the linker for, and the archive that has it.
const LIBRARIES: [(&str, &str); 8] = [
    ("c", "libc.a"),
    ("dl", "libdl.a"),
    ("gcc_s", "libgcc_eh.a"),
    ("m", "libm.a"),
    ("pthread", "libpthread.a"),
    ("rt", "librt.a"),
    ("util", "libutil.a"),
    ("z", "libz.a"),
];

/// A release for Linux with glibc is one file that needs no other and lies at its place: most renders take less time than
/// a dynamic linker, which would have to find, map and relocate it. What is allocated, and the stack, still lie where
/// nobody can tell. Where the archives are not installed, the libraries stay shared.
pub fn tell() {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    if !(is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release"))
    {
        return;
    }
    argument("-no-pie");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let ready = archives(&linker, &out).and_then(|()| resolver(&linker, &out));
    match ready {
        Ok(object) => {
            // `+crt-static` would say the same, but to build scripts and macros, too, which cannot be so.
            argument("-static");
            argument(&format!("-L{}", out.display()));
            argument(&object.display().to_string());
        }
        Err(error) => println!("cargo::warning=driftless is linked with shared libraries: {error}"),
    }
}

fn argument(text: &str) {
    println!("cargo::rustc-link-arg-bin=driftless={text}");
}

/// The names of the shared libraries, in `out`, for the archives: rustc asks for those.
fn archives(linker: &str, out: &Path) -> io::Result<()> {
    for (library, archive) in LIBRARIES {
        let found = Command::new(linker)
            .arg(format!("-print-file-name={archive}"))
            .output()?;
        let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        if !Path::new(&path).is_absolute() {
            let message = format!("{archive} is not installed (Debian: libc6-dev, zlib1g-dev)");
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        fs::write(
            out.join(format!("lib{library}.so")),
            format!("INPUT({path})\n"),
        )?;
    }
    Ok(())
}

/// What keeps a program that is one file from loading others when it looks up a host.
fn resolver(linker: &str, out: &Path) -> io::Result<PathBuf> {
    let object = out.join("resolver.o");
    let compiled = Command::new(linker)
        .args(["-O2", "-c", "build/resolver.c", "-o"])
        .arg(&object)
        .status()?;
    if compiled.success() {
        Ok(object)
    } else {
        Err(io::Error::other("build/resolver.c cannot be compiled"))
    }
}
