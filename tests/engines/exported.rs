//! What `export` writes, given to other tools: they extract it, and make file systems and images of it. Each result is the
//! tree that real tools listed when the image was made.
//!
//! mke2fs and mkfs.erofs read archives in Debian 13. With `LAYERCAGE_DEBIAN_13=DIR`, those in DIR are run.

use crate::{Known, complaints, find, in_seconds, needs_root, run, skip, tree, unpacked};
use cap_std::ambient_authority;
use layercage::{Image, Policy, Scratch, Selected, Selector, Unpacker};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};
use tree::Listing;

/// What tools do not read of an archive, or do not keep.
const LOSSES: &[Known] = &[
    ("bsdtar", ".", "mtime", "it does not set the time of its working directory"),
    ("Python", "*", "xattr.system.posix_acl_access", "it extracts no extended attributes"),
    ("Python", "*", "xattr.system.posix_acl_default", "it extracts no extended attributes"),
    ("Python", "*", "xattr.user.bytes", "it extracts no extended attributes"),
    ("Python", "*", "xattr.user.note", "it extracts no extended attributes"),
    ("Python", "*", "xattr.security.capability", "it extracts no extended attributes"),
    ("mke2fs", "*", "xattr.user.bytes", "of extended attributes, it reads capabilities alone"),
    ("mke2fs", "*", "xattr.user.note", "of extended attributes, it reads capabilities alone"),
    ("mke2fs", "*", "xattr.system.posix_acl_access", "of extended attributes, it reads capabilities alone"),
    ("mke2fs", "*", "xattr.system.posix_acl_default", "of extended attributes, it reads capabilities alone"),
    (
        "mke2fs",
        "home/bob/note",
        "mode",
        "it takes the group bits from the ACL: those of the owning group, not the mask",
    ),
    (
        "mke2fs",
        "srv/shared/plan",
        "mode",
        "it takes the group bits from the ACL: those of the owning group, not the mask",
    ),
    ("tar2sqfs", "etc/machine-id", "mtime", "squashfs has no times before 1970"),
    ("tar2sqfs", "*", "xattr.system.posix_acl_access", "squashfs has no ACLs"),
    ("tar2sqfs", "*", "xattr.system.posix_acl_default", "squashfs has no ACLs"),
];

/// The tree with times cut to whole seconds, as some file systems have them.
fn cut(mut listing: Listing) -> Listing {
    for fields in listing.values_mut() {
        if let Some((seconds, _)) = fields["mtime"].split_once('.') {
            let seconds = format!("{seconds}.000000000");
            fields.insert("mtime".into(), seconds);
        }
    }
    listing
}

/// Python computes times as floating point numbers, and sets none of symbolic links.
fn as_python(listing: Listing) -> Listing {
    let mut listing = in_seconds(listing);
    let links = listing.values_mut().filter(|fields| fields["type"] == "symlink");
    links.for_each(|fields| drop(fields.remove("mtime")));
    listing
}

fn world() -> Selected {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let image = Image::open_ambient(place, ambient_authority()).unwrap();
    image.select(&Selector::host().with_reference("latest")).unwrap()
}

pub(crate) fn listed() -> Listing {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world.list");
    tree::parse(&fs::read_to_string(list).unwrap())
}

pub(crate) fn archive() -> Vec<u8> {
    let mut archive = Vec::new();
    world().export_tar(&mut archive, &Policy::default()).unwrap();
    archive
}

fn archive_by_path() -> Vec<u8> {
    let (world, mut archive) = (world(), Vec::new());
    let mut session = Unpacker::new(Policy::default()).session();
    let tree = session.merge(&world).unwrap();
    let part = tree.whole().by_path(Scratch::of(tempfile::tempfile));
    session.export_tar(&part, &world, &mut archive).unwrap();
    archive
}

/// Runs a command with the archive on standard input.
fn feed(command: &mut Command, archive: &[u8]) {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut input = child.stdin.take().unwrap();
    let archive = archive.to_vec();
    let fed = std::thread::spawn(move || input.write_all(&archive));
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
    fed.join().unwrap().unwrap_or_else(|error| panic!("{command:?} does not read all of it: {error}: {told}"));
}

/// A way to extract an archive from standard input.
struct Extractor {
    name: &'static str,
    program: &'static str,
    command: &'static str,
    archive: fn() -> Vec<u8>,
    /// What both trees are reduced to.
    reduce: fn(Listing) -> Listing,
}

const EXTRACTORS: &[Extractor] = &[
    // Without the last option, it sets the time of a directory before it extracts more files there.
    Extractor {
        name: "GNU-tar",
        program: "tar",
        command: "tar -xp --numeric-owner --xattrs --xattrs-include='*' --acls --delay-directory-restore",
        archive,
        reduce: |listing| listing,
    },
    Extractor {
        name: "GNU-tar-by-path",
        program: "tar",
        command: "tar -xp --numeric-owner --xattrs --xattrs-include='*' --acls",
        archive: archive_by_path,
        reduce: |listing| listing,
    },
    Extractor {
        name: "bsdtar",
        program: "bsdtar",
        command: "bsdtar -xpf - --numeric-owner --xattrs --acls",
        archive,
        reduce: |listing| listing,
    },
    Extractor {
        name: "Python",
        program: "python3",
        command: r#"python3 -c 'import sys, tarfile
archive = tarfile.open(fileobj=sys.stdin.buffer, mode="r|")
archive.extraction_filter = staticmethod(lambda member, path: member)
archive.extractall(numeric_owner=True)'"#,
        archive,
        reduce: as_python,
    },
];

#[test]
fn other_readers_extract_the_tree() {
    if !needs_root("extracting owners (without: the readers of tests/differential)") {
        return;
    }
    let mut lines = Vec::new();
    for Extractor { name, program, command, archive, reduce } in EXTRACTORS {
        if find(program).is_none() {
            skip(&format!("{program} is not installed"));
            continue;
        }
        let place = tempfile::tempdir().unwrap();
        feed(Command::new("sh").args(["-c", command]).current_dir(&place), &archive());
        let (expected, got) = (reduce(listed()), reduce(tree::list(place.path())));
        lines.extend(complaints(name, &expected, &got, LOSSES));
    }
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Two names for which some readers read one: in composed form, after `C:` or a backslash at the start, and without.
fn layer_of_similar_names() -> Vec<u8> {
    let (decomposed, composed) = ("u\u{308}".repeat(60), "\u{fc}".repeat(60));
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(1);
    for (name, content) in [
        (&*decomposed, b"1"),
        (&composed, b"2"),
        ("x", b"3"),
        ("C:/x", b"4"),
        ("C:\\x", b"5"),
        ("y", b"6"),
        ("\\y", b"7"),
    ] {
        builder.append_data(&mut header, name, &content[..]).unwrap();
    }
    header.set_size(0);
    for (kind, name, target) in [
        (::tar::EntryType::Link, "hard", "C:/x"),
        (::tar::EntryType::Link, "z:", "\\y"),
        (::tar::EntryType::Symlink, "soft", &*decomposed),
        (::tar::EntryType::Symlink, "letter", "C:/x"),
    ] {
        header.set_entry_type(kind);
        builder.append_link(&mut header, name, target).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn other_readers_extract_each_name_as_it_is() {
    let mut sink = layercage::sink::TarSink::new(Vec::new());
    Unpacker::new(Policy::default()).apply(layercage::Layer::new(&layer_of_similar_names()[..]), &mut sink).unwrap();
    let archive = sink.into_inner();
    let (decomposed, composed) = ("u\u{308}".repeat(60), "\u{fc}".repeat(60));
    for Extractor { name, program, command, .. } in EXTRACTORS {
        if find(program).is_none() {
            skip(&format!("{program} is not installed"));
            continue;
        }
        for locale in ["C", "C.UTF-8"] {
            let place = tempfile::tempdir().unwrap();
            feed(Command::new("sh").args(["-c", command]).env("LC_ALL", locale).current_dir(&place), &archive);
            for (path, content) in [
                (&*decomposed, "1"),
                (&composed, "2"),
                ("x", "3"),
                ("C:/x", "4"),
                ("C:\\x", "5"),
                ("y", "6"),
                ("\\y", "7"),
                ("hard", "4"),
                ("z:", "7"),
            ] {
                let got = fs::read_to_string(place.path().join(path));
                assert_eq!(got.ok().as_deref(), Some(content), "{name}, {locale}: {path}");
            }
            for (path, target) in [("soft", &*decomposed), ("letter", "C:/x")] {
                assert_eq!(fs::read_link(place.path().join(path)).unwrap(), Path::new(target), "{name}, {locale}");
            }
            assert_eq!(fs::read_dir(&place).unwrap().count(), 11, "{name}, {locale}");
        }
    }
}

/// A tool that may be that of Debian 13, and a directory for its files.
struct Tool {
    name: &'static str,
    root: Option<PathBuf>,
}

impl Tool {
    /// Finds a tool that reads archives: its help or version says so.
    fn find(name: &'static str, ask: &str, is_able: impl Fn(&str) -> bool) -> Option<Self> {
        let root = env::var_os("LAYERCAGE_DEBIAN_13").filter(|root| !root.is_empty()).map(PathBuf::from);
        let tool = Self { name, root };
        let said = tool.command().arg(ask).output();
        let said = said.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        if is_able(&String::from_utf8_lossy(&said)) {
            return Some(tool);
        }
        // Debian 12 has older ones, so that this is no failure.
        eprintln!(
            "skipped: {name} reads no archives, or is not installed; LAYERCAGE_DEBIAN_13 may name a tree with it"
        );
        None
    }

    fn command(&self) -> Command {
        match &self.root {
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(self.name);
                command
            }
            None => Command::new(self.name),
        }
    }

    /// A place where the tool can write, and its name for the tool.
    fn place(&self) -> (tempfile::TempDir, PathBuf) {
        let Some(root) = &self.root else {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().to_owned();
            return (place, path);
        };
        let place = tempfile::tempdir_in(root.join("tmp")).unwrap();
        let path = Path::new("/tmp").join(place.path().file_name().unwrap());
        (place, path)
    }
}

/// Mounts a file system, and lists its tree; `None` if the machine cannot mount it.
fn mounted(disk: &Path, kind: &str) -> Option<Listing> {
    let place = tempfile::tempdir().unwrap();
    let options = ["-t", kind, "-o", "loop,ro,noexec,nosuid,nodev"];
    let output = Command::new("mount").args(options).arg(disk).arg(place.path()).output().unwrap();
    if !output.status.success() {
        eprintln!("skipped: {kind} cannot be mounted: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let listing = std::panic::catch_unwind(|| tree::list(place.path()));
    run(Command::new("umount").arg(place.path()));
    Some(listing.unwrap())
}

#[test]
fn mke2fs_makes_a_disk_of_it() {
    if !needs_root("mounting the disk") {
        return;
    }
    let Some(tool) = Tool::find("mke2fs", "-V", version_is_new) else { return };
    let (place, path) = tool.place();
    feed(tool.command().args(["-q", "-t", "ext4", "-d", "-"]).arg(path.join("disk")).arg("64M"), &archive());
    let Some(mut got) = mounted(&place.path().join("disk"), "ext4") else { return };
    // mke2fs makes it.
    got.remove(&b"lost+found"[..]);
    let lines = complaints("mke2fs", &cut(listed()), &got, LOSSES);
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// Whether mke2fs says that it is 1.47.1 or newer, which reads archives.
fn version_is_new(said: &str) -> bool {
    let version = said.split_once("mke2fs 1.").map(|(_, rest)| rest).unwrap_or_default();
    let mut numbers = version.split(|char: char| !char.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (47, 1)
}

#[test]
fn mkfs_erofs_makes_a_read_only_file_system_of_it() {
    if !needs_root("mounting the file system") {
        return;
    }
    let Some(tool) = Tool::find("mkfs.erofs", "--help", |said| said.contains("--tar=")) else { return };
    let (place, path) = tool.place();
    feed(tool.command().arg("--tar=f").arg(path.join("disk")), &archive());
    let Some(got) = mounted(&place.path().join("disk"), "erofs") else { return };
    let lines = complaints("mkfs.erofs", &listed(), &got, LOSSES);
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

#[test]
fn tar2sqfs_makes_a_compressed_file_system_of_it() {
    if !needs_root("mounting the file system") {
        return;
    }
    if find("tar2sqfs").is_none() {
        skip("tar2sqfs is not installed");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    feed(Command::new("tar2sqfs").arg("-q").arg(place.path().join("disk")), &archive());
    let Some(got) = mounted(&place.path().join("disk"), "squashfs") else { return };
    let lines = complaints("tar2sqfs", &cut(listed()), &got, LOSSES);
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

#[test]
fn podman_imports_it_as_an_image() {
    if !needs_root("storage of podman") {
        return;
    }
    if find("podman").is_none() {
        skip("podman is not installed");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let podman = || {
        let mut podman = Command::new("podman");
        podman.arg("--root").arg(place.path().join("store")).arg("--runroot").arg(place.path().join("run"));
        podman.args(["--storage-driver", "vfs"]);
        podman
    };
    feed(podman().args(["import", "-q", "-", "localhost/world:flat"]), &archive());
    let saved = place.path().join("saved");
    run(podman().args(["save", "-q", "--format", "oci-dir", "-o"]).arg(&saved).arg("localhost/world:flat"));
    let (got, _) = unpacked(&saved, None, place.path()).unwrap();
    let lines = complaints("podman", &listed(), &got, &[]);
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}
