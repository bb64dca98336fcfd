//! The matters that policy decides, each choice on real directories.

use crate::metadata::acl;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::tree::{self, Listing};
use crate::support::world::World;
use crate::support::{is_root, stage};
use layercage::audit::{Audit, Finding, Observer};
use layercage::policy::{Fifos, IdMap, Links, Mtime, OwnerMap, Owners, SetId, Xattrs};
use layercage::rules::QuirkRule;
use layercage::tar::Timestamp;
use layercage::{Applied, Error, Layer, Limits, Policy};

mod labels;
mod owners;

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

fn policy() -> Policy {
    Policy::default()
}

/// Applies layers to an empty root; nothing outside of it changes.
fn apply(layers: &[LayerBuilder], policy: &Policy) -> (World, Result<Applied, Error>) {
    let world = World::new();
    let result = world.apply(layers, policy);
    world.assert_untouched("policy");
    (world, result)
}

fn applied(layers: &[LayerBuilder], policy: &Policy) -> (World, Applied) {
    let (world, result) = apply(layers, policy);
    (world, result.unwrap())
}

/// The rule that refuses it.
fn refused(layers: &[LayerBuilder], policy: &Policy) -> &'static str {
    apply(layers, policy).1.unwrap_err().rule_id().unwrap()
}

#[test]
fn pipes_are_made_left_out_or_refused() {
    let piped = layer().fifo("run/pipe").hard_link("run/link", "run/pipe").file("run/file", b"!");
    let (world, report) = applied(std::slice::from_ref(&piped), &policy());
    assert_eq!([world.kind("run/pipe"), world.kind("run/link")], ["fifo", "fifo"]);
    assert_eq!(report.report().count("fifo"), 0);

    let lower = layer().file("run/pipe", b"lower");
    let (world, report) = applied(&[lower, piped.clone()], &policy().with_fifos(Fifos::Skip));
    assert_eq!(["run/pipe", "run/link", "run/file"].map(|path| world.kind(path)), ["", "", "file"]);
    assert_eq!([report.report().count("fifo"), report.report().count("hard-link-to-skipped")], [1, 1]);

    assert_eq!(refused(std::slice::from_ref(&piped), &policy().with_fifos(Fifos::Refuse)), "fifo");
    assert_eq!(refused(std::slice::from_ref(&piped), &Policy::paranoid().refuse(QuirkRule::Fifo)), "fifo");
    let paranoid = Policy::paranoid().allow(QuirkRule::OwnerToCaller).with_fifos(Fifos::Create);
    assert_eq!(applied(&[piped], &paranoid).0.kind("run/pipe"), "fifo");
}

/// A file, a directory and a second name that are setuid, setgid and sticky, and belong to whoever runs the tests.
fn with_bits() -> LayerBuilder {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let with = |bits| Attributes { uid, gid, ..mode(bits) };
    layer()
        .file_with("su", b"", &with(0o6755))
        .dir_with("tmp", &with(0o1777))
        .entry(b'1', b"link", b"su", b"", &with(0o6755))
        .symlink("s", "su")
}

#[test]
fn setid_bits_are_kept_stripped_or_refused() {
    let (world, report) = applied(&[with_bits()], &policy());
    assert_eq!([world.mode("su"), world.mode("link"), world.mode("tmp")], [0o6755, 0o6755, 0o1777]);
    assert_eq!(report.report().count("setid") + report.report().count("hard-link-metadata"), 0);

    let (world, report) = applied(&[with_bits()], &policy().with_set_id(SetId::Strip));
    assert_eq!([world.mode("su"), world.mode("link"), world.mode("tmp")], [0o755, 0o755, 0o777]);
    // The second name lost nothing of its own, and its header is right about the bits that are left.
    assert_eq!([report.report().count("setid"), report.report().count("hard-link-metadata")], [2, 0]);

    assert_eq!(refused(&[with_bits()], &policy().with_set_id(SetId::Refuse)), "setid");
    assert_eq!(refused(&[layer().dir_with("t", &mode(0o1777))], &policy().with_set_id(SetId::Refuse)), "setid");
}

#[test]
fn links_on_the_way_are_followed_clamped_or_refused() {
    let through = || layer().symlink("run", "var/run").file("run/pid", b"1");
    let climbing = || layer().symlink("up", "../out").file("up/x", b"1");
    assert_eq!(applied(&[through()], &policy().with_links(Links::Follow)).0.text("var/run/pid"), "1");
    assert_eq!(refused(&[climbing()], &policy().with_links(Links::Follow)), "link-climbs");

    let (world, report) = applied(&[through(), climbing()], &policy().with_links(Links::Clamp));
    assert_eq!((world.text("out/x").as_str(), report.report().count("link-climbs")), ("1", 1));
    let (world, _) = applied(&[climbing()], &Policy::paranoid().with_owners(Owners::Auto).with_links(Links::Clamp));
    assert_eq!(world.text("out/x"), "1");

    let strict = policy().with_links(Links::Refuse);
    let lower = || layer().symlink("run", "var").file("var/pid", b"");
    for (what, upper) in [
        ("a file", layer().file("run/x", b"")),
        ("a whiteout", layer().whiteout("run/pid")),
        ("an opaque marker", layer().opaque("run")),
        ("a hard link's target", layer().hard_link("x", "run/pid")),
        ("a hard link", layer().hard_link("run/x", "var/pid")),
    ] {
        let world = World::new();
        world.apply(&[lower()], &strict).unwrap();
        let error = world.apply(&[upper], &strict).unwrap_err();
        assert_eq!(error.rule_id(), Some("link-parent"), "{what}: {error}");
    }
    // What comes last is not followed by anything, and no reason to refuse.
    let last = layer().symlink("run", "x").whiteout("gone").hard_link("second", "run").file("run", b"");
    assert_eq!(applied(&[layer().symlink("gone", "y"), last], &strict).0.text("second"), "x");
}

#[test]
fn times_are_clamped_and_parents_that_no_entry_lists_have_the_epoch() {
    let dated = |mtime| Attributes { mtime, ..mode(0o755) };
    let all = layer()
        .file_with("old", b"", &dated(5))
        .file_with("new", b"", &dated(2_000_000_000))
        .dir_with("dir", &dated(2_000_000_000))
        .record("mtime", b"10.5")
        .symlink("link", "x")
        .file("implied/deep/file", b"");
    let at = Timestamp::of_seconds;
    let clamped = policy().with_mtime(Mtime::Clamp(at(10))).with_epoch(at(7));
    let (world, report) = applied(std::slice::from_ref(&all), &clamped);
    let times = ["old", "new", "dir", "link", "implied", "implied/deep"].map(|path| world.mtime(path));
    assert_eq!(times, [(5, 0), (10, 0), (10, 0), (10, 0), (7, 0), (7, 0)]);
    assert_eq!(report.report().counts().filter(|(id, _)| *id != "owner-to-caller").count(), 0);
    // The epoch is no later than the latest time either.
    assert_eq!(applied(std::slice::from_ref(&all), &clamped.with_epoch(at(11))).0.mtime("implied"), (10, 0));
    assert_eq!(staged(&[all], &policy().with_epoch(at(7)))[&b"."[..]]["mtime"], "7.000000000");
}

/// The tree that layers make beside its final place.
fn staged(layers: &[LayerBuilder], policy: &Policy) -> Listing {
    let place = tempfile::tempdir().unwrap();
    stage(place.path(), policy, layers);
    tree::list(&place.path().join("rootfs"))
}

fn with_xattrs<'a>(xattrs: &[(&'a str, &'a [u8])]) -> Attributes<'a> {
    Attributes { xattrs: xattrs.to_vec(), ..Attributes::default() }
}

/// The names of the extended attributes of a path.
fn names(world: &World, path: &str) -> Vec<String> {
    let listing = tree::list(&world.root());
    listing[path.as_bytes()].keys().filter_map(|field| field.strip_prefix("xattr.").map(str::to_owned)).collect()
}

#[test]
fn attributes_are_a_layers_own_or_refused_or_required_or_none() {
    let mixed = layer().file_with("f", b"", &with_xattrs(&[("user.a", b"1"), ("user.overlay.opaque", b"y")]));
    for choice in [Xattrs::Safe, Xattrs::Require] {
        let (world, report) = applied(std::slice::from_ref(&mixed), &policy().with_xattrs(choice));
        assert_eq!((names(&world, "f"), report.report().count("xattr-dropped")), (vec!["user.a".to_owned()], 1));
    }
    assert_eq!(refused(std::slice::from_ref(&mixed), &policy().with_xattrs(Xattrs::Refuse)), "xattr-dropped");
    let none = Policy::paranoid().with_owners(Owners::Auto).with_xattrs(Xattrs::None);
    let (world, report) = applied(std::slice::from_ref(&mixed), &none);
    assert_eq!((names(&world, "f"), report.report().count("xattr-dropped")), (vec![], 2));
    let (world, report) = applied(&[mixed], &policy().with_xattrs(Xattrs::All));
    assert_eq!(names(&world, "f"), ["user.a", "user.overlay.opaque"]);
    assert_eq!(report.report().count("xattr-dropped"), 0);

    // No file system has them on a pipe.
    let pipe = layer().entry(b'6', b"p", b"", b"", &with_xattrs(&[("user.a", b"1")]));
    let (world, report) = applied(std::slice::from_ref(&pipe), &policy());
    assert_eq!((world.kind("p"), report.report().count("xattr-unsupported")), ("fifo", 1));
    assert_eq!(refused(&[pipe], &policy().with_xattrs(Xattrs::Require)), "xattr-unsupported");

    let malformed = layer().file_with("f", b"", &with_xattrs(&[("security.capability", b"1")]));
    for &choice in Xattrs::ALL {
        assert_eq!(refused(std::slice::from_ref(&malformed), &policy().with_xattrs(choice)), "xattr-value", "{choice}");
    }
}

#[test]
fn whoever_is_privileged_may_keep_a_storage_drivers_attributes() {
    let driver = layer().file_with("f", b"", &with_xattrs(&[("trusted.overlay.opaque", b"y"), ("trusted.", b"")]));
    let (world, report) = applied(&[driver], &policy().with_xattrs(Xattrs::All));
    let (dropped, unsupported) = (report.report().count("xattr-dropped"), report.report().count("xattr-unsupported"));
    if !is_root("attributes of a storage driver") {
        assert_eq!((dropped, unsupported), (1, 1));
        return;
    }
    assert_eq!((names(&world, "f"), dropped, unsupported), (vec!["trusted.overlay.opaque".to_owned()], 1, 0));
}

#[test]
fn an_attribute_that_a_directory_has_no_more_goes_if_layers_may_have_it() {
    let all = [("user.a", &b"1"[..]), ("trusted.t", b"1"), ("security.thing", b"1")];
    let all = if is_root("attributes that need privileges") { &all[..] } else { &all[..1] };
    let layers = [layer().dir_with("d", &with_xattrs(all)), layer().dir_with("d", &with_xattrs(&[("user.b", b"2")]))];
    let (world, _) = applied(&layers, &policy().with_xattrs(Xattrs::All));
    assert_eq!(names(&world, "d"), ["user.b"]);

    // An administrator may have set it.
    if is_root("attributes of the host") {
        let world = World::new();
        std::fs::create_dir(world.root().join("d")).unwrap();
        rustix::fs::setxattr(world.root().join("d"), "trusted.host", b"1", rustix::fs::XattrFlags::empty()).unwrap();
        let listed = layer().dir_with("d", &with_xattrs(&[("user.b", b"2")]));
        for (xattrs, expected) in [(Xattrs::Safe, &["trusted.host", "user.b"][..]), (Xattrs::All, &["user.b"])] {
            world.apply(std::slice::from_ref(&listed), &policy().with_xattrs(xattrs)).unwrap();
            assert_eq!(names(&world, "d"), expected, "{xattrs}");
        }
    }
}

#[derive(Default)]
struct Told(Vec<&'static str>);

impl Observer for Told {
    fn finding(&mut self, finding: &Finding) {
        self.0.push(finding.rule.id());
    }
}

#[test]
fn an_audit_tells_what_its_policy_minds_and_knows_what_others_would_refuse() {
    let bytes = layer().fifo("p").file_with("su", b"", &Attributes { uid: 9, ..mode(0o4755) }).build();
    let look = |policy: Policy| {
        let (mut audit, mut told) = (Audit::new(Limits::default()).with_policy(policy), Told::default());
        audit.layer(Layer::new(&bytes[..]), &mut told).unwrap();
        assert_eq!(audit.findings(), told.0.len() as u64);
        (audit, told.0)
    };
    let (audit, told) = look(policy());
    assert!(told.is_empty() && !audit.is_refused_by(&policy()) && !audit.is_refused_by(&Policy::paranoid()));
    assert!(audit.is_refused_by(&policy().with_fifos(Fifos::Refuse)));
    assert!(audit.is_refused_by(&policy().with_set_id(SetId::Refuse)));
    assert_eq!(look(policy().with_fifos(Fifos::Refuse).with_set_id(SetId::Strip)).1, ["fifo", "setid"]);

    let one = || IdMap::new(["0:0:1".parse().unwrap()]).unwrap();
    let mapped = policy().with_owners(Owners::Map(OwnerMap { uids: one(), gids: one() }));
    let (audit, told) = look(mapped.clone());
    assert_eq!((told, audit.is_refused_by(&mapped)), (vec!["owner-unmapped", "setid-dropped"], true));
}

/// An ACL whose named user is 12345, as `acl` has it, and one whose is somebody else.
fn acl_of(user: u32) -> Vec<u8> {
    let mut value = acl(7, 7);
    value[16..20].copy_from_slice(&user.to_le_bytes());
    value
}
