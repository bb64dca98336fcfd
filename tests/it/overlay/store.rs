//! Images in a store: layers are made once, found again, published whole, and removed when no image needs them.

use super::world::{World, layer, rootfs, slow, there, three, unpacker};
use super::{USER_DEVICES, USER_XATTRS, model, mounted, possible};
use crate::child;
use crate::skip::skip;
use crate::support::layer::mode;
use crate::support::tree::{self, Listing};
use crate::support::{is_root, open};
use layercage::error::{Blame, Misuse};
use layercage::overlay::{OverlayFormat, OverlayStore};
use layercage::policy::{Devices, Durability};
use layercage::{Error, Image, Policy, Selected, Selector, Staged, Unpacker};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn an_image_in_a_store_shows_its_rootfs_and_is_listed() {
    let world = World::new();
    let image = world.image("image", &three());
    let unpacked = world.unpack(&image);
    assert_eq!(there(&unpacked), [false; 3]);
    let shown = model::list(&world.directories(&unpacked), possible());
    let differences = tree::differences(&rootfs(&image, &Policy::default()), &shown);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let digest = OverlayStore::digest_of(&image);
    assert_eq!(&digest, image.manifest().unwrap().digest());
    let list = fs::read_to_string(world.path().join(format!("images/{digest}/lower"))).unwrap();
    let paths: Vec<_> = unpacked.layers().iter().map(|layer| layer.path()).collect();
    assert_eq!(list.lines().collect::<Vec<_>>(), paths);
    for layer in unpacked.layers() {
        assert_eq!(layer.path(), format!("layers/sha256/{}/diff", layer.chain_id().hex()));
        let directory = world.path().join(layer.path());
        assert_eq!(fs::metadata(directory.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
    }
    assert_eq!(unpacked.layers()[2].chain_id(), image.layers()[0].diff_id());
    world.assert_tidy();
}

#[test]
fn a_layer_that_is_there_is_not_read_again() {
    let world = World::new();
    let first = world.image("first", &three());
    world.unpack(&first);
    let before = tree::list(&world.path());
    assert_eq!(there(&world.unpack(&first)), [true; 3]);
    assert_eq!(
        tree::list(&world.path().join("layers")).len(),
        before.keys().filter(|p| p.starts_with(b"layers")).count()
    );
    let [one, two, _] = three();
    let second = world.image("second", &[one.clone(), two, layer().file("other", b"")]);
    let unpacked = world.unpack(&second);
    assert_eq!(there(&unpacked), [false, true, true]);
    let mut opened = Vec::new();
    let third = world.image("third", &[one, layer().file("x", b"")]);
    let open_layer = |layer: &layercage::image::LayerDescriptor| {
        opened.push(layer.position().number);
        Ok(third.open_layer(layer)?)
    };
    let unpacked = Unpacker::default().session().unpack_overlay_from(&third, open_layer, &world.store()).unwrap();
    assert_eq!((there(&unpacked), opened), (vec![false, true], vec![2]));
    let shown = model::list(&world.directories(&unpacked), possible());
    assert!(tree::differences(&rootfs(&third, &Policy::default()), &shown).is_empty());
}

#[test]
fn another_policy_or_format_is_another_layer() {
    let world = World::new();
    let image = world.image("image", &[layer().file("d/f", b""), layer().whiteout("d/f")]);
    let store = world.store();
    let plain = world.unpack(&image);
    let other = Policy::default().with_epoch(layercage::tar::Timestamp::new(7, 0).unwrap());
    let unpacked = image.unpack_overlay(&store, &other).unwrap();
    assert_eq!(there(&unpacked), [false, false]);
    for (other, plain) in unpacked.layers().iter().zip(plain.layers()) {
        assert_eq!(other.chain_id(), plain.chain_id());
        assert!(other.path().starts_with(plain.path().strip_suffix("/diff").unwrap()) && other.path() != plain.path());
    }
    assert_eq!(there(&image.unpack_overlay(&store, &other).unwrap()), [true, true]);
    assert_eq!(there(&world.unpack(&image)), [true, true]);
    for format in [USER_DEVICES, USER_XATTRS].into_iter().filter(|format| *format != store.format()) {
        let store = world.store().with_format(format).unwrap();
        assert_eq!(there(&image.unpack_overlay(&store, &Policy::default()).unwrap()), [false, false], "{format:?}");
        assert_eq!(there(&image.unpack_overlay(&store, &Policy::default()).unwrap()), [true, true]);
    }
    world.assert_tidy();
}

#[test]
fn what_lower_layers_skipped_is_known_when_they_are_not_read() {
    let world = World::new();
    let policy = Policy::default().with_devices(Devices::Skip);
    let base = layer().device("dev/a b", 1, 3).device("gone", 1, 3).file("f", b"");
    let middle = layer().whiteout("gone");
    let base_image = world.image("base", &[base.clone(), middle.clone()]);
    base_image.unpack_overlay(&world.store(), &policy).unwrap();
    let image = world.image("image", &[base.clone(), middle.clone(), layer().hard_link("link", "dev/a b")]);
    let unpacked = image.unpack_overlay(&world.store(), &policy).unwrap();
    assert_eq!((there(&unpacked), unpacked.report().count("hard-link-to-skipped")), (vec![false, true, true], 1));
    let refused = world.image("refused", &[base, middle, layer().hard_link("link", "gone")]);
    let error = refused.unpack_overlay(&world.store(), &policy).unwrap_err();
    assert_eq!(error.rule_id(), Some("hard-link-missing"));
}

#[test]
fn a_refused_layer_leaves_the_layers_below_it_and_no_image() {
    let world = World::new();
    let image = world.image("image", &[layer().file("a", b""), layer().file("b", b"").file("../x", b"")]);
    let error = image.unpack_overlay(&world.store(), &Policy::default()).unwrap_err();
    assert_eq!((error.rule_id(), error.position().layer.unwrap().number), (Some("name-climbs"), 2));
    let names = world.names();
    assert_eq!(names.iter().filter(|name| name.ends_with("/diff")).count(), 1, "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("images/")), "{names:?}");
    world.assert_tidy();
}

#[test]
fn damaged_blobs_never_become_layers() {
    let world = World::new();
    let image = world.image("image", &three());
    let blob =
        world.0.path().join(format!("image/blobs/sha256/{}", image.layers()[1].descriptor().unwrap().digest().hex()));
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let error = image.unpack_overlay(&world.store(), &Policy::default()).unwrap_err();
    assert_eq!(error.blame(), Blame::Archive);
    assert_eq!(world.names().iter().filter(|name| name.ends_with("/diff")).count(), 1);
    world.assert_tidy();
}

#[test]
fn a_store_that_others_may_write_to_is_not_used() {
    let world = World::new();
    let image = world.image("image", &three());
    let refused = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::SharedStore { .. })), "{error}");
    };
    for (path, bits) in [("", 0o720), ("", 0o702)] {
        fs::set_permissions(world.path().join(path), fs::Permissions::from_mode(bits)).unwrap();
        refused(OverlayStore::open(open(&world.path())).map(drop));
    }
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o755)).unwrap();
    world.unpack(&image);
    for path in ["layers", "layers/sha256", "images"] {
        fs::set_permissions(world.path().join(path), fs::Permissions::from_mode(0o777)).unwrap();
        refused(image.unpack_overlay(&world.store(), &Policy::default()).map(drop));
        fs::set_permissions(world.path().join(path), fs::Permissions::from_mode(0o700)).unwrap();
    }
    // A link in place of a directory is not followed.
    fs::rename(world.path().join("layers"), world.0.path().join("elsewhere")).unwrap();
    symlink("../elsewhere", world.path().join("layers")).unwrap();
    let error = image.unpack_overlay(&world.store(), &Policy::default()).unwrap_err();
    assert_eq!(error.blame(), Blame::System, "{error}");
}

/// Replaces the boot in the records of layers. Returns how many have one.
fn change_boots(world: &World, boot: &str) -> usize {
    let names = world.names();
    let records = names.iter().filter(|name| name.ends_with("/layer")).map(|name| world.path().join(name));
    let change = |path: PathBuf| {
        let record = fs::read_to_string(&path).unwrap();
        let changed =
            |line: &str| if line.starts_with("boot ") { format!("boot {boot}\n") } else { format!("{line}\n") };
        fs::write(path, record.lines().map(changed).collect::<String>()).unwrap();
        usize::from(record.contains("\nboot "))
    };
    records.map(change).sum()
}

#[test]
fn a_layer_that_is_not_on_the_disk_is_made_again_after_a_restart() {
    let world = World::new();
    let (plain, synced) = (world.image("plain", &three()), world.image("synced", &[layer().file("b", b"")]));
    let before = world.unpack(&plain);
    let policy = Policy::default().with_durability(Durability::Synced);
    synced.unpack_overlay(&world.store(), &policy).unwrap();
    assert_eq!(change_boots(&world, "another"), 3);
    fs::write(world.directories(&before)[2].join("a"), "").unwrap();
    let after = world.unpack(&plain);
    assert_eq!((there(&after), after.layers()[0].path()), (vec![false; 3], before.layers()[0].path()));
    assert_eq!(fs::read(world.directories(&after)[2].join("a")).unwrap(), b"1");
    assert_eq!(there(&world.unpack(&plain)), [true; 3]);
    assert_eq!(there(&synced.unpack_overlay(&world.store(), &policy).unwrap()), [true]);
    world.assert_tidy();
    // It cannot be told when that was. The layers may be mounted, so they stay.
    assert_eq!(change_boots(&world, ""), 3);
    let others = world.unpack(&plain);
    assert_eq!(there(&others), [false; 3]);
    assert_eq!(there(&world.unpack(&plain)), [true; 3]);
    assert!(world.directories(&after).iter().chain(&world.directories(&others)).all(|directory| directory.is_dir()));
}

#[test]
fn a_synced_run_takes_layers_that_were_not_synced_and_marks_them() {
    let world = World::new();
    let image = world.image("image", &three());
    world.unpack(&image);
    assert_eq!(change_boots(&world, fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim()), 3);
    let policy = Policy::default().with_durability(Durability::Synced);
    assert_eq!(there(&image.unpack_overlay(&world.store(), &policy).unwrap()), [true; 3]);
    assert_eq!(change_boots(&world, "another"), 0);
    assert_eq!(there(&world.unpack(&image)), [true; 3]);
    world.assert_tidy();
}

#[test]
fn a_choice_that_the_preset_makes_too_is_the_same_layer() {
    let world = World::new();
    let image = world.image("image", &three());
    world.unpack(&image);
    let same = Policy::default().with_devices(Devices::Refuse).with_epoch(layercage::tar::Timestamp::default());
    assert_eq!(there(&image.unpack_overlay(&world.store(), &same).unwrap()), [true; 3]);
    let other = Policy::default().with_devices(Devices::Skip);
    assert_eq!(there(&image.unpack_overlay(&world.store(), &other).unwrap()), [false; 3]);
}

#[test]
fn a_record_that_is_not_ours_is_not_believed() {
    let world = World::new();
    let image = world.image("image", &three());
    let unpacked = world.unpack(&image);
    let record = world.directories(&unpacked)[1].parent().unwrap().join("layer");
    let text = fs::read_to_string(&record).unwrap();
    for bad in [
        "",
        "layercage overlay layer 2\n",
        &text[..text.len() - 1],
        &text.replace("diff-id sha256:", "diff-id sha256:0"),
    ] {
        fs::write(&record, bad).unwrap();
        let error = image.unpack_overlay(&world.store(), &Policy::default()).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::DamagedStore { .. })), "{bad:?}: {error}");
    }
    let other = unpacked.layers()[0].chain_id().to_string();
    let diff_id = text.lines().find(|line| line.starts_with("diff-id")).unwrap();
    fs::write(&record, text.replace(diff_id, &format!("diff-id {other}"))).unwrap();
    let error = image.unpack_overlay(&world.store(), &Policy::default()).unwrap_err();
    assert!(matches!(error.misuse(), Some(Misuse::DamagedStore { .. })), "{error}");
}

#[test]
fn a_format_without_the_privilege_for_it_is_refused_when_it_is_chosen() {
    child::expect_success_without_privilege("chooses_formats_without_privileges");
    let world = World::new();
    for format in [USER_XATTRS, USER_DEVICES].into_iter().chain(is_root("trusted").then_some(super::XATTRS)) {
        assert_eq!(world.store().with_format(format).unwrap().format(), format);
    }
    assert_eq!(world.names(), ["."]);
}

/// Runs in a process without privileges.
#[test]
#[ignore = "started by the test above"]
fn chooses_formats_without_privileges() {
    if !child::is_child() {
        return;
    }
    let world = World::new();
    for format in [super::DEVICES, super::XATTRS] {
        let error = world.store().with_format(format).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::FormatNotPermitted { .. })), "{error}");
        assert!(error.to_string().contains("`trusted`"), "{error}");
        assert!(error.advice().is_some_and(|advice| advice.contains("userxattr")), "{error}");
    }
    assert_eq!(world.store().with_format(USER_XATTRS).unwrap().format(), USER_XATTRS);
    assert_eq!(world.names(), ["."]);
}

#[test]
fn a_first_layer_that_fails_leaves_an_empty_store_empty() {
    let world = World::new();
    let refused = world.image("refused", &[layer().file("../x", b"")]);
    for jobs in [1, 3] {
        unpacker(jobs).unpack_overlay(&refused, &world.store()).unwrap_err();
        assert_eq!(world.names(), ["."]);
    }
    let store = world.store();
    let mut staged = Staged::overlay(&store, unpacker(1).session()).unwrap();
    assert!(!staged.reuse(refused.layers()[0].diff_id()).unwrap());
    drop(staged);
    assert_eq!(world.names(), ["."]);
    // Another run that uses the store may be about to make a layer.
    let other = Staged::overlay(&store, unpacker(1).session()).unwrap();
    unpacker(1).unpack_overlay(&refused, &store).unwrap_err();
    assert_eq!(world.names(), [".", "layers", "layers/sha256"]);
    drop(other);
    world.unpack(&world.image("image", &three()));
    world.assert_tidy();
}

#[test]
fn mount_options_are_those_of_a_mount_or_none() {
    let world = World::new();
    let unpacked = world.unpack(&world.image("image", &three()));
    let user = if possible() == USER_XATTRS { ",userxattr" } else { "" };
    let paths: Vec<_> = unpacked.layers().iter().map(|layer| layer.path().to_owned()).collect();
    let options = |store: &str| unpacked.mount_options(store).map(|options| options.into_string().unwrap());
    assert_eq!(options(""), Some(format!("lowerdir={}{user}", paths.join(":"))));
    assert_eq!(options("/s/"), Some(format!("lowerdir=/s/{}:/s/{}:/s/{}{user}", paths[0], paths[1], paths[2])));
    assert_eq!(options("/s"), options("/s/"));
    for store in ["/a:b", "/a,b", "/a b", "/a\\b", "/a\"b", "/a\nb"] {
        assert_eq!(options(store), None, "{store}");
    }
    assert_eq!(options(&"/long".repeat(300)), None);
    let empty = world.unpack(&world.image("empty", &[]));
    assert_eq!(empty.mount_options(""), None);
}

#[test]
fn a_locked_directory_of_a_lower_layer_is_named_with_advice() {
    child::expect_success_without_privilege("unpacks_below_locked_directories");
}

/// Runs in a process without privileges.
#[test]
#[ignore = "started by the test above"]
fn unpacks_below_locked_directories() {
    if !child::is_child() {
        return;
    }
    let root = "\"the root of a lower layer\"";
    for (lower, name) in [
        // It can be opened, but nothing in it can be looked at.
        (layer().dir_with("d", &mode(0o644)).file("d/a", b""), "\"d\""),
        (layer().dir_with(".", &mode(0o000)).file("a", b""), root),
        (layer().dir_with(".", &mode(0o444)).file("a", b""), root),
        (layer().dir_with(".", &mode(0o111)).file("a", b""), root),
    ] {
        let world = World::new();
        let image = world.image("image", &[lower, layer().file("d/b", b"")]);
        // The second run finds the lower layer, which the first one has just made.
        for run in [1, 2] {
            let error = image.unpack_overlay(&world.store(), &Policy::default()).unwrap_err();
            assert!(error.to_string().contains(name), "{name}, run {run}: {error}");
            assert!(
                error.advice().is_some_and(|advice| advice.contains("podman unshare")),
                "{name}, run {run}: {error}"
            );
        }
        tree::unlock(&world.path());
    }
}

/// The real image and the real mount.
fn world_image() -> Selected {
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    Image::open(&open(&images)).unwrap().select(&Selector::host().with_reference("latest")).unwrap()
}

fn compare_world(formats: &[OverlayFormat], show: impl Fn(&[PathBuf], OverlayFormat) -> Listing) {
    let image = world_image();
    let expected = rootfs(&image, &Policy::default());
    for format in formats {
        let world = World::new();
        let store = world.store().with_format(*format).unwrap();
        let unpacked = image.unpack_overlay(&store, &Policy::default()).unwrap();
        let differences = tree::differences(&expected, &show(&world.directories(&unpacked), *format));
        assert!(differences.is_empty(), "{format:?}\n{}", differences.join("\n"));
        tree::unlock(&world.path());
    }
}

#[test]
fn the_real_image_shows_its_rootfs() {
    // Some of its directories lock their owner out.
    if is_root("lower layers with locked directories") {
        compare_world(&[super::DEVICES, super::XATTRS, USER_DEVICES, USER_XATTRS], model::list);
    }
}

#[test]
fn the_real_image_mounted_is_its_rootfs_as_root_and_in_a_user_namespace() {
    let variables = [("LAYERCAGE_CHILD", "1".as_ref())];
    let as_user = child::mounting_as_user("compares_the_real_image", &variables);
    let as_root = is_root("a mount as root").then(|| child::mounting("compares_the_real_image", &variables)).flatten();
    as_user.into_iter().chain(as_root).for_each(child::expect_success);
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn compares_the_real_image() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    match OverlayFormat::possible(open(place.path())).unwrap() {
        format if !mounted::can_mount() => skip(&format!("overlayfs cannot be mounted ({format:?})")),
        USER_XATTRS => compare_world(&[USER_XATTRS, USER_DEVICES], mounted::list),
        _ => compare_world(&[super::DEVICES, super::XATTRS], mounted::list),
    }
}

/// Unpacks the image beside a store. Runs in a process of its own, which may be killed.
#[test]
#[ignore = "started by the tests below"]
fn unpacks_an_image_to_a_store() {
    let Some(place) = std::env::var_os("PLACE").map(PathBuf::from) else { return };
    let image = Image::open(&open(&place.join("image"))).unwrap().select(&Selector::host()).unwrap();
    let store = OverlayStore::open(open(&place.join("store"))).unwrap();
    let jobs = std::env::var("JOBS").unwrap().parse().unwrap();
    unpacker(jobs).unpack_overlay(&image, &store).unwrap();
}

#[test]
fn killed_at_any_moment_a_run_leaves_whole_layers_and_the_next_one_takes_over() {
    let times: u32 = std::env::var("LAYERCAGE_KILLS").map_or(25, |times| times.parse().unwrap());
    let (whole, mut partial) = (World::new(), 0);
    let image = whole.image("image", &slow());
    let unpacked = whole.unpack(&image);
    let expected: Vec<_> = whole.directories(&unpacked).iter().map(|directory| tree::list(directory)).collect();
    for number in 0..times {
        let world = World::new();
        world.image("image", &slow());
        let jobs = ["1", "2", "3", "8"][number as usize / 6 % 4];
        let variables = [("PLACE", world.0.path().as_os_str()), ("JOBS", jobs.as_ref())];
        let mut runs: Vec<_> = (0..2)
            .map(|_| child::command("unpacks_an_image_to_a_store", &variables).stdout(Stdio::null()).spawn().unwrap())
            .collect();
        // While some of the layers are there, and others are made.
        let count = || unpacked.layers().iter().filter(|layer| world.path().join(layer.path()).exists()).count();
        while count() < number as usize % 6 && runs[1].try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros(u64::from(number * 370 % 4000)));
        runs[0].kill().unwrap();
        // What has a name is whole, at any moment. The rest of the store cannot be listed while the other run changes it.
        let layers = unpacked.layers().iter().zip(&expected);
        let found: Vec<_> = layers.filter(|(layer, _)| world.path().join(layer.path()).exists()).collect();
        partial += usize::from((1..6).contains(&found.len()));
        for (layer, expected) in found {
            let differences = tree::differences(expected, &tree::list(&world.path().join(layer.path())));
            assert!(differences.is_empty(), "{number}: {}\n{}", layer.path(), differences.join("\n"));
        }
        runs[0].wait().unwrap();
        assert!(runs[1].wait().unwrap().success(), "{number}: the other run takes over");
        assert_eq!(there(&world.unpack(&image)), [true; 6], "{number}");
        // What a kill left goes with the next layer, or the next removal.
        assert_eq!(world.store().remove(&OverlayStore::digest_of(&image)).unwrap(), Some(6));
        assert_eq!(world.names(), [".", "images", "layers", "layers/sha256"], "{number}");
    }
    assert!(partial > 0 || times < 25, "no kill came between two layers");
}
