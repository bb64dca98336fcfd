#!/usr/bin/env bash
# Compares `layercage export` with `umoci unpack` and GNU tar: both make one archive of an image. They take turns.
#
#   benches/export.sh IMAGE TAG [ROUNDS]
#
# IMAGE is an OCI image layout, and TAG is in it. Needs root and umoci. TMPDIR should be a tmpfs, so that the disk does not
# count. LAYERCAGE names the command; without it, it is built. Prints seconds of each round, and the medians.
set -euo pipefail
image=$(realpath "$1") tag=$2 rounds=${3:-5}
cd "$(dirname "$0")/.."
if [ -z "${LAYERCAGE:-}" ]; then
  cargo build -q --release -p layercage-cli
  LAYERCAGE=${CARGO_TARGET_DIR:-$PWD/target}/release/layercage
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

with_layercage() { "$LAYERCAGE" export --devices create "$image:$tag" "$place/export.tar"; }
with_layercage_alone() { "$LAYERCAGE" export --jobs 1 --devices create "$image:$tag" "$place/export.tar"; }
with_umoci() {
  umoci raw unpack --image "$image:$tag" "$place/rootfs"
  tar -C "$place/rootfs" --numeric-owner --xattrs --xattrs-include='*' -cf "$place/umoci.tar" .
}

seconds() {
  local start=$EPOCHREALTIME
  "$1" >"$place/log" 2>&1 || { cat "$place/log"; exit 1; }
  awk -v start="$start" -v end="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", end - start }'
  rm -rf "$place/rootfs" "$place"/*.tar
}

median() { sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

for ((round = 1; round <= rounds; round++)); do
  for way in layercage layercage_alone umoci; do
    took=$(seconds "with_$way")
    echo "$took" >>"$place/$way.times"
    echo "round $round: $way $took s"
  done
done
umoci=$(median "$place/umoci.times")
for way in layercage layercage_alone; do
  awk -v way="$way" -v ours="$(median "$place/$way.times")" -v theirs="$umoci" \
    'BEGIN { printf "%s %.2f s, umoci and tar %.2f s: %.1f times faster\n", way, ours, theirs, theirs / ours }'
done
