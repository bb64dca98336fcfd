#!/usr/bin/env bash
# Prints the root filesystem that the image world/ means: this is how world.list was made.
#
#   ./list-world.sh [IMAGE] >world.list        IMAGE: the layout to read (default: world beside this script)
#
# The image is unpacked twice, independently: by umoci, and by GNU tar, layer upon layer, with the
# image-spec's rules for whiteouts and for changes of type done by hand. Both trees are listed with find,
# sha256sum and getfattr; unless the two listings are the same, byte for byte, nothing is printed and
# the exit code is 1. Sizes and digests of all blobs, and all diff IDs, are checked first.
#
# Needs root, a temporary directory that keeps user.*, security.capability and ACLs (TMPDIR), and
# umoci, GNU tar, jq, gzip, zstd, find, sha256sum, getfattr, setfattr.
#
# Two things are not left to the tools, where they differ from one another or from the image-spec's layer.md:
#
# 1. Parents that no layer lists (opt/implied, opt/implied/by). The spec says nothing of their attributes.
#    umoci and GNU tar make them 0755 and 0:0, and give them the time of the unpacking; the listing says time 0.
# 2. Times of directories. "If the entry and the existing path are both directories, then the existing path's
#    attributes MUST be replaced by those of the entry in the changeset", and mtime is an attribute: a directory
#    has the time of the last entry that named it. GNU tar lets what is added or removed later change the times of
#    directories which the layer does not name: they are put back by hand. umoci puts them back by itself, but
#    for etc/conf.d/sub, which layer 5 names before the opaque marker of its parent: what umoci then removes
#    from it gives it the time of the unpacking.
#
# The image keeps to what umoci 0.4.7 is otherwise right about.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022
here=$(cd "$(dirname "$0")" && pwd)
image=$(realpath "${1:-$here/world}")
[ "$(id -u)" = 0 ] || { echo "list-world.sh: must be root" >&2; exit 2; }
for tool in umoci tar jq gzip zstd find sha256sum getfattr setfattr; do
  command -v "$tool" >/dev/null || { echo "list-world.sh: $tool is missing" >&2; exit 2; }
done
die() { echo "list-world.sh: $*" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- every blob is what its descriptor says ----------------------------------------------------
checked() { # checked DESCRIPTOR: prints the blob's path
  local digest size file
  digest=$(jq -r .digest <<<"$1"); size=$(jq -r .size <<<"$1"); file=$image/blobs/sha256/${digest#sha256:}
  [ "$(stat -c %s "$file")" = "$size" ] || die "$digest: the size differs"
  echo "${digest#sha256:}  $file" | sha256sum --check --quiet >&2 || die "$digest: the digest differs"
  echo "$file"
}
manifest=$(checked "$(jq -c '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == "latest")' "$image/index.json")")
config=$(checked "$(jq -c .config "$manifest")")
count=$(jq '.layers | length' "$manifest")
[ "$count" = "$(jq '.rootfs.diff_ids | length' "$config")" ] || die "layers and diff IDs differ in number"
mkdir -p "$work/plain/blobs/sha256"
for ((i = 0; i < count; i++)); do
  blob=$(checked "$(jq -c ".layers[$i]" "$manifest")")
  case $(jq -r ".layers[$i].mediaType" "$manifest") in
    *.tar+gzip) gzip -dc "$blob" ;;
    *.tar+zstd) zstd -dqc "$blob" ;;
    *.tar) cat "$blob" ;;
    *) die "unknown media type" ;;
  esac >"$work/layer-$i.tar"
  id=$(jq -r ".rootfs.diff_ids[$i]" "$config")
  echo "${id#sha256:}  $work/layer-$i.tar" | sha256sum --check --quiet >&2 || die "layer $i: the diff ID differs"
  ln "$work/layer-$i.tar" "$work/plain/blobs/sha256/${id#sha256:}"
done

# ---- once by umoci -----------------------------------------------------------------------------
# umoci 0.4 reads no zstd, so it gets the same layers uncompressed: the blobs are then the diff IDs
put() { local digest; digest=$(sha256sum <"$1"); digest=${digest%% *}; cp "$1" "$work/plain/blobs/sha256/$digest"; echo "sha256:$digest"; }
put "$config" >/dev/null
cp "$image/oci-layout" "$work/plain/"
stat -c %s "$work"/layer-*.tar | jq -s --slurpfile m "$manifest" --slurpfile c "$config" \
  '. as $sizes | $m[0] | .layers = [range($sizes | length) | {mediaType: "application/vnd.oci.image.layer.v1.tar", digest: $c[0].rootfs.diff_ids[.], size: $sizes[.]}]' >"$work/manifest"
jq --arg d "$(put "$work/manifest")" --argjson s "$(stat -c %s "$work/manifest")" '.manifests |= map(.digest = $d | .size = $s)' \
  "$image/index.json" >"$work/plain/index.json"
umoci unpack --image "$work/plain:latest" "$work/bundle" >/dev/null
touch -d @0 "$work/bundle/rootfs/opt/implied" "$work/bundle/rootfs/opt/implied/by"      # 1. above
touch -d @1700004000 "$work/bundle/rootfs/etc/conf.d/sub"                                # 2. above

# ---- once by GNU tar ---------------------------------------------------------------------------
root=$work/root
mkdir "$root"
touch -d @0 "$root"
apply() { # apply TAR: onto $root
  # the layer's names, in its order, each with its type; names under var/run, which is a link to /run,
  # are rewritten, as tar would go to this machine's /run
  local under_run='s,^var/run/,run/,'
  paste -d ' ' <(tar -Ptvf "$1" | cut -c1) <(tar -P --quoting-style=literal -tf "$1" | sed -E 's,^(\./|/)+,,; s,/+$,,; s,^$,.,'";$under_run") >"$work/entries"
  cut -c3- "$work/entries" | sort -u >"$work/named"
  ( cd "$root"
    find . -type d -printf '%P\t%T@\n' | sed 's,^\t,.\t,' >"$work/before"
    local entry type path dir base name
    # layer.md, "Whiteouts": "Whiteout files MUST only apply to resources in lower/parent layers", and an opaque
    # one "is applied first [...] regardless of the ordering": so all of them come before anything of this layer
    while IFS= read -r path; do
      base=${path##*/}; dir=.; [ "$base" = "$path" ] || dir=${path%/*}
      case $base in
        .wh..wh..opq) find "$dir" -mindepth 1 -delete ;;
        .wh.*) rm -rf -- "$dir/${base#.wh.}" ;;
      esac
    done < <(cut -c3- "$work/entries")
    # layer.md, "Changeset over existing files": a directory's attributes are replaced when the entry is one too
    # (tar adds extended attributes and removes none); "in all other cases", the path is removed and made anew
    while IFS= read -r entry; do
      type=${entry:0:1}; path=${entry:2}
      case ${path##*/} in .wh.*) continue ;; esac
      [ -e "$path" ] || [ -L "$path" ] || continue
      if [ "$type" = d ] && [ -d "$path" ] && [ ! -L "$path" ]; then
        getfattr -d -m - --absolute-names -- "$path" | sed -n 's,=.*,,p' | while IFS= read -r name; do setfattr -x "$name" -- "$path"; done
      else
        rm -rf -- "$path"
      fi
    done <"$work/entries" )
  tar -C "$root" --exclude='.wh.*' --transform "${under_run}rSH;s,^/,,RSh" --numeric-owner --xattrs --xattrs-include='*' --warning=no-timestamp -xpf "$1"
  # 1. and 2. above
  ( cd "$root"
    while IFS=$'\t' read -r path time; do
      if [ -d "$path" ] && [ ! -L "$path" ] && ! grep -qxF -- "$path" "$work/named"; then touch -d "@$time" -- "$path"; fi
    done <"$work/before"
    find . -mindepth 1 -type d -printf '%P\n' | while IFS= read -r path; do
      grep -qxF -- "$path" "$work/named" || cut -f1 "$work/before" | grep -qxF -- "$path" || touch -d @0 -- "$path"
    done )
}
for ((i = 0; i < count; i++)); do apply "$work/layer-$i.tar"; done

# ---- the listing -------------------------------------------------------------------------------
escape() { # escape BYTES: sets $escaped
  local i c
  escaped=
  if [[ $1 != *[!\!-\[\]-~]* ]]; then escaped=$1; return; fi
  for ((i = 0; i < ${#1}; i++)); do
    c=${1:i:1}
    case $c in
      [!\!-~] | \\) printf -v c '\\x%02x' "'$c" ;;
    esac
    escaped+=$c
  done
}
list() { # list ROOT
  cd "$1"
  local path kind mode uid gid size time target inode links line escaped name value
  local -A sums first
  while IFS= read -r -d '' line; do sums[${line:66}]=${line:0:64}; done \
    < <(find . -type f -print0 | xargs -0 sha256sum --zero)
  # the smallest name of each inode that has several
  while IFS= read -r -d '' line; do
    inode=${line%% *}; escape "${line#* }"
    [[ -n ${first[$inode]:-} && ! $escaped < ${first[$inode]} ]] || first[$inode]=$escaped
  done < <(find . ! -type d -links +1 -printf '%i %P\0')
  while IFS= read -r -d '' path && IFS= read -r -d '' kind && IFS= read -r -d '' mode && IFS= read -r -d '' uid && IFS= read -r -d '' gid &&
    IFS= read -r -d '' size && IFS= read -r -d '' time && IFS= read -r -d '' inode && IFS= read -r -d '' links && IFS= read -r -d '' target; do
    escape "${path:-.}"; line=$escaped
    case $kind in
      f) line+=" type=file" ;; d) line+=" type=dir" ;; l) line+=" type=symlink" ;; p) line+=" type=fifo" ;;
      *) die "$path: unexpected type $kind" ;;
    esac
    [ "$kind" = l ] || { printf -v mode '%04o' "0$mode"; line+=" mode=$mode"; }
    line+=" uid=$uid gid=$gid"
    [ "$kind" != f ] || line+=" size=$size sha256=${sums[./$path]}"
    [ "$kind" != l ] || { escape "$target"; line+=" target=$escaped"; }
    [ "$kind" = d ] || [ "$links" = 1 ] || line+=" hardlink=${first[$inode]}"
    while IFS='=' read -r name value; do
      [ -z "$name" ] || [ "${name:0:1}" = '#' ] || line+=" xattr.$name=${value#0x}"
    done < <(getfattr -h -d -m - -e hex --absolute-names -- "./$path" | sort)
    printf '%s mtime=%s\n' "$line" "${time:0:-1}"
  done < <(find . -printf '%P\0%y\0%m\0%U\0%G\0%s\0%T@\0%i\0%n\0%l\0') | sort
}
list "$work/bundle/rootfs" >"$work/umoci.list"
list "$root" >"$work/tar.list"
diff -u --label umoci --label tar "$work/umoci.list" "$work/tar.list" >&2 || die "umoci and GNU tar unpack different trees"

cat <<'HEADER'
# The root filesystem of the image world/, one path a line, sorted bytewise. Made by list-world.sh.
#
#   PATH KEY=VALUE ...       separated by single spaces, in this order:
#   type=                    file, dir, symlink or fifo
#   mode=                    four octal digits: permissions, setuid, setgid, sticky (none for symlinks)
#   uid= gid=                decimal
#   size= sha256=            files
#   target=                  symlinks
#   hardlink=                the smallest path of all names of this inode; absent when it has one name
#   xattr.NAME=              value in hex; by name, as many as there are
#   mtime=                   seconds since 1970, a point, nine digits; with a sign before 1970
#
# The root is ".". In PATH, target and hardlink, a byte other than !..~, and \, is written \xNN.
HEADER
cat "$work/umoci.list"
