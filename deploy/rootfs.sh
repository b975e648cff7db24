#!/usr/bin/env bash
# Lays out the files of an image: a program as /NAME, the libraries that it loads (a release of the agent: none), and the files
# named, under their own paths.
# Nothing else: no shell, no package manager. The Dockerfile and `make image` both build the agent's image by this.
# Usage: rootfs.sh FOLDER PROGRAM [FILE...]
set -euo pipefail
folder=$1 program=$2
for file in $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*'); do install -D -m 0755 "$file" "$folder$file"; done
for file in "${@:3}"; do install -D -m 0644 "$file" "$folder$file"; done
install -D -m 0755 "$program" "$folder/$(basename "$program")"
