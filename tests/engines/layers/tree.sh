# A tree for writers of tar, by what a format must hold: each directory here is one matter. Without root there are no
# devices and no owners but the caller.
set -eu
umask 022
long() { head -c "$1" /dev/zero | tr '\0' "$2"; }
root() { [ "$(id -u)" = 0 ]; }

# Every format holds these.
mkdir -p plain/directory plain/empty
echo content >plain/file && : >plain/nothing
echo more >plain/directory/more && chmod 0640 plain/directory/more
head -c 1000000 /dev/zero | tr '\0' x >plain/large
ln -s directory/more plain/link
ln plain/file plain/hard && ln plain/file plain/directory/hard
echo bits >plain/setuid && chmod 4755 plain/setuid
chmod 1777 plain/empty && chmod 0555 plain/directory
echo blank >'plain/a name with blanks'
touch -d '2001-02-03 04:05:06Z' plain/file
touch -h -d '1999-09-09 09:09:09Z' plain/link
chmod 0755 plain/directory && touch -d '1985-10-26 08:15:00Z' plain/directory

mkdir special && mkfifo -m 0640 special/pipe
if root; then mknod -m 600 special/character c 5 1 && mknod -m 660 special/block b 7 0; fi

mkdir owners && echo small >owners/small && echo large >owners/large
if root; then chown 12:34 owners/small && chown 369884941:369884942 owners/large; fi

# 100 bytes in the name field, then the prefix, then an extended header.
mkdir -p "long/$(long 90 d)"
for bytes in 94 95 96; do echo "$bytes" >"long/$(long "$bytes" n)"; done
echo prefix >"long/$(long 90 d)/$(long 90 p)"
ln -s "$(long 90 d)" long/link
echo linked >"long/$(long 90 h)" && ln "long/$(long 90 h)" long/hard

mkdir -p "longer/$(long 200 d)" && echo longer >"longer/$(long 200 d)/$(long 255 n)"
ln -s "$(long 300 t)" longer/link
ln "longer/$(long 200 d)/$(long 255 n)" longer/hard

mkdir times
echo t >times/nanoseconds && touch -d '2001-02-03 04:05:06.123456789Z' times/nanoseconds
echo t >times/before-1970 && touch -d '1960-01-01 00:00:00Z' times/before-1970
echo t >times/after-2038 && touch -d '2100-01-01 00:00:00Z' times/after-2038
echo t >times/after-2242 && touch -d '2250-01-01 00:00:00Z' times/after-2242

mkdir bytes && echo odd >"bytes/$(printf 'line\nbreak \\ back\303\050')" && echo utf >bytes/grün

# The last file ends in a hole, the map of the third does not fit into one header.
mkdir sparse
truncate -s 1M sparse/hole
truncate -s 1M sparse/both && printf end | dd of=sparse/both bs=1 seek=700000 conv=notrunc status=none
truncate -s 4M sparse/many
for block in $(seq 1 40); do printf data | dd of=sparse/many bs=1 seek=$((block * 65536)) conv=notrunc status=none; done

mkdir attributes && echo user >attributes/user && echo list >attributes/list && echo able >attributes/able
setfattr -n user.text -v value attributes/user && setfattr -n user.bytes -v 0x00ff0a3d20 attributes/user
setfattr -n user.directory -v yes attributes
if root; then setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 attributes/able; fi
mkdir lists && echo list >lists/file && setfacl -m u:1234:r lists/file && setfacl -d -m g:1234:rx lists
