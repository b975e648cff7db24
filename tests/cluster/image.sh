#!/usr/bin/env bash
# Puts a program into an image, and that into a registry, without a container engine.
# Usage: image.sh REFERENCE PROGRAM [SOURCE:TARGET...]
# The program becomes /NAME (the last part of REFERENCE without its tag) and the entry point, and runs as user 65532. The
# image holds it, the libraries that it loads, and the files named: nothing else. With LAYER=FILE the layer is kept as that
# tar file, and nothing is pushed.
set -euo pipefail
BIN=${BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/driftless/testcluster}
reference=$1 program=$2
name=${reference##*/} && name=${name%%:*}

root=$(mktemp -d)
trap 'rm -rf "$root" "$root.tar"' EXIT
for library in $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*'); do install -D -m 0755 "$library" "$root$library"; done
install -m 0755 "$program" "$root/$name"
for file in "${@:3}"; do install -D -m 0644 "${file%%:*}" "$root${file#*:}"; done

# The same files give the same layer, so that an unchanged image is not pushed again.
tar -C "$root" --owner=0 --group=0 --sort=name --mtime=@0 -cf "${LAYER:-$root.tar}" .
[ -z "${LAYER:-}" ] || exit 0
log=$("$BIN/crane" append --new_layer "$root.tar" --new_tag "$reference" 2>&1 &&
  "$BIN/crane" mutate "$reference" --entrypoint "/$name" --user 65532 --set-platform linux/amd64 --tag "$reference" 2>&1) ||
  { echo "$log" >&2; exit 1; }
echo "$reference"
