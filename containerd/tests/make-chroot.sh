#!/bin/sh
# usage: make-chroot.sh DIR [SUITE]   makes a Debian 13 (or SUITE: forky has containerd 2.1) in DIR, whose containerd the tests run: LAYERCAGE_CONTAINERD=DIR cargo test
# --manifest-path containerd/Cargo.toml. Needs root, debootstrap and Debian's package archive, and takes about a minute.
set -eu
case ${1:?} in /*) ;; *) echo "an absolute path is needed" >&2; exit 2 ;; esac
exec debootstrap --variant=minbase --include=containerd,runc,docker-registry,docker.io,docker-cli,iptables,ca-certificates \
  "${2:-trixie}" "$1"
