//! Layers that are applied.

use crate::containerd::Ends;
use crate::layer::{Tar, gzip, sha256, zstd};
use crate::world::{Setup, World, bind, is_root, overlay};
use layercage_differ::proto::services::diff::v1::ApplyRequest;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::{Command, Stdio};

#[test]
fn a_layer_of_every_compression_is_applied_and_its_diff_id_is_that_of_its_uncompressed_bytes() {
    let world = World::new();
    let padded = [Tar::new().dir("d/", 0o750).file("d/f", &[7; 50_000]).build(), vec![0; 10_240]].concat();
    for (name, blob) in [("plain", padded.clone()), ("gzip", gzip(&padded)), ("zstd", zstd(&padded))] {
        let snapshot = world.snapshot(name);
        let applied = world.apply("default", world.request(&blob, bind(&snapshot))).unwrap();
        assert_eq!(applied.digest, sha256(&padded), "{name}");
        assert_eq!(applied.size, i64::try_from(padded.len()).unwrap());
        assert_eq!(applied.media_type, "application/vnd.oci.image.layer.v1.tar");
        assert_eq!(fs::read(snapshot.join("d/f")).unwrap(), [7; 50_000]);
        assert_eq!(fs::metadata(snapshot.join("d")).unwrap().mode() & 0o7777, 0o750);
    }
}

#[test]
fn a_snapshot_that_has_the_lower_layers_is_changed_as_the_layer_says() {
    let world = World::new();
    let snapshot = world.snapshot("1");
    let lower =
        Tar::new().dir("d/", 0o755).file("d/old", b"1").file("d/both", b"2").dir("o/", 0o755).file("o/old", b"3");
    let upper = Tar::new().file("d/.wh.old", b"").file("d/both", b"4").file("o/.wh..wh..opq", b"").file("o/new", b"5");
    for layer in [lower, upper] {
        world.apply("default", world.request(&layer.build(), bind(&snapshot))).unwrap();
    }
    let names = |path: &str| {
        let mut names: Vec<_> = fs::read_dir(snapshot.join(path)).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!((names("d"), names("o")), (vec!["both".into()], vec!["new".into()]));
    assert_eq!(fs::read(snapshot.join("d/both")).unwrap(), b"4");
}

#[test]
fn an_upper_directory_gets_whiteouts_opaque_directories_and_the_attributes_of_lower_parents() {
    let world = World::new();
    let [first, second, third] = ["1", "2", "3"].map(|name| world.snapshot(name));
    let lower = Tar::new().dir("a/", 0o711).file("a/gone", b"1").dir("o/", 0o755).file("o/gone", b"2");
    world.apply("default", world.request(&lower.build(), bind(&first))).unwrap();
    let middle = Tar::new().dir("b/", 0o700).file("b/x", b"");
    world.apply("default", world.request(&middle.build(), overlay(&second, &[&first]))).unwrap();
    // `a` and `b` are parents that this layer does not list. What is not in a lower layer needs no whiteout.
    let mut upper = Tar::new().file("a/.wh.gone", b"").file("a/.wh.never", b"").file("b/new", b"3");
    if is_root("opaque directories") {
        upper = upper.dir("o/", 0o755).file("o/.wh..wh..opq", b"").file("o/new", b"4");
    }
    world.apply("default", world.request(&upper.build(), overlay(&third, &[&second, &first]))).unwrap();
    let whiteout = fs::symlink_metadata(third.join("a/gone")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    assert!(!third.join("a/never").exists());
    assert_eq!(fs::metadata(third.join("a")).unwrap().mode() & 0o7777, 0o711);
    assert_eq!(fs::metadata(third.join("b")).unwrap().mode() & 0o7777, 0o700);
    if is_root("opaque directories") {
        let mut value = [0; 2];
        assert_eq!(rustix::fs::getxattr(third.join("o"), "trusted.overlay.opaque", &mut value), Ok(1));
        assert_eq!(value[0], b'y');
    }
}

#[test]
fn a_layer_side_by_side_with_others_that_needs_none_of_them_has_all_its_whiteouts() {
    let world = World::new();
    let upper = world.snapshot("2");
    let layer = Tar::new().dir("./", 0o711).dir("a/", 0o755).file("a/.wh.maybe", b"").file("a/new", b"1").build();
    world.apply("default", world.request(&layer, overlay(&upper, &[]))).unwrap();
    assert!(fs::symlink_metadata(upper.join("a/maybe")).unwrap().file_type().is_char_device());
    assert_eq!(fs::metadata(&upper).unwrap().mode() & 0o7777, 0o711);
}

#[test]
fn a_blob_comes_in_parts_and_one_that_is_shorter_or_longer_than_stated_is_refused() {
    let world = World::new();
    // Three parts, and one that ends with a whole one.
    for (name, size) in [("1", 700_000), ("2", 2 * (256 << 10) - 1536)] {
        let layer = Tar::new().file("f", &vec![9; size]).build();
        let applied = world.apply("default", world.request(&layer, bind(&world.snapshot(name)))).unwrap();
        assert_eq!(applied.digest, sha256(&layer));
        for (more, said) in
            [(-1, "mismatch"), (1, "[size-mismatch]"), (-400_000, "mismatch"), (400_000, "past object length")]
        {
            let mut request = world.request(&layer, bind(&world.snapshot(&format!("{name}{more}"))));
            request.diff.as_mut().unwrap().size += more;
            let status = world.apply("default", request).unwrap_err();
            assert!(status.message().contains(said), "{more}: {status}");
        }
    }
}

#[test]
fn blobs_are_read_from_the_content_store_if_its_directory_is_given_and_verified_all_the_same() {
    let world = World::with(&Setup { content_root: true, ..Setup::default() });
    let layer = Tar::new().file("f", b"1").build();
    let digest = sha256(&layer);
    let path = world.at("content/blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
    fs::write(&path, &layer).unwrap();
    let snapshot = world.snapshot("1");
    // No namespace is needed, since nothing is asked for in one.
    assert_eq!(world.apply("", world.request(&layer, bind(&snapshot))).unwrap().digest, digest);
    assert_eq!(fs::read(snapshot.join("f")).unwrap(), b"1");
    let mut damaged = layer.clone();
    damaged[512] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let status = world.apply("default", world.request(&layer, bind(&world.snapshot("2")))).unwrap_err();
    assert!(status.message().contains("[digest-mismatch]"), "{status}");
    fs::remove_file(&path).unwrap();
    let status = world.apply("default", world.request(&layer, bind(&world.snapshot("3")))).unwrap_err();
    assert!(status.message().contains("content store"), "{status}");
}

#[test]
fn a_containerd_that_does_not_tell_the_namespace_is_asked_which_ones_have_the_blob() {
    let policy = "[namespace.strict]\nrefuse = [\"fifo\"]\n";
    let world = World::with(&Setup { policy, ..Setup::default() });
    let layer = |number: &str| Tar::new().entry(tar::EntryType::Fifo, number, "", b"", 0o600).build();
    let in_namespaces = |number: &str, namespaces: &[&str]| {
        let blob = layer(number);
        let request = world.request(&blob, bind(&world.snapshot(number)));
        // The blob is in `default` too by now, so it is taken out of it.
        world.store.remove("default", &sha256(&blob));
        for namespace in namespaces {
            world.blob(namespace, &blob, Ends::AtItsEnd);
        }
        world.apply("", request).map_err(|status| status.message().to_owned())
    };
    assert!(in_namespaces("1", &["any"]).is_ok());
    assert!(in_namespaces("2", &["any", "other"]).is_ok());
    assert!(in_namespaces("3", &["strict"]).unwrap_err().contains("[fifo]"));
    assert!(in_namespaces("4", &["any", "strict"]).unwrap_err().contains("any,strict"));
    assert!(in_namespaces("5", &[]).unwrap_err().contains("in any namespace"));
}

#[test]
fn a_request_to_synchronize_the_snapshot_is_obeyed() {
    let mut world = World::new();
    let layer = Tar::new().file("f", b"1").build();
    let trace = world.at("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=syncfs", "-o"]).arg(&trace).args(["-p", &world.differ.id().to_string()]);
    let Ok(mut strace) = strace.stderr(Stdio::null()).spawn() else {
        println!("skipped, since it needs strace");
        return;
    };
    world.wait("strace is attached", |world| {
        let status = fs::read_to_string(format!("/proc/{}/status", world.differ.id())).unwrap();
        !status.contains("TracerPid:\t0\n")
    });
    let syncs = |name: &str, sync_fs| {
        let request = world.request(&layer, bind(&world.snapshot(name)));
        world.apply("default", ApplyRequest { sync_fs, ..request }).unwrap();
        fs::read_to_string(&trace).unwrap().matches("syncfs(").count()
    };
    assert_eq!((syncs("1", false), syncs("2", true)), (0, 1));
    drop(world);
    strace.wait().unwrap();
}
