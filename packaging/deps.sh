#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Installs what building, testing and the demo need and this machine lacks, by
# Debian package name. docs/dependencies.md says why each is there.
set -eu
packages="
gcc make pkg-config clang llvm clang-format libc6-dev linux-libc-dev
bpftool libbpf-dev libelf-dev zlib1g-dev
libsodium-dev libconfuse-dev libsystemd-dev
libsofia-sip-ua-dev libprotobuf-c-dev protobuf-c-compiler libzmq3-dev libseccomp-dev
libcmocka-dev spin
iproute2 iptables openssl ethtool util-linux procps iputils-arping iputils-ping man-db python3 jq
baresip-core kamailio sip-tester sipsak tshark tcpdump keepalived
"
missing=
for p in $packages; do
	dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "deps: missing packages:$missing; run: sudo make deps" >&2
	exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
# Packages start services of their own; the lab starts what it needs in its namespaces.
for s in keepalived kamailio; do
	if [ -d /run/systemd/system ]; then systemctl disable -q --now "$s" 2>/dev/null || true; fi
done
