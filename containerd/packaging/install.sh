#!/bin/sh
# usage: install.sh BINARY   installs layercage-differ as a service, (re)starts it, and prints what is left to do.
#
# It never changes an existing configuration of containerd or an existing policy file. DESTDIR=DIR installs below DIR, and
# starts nothing.
set -eu
fail() {
  echo "install.sh: $1" >&2
  exit "${2:-1}"
}
[ $# -eq 1 ] || fail "usage: install.sh BINARY" 2
binary=$1
here=$(dirname "$0")
root=${DESTDIR:-}

[ -f "$binary" ] && [ -x "$binary" ] || fail "$binary is not a program: build layercage-differ first" 2
[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "run this as root"
version=$(containerd --version) || fail "containerd is not installed"
# Fails with the reason if this version cannot use a differ.
configuration=$("$binary" print-config "$version")

install -D -m 0755 "$binary" "$root/usr/local/bin/layercage-differ"
install -D -m 0644 "$here/layercage-differ.service" "$root/etc/systemd/system/layercage-differ.service"
for page in containerd policy rules; do
  install -D -m 0644 "$here/../../docs/$page.md" "$root/usr/local/share/doc/layercage/$page.md"
done
if [ ! -e "$root/etc/layercage/differ.toml" ]; then
  install -D -m 0644 "$here/differ.toml" "$root/etc/layercage/differ.toml"
fi
if [ -z "$root" ]; then
  layercage=/usr/local/bin/layercage-differ
  "$layercage" check-policy
  systemctl daemon-reload
  systemctl enable layercage-differ.service
  # Not `enable --now`: after an update, the old program would go on.
  systemctl restart layercage-differ.service
  "$layercage" health
fi

if [ ! -e "$root/etc/containerd/config.toml" ]; then
  mkdir -p "$root/etc/containerd"
  printf '%s\n' "$configuration" >"$root/etc/containerd/config.toml"
  echo "1. /etc/containerd/config.toml was written."
else
  {
    echo "# Written by install.sh at each run: do not edit."
    printf '%s\n' "$configuration"
  } >"$root/etc/layercage/containerd.toml"
  echo "1. Put this line at the top of /etc/containerd/config.toml, or add the file to the list \`imports\` if it has one:"
  echo "     imports = [\"/etc/layercage/containerd.toml\"]"
fi
echo "2. Restart containerd: until then, it unpacks with its own differ."
echo "     systemctl restart containerd"
echo "3. Check that every layer is sent to layercage-differ:"
echo "     containerd config dump | layercage-differ check-config - --containerd-version \"\$(containerd --version)\""
