# The bottom layer: everything that an inode can carry. The current directory is the root of a mounted container.
set -eu
umask 022
long() { head -c "$1" /dev/zero | tr '\0' "$2"; }

mkdir -p usr/bin usr/lib etc dev run var opt/empty tmp
ln -s usr/bin bin
ln -s usr/lib lib
ln -s /run var/run
echo root:x:0:0 >etc/passwd
: >etc/nothing

# Owners, modes, bits.
echo su >usr/bin/su && chmod 4755 usr/bin/su
echo write >usr/bin/write && chown 0:5 usr/bin/write && chmod 2755 usr/bin/write
chmod 1777 tmp
mkdir opt/setgid && chown 12:34 opt/setgid && chmod 2775 opt/setgid
echo secret >etc/shadow && chmod 000 etc/shadow
mkdir opt/shut && echo in >opt/shut/in && chmod 0555 opt/shut
echo many >opt/large-owner && chown 369884941:369884942 opt/large-owner

# Attributes.
echo ping >usr/bin/ping && setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 usr/bin/ping
echo text >opt/attributes && setfattr -n user.text -v value opt/attributes
setfattr -n user.bytes -v 0x00ff0a3d20 opt/attributes
mkdir opt/attributed && setfattr -n user.directory -v yes opt/attributed

# Types.
mkfifo -m 640 run/pipe
mknod -m 666 dev/tty c 5 0
mknod -m 660 dev/loop0 b 7 0
ln -s "$(long 900 t)" opt/long-target
ln -s nowhere opt/dangling

# Hard links: of a file, of a symbolic link, across directories.
echo linked >opt/first && ln opt/first opt/second && ln opt/first usr/lib/third
ln opt/dangling opt/dangling-too
echo pair >opt/pair-a && ln opt/pair-a opt/pair-b

# Names.
for bytes in 99 100 101 251 252 253 254 255; do echo "$bytes" >"opt/$(long "$bytes" n)"; done
mkdir -p "opt/$(long 100 d)/$(long 155 e)" && echo deep >"opt/$(long 100 d)/$(long 155 e)/$(long 200 f)"
echo odd >"opt/$(printf 'line\nbreak \\ back\303\050')"
echo star >'opt/* ?"'

# What the next layers change.
mkdir -p opt/opaque/deep && echo old >opt/opaque/old && echo deep >opt/opaque/deep/old
echo file >opt/file-directory-file
mkdir opt/directory-file && echo in >opt/directory-file/in
mkdir opt/directory-link && echo in >opt/directory-link/in
echo gone >opt/gone
mkdir -p opt/gone-tree/a/b && echo c >opt/gone-tree/a/b/c
mkdir -p opt/kept && echo 1 >opt/kept/1 && echo 2 >opt/kept/2

# Content.
truncate -s 1M opt/sparse && printf end | dd of=opt/sparse bs=1 seek=700000 conv=notrunc status=none
head -c 300000 /dev/zero | tr '\0' x >opt/large

# Times.
echo t >opt/nanoseconds && touch -d '2001-02-03 04:05:06.123456789Z' opt/nanoseconds
echo t >opt/before-1970 && touch -d '1960-01-01 00:00:00Z' opt/before-1970
echo t >opt/after-2038 && touch -d '2100-01-01 00:00:00Z' opt/after-2038
echo t >opt/after-2242 && touch -d '2250-01-01 00:00:00Z' opt/after-2242
echo t >opt/after-2262 && touch -d '2300-01-01 00:00:00Z' opt/after-2262
ln -s x opt/old-link && touch -h -d '1999-09-09 09:09:09Z' opt/old-link
touch -d '1985-10-26 08:15:00Z' opt/empty
