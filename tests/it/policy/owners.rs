//! Whose files are, under each choice.

use super::{acl_of, applied, apply, layer, policy, staged};
use crate::child;
use crate::metadata::acl;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::world::World;
use crate::support::{is_root, open, tree};
use layercage::error::Blame;
use layercage::policy::{Devices, IdMap, OwnerMap, Owners};
use layercage::rules::QuirkRule;
use layercage::{Layer, Policy, Rootfs, Unpacker};
use std::os::unix::fs::MetadataExt;

fn me() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn owned(uid: u32, gid: u32, bits: u32) -> Attributes<'static> {
    Attributes { uid, gid, ..mode(bits) }
}

fn owner(world: &World, path: &str) -> (u32, u32) {
    (world.metadata(path).uid(), world.metadata(path).gid())
}

fn map(uids: &[String], gids: &[String]) -> Owners {
    let ids = |ranges: &[String]| IdMap::new(ranges.iter().map(|range| range.parse().unwrap())).unwrap();
    Owners::Map(OwnerMap { uids: ids(uids), gids: ids(gids) })
}

/// Users from 0 become those from 100,000, groups those from 200,000.
fn shifted() -> Policy {
    policy().with_owners(map(&["0:100000:65536".into()], &["0:200000:65536".into()]))
}

#[test]
fn the_caller_owns_everything_when_asked_to_and_no_setuid_bit_is_his_by_that() {
    let theirs = layer().file_with("f", b"", &owned(1234, 5678, 0o6755)).dir_with("d", &owned(1234, 5678, 0o2755));
    // What was chosen is noted even where notes are refused.
    let policy = Policy::paranoid().with_owners(Owners::Caller).allow(QuirkRule::SetIdDropped);
    let (world, report) = applied(&[theirs.file("implied/x", b"")], &policy);
    for path in ["f", "d", "implied", "implied/x"] {
        assert_eq!(owner(&world, path), me(), "{path}");
    }
    assert_eq!([world.mode("f"), world.mode("d")], [0o755, 0o2755]);
    assert_eq!(["owner-to-caller", "setid-dropped"].map(|id| report.report().count(id)), [1, 1]);
}

#[test]
fn owners_that_fall_to_the_caller_are_refused_or_noted_by_each_layer_anew() {
    let bytes = layer().file_with("f", b"", &owned(1234, 5678, 0o644)).file_with("g", b"", &owned(8, 8, 0o644)).build();
    let lax = || Policy::default().with_owners(Owners::Caller);
    let strict = || lax().refuse(QuirkRule::OwnerToCaller);
    let place = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
    let mut apply = |policy| Unpacker::new(policy).apply(Layer::new(&bytes[..]), &mut rootfs);
    // Whatever came before it over the same tree: its own refusal, or a policy that let it pass.
    for (policy, noted) in [(strict(), None), (strict(), None), (lax(), Some(1)), (strict(), None), (lax(), Some(1))] {
        let applied = apply(policy);
        let count = applied.as_ref().ok().map(|applied| applied.report().count("owner-to-caller"));
        assert_eq!(count, noted);
        assert!(applied.is_ok() || applied.unwrap_err().rule_id() == Some("owner-to-caller"));
    }
}

#[test]
fn a_strict_policy_refuses_owners_that_fall_to_who_has_no_privilege_each_time() {
    child::expect_success_without_privilege("is_strict_about_owners");
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn is_strict_about_owners() {
    if !child::is_child() {
        return;
    }
    let bytes = layer().file_with("f", b"", &owned(1234, 5678, 0o644)).build();
    let place = tempfile::tempdir().unwrap();
    let mut rootfs = Rootfs::over(&open(place.path())).unwrap();
    for policy in [Policy::default(), Policy::paranoid(), Policy::paranoid(), Policy::default()] {
        let is_strict = policy == Policy::paranoid();
        let applied = Unpacker::new(policy).apply(Layer::new(&bytes[..]), &mut rootfs);
        assert_eq!(applied.err().and_then(|error| error.rule_id()), is_strict.then_some("owner-to-caller"));
    }
}

#[test]
fn owners_that_must_be_kept_and_cannot_be_are_an_error_with_path_and_id() {
    child::expect_success_without_privilege("may_not_keep_owners");
}

/// Runs in a process of its own, not as root.
#[test]
#[ignore = "started by the test above"]
fn may_not_keep_owners() {
    if !child::is_child() {
        return;
    }
    let theirs = layer().file_with("f", b"", &owned(me().0, 4_000_000_000, 0o644));
    let error = apply(&[theirs], &policy().with_owners(Owners::Keep)).1.unwrap_err();
    assert_eq!(error.blame(), Blame::System);
    let message = error.to_string();
    assert!(message.contains("\"f\"") && message.contains(":4000000000"), "{message}");
}

#[test]
fn what_is_ours_already_takes_no_privilege_to_keep() {
    let ours = owned(me().0, me().1, 0o4755);
    let all = layer().file_with("f", b"", &ours).dir_with("d", &ours).file_with("d/f", b"", &ours);
    let (world, report) = applied(&[all], &policy().with_owners(Owners::Keep));
    assert_eq!((world.mode("f"), owner(&world, "d/f")), (0o4755, me()));
    assert_eq!(report.report().notes(), []);
}

#[test]
fn owners_that_must_be_kept_are() {
    if !is_root("owners (its twin: what_is_ours_already_takes_no_privilege_to_keep)") {
        return;
    }
    let (world, _) = applied(&[layer().file_with("f", b"", &owned(7, 8, 0o6755))], &policy().with_owners(Owners::Keep));
    assert_eq!((owner(&world, "f"), world.mode("f")), ((7, 8), 0o6755));
}

/// Capability sets with revision 2, and with revision 3 for the root of a user namespace.
fn capability(root: Option<u32>) -> Vec<u8> {
    let sets = [1_u32 << 10, 0, 0, 0].map(u32::to_le_bytes).concat();
    match root {
        None => [&[1, 0, 0, 2][..], &sets].concat(),
        Some(root) => [&[1, 0, 0, 3][..], &sets, &root.to_le_bytes()].concat(),
    }
}

#[test]
fn ids_are_mapped_in_owners_acls_and_capabilities() {
    if !is_root("mapped owners (its twin: one_may_map_to_oneself_without_privilege)") {
        return;
    }
    let (acl, inner, caps, other_caps) = (acl(7, 7), acl_of(3), capability(None), capability(Some(5)));
    let with = |xattrs: &[_]| Attributes { xattrs: xattrs.to_vec(), ..owned(1, 2, 0o4755) };
    let all = layer()
        .file_with("f", b"", &with(&[("system.posix_acl_access", &acl[..]), ("security.capability", &caps)]))
        .file_with("g", b"", &with(&[("security.capability", &other_caps)]))
        .dir_with("d", &with(&[("system.posix_acl_default", &inner[..])]))
        .symlink("s", "x")
        .fifo("p")
        .file("implied/x", b"")
        .entry(b'1', b"link", b"f", b"", &owned(1, 2, 0o4755));
    let (world, report) = applied(std::slice::from_ref(&all), &shifted());
    let listing = tree::list(&world.root());
    for (path, expected) in
        [("f", (100_001, 200_002)), ("d", (100_001, 200_002)), ("s", (100_000, 200_000)), ("p", (100_000, 200_000))]
    {
        assert_eq!(owner(&world, path), expected, "{path}");
    }
    assert_eq!([owner(&world, "implied"), owner(&world, "implied/x")], [(100_000, 200_000); 2]);
    assert_eq!(world.mode("f"), 0o4755);
    let attribute = |path: &str, name: &str| listing[path.as_bytes()][&format!("xattr.{name}")].clone();
    assert_eq!(attribute("f", "system.posix_acl_access")[32..40], tree::hex(&112_345_u32.to_le_bytes())[..]);
    assert_eq!(attribute("d", "system.posix_acl_default"), tree::hex(&acl_of(100_003)));
    // On the host it gives nothing: it counts for the root of the user namespace that the map is of.
    assert_eq!(attribute("f", "security.capability"), tree::hex(&capability(Some(100_000))));
    assert_eq!(attribute("g", "security.capability"), tree::hex(&capability(Some(100_005))));
    // The second name's header, mapped likewise, says nothing else.
    assert_eq!(report.report().notes(), []);

    let root = &staged(&[all], &shifted())[&b"."[..]];
    assert_eq!((root["uid"].as_str(), root["gid"].as_str(), root["mode"].as_str()), ("100000", "200000", "0755"));
}

#[test]
fn one_may_map_to_oneself_without_privilege() {
    let (uid, gid) = me();
    let policy = policy().with_owners(map(&[format!("0:{uid}:1")], &[format!("0:{gid}:1")]));
    let all = layer().file_with("su", b"", &mode(0o4755)).dir("d").symlink("d/s", "x").file("implied/x", b"");
    let (world, report) = applied(&[all], &policy);
    for path in ["su", "d", "d/s", "implied"] {
        assert_eq!(owner(&world, path), me(), "{path}");
    }
    assert_eq!((world.mode("su"), report.report().notes()), (0o4755, &[][..]));
}

#[test]
fn an_id_that_the_map_lacks_is_refused_with_path_and_id() {
    let (uid, gid) = me();
    let own = |uids: &[&str]| {
        let uids: Vec<_> = uids.iter().map(|inside| format!("{inside}:{uid}:1")).collect();
        policy().with_owners(map(&uids, &[format!("0:{gid}:1")]))
    };
    let theirs = layer().file_with("a/f", b"", &owned(65_536, 0, 0o4755));
    let error = apply(std::slice::from_ref(&theirs), &own(&["0"])).1.unwrap_err();
    assert_eq!(error.rule_id(), Some("owner-unmapped"));
    let message = error.to_string();
    assert!(message.contains("\"a/f\"") && message.contains("uid") && message.contains("65536"), "{message}");
    let group = layer().dir_with("a", &owned(0, 7, 0o755));
    assert!(apply(&[group], &own(&["0"])).1.unwrap_err().to_string().contains("kind gid, id 7"));
    let (acl, caps) = (acl(7, 7), capability(Some(9)));
    for attribute in [("system.posix_acl_access", &acl[..]), ("security.capability", &caps)] {
        let theirs = layer().file_with("f", b"", &Attributes { xattrs: vec![attribute], ..mode(0o644) });
        assert_eq!(apply(&[theirs], &own(&["0"])).1.unwrap_err().rule_id(), Some("owner-unmapped"), "{attribute:?}");
    }
    // Parents that no entry lists are root's.
    let error = apply(&[layer().file_with("a/f", b"", &owned(5, 0, 0o644))], &own(&["5"])).1.unwrap_err();
    assert_eq!(error.rule_id(), Some("owner-unmapped"));

    if is_root("giving files to nobody") {
        let (world, report) = applied(&[theirs], &own(&["0"]).allow(QuirkRule::OwnerUnmapped));
        assert_eq!((owner(&world, "a/f"), world.mode("a/f")), ((65_534, gid), 0o755));
        assert_eq!(["owner-unmapped", "setid-dropped"].map(|id| report.report().count(id)), [1, 1]);
    }
}

fn recorded(listing: &tree::Listing, path: &str) -> Option<String> {
    let value = listing[path.as_bytes()].get("xattr.user.containers.override_stat")?;
    let byte = |at| u8::from_str_radix(&value[at..at + 2], 16).unwrap();
    Some((0..value.len()).step_by(2).map(|at| char::from(byte(at))).collect())
}

/// One of everything, with a record of its own that is not to be believed.
fn everything() -> LayerBuilder {
    let lie = Attributes { xattrs: vec![("user.containers.override_stat", b"9:9:4777:file")], ..owned(1, 2, 0o4755) };
    layer()
        .file_with("su", b"!", &lie)
        .file_with("shadow", b"", &owned(0, 42, 0o000))
        .file_with("open", b"", &owned(0, 0, 0o666))
        .dir_with("tmp", &owned(0, 0, 0o1777))
        .dir_with("locked", &owned(5, 6, 0o050))
        .entry(b'6', b"pipe", b"", b"", &owned(3, 4, 0o622))
        .device("null", 1, 3)
        .node(b'4', "disk", 8, 1)
        .symlink("link", "su")
        .entry(b'1', b"second", b"su", b"", &owned(1, 2, 0o4755))
        .file("implied/x", b"")
}

#[test]
fn owners_and_modes_are_recorded_and_what_is_left_is_safe_for_the_caller() {
    // The attribute replaces that of the layer, whatever else is kept of it; and the file system must have it.
    for xattrs in [layercage::policy::Xattrs::Safe, layercage::policy::Xattrs::All, layercage::policy::Xattrs::None] {
        let policy = policy().with_owners(Owners::Record).with_devices(Devices::Create).with_xattrs(xattrs);
        let (world, report) = applied(&[everything()], &policy);
        let listing = tree::list(&world.root());
        for (path, record, kind, bits) in [
            ("su", "1:2:4755:file", "file", 0o755),
            ("second", "1:2:4755:file", "file", 0o755),
            ("shadow", "0:42:0000:file", "file", 0o600),
            ("open", "0:0:0666:file", "file", 0o644),
            ("tmp", "0:0:1777:dir", "dir", 0o755),
            ("locked", "5:6:0050:dir", "dir", 0o750),
            ("pipe", "3:4:0622:pipe", "file", 0o600),
            ("null", "0:0:0644:char-1-3", "file", 0o644),
            ("disk", "0:0:0644:block-8-1", "file", 0o644),
            ("implied", "0:0:0755:dir", "dir", 0o755),
        ] {
            assert_eq!(recorded(&listing, path).as_deref(), Some(record), "{path}");
            assert_eq!((world.kind(path), world.mode(path), owner(&world, path)), (kind, bits, me()), "{path}");
        }
        assert_eq!((owner(&world, "link"), world.text("su").as_str()), (me(), "!"));
        let dropped = report.report().count("xattr-dropped");
        let left = report.report().counts().filter(|(id, _)| *id != "xattr-dropped").count();
        assert_eq!((dropped, left), (u64::from(xattrs != layercage::policy::Xattrs::All), 0), "{xattrs}");
    }
    let root = staged(&[everything()], &policy().with_owners(Owners::Record).with_devices(Devices::Create));
    assert_eq!(recorded(&root, ".").as_deref(), Some("0:0:0755:dir"));
}

#[test]
fn a_link_that_is_somebody_elses_cannot_be_recorded_and_is_noted() {
    let theirs = layer().entry(b'2', b"link", b"x", b"", &owned(7, 7, 0o777));
    let (_, report) = applied(&[theirs], &policy().with_owners(Owners::Record));
    assert_eq!(report.report().count("owner-to-caller"), 1);
}

#[test]
fn a_way_through_that_is_whited_out_is_recorded_as_implied() {
    let lower = layer().dir_with("a", &owned(5, 6, 0o700)).file("a/b", b"");
    let upper = layer().file("a/c", b"").whiteout("a");
    let (world, _) = applied(&[lower, upper], &policy().with_owners(Owners::Record));
    assert_eq!(recorded(&tree::list(&world.root()), "a").as_deref(), Some("0:0:0755:dir"));
}
