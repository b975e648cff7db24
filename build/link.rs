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

/// What `driftless render` runs, by `tools/render-order.py`.
const ORDER: &str = include_str!("render.order");

/// The objects of this package's library and of its program.
const PROGRAM: &str = "*.driftless.*-cgu.*.o";
/// Those of the program alone.
const MAIN: &str = "*/driftless-????????????????.driftless.*-cgu.*.o";

/// The constants that a render reads, as patterns of object files and of the sections in them: what `tools/render-memory.py
/// --map` says that is read. Small sections of which much is read stand first. Most constants
/// of a crate are told from each other by numbers only: all of them follow, those of the engine near each other, and last what is
/// seldom read.
const CONSTANTS: [(&str, &str); 19] = [
    ("*libc.a:varshift.o", ".rodata"),
    ("*libc.a:dl-load.o", ".rodata.str1.1"),
    ("*libc.a:dl-origin.o", ".rodata.str1.1"),
    ("*libc.a:dl-support.o", ".rodata.str1.1"),
    ("*libc.a:dl-tunables.o", ".rodata.str1.1"),
    ("*libc.a:libc-start.o", ".rodata.str1.1"),
    ("*libcrypto-lib-cpuid.o", ".rodata.*"),
    ("*.std-*.o", ".rodata.cst* .rodata.str*"),
    ("*.alloc-*.o", ".rodata.cst* .rodata.anon.*"),
    ("*.core-*.o", ".rodata.cst* .rodata.anon.*"),
    ("*.sha2-*.o", ".rodata.cst*"),
    ("*.itoa-*.o", ".rodata .rodata.*"),
    (
        PROGRAM,
        ".rodata.cst* .rodata.str* .rodata._RNv*3cli6render*",
    ),
    (PROGRAM, ".rodata..Lswitch*"),
    (PROGRAM, ".rodata..L*"),
    (PROGRAM, ".rodata .rodata.*"),
    ("*.core-*.o", ".rodata .rodata.*"),
    ("*.std-*.o", ".rodata .rodata.*"),
    ("*.granit_parser-*.o", ".rodata .rodata.*"),
];

/// The same for constants that hold addresses.
const ADDRESSES: [(&str, &str); 9] = [
    (MAIN, ".data.rel.ro .data.rel.ro.*"),
    ("*libc.a:C-ctype.o", ".data.rel.ro .data.rel.ro.*"),
    ("*libc.a:dl-*.o", ".data.rel.ro .data.rel.ro.*"),
    ("*.std-*.o", ".data.rel.ro .data.rel.ro.*"),
    ("*.alloc-*.o", ".data.rel.ro .data.rel.ro.*"),
    (PROGRAM, ".data.rel.ro..L*"),
    (PROGRAM, ".data.rel.ro .data.rel.ro.*"),
    ("*.core-*.o", ".data.rel.ro .data.rel.ro.*"),
    ("*.granit_parser-*.o", ".data.rel.ro .data.rel.ro.*"),
];

/// And for variables: of the C library all, they are few.
const VARIABLES: [(&str, &str); 4] = [
    (PROGRAM, ".data .data.*"),
    ("*.sha2-*.o", ".data .data.*"),
    ("*.std-*.o", ".data .data.*"),
    ("*libc.a:*", ".data .data.*"),
];

/// An address at which a piece begins that the kernel maps at once when one page of it is read (its fault-around, 64 KB unless
/// somebody has set it otherwise).
const PIECE: &str = "ALIGN(0x10000)";

/// A release for Linux with glibc is one file that needs no other and lies at its place: most renders take less time than
/// a dynamic linker, which would have to find, map and relocate it. What is allocated, and the stack, still lie where
/// nobody can tell. Where the archives are not installed, the libraries stay shared.
pub fn tell() {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    if is("CARGO_CFG_TARGET_OS", "linux") {
        // Full RELRO: .cargo/config.toml says why rustc is asked for less.
        println!("cargo::rustc-link-arg=-Wl,-z,now");
    }
    if !(is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("PROFILE", "release"))
    {
        return;
    }
    argument("-no-pie");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let ready = archives(&linker, &out).and_then(|()| replacements(&linker, &out));
    match ready {
        Ok(object) => {
            // `+crt-static` would say the same, but to build scripts and macros, too, which cannot be so.
            argument("-static");
            argument(&format!("-L{}", out.display()));
            argument(&object.display().to_string());
            for function in [
                "getaddrinfo",
                "pthread_getattr_np",
                "__register_frame_info",
                "__deregister_frame_info",
            ] {
                argument(&format!("-Wl,--wrap={function}"));
            }
            // Where rustc's own linker is the default one: others read such a script in other ways.
            let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
            let other = ["fuse-ld", "linker-features"];
            if is("CARGO_CFG_TARGET_ARCH", "x86_64") && !other.iter().any(|it| flags.contains(it)) {
                let script = out.join("render.ld");
                fs::write(&script, side_by_side(ORDER)).expect("OUT_DIR can be written to");
                argument(&format!("-Wl,-T,{}", script.display()));
                // Equal texts of all libraries would become one section, from one end of the program to the other.
                argument("-Wl,-O0");
            }
        }
        Err(error) => println!("cargo::warning=driftless is linked with shared libraries: {error}"),
    }
}

/// A linker script by which what a render needs lies side by side in the program, which is twenty times as large. The kernel
/// maps a program in pieces of 64 KB around what is used: that much memory, and time, each scattered function would cost.
fn side_by_side(order: &str) -> String {
    let lines = order.lines().filter(|line| !line.starts_with('#'));
    let run: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(' ')).collect();
    let line = |(object, sections): &(&str, &str)| format!("    {object}({sections})\n");
    let functions: String = run.iter().map(line).collect();
    // Where each function leaps to, by tables that are named like it.
    let tables = run.iter().filter_map(|(object, section)| {
        let function = section.strip_prefix(".text")?;
        (*object == "*").then(|| format!("    *(.rodata{function})\n"))
    });
    let mut libraries: Vec<&str> = run.iter().map(|(object, _)| *object).collect();
    libraries.retain(|object| *object != "*");
    libraries.sort_unstable();
    libraries.dedup();
    let of_libraries = libraries
        .iter()
        .map(|object| format!("    {object}(.rodata .rodata.cst*)\n"));
    let constants: String = tables
        .chain(of_libraries)
        .chain(CONSTANTS.iter().map(line))
        .collect();
    let addresses: String = ADDRESSES.iter().map(line).collect();
    let variables: String = VARIABLES.iter().map(line).collect();
    let rest = |name: &str| format!("    *({name} {name}.*)\n");
    let mut script = String::new();
    for (name, start, content, place) in [
        (
            ".rodata",
            "",
            constants + &rest(".rodata"),
            "AFTER .rela.dyn",
        ),
        (".text", "", functions + &rest(".text"), "AFTER .eh_frame"),
        // The first of the sections that are written only once. As an address: an alignment of the section would be one of
        // every thread's, and cost each 64 KB.
        (".tdata", PIECE, rest(".tdata"), "BEFORE .tbss"),
        (
            ".data.rel.ro",
            "",
            addresses + &rest(".data.rel.ro"),
            "AFTER .init_array",
        ),
        // All addresses that are only known when everything is linked, in front of what is in .data.rel.ro.
        (".got", "", "    *(.got)\n".to_owned(), "AFTER .init_array"),
        (
            ".got.plt",
            "",
            "    *(.got.plt)\n".to_owned(),
            "AFTER .init_array",
        ),
        // Behind .data.rel.ro, whose sections have names of variables, too: the first pattern that matches takes them.
        (".variables", PIECE, variables, "AFTER .data"),
        // What every program runs, in front of .text, not behind all of it.
        (
            ".init",
            "",
            "    KEEP(*(.init))\n".to_owned(),
            "BEFORE .text",
        ),
        (
            ".fini",
            "",
            "    KEEP(*(.fini))\n".to_owned(),
            "BEFORE .text",
        ),
        (".iplt", "", "    *(.iplt)\n".to_owned(), "BEFORE .text"),
    ] {
        script +=
            &format!("SECTIONS {{\n  {name} {start} : {{\n{content}  }}\n}} INSERT {place};\n");
    }
    script
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

/// What stands in for functions of the C library.
fn replacements(linker: &str, out: &Path) -> io::Result<PathBuf> {
    let object = out.join("libc.o");
    let compiled = Command::new(linker)
        .args(["-O2", "-c", "build/libc.c", "-o"])
        .arg(&object)
        .status()?;
    if compiled.success() {
        Ok(object)
    } else {
        Err(io::Error::other("build/libc.c cannot be compiled"))
    }
}
