//! A layer written as a canonical archive: the same tree, the same bytes again, and nothing for any policy to say.

use crate::audit::{self, Said, said};
use crate::build::{Archive, Header};
use crate::skip::skip;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::tree::{self, Listing};
use crate::support::{is_root, open, sha256};
use layercage::audit::{Audit, Finding, Lower, Observer};
use layercage::error::{Blame, Effect, Misuse};
use layercage::policy::{Devices, Owners, Verdict};
use layercage::rules::{Limit, Rule};
use layercage::sink::{TarSink, Visibility};
use layercage::{Error, Expected, Layer, Limits, Policy, Rootfs, Unpacker};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::Command;

/// What can be resolved only when the whole layer is known, or not without the lower layers.
const STAYS: [&str; 5] =
    ["duplicate-path", "directory-over-link", "aufs-pseudo-link", "hard-link-metadata", "hard-link-repeated"];

fn layer() -> LayerBuilder {
    LayerBuilder::new()
}

fn filter(layer: &[u8], policy: &Policy) -> Result<Vec<u8>, Error> {
    let mut sink = TarSink::new(Vec::new());
    Unpacker::new(policy.clone()).apply(Layer::new(layer), &mut sink)?;
    Ok(sink.into_inner())
}

/// The rules by which a policy refuses a layer, all of it read.
struct Refused(Policy, BTreeSet<&'static str>);

impl Observer for Refused {
    fn finding(&mut self, finding: &Finding) {
        let is_refused = match &finding.rule {
            Rule::Violation(_) => true,
            Rule::Quirk(quirk) => self.0.verdict(quirk.rule()) == Verdict::Refuse,
        };
        if is_refused {
            self.1.insert(finding.rule.id());
        }
    }
}

/// What a policy that refuses every quirk says of a layer.
fn refused_by_paranoid(layer: &[u8]) -> BTreeSet<&'static str> {
    let policy = Policy::paranoid();
    let mut refused = Refused(policy.clone(), BTreeSet::new());
    let mut audit = Audit::new(Limits::default()).with_policy(policy).with_tree(Lower::Unknown);
    audit.layer(Layer::new(layer), &mut refused).unwrap();
    refused.1
}

/// A tree to which layers are applied one after another.
struct Place {
    directory: tempfile::TempDir,
    rootfs: Rootfs,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let rootfs = Rootfs::over(&open(directory.path())).unwrap();
        Self { directory, rootfs }
    }

    fn apply(&mut self, layer: &[u8], policy: &Policy) -> Result<(), Error> {
        Unpacker::new(policy.clone()).apply(Layer::new(layer), &mut self.rootfs).map(drop)
    }

    /// Without the time of the root, which no entry names.
    fn list(&self) -> Listing {
        let mut listing = tree::list(self.directory.path());
        listing.get_mut(&b"."[..]).unwrap().remove("mtime");
        listing
    }
}

/// Applies layers to one tree and what is made of them to another, as far as they are taken.
fn same_trees(layers: &[Vec<u8>], policy: &Policy) -> Result<(), TestCaseError> {
    let (mut stated, mut filtered) = (Place::new(), Place::new());
    for layer in layers {
        let canonical = match (stated.apply(layer, policy), filter(layer, policy)) {
            (Err(_), _) => return Ok(()),
            (Ok(()), Ok(canonical)) => canonical,
            (Ok(()), Err(error)) => {
                // The one thing that no layer says; or a parent that the layer replaces through a link of its own, which a
                // filter does not follow.
                let is_known = format!("{error}").contains("replaces an entry of its own layer")
                    || error.rule_id() == Some("parent-not-directory");
                prop_assert!(is_known, "{}", error);
                return Ok(());
            }
        };
        if let Err(error) = filtered.apply(&canonical, policy) {
            return Err(TestCaseError::fail(format!("what was filtered is refused: {error}")));
        }
        let differences = tree::differences(&stated.list(), &filtered.list());
        prop_assert!(differences.is_empty(), "{}", differences.join("\n"));
        prop_assert!(filter(&canonical, policy).unwrap() == canonical, "what was filtered is not canonical");
        let refused: Vec<_> = refused_by_paranoid(&canonical).into_iter().collect();
        let stays = |rule: &&&str| STAYS.contains(rule) || **rule == "link-climbs";
        prop_assert!(refused.iter().all(|rule| stays(&rule)), "{:?}", refused);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filtered_layer_makes_the_same_tree_over_any_layers(
        layers in prop::collection::vec(prop::collection::vec(said(), 1..9), 1..4)
    ) {
        let no_devices = |said: &Said| match said {
            Said::Device(name) => Said::Fifo(name.clone()),
            other => other.clone(),
        };
        let layers: Vec<Vec<_>> = layers.iter().map(|layer| layer.iter().map(no_devices).collect()).collect();
        let layers: Vec<_> = layers.iter().map(|layer| audit::archive(layer).build()).collect();
        same_trees(&layers, &Policy::compatible())?;
    }

    /// No whiteout removes an entry of its own layer, so no device comes after one that it would replace.
    #[test]
    fn a_filtered_layer_without_its_devices_makes_the_same_tree(
        layers in prop::collection::vec(prop::collection::vec(said(), 1..9), 1..4)
    ) {
        let layers: Vec<_> = layers.iter().map(|layer| devices_first(layer)).collect();
        let layers: Vec<_> = (0..layers.len()).map(|number| without_links_to_devices(&layers, number)).collect();
        let layers: Vec<_> = layers.iter().map(|layer| audit::archive(layer).build()).collect();
        same_trees(&layers, &Policy::compatible())?;
    }
}

/// A layer without symbolic links, whose devices come before all else.
fn devices_first(layer: &[Said]) -> Vec<Said> {
    let plain = |said: &Said| match said {
        Said::Symlink(name, _) => Said::Dir(name.clone()),
        other => other.clone(),
    };
    let (devices, others): (Vec<_>, Vec<_>) = layer.iter().map(plain).partition(|said| matches!(said, Said::Device(_)));
    [devices, others].concat()
}

/// A layer without hard links to what is a device in this layer or a lower one. When all layers are applied, it is known
/// that a device of a lower layer was skipped, and the link is skipped, too; a filter sees one layer alone. Links to devices
/// of the same layer have tests of their own.
fn without_links_to_devices(layers: &[Vec<Said>], number: usize) -> Vec<Said> {
    let is_device = |target: &str| {
        let target = target.trim_start_matches('/');
        layers[..=number].iter().flatten().any(|said| matches!(said, Said::Device(name) if name == target))
    };
    let stays = |said: &&Said| !matches!(said, Said::HardLink(_, target) if is_device(target));
    layers[number].iter().filter(stays).cloned().collect()
}

/// A layer of everything that a layer may have.
fn everything() -> LayerBuilder {
    let xattrs: [(&str, &[u8]); 2] = [("user.b", b"a\0b=c\n"), ("user.a", b"")];
    let rich =
        Attributes { mode: 0o4711, uid: 3_000_000, gid: 70_000, xattrs: xattrs.to_vec(), ..Attributes::default() };
    layer()
        .dir("./")
        .dir_with("etc", &mode(0o700))
        .record("mtime", b"8589934592.5")
        .file_with("etc/rich", b"rich", &rich)
        .record("mtime", b"1234567890.123456789")
        .file("etc/exact", b"exact")
        .record("mtime", b"-7")
        .file("etc/old", b"old")
        .file(&format!("{}/{}", "long/".repeat(30), "name".repeat(30)), b"long")
        .file("größe", "ä".as_bytes())
        .symlink("link", &"../target".repeat(30))
        .hard_link("hard", "etc/exact")
        .hard_link("harder", "größe")
        .fifo("pipe")
        .file("a\nb\\c \u{1}", b"")
        .whiteout("gone/away")
        .opaque("emptied")
}

#[test]
fn a_layer_of_everything_is_canonical_after_one_pass() {
    let policy = Policy::default();
    let bytes = everything().build();
    let canonical = filter(&bytes, &policy).unwrap();
    assert!(filter(&canonical, &policy).unwrap() == canonical);
    assert_eq!(refused_by_paranoid(&canonical), BTreeSet::new());
    let lower = layer().file("gone/away", b"").file("gone/stays", b"").file("emptied/x", b"").build();
    same_trees(&[lower, bytes], &policy).unwrap();
}

#[test]
fn what_has_no_effect_is_dropped_and_what_is_skipped_hides_what_lies_below() {
    let policy = Policy::default().with_devices(Devices::Skip);
    let bytes = layer()
        .file("own", b"")
        .whiteout("own")
        .dir("dir")
        .file("dir/own", b"")
        .whiteout("dir")
        .symlink("link", "dir")
        .whiteout("link/x")
        .file(".wh..wh.orph/1", b"")
        .device("dev/null", 1, 3)
        .hard_link("dev/zero", "dev/null")
        .hard_link("own", "own")
        .build();
    let canonical = filter(&bytes, &policy).unwrap();
    let marker = Attributes { mtime: 0, ..Attributes::default() };
    let expected = layer()
        .file("own", b"")
        .dir("dir/")
        .file("dir/own", b"")
        .file_with("dir/.wh..wh..opq", b"", &marker)
        .symlink("link", "dir")
        .file_with("dev/.wh.null", b"", &marker)
        .file_with("dev/.wh.zero", b"", &marker);
    assert!(canonical == filter(&expected.build(), &policy).unwrap());
    assert_eq!(refused_by_paranoid(&canonical), BTreeSet::new());
    let lower = layer().file("dev/null", b"").file("dev/zero", b"").file("dir/lower", b"").build();
    same_trees(&[lower, bytes], &policy).unwrap();
}

#[test]
fn a_skipped_device_over_an_entry_of_its_own_layer_is_refused_whether_or_not_directories_are_listed() {
    let policy = Policy::default().with_devices(Devices::Skip);
    for (bytes, sentence) in [
        (layer().file("a", b"").device("a", 1, 3), "a file"),
        (layer().dir("./").file("a/c", b"").device("a", 1, 3), "a file below its name"),
        (layer().file("a/b/c", b"").device("a", 1, 3), "one further below"),
        (layer().file("d/a/c", b"").device("d/a", 1, 3), "one below its name, in a directory that is not listed"),
        (layer().file("d/a", b"").device("d/a", 1, 3), "a file there"),
        (layer().file("f", b"").hard_link("d/a", "f").device("d/a", 1, 3), "a hard link there"),
    ] {
        let error = filter(&bytes.build(), &policy).unwrap_err();
        assert!(format!("{error}").contains("replaces an entry of its own layer"), "{sentence}: {error}");
    }
    for bytes in [layer().file("a/c", b"").device("a/d", 1, 3), layer().device("a", 1, 3).file("a/c", b"")] {
        same_trees(&[layer().file("a/d", b"").file("b", b"").build(), bytes.build()], &policy).unwrap();
    }
}

/// The rule that refuses an archive.
fn rule_of(archive: &[u8]) -> Option<&'static str> {
    Unpacker::default().apply(Layer::new(archive), &mut TarSink::new(Vec::new())).err()?.rule_id()
}

#[test]
fn nothing_of_a_refused_entry_is_written_and_every_reader_sees_that_the_archive_is_truncated() {
    let first = layer().file("first", b"1");
    let whole = filter(&first.clone().build(), &Policy::default()).unwrap();
    let whole = &whole[..1024];
    for bytes in [
        first.clone().file("a/../b", b"").build(),
        first.clone().device("null", 1, 3).build(),
        first.clone().hard_link("a", "b/../c").build(),
        // Without an end.
        first.clone().build()[..1024].to_vec(),
    ] {
        let mut sink = TarSink::new(Vec::new());
        let error = Unpacker::new(Policy::default()).apply(Layer::new(&bytes[..]), &mut sink).unwrap_err();
        assert_eq!((error.blame(), error.effect()), (Blame::Archive, Effect::Partial));
        let written = sink.into_inner();
        let (front, rest) = written.split_at(1024);
        assert!(front == whole, "{error}");
        assert_eq!((rest.len(), rule_of(&written)), (512, Some("truncated")), "{error}");
    }
}

#[test]
fn a_file_whose_data_breaks_off_breaks_off_in_the_archive() {
    let bytes = layer().file("f", &[7; 5000]).build();
    let mut sink = TarSink::new(Vec::new());
    Unpacker::new(Policy::default()).apply(Layer::new(&bytes[..3000]), &mut sink).unwrap_err();
    let written = sink.into_inner();
    assert!(written.len() < 512 + 5000 && written[512..].iter().all(|&byte| byte == 7));
}

#[test]
fn a_layer_that_is_known_is_verified_before_the_first_byte_unless_the_caller_commits() {
    let bytes = layer().file("f", b"f").build();
    let wrong = Expected::unchecked().with_diff_id(sha256(b"other"));
    let known = || Layer::new(io::Cursor::new(&bytes)).seekable().expecting(wrong);
    let mut sink = TarSink::new(Vec::new());
    let error = Unpacker::default().apply(known(), &mut sink).unwrap_err();
    assert_eq!((error.rule_id(), error.effect()), (Some("diff-id-mismatch"), Effect::None));
    assert!(sink.into_inner().is_empty(), "nothing was written");
    let mut sink = TarSink::new(Vec::new()).with_visibility(Visibility::AtCommit);
    let error = Unpacker::default().apply(known(), &mut sink).unwrap_err();
    assert_eq!((error.rule_id(), error.effect()), (Some("diff-id-mismatch"), Effect::Partial));
    assert!(sink.into_inner().len() > 1024);
}

#[test]
fn the_error_of_a_layer_that_does_not_open_says_what_the_output_has() {
    // Read only after the layer has begun.
    let xz = [&b"\xfd7zXZ\0"[..], &[0; 2_000]].concat();
    let mut sink = TarSink::new(Vec::new());
    let error = Unpacker::default().apply(Layer::new(&xz[..]), &mut sink).unwrap_err();
    assert_eq!((error.rule_id(), error.effect()), (Some("compression"), Effect::Partial));
    let written = sink.into_inner();
    assert_eq!((written.len(), rule_of(&written)), (512, Some("truncated")), "no archive to any reader");
}

#[test]
fn an_archive_has_one_layer_and_no_caller() {
    let bytes = layer().file("f", b"f").build();
    let mut sink = TarSink::new(Vec::new());
    Unpacker::default().apply(Layer::new(&bytes[..]), &mut sink).unwrap();
    let error = Unpacker::default().apply(Layer::new(&bytes[..]), &mut sink).unwrap_err();
    assert_eq!(error.misuse(), Some(&Misuse::SecondLayer));
    assert_eq!(sink.into_inner().len(), 2048, "the whole archive stays whole");
    for owners in [Owners::Caller, Owners::Record] {
        let policy = Policy::default().with_owners(owners);
        let error = filter(&bytes, &policy).unwrap_err();
        assert_eq!(error.misuse(), Some(&Misuse::CallerInArchive));
    }
}

#[test]
fn what_no_archive_says_is_refused_by_its_rule() {
    let policy = Policy::default().with_devices(Devices::Skip);
    for bytes in
        [layer().record("mtime", b"-1.5").file("f", b"").build(), layer().file("f", b"").device("f", 1, 3).build()]
    {
        assert_eq!(filter(&bytes, &policy).unwrap_err().rule_id(), Some("unwritable"));
    }
}

#[test]
fn names_are_kept_within_the_limit_of_an_audit() {
    let bytes = (0..2000).fold(layer(), |layer, number| layer.file(&number.to_string(), b"")).build();
    let limits = Limits::default().with(Limit::AuditBytes, 20_000);
    let mut sink = TarSink::new(Vec::new());
    let error = Unpacker::default().with_limits(limits).apply(Layer::new(&bytes[..]), &mut sink).unwrap_err();
    assert_eq!(error.rule_id(), Some("limit"), "{error}");
}

/// A writer that fails behind so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_is_to_blame() {
    let bytes = layer().file("f", b"f").file("g", b"g").build();
    for room in [0, 600, 1100, 2100] {
        let error = Unpacker::default().apply(Layer::new(&bytes[..]), &mut TarSink::new(Full(room))).unwrap_err();
        assert_eq!(error.blame(), Blame::System, "{room}: {error:#}");
        assert!(format!("{error:#}").contains("no storage space"), "{error:#}");
    }
}

/// Extracts an archive with another program, and lists the tree.
fn extracted(program: &str, arguments: &[&str], archive: &[u8]) -> Option<Listing> {
    let place = tempfile::tempdir().unwrap();
    let (file, root) = (place.path().join("layer.tar"), place.path().join("root"));
    std::fs::write(&file, archive).unwrap();
    std::fs::create_dir(&root).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C.UTF-8").current_dir(&root);
    let Ok(output) = command.arg(&file).output() else {
        skip(&format!("{program} is not installed"));
        return None;
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    let mut listing = tree::list(&root);
    // Some leave the directory that they extract to as it is.
    listing.get_mut(&b"."[..]).unwrap().remove("mtime");
    Some(listing)
}

/// What Python does not restore: attributes, and the times of symbolic links.
fn without_what_python_lacks(mut listing: Listing) -> Listing {
    for fields in listing.values_mut() {
        let is_link = fields["type"] == "symlink";
        fields.retain(|name, _| !(name.starts_with("xattr.") || is_link && name == "mtime"));
    }
    listing
}

#[test]
fn other_programs_extract_the_tree_that_we_make() {
    if !is_root("owners and devices are extracted") {
        return;
    }
    let policy = Policy::default().with_devices(Devices::Create);
    let holes = Header::gnu(b'S', "holes").sparse_map(&[(4096, 512), (1 << 20, 100)], 0, (1 << 20) + 100).size(612);
    let holes = Archive::default().header(holes).padded(&[9; 612]);
    // No hard link repeats a time, and a whiteout is a file to these.
    let bytes = [holes.end(), layer().device("dev/null", 1, 3).node(b'4', "dev/disk", 259, 1_000_000).build()];
    let rich = Attributes { uid: 3_000_000, gid: 70_000, mode: 0o4711, ..Attributes::default() };
    let common = layer()
        .dir_with("./", &mode(0o755))
        .dir_with("etc", &mode(0o2750))
        .dir_with("dev", &mode(0o755))
        .file_with("etc/rich", b"rich", &Attributes { xattrs: vec![("user.b", b"a\0b=c\n"), ("user.a", b"v")], ..rich })
        .record("mtime", b"1234567890.5")
        .file("etc/exact", b"exact")
        .record("mtime", b"-7")
        .file("etc/old", b"old")
        .dir("long")
        .file(&format!("long/{}", "name".repeat(40)), b"long")
        .file("größe", "ä".as_bytes())
        .file(&format!("long/{}", "ü".repeat(100)), b"long")
        .symlink("link", &"../target".repeat(30))
        .hard_link("hard", "größe")
        .fifo("pipe")
        .file("a\nb\\c \u{1}", b"");
    let mut canonical = filter(&common.build(), &policy).unwrap();
    for more in bytes {
        canonical.truncate(canonical.len() - 1024);
        canonical.extend(filter(&more, &policy).unwrap());
    }
    let mut place = Place::new();
    place.apply(&canonical, &policy).unwrap();
    let ours = place.list();
    let python = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(numeric_owner=True)";
    type Program<'a> = (&'a str, &'a [&'a str], fn(Listing) -> Listing);
    let programs: [Program<'_>; 3] = [
        (
            "tar",
            &["--numeric-owner", "--xattrs", "--xattrs-include=*", "--delay-directory-restore", "-xpf"],
            |listing| listing,
        ),
        ("bsdtar", &["--numeric-owner", "-xpf"], |listing| listing),
        ("python3", &["-c", python], without_what_python_lacks),
    ];
    for (program, arguments, comparable) in programs {
        let Some(theirs) = extracted(program, arguments, &canonical) else { continue };
        assert_eq!(tree::differences(&comparable(ours.clone()), &comparable(theirs)), [""; 0], "{program}");
    }
}
