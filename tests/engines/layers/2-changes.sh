# The second layer: removes, replaces and touches what the first has.
set -eu
umask 022
long() { head -c "$1" /dev/zero | tr '\0' "$2"; }

rm opt/gone
rm -r opt/gone-tree
rm opt/kept/1 && echo 3 >opt/kept/3
rm -r opt/opaque && mkdir opt/opaque && echo new >opt/opaque/new
rm opt/file-directory-file && mkdir opt/file-directory-file && echo in >opt/file-directory-file/in
rm -r opt/directory-file && echo file >opt/directory-file
rm -r opt/directory-link && ln -s kept opt/directory-link
for bytes in 251 252 253 254 255; do rm "opt/$(long "$bytes" n)"; done
rm dev/loop0 run/pipe

# Through the symbolic links, and one of them replaced by a directory.
echo through >bin/through && echo through >var/run/through
rm lib && mkdir lib && echo own >lib/own

# Only the attributes.
chmod 0700 etc/passwd
chown 7:8 etc/nothing
setfattr -n user.late -v x opt/attributed
# Docker has lost it by now.
setfattr -x user.text opt/attributes || true
chmod 0711 opt/empty && touch -d '1986-01-01 00:00:00Z' opt/empty

# Hard links: one name of three goes, another gets content of its own.
rm usr/lib/third
rm opt/pair-b && echo alone >opt/pair-b
ln etc/passwd opt/linked-later
