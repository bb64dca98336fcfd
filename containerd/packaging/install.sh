#!/bin/sh
# usage: install.sh BINARY   installs layercage-differ as a service, starts it, and says what containerd's configuration needs.
#
# It changes no configuration that is there: it writes /etc/containerd/config.toml only if there is none. DESTDIR=DIR installs
# below DIR, and starts nothing.
set -eu
binary=${1:?usage: install.sh BINARY}
here=$(dirname "$0")
root=${DESTDIR:-}

version=$(containerd --version) || { echo "install.sh: containerd is not installed" >&2; exit 1; }
# Fails with the reason if this version cannot use a differ.
configuration=$("$binary" print-config "$version")

install -D -m 0755 "$binary" "$root/usr/local/bin/layercage-differ"
install -D -m 0644 "$here/layercage-differ.service" "$root/etc/systemd/system/layercage-differ.service"
if [ ! -e "$root/etc/layercage/differ.toml" ]; then
  install -D -m 0644 "$here/differ.toml" "$root/etc/layercage/differ.toml"
fi
if [ -z "$root" ]; then
  systemctl daemon-reload
  systemctl enable layercage-differ.service
  systemctl restart layercage-differ.service
  layercage-differ health
fi

if [ ! -e "$root/etc/containerd/config.toml" ]; then
  mkdir -p "$root/etc/containerd"
  printf '%s\n' "$configuration" >"$root/etc/containerd/config.toml"
  echo "written: /etc/containerd/config.toml. Restart containerd to use it."
else
  printf '%s\n' "$configuration" >"$root/etc/layercage/containerd.toml"
  echo "/etc/containerd/config.toml stays as it is. Add this line at its top (or the file to the imports that it has):"
  echo "  imports = [\"/etc/layercage/containerd.toml\"]"
  echo "and then: systemctl restart containerd"
fi
echo "After that, this checks that the configuration sends every layer to layercage-differ:"
echo "  containerd config dump | layercage-differ check-config - --containerd-version \"\$(containerd --version)\""
