#!/usr/bin/env python3
"""Writes build/render.order: what `driftless render` runs, so that the linker can put it side by side.

    cargo rustc --release --bin driftless -- -C strip=none -C link-args="-Wl,-Map=target/driftless.map -Wl,--no-demangle"
    tools/render-order.py target/release/driftless target/driftless.map DIRECTORY... > build/render.order

Every kustomization below a DIRECTORY is rendered under valgrind's callgrind (Debian: valgrind), which counts the functions that
run; where DIRECTORY holds cases (folders with `input/`, `path.txt` and `cli-flags.txt`), those. What most renders run comes first.

The C library chooses some functions by the processor: their other forms stand beside those that ran here.

A line is a pattern of object files and one of the sections in them. The hashes of crates in the names of functions, which
change with the compiler and with a crate, are left out, so that the order outlives both; what no longer matches anything is of no
harm.
"""
import collections, concurrent.futures, os, pathlib, re, subprocess, sys, tempfile

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")


# What valgrind replaces, or leaves out because it shows a program no vDSO.
HIDDEN = ("pthread_mutex_lock", "pthread_mutex_unlock", "dl-object", "dl-lookup", "dl-setup_hash")
CHOICES = (".text.avx", ".text.evex*")
HIDDEN_CHOICES = ("strcmp",)


def renders(directory):
    """(working directory, arguments) of every render."""
    cases = [case for case in sorted(directory.iterdir()) if (case / "input").is_dir() and (case / "expected.yaml").exists()]
    for case in cases:
        yield case / "input", [*(case / "cli-flags.txt").read_text().split(), (case / "path.txt").read_text().strip() or "."]
    if not cases:
        for folder, _, files in sorted(os.walk(directory)):
            if set(NAMES) & set(files):
                yield directory, [os.path.relpath(folder, directory)]


def functions(binary, directory, arguments):
    """The functions that one render runs."""
    with tempfile.NamedTemporaryFile(suffix=".callgrind") as out:
        subprocess.run(["valgrind", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={out.name}", "--compress-strings=no",
                        "--compress-pos=no", binary, "render", *arguments], cwd=directory, capture_output=True, check=False)
        text = pathlib.Path(out.name).read_text(errors="replace")
    return {name.split("'")[0] for name in re.findall(r"^fn=(\S+)", text, re.M)}


def pattern(name):
    """A name without what changes with the compiler or a dependency, and without characters that a linker script cannot hold."""
    name = re.sub(r"Cs([0-9A-Za-z]{9,13})_", lambda crate: f"Cs{'?' * len(crate[1])}_", name)
    return re.sub(r"\.llvm\.\d+$", ".llvm.*", name).replace("$", "?")


def sections(map_file):
    """The section that holds each symbol, as (object, section), by the linker's map."""
    symbols, inside = {}, None
    for line in map_file.read_text().splitlines():
        row = re.match(r"\s*[0-9a-f]+\s+[0-9a-f]+\s+[0-9a-f]+\s+\d+ (\s*)(.*)", line)
        if row and len(row[1]) == 8:
            place = re.match(r"(.*):\((.*)\)$", row[2])
            inside = (place[1], place[2]) if place and place[2].startswith(".text") else None
        elif row and len(row[1]) > 8 and inside:
            symbols[row[2]] = inside
    return symbols


def main():
    binary, map_file, *directories = map(pathlib.Path, sys.argv[1:])
    binary, symbols = binary.resolve(), sections(map_file)
    todo = [render for directory in directories for render in renders(directory.resolve())]
    runs = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lambda render: {symbols[name] for name in functions(binary, *render) if name in symbols}, todo):
            runs.update(found)
    print(f"# Made by tools/render-order.py from {len(todo)} renders: see there.")
    lines = [f"*libc.a:{name}.o .text" for name in HIDDEN]
    lines += [f"*libc.a:{name}-*.o {section}" for name in HIDDEN_CHOICES for section in CHOICES]
    for (file, section), _ in sorted(runs.items(), key=lambda item: (-item[1], item[0][1], item[0][0])):
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


main()
