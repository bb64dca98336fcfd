//! Writers of tar, in all their formats: what they write is taken, and becomes what a reader makes of it.

use crate::refused::REFUSED;
use crate::{Known, complaints, find, is_root, script, skip, tree};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::policy::Devices;
use layercage::{Layer, Policy, Rootfs, Unpacker};
use std::fs::File;
use std::path::Path;
use std::process::Command;
use tree::Listing;

/// A way to write an archive: commands of a shell in the source tree, of which `$ARCHIVE` becomes the archive.
pub(crate) struct Writer {
    pub(crate) name: &'static str,
    /// What must be installed.
    pub(crate) needs: &'static [&'static str],
    pub(crate) write: &'static str,
}

const fn writer(name: &'static str, needs: &'static [&'static str], write: &'static str) -> Writer {
    Writer { name, needs, write }
}

/// How the writers read what they wrote: commands of a shell in an empty directory.
const GNU: &str = "tar -xpf $ARCHIVE --numeric-owner --xattrs --xattrs-include='*' --acls";
const GNU_ABSOLUTE: &str = "tar -xpf $ARCHIVE --numeric-owner 2>/dev/null";
const BSD: &str = "bsdtar -xpf $ARCHIVE --numeric-owner --xattrs --acls";
const BUSYBOX: &str = "busybox tar -xpf $ARCHIVE --numeric-owner";
const BUSYBOX_GZIP: &str = "busybox tar -xzpf $ARCHIVE --numeric-owner";
const PYTHON: &str = r#"python3 -c 'import os, tarfile
archive = tarfile.open(os.environ["ARCHIVE"])
archive.extraction_filter = staticmethod(lambda member, path: member)
archive.extractall(numeric_owner=True)'"#;

const T: &[&str] = &["tar"];
const B: &[&str] = &["bsdtar", "tar"];
const X: &[&str] = &["busybox", "tar"];
const P: &[&str] = &["python3", "tar"];
const Z: &[&str] = &["7z", "tar"];
const C: &[&str] = &["cpio", "tar"];
const W: &[&str] = &["pax", "tar"];
const N: &[&str] = &["node", "bsdtar"];

macro_rules! python {
    ($format:literal, $paths:literal) => {
        concat!(
            "python3 -c 'import os, sys, tarfile\nwith tarfile.open(os.environ[\"ARCHIVE\"], \"w\", format=tarfile.",
            $format,
            ") as archive:\n  for path in sys.argv[1:]: archive.add(path)' ",
            $paths
        )
    };
}
macro_rules! node {
    ($arguments:literal) => {
        concat!("node $HERE/writers.js $ARCHIVE ", $arguments)
    };
}

const TAKEN: &[(Writer, &str)] = &[
    (writer("gnu-v7", T, "tar --format=v7 -cf $ARCHIVE plain"), GNU),
    (writer("gnu-oldgnu", T, "tar --format=oldgnu -cf $ARCHIVE plain special owners long longer times bytes"), GNU),
    (writer("gnu-gnu", T, "tar --format=gnu -cf $ARCHIVE plain special owners long longer times bytes"), GNU),
    (writer("gnu-ustar", T, "tar --format=ustar -cf $ARCHIVE plain special long bytes"), GNU),
    (writer("gnu-pax", T, "tar --format=pax -cf $ARCHIVE plain special owners long longer times bytes"), GNU),
    (
        writer("gnu-pax-attributes", T, "tar --format=pax --xattrs --xattrs-include='*' -cf $ARCHIVE plain attributes"),
        GNU,
    ),
    (writer("gnu-root", T, "tar -cf $ARCHIVE ."), GNU),
    (writer("gnu-pax-root", T, "tar --format=pax -cf $ARCHIVE ."), GNU),
    (writer("gnu-sparse-oldgnu", T, "tar --format=oldgnu -S -cf $ARCHIVE sparse plain"), GNU),
    (writer("gnu-sparse-gnu", T, "tar --format=gnu -S -cf $ARCHIVE sparse plain"), GNU),
    (writer("gnu-sparse-0.0", T, "tar --format=pax -S --sparse-version=0.0 -cf $ARCHIVE sparse plain"), GNU),
    (writer("gnu-sparse-0.1", T, "tar --format=pax -S --sparse-version=0.1 -cf $ARCHIVE sparse plain"), GNU),
    (writer("gnu-sparse-1.0", T, "tar --format=pax -S --sparse-version=1.0 -cf $ARCHIVE sparse plain"), GNU),
    (writer("gnu-sparse-seek", T, "tar --format=pax -S --hole-detection=seek -cf $ARCHIVE sparse plain"), GNU),
    (writer("gnu-pax-label", T, "tar --format=pax --label='a name' -cf $ARCHIVE plain"), GNU),
    (writer("gnu-twice", T, "tar -cf $ARCHIVE plain plain"), GNU),
    (writer("gnu-find", T, "find plain | tar -cf $ARCHIVE -T -"), GNU),
    (writer("gnu-pax-find", T, "find plain | tar --format=pax -cf $ARCHIVE -T -"), GNU),
    (writer("gnu-absolute", T, "tar -P -cf $ARCHIVE --transform=s,^,/, plain"), GNU_ABSOLUTE),
    (writer("gnu-appended", T, "tar -cf $ARCHIVE plain && tar -rf $ARCHIVE special"), GNU),
    (writer("gnu-updated", T, "tar -cf $ARCHIVE plain && tar -uf $ARCHIVE plain special"), GNU),
    (writer("gnu-joined", T, "tar -cf $ARCHIVE plain; tar -cf $PLACE/b special; tar -Af $ARCHIVE $PLACE/b"), GNU),
    (writer("gnu-block", T, "tar -b1 -cf $ARCHIVE plain"), GNU),
    (writer("gnu-names", T, "tar --owner=somebody:12 --group=else:34 --mtime=@7 -cf $ARCHIVE plain"), GNU),
    (writer("gnu-gzip", T, "tar -zcf $ARCHIVE plain"), GNU),
    (writer("gnu-zstd", &["tar", "zstd"], "tar --zstd -cf $ARCHIVE plain"), GNU),
    (
        writer(
            "gnu-gzip-blocks",
            &["tar", "gzip"],
            "tar -cf - plain | gzip | dd obs=10240 conv=sync of=$ARCHIVE 2>/dev/null",
        ),
        GNU,
    ),
    (
        writer(
            "gnu-reproducible",
            T,
            "tar --sort=name --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime --format=pax -cf $ARCHIVE plain times",
        ),
        GNU,
    ),
    (writer("gnu-acls", T, "tar --format=pax --acls -cf $ARCHIVE lists"), GNU),
    (writer("bsd-ustar", B, "bsdtar --format=ustar -cf $ARCHIVE plain special long"), BSD),
    (writer("bsd-pax", B, "bsdtar --format=pax -cf $ARCHIVE plain special owners long longer times bytes"), BSD),
    (writer("bsd-default", B, "bsdtar -cf $ARCHIVE plain special owners long longer times"), BSD),
    (writer("bsd-gnutar", B, "bsdtar --format=gnutar -cf $ARCHIVE plain special owners long longer"), BSD),
    (writer("bsd-v7", B, "bsdtar --format=v7 -cf $ARCHIVE plain"), BSD),
    (writer("bsd-sparse", B, "bsdtar --format=pax -cf $ARCHIVE sparse plain"), BSD),
    (writer("bsd-attributes", B, "bsdtar --format=pax --xattrs -cf $ARCHIVE attributes"), BSD),
    (writer("bsd-acls", B, "bsdtar --format=pax --acls -cf $ARCHIVE lists"), BSD),
    (writer("bsd-gzip", B, "bsdtar -zcf $ARCHIVE plain"), BSD),
    (writer("bsd-zstd", B, "bsdtar --zstd -cf $ARCHIVE plain"), BSD),
    (writer("bsd-converted", B, "tar -cf - plain longer | bsdtar --format=pax -cf $ARCHIVE @-"), BSD),
    (writer("busybox", X, "busybox tar -cf $ARCHIVE plain special long longer"), GNU),
    (writer("busybox-itself", X, "busybox tar -cf $ARCHIVE plain special long longer"), BUSYBOX),
    (writer("busybox-gzip", X, "busybox tar -zcf $ARCHIVE plain"), BUSYBOX_GZIP),
    (writer("python-ustar", P, python!("USTAR_FORMAT", "plain special long")), GNU),
    (writer("python-ustar-itself", P, python!("USTAR_FORMAT", "plain special long")), PYTHON),
    (writer("python-gnu", P, python!("GNU_FORMAT", "plain special owners long longer times bytes")), GNU),
    (writer("python-gnu-itself", P, python!("GNU_FORMAT", "plain special owners long longer times bytes")), PYTHON),
    (writer("python-pax", P, python!("PAX_FORMAT", "plain special owners long longer times bytes")), GNU),
    (writer("python-pax-itself", P, python!("PAX_FORMAT", "plain special owners long longer times bytes")), PYTHON),
    (writer("7z", Z, "7z a -ttar -snl -snh $PLACE/b.tar plain >$PLACE/log && mv $PLACE/b.tar $ARCHIVE"), GNU),
    (
        writer(
            "7z-gnu",
            Z,
            "7z a -ttar -mm=gnu -snl -snh $PLACE/b.tar plain long longer >$PLACE/log && mv $PLACE/b.tar $ARCHIVE",
        ),
        GNU,
    ),
    (
        writer(
            "7z-pax",
            Z,
            "7z a -ttar -mm=pax -snl -snh $PLACE/b.tar plain long longer >$PLACE/log && mv $PLACE/b.tar $ARCHIVE",
        ),
        GNU,
    ),
    (writer("cpio-ustar", C, "find plain special long | cpio --quiet -H ustar -o >$ARCHIVE"), GNU),
    (writer("cpio-tar", C, "find plain | cpio --quiet -H tar -o >$ARCHIVE"), GNU),
    (writer("pax-ustar", W, "pax -w -x ustar -f $ARCHIVE plain special long"), GNU),
    (writer("pax-tar", W, "pax -w -x tar -f $ARCHIVE plain"), GNU),
    (writer("node-tar", N, node!("tar plain long longer")), BSD),
    (writer("node-tar-portable", N, node!("tar-portable plain long longer")), BSD),
    (writer("node-tar-gzip", N, node!("tar-gzip plain")), BSD),
    (writer("node-tar-stream", N, node!("tar-stream")), BSD),
];

/// Where the reader, or what the archive lacks, makes another tree.
const LOSSES: &[Known] = &[
    (
        "gnu-acls bsd-acls",
        "lists",
        "xattr.system.posix_acl_default",
        "SCHILY.acl is text that few readers apply: noted",
    ),
    ("gnu-acls bsd-acls", "lists/file", "xattr.system.posix_acl_access", "as above"),
    ("busybox-itself busybox-gzip", "*", "mtime", "busybox sets no times of directories and links; GNU tar does"),
    ("python-ustar-itself python-gnu-itself", "plain/link", "mtime", "Python sets no times of links; GNU tar does"),
    ("python-ustar-itself python-gnu-itself", "long/link", "mtime", "as above"),
    ("python-gnu-itself", "longer/link", "mtime", "as above"),
    ("python-pax-itself", "*", "mtime", "Python has times as floating-point numbers; GNU tar has them exactly"),
];

/// The same for a caller who is not root.
const LOSSES_WITHOUT_ROOT: &[Known] = &[
    ("gnu-names 7z 7z-gnu 7z-pax", "plain/setuid", "mode", "layercage drops the bit where the file is another owner's"),
    ("busybox-itself busybox-gzip", "plain/setuid", "mode", "busybox drops the bit"),
    ("busybox-itself busybox-gzip", "plain/empty", "mode", "busybox applies the umask"),
];

#[test]
fn what_writers_write_becomes_what_they_read() {
    let Some(world) = World::new() else { return };
    let mut lines = Vec::new();
    let losses = if is_root() { LOSSES.to_vec() } else { [LOSSES, LOSSES_WITHOUT_ROOT].concat() };
    for (writer, reader) in TAKEN {
        if !world.write(writer) {
            continue;
        }
        match world.apply() {
            Ok(got) => lines.extend(complaints(writer.name, &world.read(reader), &got, &losses)),
            Err(error) => lines.push(format!("{}: {error}", writer.name)),
        }
    }
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

#[test]
fn what_is_refused_of_writers_is_refused_for_its_reason() {
    let Some(world) = World::new() else { return };
    let mut lines = Vec::new();
    for (writer, rule, reason) in REFUSED {
        if world.write(writer) {
            let got = world.apply().map_err(|error| error.rule_id());
            if got.as_ref().err() != Some(&Some(*rule)) {
                lines.push(format!("{}: not {rule} ({reason}), but {:?}", writer.name, got.map(|tree| tree.len())));
            }
        }
    }
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// A source tree, and an archive beside it.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Option<Self> {
        if find("setfattr").is_none() || find("setfacl").is_none() {
            skip("writers: setfattr and setfacl are not installed");
            return None;
        }
        let world = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(world.source()).unwrap();
        script("tree.sh", &world.source());
        Some(world)
    }

    fn source(&self) -> std::path::PathBuf {
        self.0.path().join("source")
    }

    fn shell(&self, commands: &str, inside: &Path) {
        let mut shell = Command::new("sh");
        shell.args(["-euc", commands]).current_dir(inside);
        shell.env("HERE", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines"));
        shell.env("PLACE", self.0.path().join("work")).env("ARCHIVE", self.0.path().join("work/archive"));
        crate::run(&mut shell);
    }

    /// Writes the archive anew; says so where that cannot be.
    fn write(&self, writer: &Writer) -> bool {
        let missing: Vec<_> = writer.needs.iter().filter(|name| find(name).is_none()).collect();
        if !missing.is_empty() {
            skip(&format!("{}: not installed: {missing:?}", writer.name));
            return false;
        }
        let modules = std::env::var("LAYERCAGE_NODE_MODULES");
        if writer.needs.contains(&"node") && modules.as_ref().is_ok_and(|place| place == "none") {
            eprintln!("skipped: {}: LAYERCAGE_NODE_MODULES is `none`", writer.name);
            return false;
        }
        if writer.needs.contains(&"node") && modules.is_err() {
            skip(&format!("{}: LAYERCAGE_NODE_MODULES names no directory with `tar` and `tar-stream`", writer.name));
            return false;
        }
        let work = self.0.path().join("work");
        drop(std::fs::remove_dir_all(&work));
        std::fs::create_dir(work).unwrap();
        self.shell(writer.write, &self.source());
        true
    }

    fn apply(&self) -> Result<Listing, layercage::Error> {
        let place = self.0.path().join("ours");
        std::fs::create_dir(&place).unwrap();
        let mut rootfs = Rootfs::over(Dir::open_ambient_dir(&place, ambient_authority()).unwrap())?;
        let layer = Layer::new(File::open(self.0.path().join("work/archive")).unwrap());
        let applied = Unpacker::new(Policy::default().with_devices(Devices::Create)).apply(layer, &mut rootfs);
        let listing = list_and_remove(&place);
        applied.map(|_| listing)
    }

    fn read(&self, commands: &str) -> Listing {
        let place = self.0.path().join("theirs");
        std::fs::create_dir(&place).unwrap();
        self.shell(commands, &place);
        list_and_remove(&place)
    }
}

/// The tree but its root, of which most archives say nothing.
fn list_and_remove(place: &Path) -> Listing {
    let mut listing = tree::list(place);
    listing.remove(&b"."[..]);
    tree::unlock(place);
    std::fs::remove_dir_all(place).unwrap();
    listing
}
