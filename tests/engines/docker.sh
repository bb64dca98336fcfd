#!/usr/bin/env bash
# Starts a Docker and a containerd of their own, in directories of their own, without any network, and runs the test
# that compares what they save with what they mount. Needs root.
#
#   docker.sh NAME BUSYBOX [ROOT]
#
# NAME is how the tables of docker.rs call these engines. BUSYBOX is one that is linked statically (Debian's package
# busybox-static). ROOT is another root in which Docker and containerd are installed, such as debootstrap makes; without
# it, they are those of this machine.
set -euo pipefail
name=$1 busybox=$(realpath "$2") root=${3:-/}
here=$(cd "$(dirname "$0")/../.." && pwd)
# Its own mounts: nothing that an engine mounts is left behind, or is seen by others.
if [ -z "${LAYERCAGE_UNSHARED:-}" ]; then
  exec env LAYERCAGE_UNSHARED=1 unshare --mount --propagation private -- bash "$0" "$@"
fi
inside=(env)
temporary=/var/tmp
if [ "$root" = / ]; then temporary=${TMPDIR:-/var/tmp}; fi
place=$(mktemp -d "${root%/}$temporary/engines.XXXXXX")
within=${place#"${root%/}"}
if [ "$root" != / ]; then
  inside=(chroot "$root" env TMPDIR=/tmp)
  # dockerd makes its root private for mounts, which takes that it is a mount point.
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/run"
else
  mount -t tmpfs tmpfs /run
fi
docker=("${inside[@]}" docker -H "unix://$within/docker.sock")
daemons=()
stop() {
  # A container that a failed test has left outlives its daemon.
  "${docker[@]}" ps -aq | xargs -r "${docker[@]}" rm -f >/dev/null || true
  for daemon in "${daemons[@]}"; do kill "$daemon" 2>/dev/null || true; done
  for daemon in "${daemons[@]}"; do wait "$daemon" 2>/dev/null || true; done
  awk -v place="$within/" 'index($5, place) {print $5}' /proc/self/mountinfo | tac | xargs -r -n1 umount -l || true
  rm -rf --one-file-system "$place"
}
trap stop EXIT

"${inside[@]}" containerd --root "$within/containerd" --state "$within/state" --address "$within/containerd.sock" \
  >"$place/containerd.log" 2>&1 &
daemons+=($!)
"${inside[@]}" dockerd --iptables=false --ip6tables=false --bridge=none --data-root "$within/docker" --exec-root "$within/exec" \
  --storage-driver overlay2 -H "unix://$within/docker.sock" -p "$within/docker.pid" >"$place/docker.log" 2>&1 &
daemons+=($!)
for _ in $(seq 100); do
  "${docker[@]}" version >/dev/null 2>&1 && [ -S "$place/containerd.sock" ] && break
  sleep 0.2
done
"${docker[@]}" version --format '{{.Server.Version}}' || { tail -20 "$place/docker.log"; exit 1; }
"${inside[@]}" containerd --version

cp "$busybox" "$place/busybox"
tar -C "$place" --mtime=@0 --owner=0 --group=0 -cf - busybox | "${docker[@]}" import - awkward:base

cd "$here"
LAYERCAGE_ENGINE=$name LAYERCAGE_ENGINE_ROOT=$root LAYERCAGE_ENGINE_PLACE=$within LAYERCAGE_DOCKER="${docker[*]}" \
  LAYERCAGE_CTR="${inside[*]} ctr -a $within/containerd.sock -n layercage" \
  cargo test -p layercage --test engines docker:: -- --ignored --nocapture
