#!/usr/bin/env python3
"""Writes build/render.order: what `driftless render` runs, so that the linker can put it side by side.

    cargo rustc --release --bin driftless -- -C strip=none -C link-args="-Wl,-Map=target/driftless.map -Wl,--no-demangle"
    tools/render-order.py target/release/driftless target/driftless.map DIRECTORY... > build/render.order

Every kustomization below a DIRECTORY is rendered under valgrind's callgrind (Debian: valgrind), which tells the
instructions that run; where DIRECTORY holds cases (folders with `input/`, `path.txt` and `cli-flags.txt`), those.

The C library chooses some functions by the processor: their forms for AVX2 and AVX-512 stand beside those that ran here. What else
valgrind does not show, or another build would run, is named below.

A line is a pattern of object files and one of the sections in them. The hashes of crates in the names of functions, which
change with the compiler and with a crate, are left out, so that the order outlives both; what no longer matches anything is of no
harm.
"""
import bisect, collections, concurrent.futures, os, pathlib, re, subprocess, sys, tempfile

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")


# What valgrind replaces, or leaves out because it shows a program no vDSO.
HIDDEN = ("pthread_mutex_lock", "pthread_mutex_unlock", "dl-object", "dl-lookup", "dl-setup_hash")
CHOICES = (".text.avx", ".text.evex*")
HIDDEN_CHOICES = ("strcmp",)
# What runs on processors with instructions that valgrind does not know.
NEWER = (".text._RNvNtNtCs???????????_4sha26sha2567x86_sha8compress",)
# What each crate has a copy of: which one a program runs differs between two builds, as those of `cargo build` and `cargo bench`.
COPIES = (
    ".text._RNvCs???????????_7___rustc14___rust_realloc",
    ".text*._RNvMs4_NtCs???????????_5alloc7raw_vecNtB5_11RawVecInner*_5gimli",
    ".text._RNvMs3_NtCs???????????_5alloc7raw_vecINtB5_6RawVec*_12clap_builder*8grow_one*",
)


def renders(directory):
    """(working directory, arguments) of every render."""
    cases = [case for case in sorted(directory.iterdir()) if (case / "input").is_dir() and (case / "expected.yaml").exists()]
    for case in cases:
        yield case / "input", [*(case / "cli-flags.txt").read_text().split(), (case / "path.txt").read_text().strip() or "."]
    if not cases:
        for folder, _, files in sorted(os.walk(directory)):
            if set(NAMES) & set(files):
                yield directory, [os.path.relpath(folder, directory)]


def instructions(binary, directory, arguments):
    """The addresses of the instructions that one render runs."""
    with tempfile.NamedTemporaryFile(suffix=".callgrind") as out:
        subprocess.run(["valgrind", "--tool=callgrind", "--dump-instr=yes", "--compress-strings=no", "--compress-pos=no",
                        f"--callgrind-out-file={out.name}", binary, "render", *arguments],
                       cwd=directory, capture_output=True, check=False)
        text = pathlib.Path(out.name).read_text(errors="replace")
    found = {int(address, 16) for address in re.findall(r"^0x([0-9a-f]+) ", text, re.M)}
    return found or sys.exit(f"valgrind saw nothing of: {binary} render {' '.join(arguments)}, in {directory}")


def pattern(name):
    """A name without what changes with the compiler or a dependency, and without characters that a linker script cannot hold."""
    name = re.sub(r"Cs([0-9A-Za-z]{9,13})_", lambda crate: f"Cs{'?' * len(crate[1])}_", name)
    return re.sub(r"\.llvm\.\d+$", ".llvm.*", name).replace("$", "?")


def sections(map_file):
    """The sections of functions by the linker's map: first address, the one behind the last, object and section, in order."""
    found = []
    for line in map_file.read_text().splitlines():
        row = re.match(r"\s*([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+ {9}(\S.*):\((\.text.*)\)$", line)
        if row and int(row[2], 16):
            start = int(row[1], 16)
            found.append((start, start + int(row[2], 16), row[3], row[4]))
    return sorted(found)


def run_sections(sections, addresses):
    """The sections that hold the addresses, as (object, section)."""
    starts = [start for start, *_ in sections]
    inside = (sections[bisect.bisect(starts, address) - 1] + (address,) for address in addresses if address >= starts[0])
    return {(file, section) for _, end, file, section, address in inside if address < end}


def in_order(runs, count):
    """What a third of the renders runs, most of them first; then the rest, each beside what the same renders run."""
    ordered = sorted(runs, key=lambda place: (-len(runs[place]), place))
    result = [place for place in ordered if 3 * len(runs[place]) >= count]
    rest = ordered[len(result):]
    while rest:
        last = runs[result[-1]]
        rest.sort(key=lambda place: (len(runs[place] & last) / len(runs[place] | last), len(runs[place])))
        result.append(rest.pop())
    return result


def main():
    binary, map_file, *directories = map(pathlib.Path, sys.argv[1:])
    binary, all_sections = binary.resolve(), sections(map_file)
    todo = [render for directory in directories for render in renders(directory.resolve())]
    runs = collections.defaultdict(set)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for render, addresses in enumerate(pool.map(lambda render: instructions(binary, *render), todo)):
            for place in run_sections(all_sections, addresses):
                runs[place].add(render)
    print(f"# Made by tools/render-order.py from {len(todo)} renders: see there.")
    lines = [f"*libc.a:{name}.o .text" for name in HIDDEN]
    lines += [f"*libc.a:{name}-*.o {section}" for name in HIDDEN_CHOICES for section in CHOICES]
    lines += [f"* {section}" for section in NEWER + COPIES]
    for file, section in in_order(runs, len(todo)):
        archive = re.match(r".*/([^/]+\.a)\((.*)\)$", file)
        if archive and (choice := re.match(r"([a-z]+)-.*[.]o", archive[2])) and section.startswith(".text.avx"):
            lines += [f"*libc.a:{choice[1]}-*.o {section}" for section in CHOICES]
        elif archive:
            lines.append(f"*{re.sub(r'-[0-9.]+[.]a$', '*.a', archive[1])}:{archive[2]} {section}")
        elif member := re.match(r".*\.rlib\((?:[0-9a-f]{16}-)?(.*)\)$", file):
            lines.append(f"*{member[1]} {section}")
        elif not re.search(r"\.rcgu\.o$", file):
            lines.append(f"*{file.rsplit('/', 1)[1]} {section}")
        else:
            lines.append(f"* {pattern(section)}")
    print("\n".join(dict.fromkeys(lines)))


if __name__ == "__main__":
    main()
