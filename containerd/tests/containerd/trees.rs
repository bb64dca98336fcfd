//! The trees that containerd mounts.

use crate::engine::{Engine, SNAPSHOTTERS, Unpacks, shown};
use crate::image::{self, Stored};
use crate::layer::Tar;
use crate::tree::{self, Listing};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use tar::EntryType;

/// The layers of `tests/images/world`.
const WORLD: usize = 6;

/// Looks into the tree of an image, as a container sees it.
fn inside<T>(engine: &Engine, snapshotter: &str, image: &str, look: impl FnOnce(&Path) -> T) -> T {
    let target = engine.text("mounted");
    fs::create_dir_all(&target).unwrap();
    engine.ctr_ok(&["images", "mount", "--snapshotter", snapshotter, image, &target]);
    let seen = look(&engine.seen(&engine.at("mounted")));
    engine.ctr_ok(&["images", "unmount", "--snapshotter", snapshotter, "--rm", &target]);
    seen
}

/// Imports an archive, and lists its tree.
fn imported(engine: &Engine, snapshotter: &str, archive: &str) -> Listing {
    let output = engine.import(snapshotter, archive, "image");
    assert!(output.status.success(), "{snapshotter}: {}\n{}", shown(&output), engine.log());
    let names = engine.ctr_ok(&["images", "ls", "-q"]);
    let name = names.lines().next().unwrap().to_owned();
    let listing = inside(engine, snapshotter, &name, tree::list);
    engine.ctr_ok(&["images", "rm", "--sync", &name]);
    listing
}

/// The native snapshotter copies the tree of the layer below without the times of directories, whatever the differ.
fn without_times_of_directories(mut listing: Listing) -> Listing {
    for fields in listing.values_mut().filter(|fields| fields["type"] == "dir") {
        fields.remove("mtime");
    }
    listing
}

/// What the native snapshotter does not copy from the tree of the layer below: that links are one file, and that a file
/// below a directory with a default ACL has none.
const NOT_COPIED: &[(&str, &str)] =
    &[("etc/localtime", "hardlink"), ("etc/zone", "hardlink"), ("srv/shared/plain", "xattr.system.posix_acl_access")];

#[test]
fn the_mounted_tree_is_the_one_that_the_image_means() {
    let Some(engine) = Engine::start(Unpacks::Layercage) else { return };
    image::write_world(&engine.at("world.tar"));
    let list = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/images/world.list")).unwrap();
    let meant = tree::parse(&list);
    let overlay = imported(&engine, "overlayfs", "world.tar");
    assert_eq!(tree::differences(&meant, &overlay), Vec::<String>::new());
    let mut native = without_times_of_directories(imported(&engine, "native", "world.tar"));
    let mut meant = without_times_of_directories(meant);
    for &(path, field) in NOT_COPIED {
        let [meant, native] =
            [&mut meant, &mut native].map(|list| list.get_mut(path.as_bytes()).unwrap().remove(field));
        assert_ne!(meant, native, "{path} does not differ any more");
    }
    assert_eq!(tree::differences(&meant, &native), Vec::<String>::new());
    assert_eq!(engine.log().matches("layer applied").count(), 2 * WORLD);
}

/// Layers of everything that containerd's own differ applies to an upper directory. It fails at a hard link to a file of a
/// lower layer, and gives parents that no layer lists the time at which they are made.
fn layers() -> Vec<(Vec<u8>, Stored)> {
    let base = Tar::new()
        .dir("./", 0o755)
        .dir("etc/", 0o755)
        .file("etc/hostname", b"a\n")
        .hard_link("etc/name", "etc/hostname")
        .file("etc/gone", b"1")
        .dir("opaque/", 0o711)
        .file("opaque/gone", b"2")
        .dir("usr/", 0o755)
        .dir("usr/bin/", 0o755)
        .symlink("bin", "usr/bin")
        .entry(EntryType::Regular, "usr/bin/su", "", b"#!", 0o4755)
        .entry(EntryType::Fifo, "pipe", "", b"", 0o622)
        .dir("becomes-file/", 0o700)
        .file("becomes-file/x", b"3")
        .file("becomes-dir", b"4")
        .dir("tmp/", 0o1777);
    let middle = Tar::new()
        .dir("etc/", 0o755)
        .file("etc/.wh.gone", b"")
        .file("etc/hostname", b"b\n")
        .dir("opaque/", 0o750)
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/new", b"5")
        .file("becomes-file", b"6")
        .dir("becomes-dir/", 0o755)
        .file("becomes-dir/x", b"7")
        .file(".wh.pipe", b"");
    let top =
        Tar::new().dir("usr/", 0o755).dir("usr/bin/", 0o700).file("usr/bin/new", &[8; 300_000]).file(".wh.tmp", b"");
    let stored = [Stored::Gzip, Stored::Zstd, Stored::Plain];
    [base, middle, top].map(Tar::build).into_iter().zip(stored).collect()
}

#[test]
fn the_mounted_tree_is_that_of_the_built_in_differ_in_every_field() {
    let Some(ours) = Engine::start(Unpacks::Layercage) else { return };
    let Some(walking) = Engine::start(Unpacks::Walking) else { return };
    for snapshotter in SNAPSHOTTERS {
        let [ours, walking] = [&ours, &walking].map(|engine| {
            image::write(&engine.at("image.tar"), &layers());
            let mut listing = imported(engine, snapshotter, "image.tar");
            // The upper layers do not list the root, and each snapshot has its own: the built-in differ leaves it the time
            // at which the snapshotter made it, and this one gives it that of the root below.
            listing.get_mut(&b"."[..]).unwrap().remove("mtime");
            if snapshotter == "native" { without_times_of_directories(listing) } else { listing }
        });
        assert_eq!(tree::differences(&walking, &ours), Vec::<String>::new(), "{snapshotter}");
        assert!(ours.contains_key(&b"opaque/new"[..]) && !ours.contains_key(&b"opaque/gone"[..]));
    }
    assert_eq!((ours.log().matches("layer applied").count(), walking.log()), (6, String::new()));
}

#[test]
fn an_image_is_pulled_from_a_registry_and_its_program_runs() {
    let Some(mut engine) = Engine::start(Unpacks::Layercage) else { return };
    let address = start_registry(&mut engine);
    write_hello(&engine, "hello.tar");
    let reference = push(&engine, &address, "hello.tar");
    engine.ctr_ok(&["images", "pull", "--plain-http", &reference]);
    let run = engine.ctr(&["run", "--rm", &reference, "hello"]);
    assert!(run.status.success(), "{}", shown(&run));
    assert!(!run.stdout.is_empty());
}

#[test]
fn the_transfer_service_leads_here_too() {
    let Some(engine) = Engine::start(Unpacks::Layercage) else { return };
    image::write(&engine.at("image.tar"), &layers());
    engine.ctr_ok(&["images", "import", "--local=false", "--snapshotter", "overlayfs", &engine.text("image.tar")]);
    assert_eq!(engine.log().matches("layer applied").count(), 3);
}

/// Writes an archive of an image with one program, which `tests/images/world` has, too. It prints a line.
pub(crate) fn write_hello(engine: &Engine, archive: &str) {
    image::write_world(&engine.at("with-hello.tar"));
    let output = engine.import("overlayfs", "with-hello.tar", "with-hello");
    assert!(output.status.success(), "{}", shown(&output));
    let name = engine.ctr_ok(&["images", "ls", "-q"]).lines().next().unwrap().to_owned();
    let hello = inside(engine, "overlayfs", &name, |root| fs::read(root.join("opt/app/hello")).unwrap());
    engine.ctr_ok(&["images", "rm", "--sync", &name]);
    let base = Tar::new().dir("./", 0o755).dir("proc/", 0o755).dir("dev/", 0o755).dir("sys/", 0o755);
    let top = Tar::new().entry(EntryType::Regular, "hello", "", &hello, 0o755);
    image::write(&engine.at(archive), &[(base.build(), Stored::Gzip), (top.build(), Stored::Zstd)]);
}

/// Pushes the image of an archive to a registry. Nothing of it stays in containerd. Returns its name there.
pub(crate) fn push(engine: &Engine, address: &str, archive: &str) -> String {
    engine.ctr_ok(&["images", "import", "--no-unpack", "--index-name", "pushed", &engine.text(archive)]);
    let names = engine.ctr_ok(&["images", "ls", "-q"]);
    let reference = format!("{address}/image:latest");
    engine.ctr_ok(&["images", "push", "--plain-http", &reference, names.lines().next().unwrap()]);
    for name in names.lines() {
        engine.ctr_ok(&["images", "rm", "--sync", name]);
    }
    reference
}

/// Starts a registry on this machine. Returns its address.
pub(crate) fn start_registry(engine: &mut Engine) -> String {
    // The port was free a moment ago: the registry cannot say which one it took.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let configuration = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
        engine.text("registry")
    );
    fs::write(engine.at("registry.yml"), configuration).unwrap();
    engine.serve("registry.log", &["docker-registry", "serve", &engine.text("registry.yml")]);
    engine.wait("the registry serves", |_| std::net::TcpStream::connect(&address).is_ok());
    address
}
