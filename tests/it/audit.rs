//! What an audit sees of a tree is what applying meets: the same rules at the same entries, in layers made at random;
//! and what it does not know it does not say.

use crate::random::cases;
use crate::support::layer::{LayerBuilder, mode};
use crate::support::open;
use crate::support::world::World;
use layercage::audit::{Audit, Finding, Lower, Observer};
use layercage::policy::{Devices, Fifos, Owners};
use layercage::rules::{Limit, QuirkRule};
use layercage::{Error, Layer, Limits, Policy, Rootfs, Unpacker};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
pub(crate) enum Said {
    Dir(String),
    File(String, u32),
    Symlink(String, String),
    HardLink(String, String),
    Whiteout(String),
    Opaque(String),
    Device(String),
    Fifo(String),
}

fn names() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|parts| parts.join("/"))
}

/// The names of data of hard links, as AUFS keeps it.
fn pseudo_links() -> impl Strategy<Value = String> {
    prop::sample::select(vec![".wh..wh.plnk/1", ".wh..wh.plnk/2"]).prop_map(str::to_owned)
}

/// What containerd takes, with a note for everything: an opaque marker behind what its own layer brings passes in silence
/// otherwise. Devices are skipped, and named pipes are not.
fn policy() -> Policy {
    Policy::compatible().allow(QuirkRule::OpaqueBehindOwn)
}

pub(crate) fn said() -> impl Strategy<Value = Said> {
    let targets =
        vec!["a", "b", "/b", "/a/b", "..", "../a", "../../c", "../../../..", "/", ".", "a/../b", "/../a", "c/c"];
    prop_oneof![
        names().prop_map(Said::Dir),
        (names(), prop::sample::select(vec![0o644, 0o755])).prop_map(|(name, mode)| Said::File(name, mode)),
        (names(), prop::sample::select(targets)).prop_map(|(name, target)| Said::Symlink(name, target.to_owned())),
        (names(), names()).prop_map(|(name, target)| Said::HardLink(name, target)),
        names().prop_map(|name| Said::HardLink(name.clone(), name)),
        (names(), pseudo_links()).prop_map(|(name, target)| Said::HardLink(name, target)),
        (pseudo_links(), prop::sample::select(vec![0o644, 0o755])).prop_map(|(name, mode)| Said::File(name, mode)),
        names().prop_map(Said::Whiteout),
        names().prop_map(Said::Opaque),
        names().prop_map(Said::Device),
        names().prop_map(Said::Fifo),
    ]
}

pub(crate) fn archive(layer: &[Said]) -> LayerBuilder {
    layer.iter().fold(LayerBuilder::new(), |archive, said| match said {
        Said::Dir(name) => archive.dir(name),
        Said::File(name, bits) => archive.file_with(name, b"", &mode(*bits)),
        Said::Symlink(name, target) => archive.symlink(name, target),
        Said::HardLink(name, target) => archive.hard_link(name, target),
        Said::Whiteout(name) => archive.whiteout(name),
        Said::Opaque(name) => archive.opaque(name),
        Said::Device(name) => archive.device(name, 1, 3),
        Said::Fifo(name) => archive.fifo(name),
    })
}

type Found = BTreeSet<(u64, &'static str)>;

#[derive(Default)]
struct Findings(Found);

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding) {
        self.0.insert((finding.position.entry.unwrap_or_default(), finding.rule.id()));
    }
}

fn audit(audit: &mut Audit, layer: &LayerBuilder) -> Found {
    let mut findings = Findings::default();
    audit.layer(Layer::new(&layer.clone().build()[..]), &mut findings).unwrap();
    findings.0
}

/// The notes of a layer, or all that is known of the refusal.
fn apply(rootfs: &mut Rootfs, layer: &LayerBuilder, limits: &Limits) -> Result<Found, Error> {
    let applied =
        Unpacker::new(policy()).with_limits(limits.clone()).apply(Layer::new(&layer.clone().build()[..]), rootfs)?;
    let notes = applied.report().notes().iter().filter(|note| note.quirk.rule() != QuirkRule::OwnerToCaller);
    Ok(notes.map(|note| (note.position.entry.unwrap_or_default(), note.quirk.id())).collect())
}

/// Applies and audits the same layers, up to the first that is refused. An audit finds what applying meets, no more and no
/// less, up to the entry that is refused. Gives that entry and its rule.
fn agree(layers: &[Vec<Said>], limits: &Limits) -> Result<Option<(u64, &'static str)>, TestCaseError> {
    let world = World::new();
    let mut rootfs = Rootfs::over(&open(&world.root())).unwrap();
    let mut all = Audit::new(limits.clone()).with_policy(policy()).with_tree(Lower::Nothing);
    for (number, said) in layers.iter().enumerate() {
        let layer = archive(said);
        let seen = audit(&mut all, &layer);
        let alone = audit(&mut Audit::new(limits.clone()).with_policy(policy()).with_tree(Lower::Unknown), &layer);
        match apply(&mut rootfs, &layer, limits) {
            Ok(met) => {
                prop_assert_eq!(&seen, &met, "{:?}", said);
                // A hard link to a device that was skipped in a lower layer is skipped, too. Alone, it is judged like any
                // other link: its parent may be no directory, or its target itself.
                let is_met = |(entry, rule): &(u64, &'static str)| {
                    met.contains(&(*entry, "hard-link-to-skipped")) || met.contains(&(*entry, *rule))
                };
                prop_assert!(alone.iter().all(is_met), "alone {:?}, met {:?}: {:?}", alone, met, said);
            }
            Err(error) => {
                let at = error.position().entry.unwrap();
                let refused = (at, error.rule_id().unwrap());
                prop_assert!(seen.contains(&refused), "seen {:?}, refused {:?}: {:?}", seen, refused, said);
                let before = notes_before(&layers[..number], said, at, limits);
                let seen_before: Found = seen.into_iter().filter(|(entry, _)| *entry < at).collect();
                prop_assert_eq!(seen_before, before, "before {:?}: {:?}", refused, said);
                return Ok(Some(refused));
            }
        }
    }
    prop_assert!(all.has_seen_tree());
    Ok(None)
}

/// The notes of the entries of a layer before one of them, over these layers.
fn notes_before(lower: &[Vec<Said>], layer: &[Said], entry: u64, limits: &Limits) -> Found {
    let world = World::new();
    let mut rootfs = Rootfs::over(&open(&world.root())).unwrap();
    for layer in lower {
        apply(&mut rootfs, &archive(layer), limits).unwrap();
    }
    apply(&mut rootfs, &archive(&layer[..entry as usize - 1]), limits).unwrap()
}

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn an_audit_with_a_tree_sees_what_applying_meets(
        layers in prop::collection::vec(prop::collection::vec(said(), 1..9), 1..4)
    ) {
        agree(&layers, &Limits::default())?;
    }

    #[test]
    fn an_audit_with_a_tree_meets_a_limit_where_applying_does(
        layers in prop::collection::vec(prop::collection::vec(said(), 1..16), 1..4),
        limit in prop::sample::select(vec![
            Limit::ImpliedDirectories, Limit::LayerLinkHops, Limit::LayerLinkSteps, Limit::LinkHops, Limit::LayerOpens,
            Limit::LayerPlaces
        ]),
        most in 0..8_u64,
    ) {
        agree(&layers, &Limits::default().with(limit, most))?;
    }
}

#[test]
fn a_link_that_climbs_may_be_met_sooner_than_the_layer_alone_tells() {
    let link = |name: &str, target: &str| Said::Symlink(name.to_owned(), target.to_owned());
    let opaque = Said::Opaque("a".to_owned());
    let layers = [vec![link("a", "..")], vec![opaque, link("a", "../../c"), Said::Dir("a/a".to_owned())]];
    // The policy clamps such links, so nothing is refused.
    assert_eq!(agree(&layers, &Limits::default()).unwrap(), None);
}

#[test]
fn a_hard_link_to_itself_meets_the_limit_on_the_way_to_its_target_first() {
    let link = Said::Symlink("c".to_owned(), "a".to_owned());
    let itself = Said::HardLink("c/c".to_owned(), "c/c".to_owned());
    for (most, refused) in [(0, (2, "limit")), (1, (2, "limit")), (2, (2, "hard-link-to-itself"))] {
        let limits = Limits::default().with(Limit::LayerLinkHops, most);
        assert_eq!(agree(&[vec![link.clone(), itself.clone()]], &limits).unwrap(), Some(refused), "{most}");
    }
}

#[test]
fn of_a_layer_alone_only_what_is_so_over_any_other_is_told() {
    let told = |layer: LayerBuilder| {
        audit(&mut Audit::new(Limits::default()).with_tree(Lower::Unknown), &layer)
            .into_iter()
            .map(|(_, rule)| rule)
            .collect::<Vec<_>>()
    };
    let layer = LayerBuilder::new;
    for (sentence, layer, expected) in [
        ("a hard link to what a lower layer may have", layer().hard_link("a", "b/c"), &[][..]),
        (
            "a hard link to what its own opaque marker hides",
            layer().dir("b").opaque("b").hard_link("a", "b/c"),
            &["hard-link-missing"],
        ),
        (
            "a hard link to itself, which a lower layer must have",
            layer().hard_link("a", "./a"),
            &["hard-link-repeated"],
        ),
        ("a hard link to itself, wherever that is", layer().hard_link("./d/x", "d/x"), &["hard-link-repeated"]),
        ("a hard link that is itself where a lower layer has no link above it", layer().hard_link("d/x", "e/x"), &[]),
        (
            "a hard link to itself behind its whiteout",
            layer().whiteout("a").hard_link("a", "a"),
            &["hard-link-to-itself"],
        ),
        (
            "a hard link to itself where its own opaque marker has left nothing",
            layer().dir("d").opaque("d").hard_link("./d/x", "d/x"),
            &["hard-link-to-itself"],
        ),
        ("a hard link to its own file", layer().file("a", b"").hard_link("a", "./a"), &["hard-link-repeated"]),
        (
            "a hard link to a pseudo-link that no entry brings",
            layer().hard_link("d/x", ".wh..wh.plnk/1"),
            &["hard-link-missing"],
        ),
        (
            "hard links to a pseudo-link, from wherever",
            layer().file(".wh..wh.plnk/1", b"").hard_link("a", ".wh..wh.plnk/1").hard_link("d/x", ".wh..wh.plnk/1"),
            &["aufs-pseudo-link"],
        ),
        (
            "a directory over its own link",
            layer().symlink("a", "b").dir("a"),
            &["directory-over-link", "duplicate-path"],
        ),
        ("a directory over what may be a lower link", layer().dir("a"), &[]),
        ("a hard link to the root, from wherever", layer().hard_link("d/x", ""), &["hard-link-to-directory"]),
        ("a hard link to its own directory", layer().dir("d").hard_link("a", "d"), &["hard-link-to-directory"]),
        ("a hard link to what may be a lower link", layer().file("d/x", b"").hard_link("a", "d"), &[]),
        ("a path twice", layer().dir("d").file("d/x", b"").file("d/x", b""), &["duplicate-path"]),
        ("a path twice through what may be a link", layer().file("d/x", b"").file("d/x", b""), &[]),
        ("a parent that is its own file", layer().file("d", b"").file("d/x", b""), &["parent-not-directory"]),
        ("a link of its own that climbs", layer().symlink("l", "../out").file("l/x", b""), &["link-climbs"]),
        (
            "a link that climbs unless a lower layer has a link above it",
            layer().symlink("u/l", "../../out").file("u/l/x", b""),
            &[],
        ),
        ("a path through what may be a link", layer().hard_link("a", "b/c").file("a/x", b""), &[]),
        ("a whiteout of its own file", layer().dir("d").file("d/x", b"").whiteout("d/x"), &["whiteout-of-own"]),
        ("a whiteout of what may be a lower link", layer().file("d/x", b"").whiteout("d"), &[]),
    ] {
        assert_eq!(told(layer), expected, "{sentence}");
    }
}

#[test]
fn hard_links_to_what_is_skipped_are_told_and_summed_up_where_that_is_skipped() {
    let device = || layer_of_links(|layer| layer.device("x", 1, 3));
    let zero = || layer_of_links(|layer| layer.device("x", 0, 0));
    let fifo = || layer_of_links(|layer| layer.fifo("x"));
    let devices = |choice| Policy::paranoid().with_devices(choice);
    let fifos = |choice| Policy::paranoid().with_fifos(choice);
    let create_but_zero = devices(Devices::Create).allow(QuirkRule::DeviceZero);
    for (sentence, layer, policy, is_skipped) in [
        ("a device that is skipped", device(), devices(Devices::Skip), true),
        ("a device that is made", device(), devices(Devices::Create), false),
        (
            "a device that would be recorded and is skipped",
            device(),
            devices(Devices::Skip).with_owners(Owners::Record),
            true,
        ),
        ("a device that is recorded", device(), devices(Devices::Create).with_owners(Owners::Record), false),
        ("the device that is a whiteout, skipped", zero(), devices(Devices::Skip), true),
        ("the device that is a whiteout, let pass where others are made", zero(), create_but_zero, true),
        ("a pipe that is skipped", fifo(), fifos(Fifos::Skip), true),
        ("a pipe that is made", fifo(), fifos(Fifos::Create), false),
    ] {
        // Whatever the audit itself is asked for, the summary is about the policy.
        for asked in [policy.clone(), Policy::default(), Policy::paranoid().with_devices(Devices::Create)] {
            let mut audited = Audit::new(Limits::default()).with_policy(asked.clone()).with_tree(Lower::Nothing);
            let found = audit(&mut audited, &layer);
            assert_eq!(audited.is_refused_by(&policy), is_skipped, "{sentence}");
            assert!(!audited.is_refused_by(&policy.clone().allow(QuirkRule::HardLinkToSkipped)), "{sentence}");
            if asked == policy {
                assert_eq!(found.iter().any(|(_, rule)| *rule == "hard-link-to-skipped"), is_skipped, "{sentence}");
            }
        }
    }
}

/// Something, and a hard link to it.
fn layer_of_links(bring: fn(LayerBuilder) -> LayerBuilder) -> LayerBuilder {
    bring(LayerBuilder::new()).hard_link("y", "x")
}

#[test]
fn more_names_than_the_limit_allows_are_refused_once_by_every_policy() {
    let layer = (0..200).fold(LayerBuilder::new(), |layer, number| layer.file(&number.to_string(), b""));
    let layer = layer.file("1", b"");
    for (bytes, sees) in [(201 * 80, true), (100 * 80, false)] {
        for lower in [Lower::Nothing, Lower::Unknown] {
            let mut bounded = Audit::new(Limits::default().with(Limit::AuditBytes, bytes)).with_tree(lower);
            let found = audit(&mut bounded, &layer);
            assert_eq!(bounded.has_seen_tree(), sees, "{bytes}");
            assert_eq!(found.contains(&(201, "duplicate-path")), sees, "{bytes}");
            assert_eq!(found.iter().filter(|(_, rule)| *rule == "limit").count(), usize::from(!sees), "{bytes}");
            for preset in [Policy::default(), Policy::compatible()] {
                assert_eq!(bounded.is_refused_by(&preset), !sees, "{bytes}");
            }
        }
    }
}

#[test]
fn a_link_is_reported_once_for_each_entry_behind_it_however_often_its_target_climbs() {
    #[derive(Default)]
    struct Count(BTreeMap<&'static str, u64>);
    impl Observer for Count {
        fn finding(&mut self, finding: &Finding) {
            *self.0.entry(finding.rule.id()).or_default() += 1;
        }
    }

    // The second link leads through the first one, and climbs on its own. A file elsewhere interrupts the common way.
    let layer = LayerBuilder::new().symlink("l", &"../".repeat(1_300)).symlink("m", "l/../..");
    let through = |layer: LayerBuilder, link: &'static str| {
        (0..100).fold(layer, move |layer, number| layer.file(&format!("{link}/{link}{number}"), b""))
    };
    let layer = through(through(layer, "l").file("other", b""), "m").build();
    let policy = Policy::compatible().allow(QuirkRule::LinkParent);
    let expected = BTreeMap::from([("link-climbs", 100 + 2 * 100), ("link-parent", 100 + 2 * 100)]);

    for lower in [Lower::Nothing, Lower::Unknown] {
        let mut count = Count::default();
        let mut audited = Audit::new(Limits::default()).with_policy(policy.clone()).with_tree(lower);
        audited.layer(Layer::new(&layer[..]), &mut count).unwrap();
        assert_eq!(count.0, expected, "{lower:?}");
    }
    let world = World::new();
    let mut rootfs = Rootfs::over(&open(&world.root())).unwrap();
    let applied = Unpacker::new(policy).apply(Layer::new(&layer[..]), &mut rootfs).unwrap();
    for (rule, times) in expected {
        assert_eq!(applied.report().count(rule), times, "{rule}");
    }
}

#[test]
fn an_audit_may_go_to_another_thread() {
    fn goes_anywhere<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    let mut audited = goes_anywhere(Audit::new(Limits::default()).with_tree(Lower::Nothing));
    let layer = LayerBuilder::new().symlink("l", "d").file("l/f", b"").file("l/f", b"");
    let found = std::thread::spawn(move || audit(&mut audited, &layer)).join().unwrap();
    assert_eq!(found, [(3, "duplicate-path")].into());
}
