//! What holds whoever we are: directories that keep their owner out, and surroundings that would leak in.

use crate::child;
use crate::metadata::acl;
use crate::skip::skip;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::tree::{self, Listing};
use crate::support::world::World;
use crate::support::{self, is_root, open, sha256, temporary};
use layercage::{Expected, Layer, Policy, Rootfs, Unpacker};
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

/// Directories that lock their owner out, with children that come before and after.
fn locked() -> [LayerBuilder; 2] {
    let lower = layer()
        .dir_with("none", &mode(0o000))
        .dir_with("none/deep", &mode(0o000))
        .file("none/deep/file", b"1")
        .dir_with("read", &mode(0o555))
        .file("read/file", b"2")
        .file_with("secret", b"3", &mode(0o000))
        .dir_with("gone", &mode(0o000))
        .file("gone/x/y", b"")
        .dir_with("gone/x", &mode(0o500))
        .dir_with(".", &mode(0o555));
    let upper = layer()
        .file("none/deep/later", b"4")
        .hard_link("read/link", "none/deep/file")
        .hard_link("open", "secret")
        .whiteout("read/file")
        .whiteout("gone")
        .file("new", b"5");
    [lower, upper]
}

#[test]
fn directories_that_lock_their_owner_out_get_their_children() {
    let world = World::new();
    world.apply(&locked(), &Policy::default()).unwrap();
    world.assert_untouched("locked directories");
    let listing = tree::list(&world.root());
    let modes =
        [(".", "0555"), ("none", "0000"), ("none/deep", "0000"), ("read", "0555"), ("secret", "0000"), ("new", "0644")];
    for (path, bits) in modes {
        assert_eq!(listing[path.as_bytes()]["mode"], bits, "{path}");
    }
    let names: Vec<_> = listing.keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    let expected =
        [".", "new", "none", "none/deep", "none/deep/file", "none/deep/later", "open", "read", "read/link", "secret"];
    assert_eq!(names, expected);
    assert_eq!(listing[&b"read/link"[..]]["hardlink"], "none/deep/file");
    assert_eq!(listing[&b"secret"[..]]["hardlink"], "open");
}

#[test]
fn locked_directories_are_opened_by_a_later_run() {
    let world = World::new();
    for layer in locked() {
        world.apply(&[layer], &Policy::default()).unwrap();
    }
    assert_eq!(tree::list(&world.root())[&b"."[..]]["mode"], "0555");
}

#[test]
fn looking_at_a_root_changes_nothing_of_it() {
    let world = World::new();
    fs::set_permissions(world.root(), fs::Permissions::from_mode(0o500)).unwrap();
    drop(Rootfs::over(&open(&world.root())).unwrap());
    assert_eq!(world.mode(""), 0o500);
}

#[test]
fn a_layer_is_verified_beside_a_locked_root_and_leaves_it_so() {
    let world = World::new();
    fs::set_permissions(world.root(), fs::Permissions::from_mode(0o500)).unwrap();
    let bytes = layer().file("a", b"!").build();
    let right = sha256(&bytes);
    let wrong = layercage::Digest::Sha256([0; 32]);
    let mut rootfs = Rootfs::over(&open(&world.root())).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let unpacker = Unpacker::new(Policy::default()).with_scratch(temporary(scratch.path()));
    let refused = unpacker
        .apply(Layer::new(&bytes[..]).expecting(Expected::unchecked().with_digest(wrong)), &mut rootfs)
        .unwrap_err();
    assert_eq!((refused.rule_id(), world.mode(""), world.kind("a")), (Some("digest-mismatch"), 0o500, ""));
    unpacker.apply(Layer::new(&bytes[..]).expecting(Expected::unchecked().with_digest(right)), &mut rootfs).unwrap();
    assert_eq!((world.mode(""), world.text("a").as_str()), (0o500, "!"));
}

#[test]
fn owners_and_setuid_bits_that_cannot_be_kept_are_noted() {
    child::expect_success_without_privilege("notes_owners_and_setuid_bits");
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn notes_owners_and_setuid_bits() {
    if !child::is_child() {
        return;
    }
    let world = World::new();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let all = layer()
        .file_with("root", b"", &mode(0o6755))
        .file_with("mine", b"", &Attributes { uid, gid, ..mode(0o6755) })
        .file_with("group", b"", &Attributes { gid, ..mode(0o6711) })
        .dir_with("dir", &mode(0o3775))
        .hard_link("link", "root");
    let applied = world.apply(&[all], &Policy::default()).unwrap();
    let modes = ["root", "mine", "group", "dir", "link"].map(|path| world.mode(path));
    assert_eq!(modes, [0o755, 0o6755, 0o2711, 0o3775, 0o755]);
    assert_eq!(applied.report().count("owner-to-caller"), 1);
    assert_eq!(applied.report().count("setid-dropped"), 2);
}

#[test]
fn owners_and_setuid_bits_are_kept() {
    if !is_root("owners (its twin: owners_and_setuid_bits_that_cannot_be_kept_are_noted)") {
        return;
    }
    let world = World::new();
    let theirs = Attributes { uid: 369_884_941, gid: 4_294_967_294, ..mode(0o6755) };
    let all = layer().file_with("f", b"", &theirs).dir_with("d", &theirs).fifo("p").symlink("l", "x").file("d/x", b"");
    world.apply(&[all], &Policy::default()).unwrap();
    let listing = tree::list(&world.root());
    for path in ["f", "d"] {
        let fields = &listing[path.as_bytes()];
        assert_eq!([&fields["uid"], &fields["gid"], &fields["mode"]], ["369884941", "4294967294", "6755"], "{path}");
    }
    assert_eq!(listing[&b"d/x"[..]]["gid"], "0");
}

#[test]
fn owners_are_kept_by_whoever_can_work_on_what_he_gave_away() {
    for (capabilities, keeps) in
        [("+chown", false), ("+chown,+fowner", false), ("+chown,+fowner,+dac_override,+fsetid", true)]
    {
        let place = tempfile::tempdir().unwrap();
        let variables = [("PLACE", place.path().as_os_str()), ("KEEPS", if keeps { "1" } else { "" }.as_ref())];
        let Some(command) = child::with_capabilities(capabilities, "stages_what_is_not_his", &variables) else {
            eprintln!("skipped, since it needs root (its twin: owners_and_setuid_bits_that_cannot_be_kept_are_noted)");
            return;
        };
        child::expect_success(command);
    }
}

/// Runs in a process of its own, with few capabilities.
#[test]
#[ignore = "started by the test above"]
fn stages_what_is_not_his() {
    let (Some(place), Some(keeps)) = (std::env::var_os("PLACE"), std::env::var_os("KEEPS")) else { return };
    let theirs = |bits| Attributes { uid: 1000, gid: 1000, ..mode(bits) };
    let layer = layer()
        .dir_with(".", &theirs(0o755))
        .dir_with("home", &theirs(0o700))
        .file_with("home/note", b"", &theirs(0o600))
        .file_with("home/later", b"", &mode(0o644));
    let listing = stage(place.as_ref(), &[layer]);
    let owner = if keeps.is_empty() { "0" } else { "1000" };
    for path in [".", "home", "home/note"] {
        assert_eq!(listing[path.as_bytes()]["uid"], owner, "{path}");
    }
}

/// Owners that a user namespace has and has not, with bits that must not come to another owner.
fn of_many() -> LayerBuilder {
    let of = |uid, gid, bits| Attributes { uid, gid, ..mode(bits) };
    layer()
        .file_with("root", b"", &of(0, 0, 0o6755))
        .file_with("user", b"", &of(42, 0, 0o6755))
        .file_with("group", b"", &of(0, 42, 0o6755))
        .file_with("far", b"", &of(70_000, 42, 0o6755))
        .file_with("far-group", b"", &of(42, 70_000, 0o6755))
        .dir_with("dir", &of(70_000, 70_000, 0o2755))
        .file_with("dir/f", b"", &of(42, 42, 0o600))
        .entry(b'2', b"link", b"x", b"", &of(70_000, 42, 0o777))
        .entry(b'6', b"pipe", b"", b"", &of(42, 70_000, 0o2640))
        .entry(b'1', b"second", b"far", b"", &of(70_000, 42, 0o6755))
        .file("implied/f", b"")
}

#[test]
fn in_a_user_namespace_without_the_layers_owners_these_fall_to_the_caller() {
    for (as_root, owners) in [(true, "auto"), (false, "auto"), (true, "keep")] {
        let variables = [("OWNERS", owners.as_ref())];
        if let Some(command) = child::alone(as_root, "applies_owners_that_the_namespace_lacks", &variables) {
            child::expect_success(command);
        }
    }
}

/// Runs in a process of its own, in a user namespace that has no id but the caller's.
#[test]
#[ignore = "started by the test above"]
fn applies_owners_that_the_namespace_lacks() {
    use layercage::policy::Owners;
    use std::os::unix::fs::MetadataExt;
    let Some(owners) = std::env::var_os("OWNERS") else { return };
    let world = World::new();
    if owners == "keep" {
        let error = world.apply(&[of_many()], &Policy::default().with_owners(Owners::Keep)).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("\"user\"") && message.contains("42:0"), "{message}");
        assert!(
            error.remedies().contains(&layercage::error::Remedy::Owners(layercage::policy::OwnersKind::Caller)),
            "{error:?}"
        );
        return;
    }
    let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let applied = world.apply(&[of_many()], &Policy::default()).unwrap();
    world.assert_untouched("a user namespace of one id");
    for path in ["root", "user", "group", "far", "dir", "dir/f", "link", "pipe", "second", "implied", "implied/f"] {
        let owner = (world.metadata(path).uid(), world.metadata(path).gid());
        assert_eq!(owner, me, "{path}");
    }
    let bits = |uid, gid| 0o755 | if me.0 == uid { 0o4000 } else { 0 } | if me.1 == gid { 0o2000 } else { 0 };
    assert_eq!([world.mode("root"), world.mode("user"), world.mode("group")], [bits(0, 0), bits(42, 0), bits(0, 42)]);
    assert_eq!(
        ["far", "far-group", "dir", "dir/f", "pipe"].map(|path| world.mode(path)),
        [0o755, 0o755, 0o2755, 0o600, 0o640]
    );
    let count = |id| applied.report().count(id);
    assert_eq!((count("owner-to-caller"), count("hard-link-metadata")), (1, 0));
    // Who wants them kept is told by a refusal, and what is somebody else's alone stays a layer's to say.
    assert_eq!(World::new().apply(&[of_many()], &Policy::paranoid()).unwrap_err().rule_id(), Some("owner-to-caller"));

    // Neither does an ACL of others fail there, or a capability where the namespace has no root.
    let (acl, sets) = (acl(7, 7), [1_u32 << 10, 0, 0, 0].map(u32::to_le_bytes).concat());
    let capability = [&[1, 0, 0, 2][..], &sets].concat();
    let xattrs = vec![("system.posix_acl_access", &acl[..]), ("security.capability", &capability[..])];
    let layer = layer().file_with("f", b"", &Attributes { xattrs, ..mode(0o755) });
    let applied = World::new().apply(&[layer], &Policy::default()).unwrap();
    assert_eq!(applied.report().count("xattr-unsupported"), if me.0 == 0 { 1 } else { 2 });
}

#[test]
fn in_a_user_namespace_of_many_ids_only_those_fall_that_it_lacks() {
    let place = tempfile::tempdir().unwrap();
    let variables = [("PLACE", place.path().as_os_str())];
    let Some(command) = child::among_a_thousand("stages_owners_near_and_far", &variables) else {
        eprintln!(
            "skipped, since it needs root (its twin: \
             in_a_user_namespace_without_the_layers_owners_these_fall_to_the_caller)"
        );
        return;
    };
    child::expect_success(command);
}

/// Runs in a process of its own, in a user namespace that has the ids below 1000.
#[test]
#[ignore = "started by the test above"]
fn stages_owners_near_and_far() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    let listing = stage(place.as_ref(), &[of_many()]);
    let expected = [
        ("root", "0", "0", "6755"),
        ("user", "42", "0", "6755"),
        ("group", "0", "42", "6755"),
        ("far", "0", "42", "2755"),
        ("second", "0", "42", "2755"),
        ("far-group", "42", "0", "4755"),
        ("dir", "0", "0", "2755"),
        ("dir/f", "42", "42", "0600"),
        ("link", "0", "42", ""),
        ("pipe", "42", "0", "0640"),
        ("implied", "0", "0", "0755"),
    ];
    for (path, uid, gid, bits) in expected {
        let fields = &listing[path.as_bytes()];
        let of = |field| fields.get(field).map_or("", String::as_str);
        assert_eq!([of("uid"), of("gid"), of("mode")], [uid, gid, bits], "{path}");
    }
    let world = World::new();
    let applied = world.apply(&[of_many()], &Policy::default()).unwrap();
    let count = |id| applied.report().count(id);
    assert_eq!(["owner-to-caller", "setid-dropped", "hard-link-metadata"].map(count), [1, 3, 0]);
    // More owners than are remembered.
    let crowd = (0..5_000).fold(layer(), |layer, id| {
        layer.file_with(&format!("f{id}"), b"", &Attributes { uid: id, gid: id, ..mode(0o4755) })
    });
    let world = World::new();
    world.apply(&[crowd], &Policy::default()).unwrap();
    for (id, bits) in [(999, 0o4755), (1000, 0o755), (4_999, 0o755)] {
        assert_eq!(world.mode(&format!("f{id}")), bits, "{id}");
    }
}

#[test]
fn a_setgid_bit_that_the_kernel_would_take_off_is_noted() {
    let world = World::new();
    let variables = [("PLACE", world.root().into_os_string())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_os_str()));
    let capabilities = "+chown,+fowner,+dac_override";
    let Some(command) = child::with_capabilities(capabilities, "applies_setgid_without_fsetid", &variables) else {
        eprintln!("skipped, since it needs root (its twin: owners_and_setuid_bits_that_cannot_be_kept_are_noted)");
        return;
    };
    child::expect_success(command);
    let modes = ["theirs", "mine", "link", "dir", "sub"].map(|path| world.mode(path));
    assert_eq!(modes, [0o4755, 0o6755, 0o4755, 0o755, 0o2755]);
}

/// Runs in a process of its own, with few capabilities.
#[test]
#[ignore = "started by the test above"]
fn applies_setgid_without_fsetid() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    let theirs = |bits| Attributes { gid: 1000, ..mode(bits) };
    let layer = layer()
        .file_with("theirs", b"", &theirs(0o6755))
        .file_with("mine", b"", &mode(0o6755))
        .dir_with("dir", &theirs(0o2755))
        .dir_with("sub", &mode(0o2755))
        .hard_link("link", "theirs");
    let mut rootfs = Rootfs::over(&open(place.as_ref())).unwrap();
    let applied = Unpacker::new(Policy::default()).apply(Layer::new(&layer.build()[..]), &mut rootfs).unwrap();
    assert_eq!(applied.report().count("setid-dropped"), 2);
}

#[test]
fn a_group_that_the_file_system_gives_is_not_taken_for_ours() {
    let Some(command) = child::mounting("applies_over_bsd_groups", &[("LAYERCAGE_CHILD", "1".as_ref())]) else {
        return;
    };
    child::expect_success(command);
}

/// Runs in a process of its own, which may mount.
#[test]
#[ignore = "started by the test above"]
fn applies_over_bsd_groups() {
    if std::env::var_os("LAYERCAGE_CHILD").is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (disk, root) = (place.path().join("disk"), place.path().join("root"));
    fs::File::create(&disk).unwrap().set_len(4 << 20).unwrap();
    fs::create_dir(&root).unwrap();
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        std::process::Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let made = run("mkfs.ext4", &["-q".as_ref(), disk.as_ref()]);
    if !made || !run("mount", &["-o".as_ref(), "loop,grpid".as_ref(), disk.as_ref(), root.as_ref()]) {
        skip("it takes mkfs.ext4, root and a loop device");
        return;
    }
    let mail = Attributes { gid: 8, ..mode(0o755) };
    let layer = layer()
        .file("first", b"")
        .dir_with("mail", &mail)
        .file("mail/f", b"")
        .file_with("mail/s", b"", &mode(0o2755))
        .file_with("mail/m", b"", &mail);
    let mut rootfs = Rootfs::over(&open(&root)).unwrap();
    Unpacker::new(Policy::default()).apply(Layer::new(&layer.build()[..]), &mut rootfs).unwrap();
    let listing = tree::list(&root);
    let groups = ["first", "mail", "mail/f", "mail/s", "mail/m"].map(|path| listing[path.as_bytes()]["gid"].clone());
    drop(rootfs);
    run("umount", &[root.as_ref()]);
    assert_eq!(groups, ["0", "8", "0", "0", "8"]);
}

/// One of everything, parents that nothing lists included.
fn everything() -> LayerBuilder {
    let read_only = mode(0o400);
    layer()
        .file("implied/file", b"1")
        .file_with("read", b"2", &read_only)
        .dir("dir")
        .file("dir/sub/file", b"3")
        .dir_with("private", &mode(0o700))
        .fifo("dir/fifo")
        .fifo("fifo")
        .symlink("dir/link", "x")
        .hard_link("second", "read")
        .file("read", b"4")
        .file_with(".wh..wh.plnk/1", b"5", &mode(0o640))
        .hard_link("dir/data", ".wh..wh.plnk/1")
        .hard_link("data", ".wh..wh.plnk/1")
}

fn stage(place: &Path, layers: &[LayerBuilder]) -> Listing {
    support::stage(place, &Policy::default(), layers);
    tree::list(&place.join("rootfs"))
}

#[test]
fn nothing_of_what_surrounds_a_root_leaks_in() {
    for layers in [vec![], vec![everything()], vec![everything(), layer().file("later/x", b"").fifo("later/p")]] {
        let plain = tempfile::tempdir().unwrap();
        let expected = stage(plain.path(), &layers);
        assert_eq!(
            (expected[&b"."[..]]["mode"].as_str(), expected[&b"."[..]]["mtime"].as_str()),
            ("0755", "0.000000000")
        );

        let leaky = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(leaky.path(), Some(0), Some(1234)).unwrap();
        }
        fs::set_permissions(leaky.path(), fs::Permissions::from_mode(0o3777)).unwrap();
        let set =
            rustix::fs::setxattr(leaky.path(), "system.posix_acl_default", &acl(7, 7), rustix::fs::XattrFlags::empty());
        if let Err(errno) = set {
            skip(&format!("a default ACL, which this file system does not take: {errno}"));
        }
        let differences = tree::differences(&expected, &stage(leaky.path(), &layers));
        assert!(differences.is_empty(), "\n{}", differences.join("\n"));
        if layers.len() > 1 {
            for path in ["rootfs/fifo", "rootfs/dir/fifo", "rootfs/later/p"] {
                let found =
                    rustix::fs::lgetxattr(leaky.path().join(path), "system.posix_acl_access", &mut [0; 256][..]);
                let none = matches!(found, Err(Errno::NODATA | Errno::OPNOTSUPP));
                assert!(none, "{path} has an ACL: {found:?}");
            }
        }
    }
}

#[test]
fn the_umask_changes_nothing() {
    let plain = tempfile::tempdir().unwrap();
    let expected = stage(plain.path(), &[everything(), layer().file("later/x", b"").fifo("later/p")]);
    for umask in ["777", "077", "000", "022"] {
        let place = tempfile::tempdir().unwrap();
        let variables = [("PLACE", place.path().as_os_str()), ("UMASK", umask.as_ref())];
        assert!(child::run("unpacks_under_a_umask", &variables), "umask {umask}");
        let differences = tree::differences(&expected, &tree::list(&place.path().join("rootfs")));
        assert!(differences.is_empty(), "umask {umask}\n{}", differences.join("\n"));
    }
}

/// Runs in a process of its own, since the umask is the process's.
#[test]
#[ignore = "started by the test above"]
fn unpacks_under_a_umask() {
    let (Some(place), Ok(umask)) = (std::env::var_os("PLACE"), std::env::var("UMASK")) else { return };
    let umask = rustix::fs::Mode::from_raw_mode(u32::from_str_radix(&umask, 8).unwrap());
    rustix::process::umask(umask);
    stage(place.as_ref(), &[everything(), layer().file("later/x", b"").fifo("later/p")]);
    assert_eq!(rustix::process::umask(umask), umask, "the umask is as it was");
}

/// Attributes of which a mode may keep us from setting some, in any order.
fn attributed() -> LayerBuilder {
    let narrow = acl(4, 4);
    let xattrs = || vec![("user.a", &b"1"[..]), ("system.posix_acl_access", &narrow[..]), ("user.b", b"2")];
    let with = |bits| Attributes { xattrs: xattrs(), ..mode(bits) };
    let only = Attributes { xattrs: vec![("user.a", b"1")], ..mode(0o444) };
    layer().file_with("file", b"!", &with(0o640)).file_with("only", b"!", &only).dir_with("dir", &with(0o750)).dir(".")
}

#[test]
fn a_umask_that_keeps_us_out_costs_no_attribute() {
    let places = ["000", "077", "277", "777"].map(|umask| (umask, tempfile::tempdir().unwrap()));
    let mut listings = Vec::new();
    for (umask, place) in &places {
        if is_root("") {
            std::os::unix::fs::chown(place.path(), Some(65534), Some(65534)).unwrap();
        }
        let variables = [("PLACE", place.path().as_os_str()), ("UMASK", umask.as_ref())];
        let Some(command) = child::unprivileged("applies_attributes_under_a_umask", &variables) else { return };
        child::expect_success(command);
        listings.push(tree::list(place.path()));
        let differences = tree::differences(&listings[0], &tree::list(place.path()));
        assert!(differences.is_empty(), "umask {umask}\n{}", differences.join("\n"));
    }
    let has_them =
        |path: &str| ["xattr.user.a", "xattr.user.b"].map(|name| listings[0][path.as_bytes()].contains_key(name));
    assert_eq!((has_them("file"), has_them("dir"), has_them("only")), ([true; 2], [true; 2], [true, false]));
}

/// Runs in a process of its own, not as root, since the umask is the process's.
#[test]
#[ignore = "started by the test above"]
fn applies_attributes_under_a_umask() {
    let (Some(place), Ok(umask)) = (std::env::var_os("PLACE"), std::env::var("UMASK")) else { return };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(u32::from_str_radix(&umask, 8).unwrap()));
    let mut rootfs = Rootfs::over(&open(place.as_ref())).unwrap();
    let unpacker = Unpacker::new(Policy::default());
    // New, and in the place of what is there, under a temporary name.
    for layer in [layer().file("only", b"").dir("file"), attributed()] {
        unpacker.apply(Layer::new(&layer.build()[..]), &mut rootfs).unwrap();
    }
}
