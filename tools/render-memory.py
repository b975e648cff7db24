#!/usr/bin/env python3
"""Shows what memory `driftless render` costs, and what of the program's constants and variables it reads: for build/link.rs.

    cargo rustc --release --bin driftless -- -C strip=none -C link-args="-Wl,-Map=target/driftless.map -Wl,--no-demangle"
    tools/render-memory.py [--map target/driftless.map] target/release/driftless DIRECTORY...

Every tenth kustomization below a DIRECTORY is rendered (--every N for others), and looked at as it ends: how much of each mapping is
resident, and of which pieces of 64 KB, which the kernel maps at once. With --map also under valgrind's lackey (Debian: valgrind): which
sections are read or written, and by how many of the renders. valgrind sees neither what the kernel reads (`strace -e raw=all` shows addresses)
nor what the C library's functions for newer processors read; a piece that is mapped though nothing of it seems to be read is of these.

The kernel maps more at once of a file that was written in large pieces, as by `cp`: measure what cargo has linked.
"""
import argparse, bisect, collections, importlib.machinery, importlib.util, os, pathlib, re, struct, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def program(path):
    """What one of the project's other programs defines."""
    loader = importlib.machinery.SourceFileLoader(path.stem.replace("-", "_"), str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


renders = program(ROOT / "tools/render-order.py").renders
at_its_end = program(ROOT / "benches/processes").at_its_end


def mappings(process):
    """(name and rights, first address, the one behind the last, of a file or not) of each mapping."""
    for line in pathlib.Path(f"/proc/{process}/maps").read_text().splitlines():
        addresses, rights, _, _, inode, *name = line.split(maxsplit=5)
        start, end = (int(address, 16) for address in addresses.split("-"))
        of_file = inode != "0"
        name = (os.path.basename(name[0]) + (f" {start:x}" if of_file else "")) if name else "anonymous"
        yield f"{name} {rights}", start, end, of_file


def resident(process):
    """Mapped KB of each mapping, and mapped pages of each piece of the program."""
    sizes, pieces = collections.Counter(), collections.Counter()
    with open(f"/proc/{process}/pagemap", "rb") as pagemap:
        for name, start, end, of_file in mappings(process):
            if start >> 47:
                continue  # the kernel's own
            pagemap.seek((start >> 12) * 8)
            entries = struct.iter_unpack("<Q", pagemap.read((end - start >> 12) * 8))
            for page in (start + (number << 12) for number, (entry,) in enumerate(entries) if entry >> 63):
                sizes[name] += 4
                if of_file:
                    pieces[page >> 16] += 1
    return sizes, pieces


def sections(map_file):
    """The sections of constants and variables, by the linker's map: address, size, object and section, in order."""
    found = []
    for line in map_file.read_text().splitlines():
        row = re.match(r"\s*([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+ {9}(\S.*):\((\.(?:rodata|data|got).*)\)$", line)
        if row and int(row[1], 16) and int(row[2], 16):
            found.append((int(row[1], 16), int(row[2], 16), row[3].rsplit("/", 1)[-1], row[4]))
    return sorted(found)


def read(binary, directory, arguments, known):
    """Which of the sections one render reads."""
    starts = [address for address, *_ in known]
    with tempfile.NamedTemporaryFile("r", suffix=".lackey") as out:
        subprocess.run(["valgrind", "--tool=lackey", "--trace-mem=yes", "--basic-counts=no", f"--log-file={out.name}",
                        binary, "render", *arguments], cwd=directory, capture_output=True, check=False)
        loads = {int(row[1], 16) for line in out if (row := re.match(r" [LSM] ([0-9a-f]+),", line))}
    if not loads:
        sys.exit(f"valgrind saw nothing of: {binary} render {' '.join(arguments)}, in {directory}")
    places = ((bisect.bisect(starts, address) - 1, address) for address in loads if address >= starts[0])
    return {number for number, address in places if address < known[number][0] + known[number][1]}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--map", type=pathlib.Path)
    options.add_argument("--every", type=int, default=10)
    options.add_argument("binary", type=pathlib.Path)
    options.add_argument("directories", type=pathlib.Path, nargs="+", metavar="DIRECTORY")
    options = options.parse_args()
    binary = str(options.binary.resolve())
    todo = [one for directory in options.directories for one in renders(directory.resolve())][::options.every]
    known = sections(options.map) if options.map else []
    if not todo or (options.map and not known):
        sys.exit("no kustomization there" if not todo else f"{options.map} is no map of lld's")
    sizes, pieces = collections.Counter(), collections.Counter()
    for directory, arguments in todo:
        seen = at_its_end([binary, "render", *arguments], directory, resident)
        of_mappings, of_pieces = seen or sys.exit(f"{binary} cannot be run, or not be traced")
        sizes.update(of_mappings)
        pieces.update(of_pieces)
    count = len(todo)
    print(f"mean of {count} renders as they end, in KB; {sum(sizes.values()) / count:.0f} in all\n")
    for name, size in sizes.items():
        print(f"{size / count:8.1f}  {name}")
    print("\npieces of the program, and how many of their 16 pages are mapped\n")
    for piece in sorted(pieces):
        print(f"{piece << 16:#10x}  {pieces[piece] / count:.1f}")
    if known:
        readers = collections.Counter(number for one in todo for number in read(binary, *one, known))
        print("\nwhat is read or written: address, size, by how many renders, object and section\n")
        for number, readings in sorted(readers.items()):
            address, size, file, section = known[number]
            print(f"{address:#10x}  {size:6}  {readings:4}  {file} {section}")


main()
