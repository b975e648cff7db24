#!/usr/bin/env bash
# Puts a program into an image, and that into a registry, without a container engine.
# Usage: image.sh REFERENCE PROGRAM [FILE...]
# The image holds the program as /PROGRAM, the libraries that it loads, and the files named (deploy/rootfs.sh). The program
# is the entry point and runs as user 65532. With LAYER=FILE the layer is kept as that tar file, and nothing is pushed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
BIN=${BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/driftless/testcluster}
reference=$1 program=$2

root=$(mktemp -d)
trap 'rm -rf "$root" "$root.tar"' EXIT
"$here/../../deploy/rootfs.sh" "$root" "$program" "${@:3}"
chmod 755 "$root"
# The same files give the same layer, so that what a registry has is not pushed again.
tar -C "$root" --owner=0 --group=0 --sort=name --mtime=@0 -cf "${LAYER:-$root.tar}" .
[ -z "${LAYER:-}" ] || exit 0
log=$("$BIN/crane" append --new_layer "$root.tar" --new_tag "$reference" 2>&1 &&
  "$BIN/crane" mutate "$reference" --entrypoint "/$(basename "$program")" --user 65532 --set-platform linux/amd64 \
    --tag "$reference" 2>&1) || { echo "$log" >&2; exit 1; }
echo "$reference"
