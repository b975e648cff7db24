#!/usr/bin/env bash
# Runs a command beside a node of its own, which is brought down at its end.
# Usage: with-node.sh CMD..., as in: with-node.sh cargo test --test it drift
# cargo builds outside, where registries are reachable, and starts the test programs inside. Where no node can run (no root,
# not Linux, or NODE=0) the command runs without one, and the tests that need it are reported as skipped, by name; with
# DEMAND_NODE=1 they fail.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ] || [ "${NODE:-1}" = 0 ]; then
  echo "no node here (it needs Linux and root): tests on the cluster are skipped" >&2
  exec "$@"
fi
"$here/packages.sh"
BIN=$("$here/build.sh")
STATE=$(mktemp -d /tmp/driftless.XXXXXX)
export BIN STATE
finish() {
  local status=$?
  if [ $status != 0 ] && [ -d "$STATE/log" ]; then
    logs=$(mktemp -d /tmp/driftless-node-log.XXXXXX)
    cp -r "$STATE/log/." "$logs" || true
    echo "the node's logs: $logs" >&2
  fi
  [ -z "${KEEP:-}" ] || { echo "kept: STATE=$STATE tests/cluster/node.sh exec kubectl get pods -A" >&2; return; }
  "$here/node.sh" down || true
  rm -rf "$STATE"
}
trap finish EXIT
trap 'exit 130' INT TERM
"$here/node.sh" up
export DRIFTLESS_NODE=$STATE
# Every target's variable has its own name; this is the machine's.
runner=CARGO_TARGET_$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER
export "$runner=$here/node.sh exec"
"$@"
