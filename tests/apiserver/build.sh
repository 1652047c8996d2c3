#!/usr/bin/env bash
# Builds a real kube-apiserver from Debian's source package into .tools/, and installs etcd for it: five minutes, once.
#
# No package manager has one ready to run.  Debian bookworm has the whole source of Kubernetes
# 1.20: a cluster before native sidecars, so it shows the fallback, and what becomes of whoever forgets to ask for it.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$PWD/.tools/kube-apiserver
if [ -x "$target" ] && command -v etcd >/dev/null; then exit 0; fi
work=$PWD/.tools/kubernetes
mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"

export DEBIAN_FRONTEND=noninteractive
# A service started by its package would sit on a well-known port; tests start their own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get update -qq
apt-get install -qq -y --no-install-recommends golang-go etcd-server dpkg-dev \
  golang-github-modern-go-reflect2-dev >/dev/null
[ -x "$target" ] && exit 0

# The machine's own sources, for source packages, without changing them.
cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null |
  sed -E 's/^Types: .*/Types: deb-src/' >"$work/src.sources" || true
grep -q '^Types:' "$work/src.sources" || sed -nE 's/^deb /deb-src /p' /etc/apt/sources.list >"$work/src.list"
list=$work/src.list; [ -e "$list" ] || list=$work/src.sources
apt="-qq -o Dir::Etc::sourcelist=$list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$work/apt/lists"
apt="$apt -o Dir::Cache=$work/apt/cache -o APT::Sandbox::User=root"
tree=$work/gopath/src/k8s.io/kubernetes
if [ ! -d "$tree" ]; then
  # shellcheck disable=SC2086 # options
  (cd "$work" && apt-get $apt update && apt-get $apt --download-only source kubernetes)
  mkdir -p "$(dirname "$tree")"
  dpkg-source --no-check -x "$work"/kubernetes_*.dsc "$tree" >/dev/null
fi
if [ ! -d "$tree/cmd/kube-apiserver" ]; then
  echo "this Debian's source package of kubernetes has no API server in it; bookworm's has" >&2
  exit 1
fi

export GOPATH=$work/gopath GOCACHE=$work/cache GO111MODULE=off CGO_ENABLED=0 GOFLAGS=
cd "$tree"
# The copy that came with 1.20 walks maps as Go did before 1.18, and crashes in a later one's.
rm -rf vendor/github.com/modern-go/reflect2
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/reflect2
go build -o "$work/openapi-gen" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
packages=$(grep --include='*.go' -rlE '^// \+k8s:openapi-gen=' pkg staging/src | xargs -n1 dirname | sort -u |
  grep -v testdata | sed -e 's#^staging/src/#k8s.io/kubernetes/vendor/#' -e 's#^pkg/#k8s.io/kubernetes/pkg/#' | paste -sd,)
mkdir -p pkg/generated/openapi
"$work/openapi-gen" -i "$packages" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi -h /dev/null \
  -r /dev/null --output-base "$GOPATH/src"
go build -ldflags "-s -w" -o "$target" k8s.io/kubernetes/cmd/kube-apiserver
chmod -R u+w "$work" && rm -rf "$work"
