#!/usr/bin/env bash
# Installs the programs that tests and benchmarks drive, where a package manager lets us; says what is missing elsewhere.
set -u
declare -A package=([node]=nodejs [redis-server]=redis-server [wrk]=wrk [nginx]=nginx-light [curl]=curl [npm]=npm
  [ip]=iproute2 [nft]=nftables [iptables]=iptables)
missing=()
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null
  # A service started by its package would sit on a well-known port; tests start their own.
  printf '#!/bin/sh\nexit 101\n' >/tmp/policy-rc.d.$$ && chmod +x /tmp/policy-rc.d.$$
  had_policy=no; [ -e /usr/sbin/policy-rc.d ] && had_policy=yes
  [ $had_policy = no ] && mv /tmp/policy-rc.d.$$ /usr/sbin/policy-rc.d
  for program in "${missing[@]}"; do apt-get install -qq -y "${package[$program]}" >/dev/null || true; done
  [ $had_policy = no ] && rm -f /usr/sbin/policy-rc.d
  rm -f /tmp/policy-rc.d.$$
fi
for program in "${missing[@]}"; do
  command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] ||
    echo "note: $program is not installed (package ${package[$program]}); what drives it will say so" >&2
done

# Clients for Node, as they are; what they are is locked beside them.
clients="$(dirname "$0")/node"
if [ ! "$clients/node_modules/.package-lock.json" -nt "$clients/package-lock.json" ]; then
  (cd "$clients" && npm ci --silent --no-audit --no-fund) || echo "note: the clients for Node could not be installed" >&2
fi
