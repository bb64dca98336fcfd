# The third layer: turns some of it back, and whites out what the second brought.
set -eu
umask 022
long() { head -c "$1" /dev/zero | tr '\0' "$2"; }

rm -r opt/file-directory-file && echo back >opt/file-directory-file
echo again >opt/gone
mkdir -p opt/gone-tree/a && echo again >opt/gone-tree/again
rm opt/opaque/new
rm opt/directory-link && mkdir opt/directory-link && echo again >opt/directory-link/again
echo back >"opt/$(long 255 n)"
rm bin/through
rm opt/linked-later
mkfifo -m 600 run/pipe
