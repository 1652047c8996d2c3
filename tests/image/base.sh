#!/usr/bin/env bash
# Makes a base image where no registry can be reached: Debian's own Python, and the authorities that this machine trusts.
# Installs what that takes; prints the image's name.  Made once; `buildah rmi` it to make it anew.
set -euo pipefail
name=localhost/python-base:${1:-bookworm}
missing=()
for program in buildah debootstrap runc; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2
fi
if ! buildah inspect --type image "$name" >/dev/null 2>&1; then
  rootfs=$(mktemp -d)
  trap 'rm -rf "$rootfs"' EXIT
  debootstrap --variant=minbase --include=python3,ca-certificates "${1:-bookworm}" "$rootfs" >&2
  rm -rf "$rootfs"/var/cache/apt/* "$rootfs"/var/lib/apt/lists/* "$rootfs"/usr/share/{doc,man,locale}
  cp /etc/ssl/certs/ca-certificates.crt "$rootfs/etc/ssl/certs/ca-certificates.crt"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$rootfs" / >&2
  buildah commit --quiet --rm "$container" "$name" >&2
fi
echo "$name"
