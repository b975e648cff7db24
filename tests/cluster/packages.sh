#!/usr/bin/env bash
# Installs the Debian packages that the node, the Git servers of the tests and the demo need; what is there is left alone.
# No service is started: apache2-bin brings none, and sshd is kept from starting while it is installed.
set -euo pipefail
packages=(
  runc containernetworking-plugins nftables iproute2 # the node: containers, their network, Services
  gcc libc6-dev make perl                            # its pause program; the C libraries of the agent
  openssl curl ca-certificates                       # certificates; webhooks; roots of trust for the image
  git apache2-bin openssh-server                     # the two transports of Git
  prometheus                                         # evidence for rollouts
)
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed, and not installable here: ${missing[*]}" >&2
  exit 0 # what needs them says so; what does not goes on
fi

echo "installing Debian packages: ${missing[*]} (about 30 s, once)" >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >"$1" 2>&1; }
log=$(mktemp)
install "$log" || { apt-get update -q >>"$log" 2>&1 && install "$log"; } || { cat "$log" >&2; exit 1; }
rm -f "$log"
