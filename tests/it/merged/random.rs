//! Layers made at random: what unpacking makes of them is what merging makes of them.

use super::compare;
use crate::support::layer::{Attributes, LayerBuilder};
use layercage::merged::Merger;
use layercage::policy::{Devices, Owners};
use layercage::rules::{Limit, QuirkRule};
use layercage::{Layer, Limits, Policy, Unpacker};
use proptest::prelude::*;

/// What an entry says.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Dir(String, u8),
    File(String, u8),
    Symlink(String, String),
    HardLink(String, String),
    Whiteout(String),
    Opaque(String),
    Device(String),
    Fifo(String, u8),
}

const ACL: &str = "system.posix_acl_access";

/// An ACL of these tags and permissions. A named user is 7.
fn acl(entries: &[(u16, u16)]) -> Vec<u8> {
    let entry = |&(tag, permissions): &(u16, u16)| {
        let id = if tag == 2 { 7 } else { u32::MAX };
        [tag.to_le_bytes().to_vec(), permissions.to_le_bytes().to_vec(), id.to_le_bytes().to_vec()].concat()
    };
    [2_u32.to_le_bytes().to_vec(), entries.iter().flat_map(entry).collect()].concat()
}

/// One of a few sets of attributes.
fn with_attributes<T>(number: u8, then: impl FnOnce(&Attributes<'_>) -> T) -> T {
    // One that says what the mode says, one with a mask, and one whose mask the mode changes.
    let acls = [
        acl(&[(1, 6), (4, 4), (0x20, 4)]),
        acl(&[(1, 6), (4, 4), (0x10, 4), (0x20, 4)]),
        acl(&[(1, 7), (2, 5), (4, 7), (0x10, 7), (0x20, 1)]),
    ];
    let xattrs = match number % 6 {
        0..=2 => vec![],
        3 => vec![("user.a", &b"1"[..]), ("user.b", b"")],
        4 => vec![(ACL, &acls[usize::from(number / 6 % 3)][..])],
        _ => vec![("user.c", &b"2"[..]), (ACL, &acls[usize::from(number / 6 % 3)][..])],
    };
    let (owner, mtime) = (u32::from(number % 3) * 1000, 1_000_000_000 + u64::from(number) * 7);
    let mode = [0o644, 0o755, 0o4711, 0o2770, 0o1777, 0o604][usize::from(number / 2 % 6)];
    then(&Attributes { mode, uid: owner, gid: owner + 1, mtime, xattrs })
}

fn names() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|parts| parts.join("/"))
}

/// The names of data of hard links, as AUFS keeps it.
fn pseudo_links() -> impl Strategy<Value = String> {
    prop::sample::select(vec![".wh..wh.plnk/1", ".wh..wh.plnk/2"]).prop_map(str::to_owned)
}

fn said() -> impl Strategy<Value = Said> {
    let targets = vec!["a", "b", "/b", "/a/b", "..", "../a", "../../c", "/", ".", "a/../b", "/../a", "c/c"];
    prop_oneof![
        3 => (names(), any::<u8>()).prop_map(|(name, number)| Said::Dir(name, number)),
        1 => any::<u8>().prop_map(|number| Said::Dir("./".to_owned(), number)),
        3 => (names(), any::<u8>()).prop_map(|(name, number)| Said::File(name, number)),
        2 => (names(), prop::sample::select(targets)).prop_map(|(name, to)| Said::Symlink(name, to.to_owned())),
        2 => (names(), names()).prop_map(|(name, target)| Said::HardLink(name, target)),
        1 => names().prop_map(|name| Said::HardLink(name.clone(), name)),
        1 => (names(), pseudo_links()).prop_map(|(name, target)| Said::HardLink(name, target)),
        1 => (pseudo_links(), any::<u8>()).prop_map(|(name, number)| Said::File(name, number)),
        2 => names().prop_map(Said::Whiteout),
        2 => names().prop_map(Said::Opaque),
        1 => Just(Said::Opaque(String::new())),
        1 => names().prop_map(Said::Device),
        1 => (names(), any::<u8>()).prop_map(|(name, number)| Said::Fifo(name, number)),
    ]
}

pub(crate) fn archive(layer: &[Said]) -> LayerBuilder {
    layer.iter().fold(LayerBuilder::new(), |archive, said| match said {
        Said::Dir(name, number) => with_attributes(*number, |with| archive.dir_with(name, with)),
        Said::File(name, number) => {
            with_attributes(*number, |with| archive.file_with(name, &vec![b'x'; usize::from(*number)], with))
        }
        Said::Symlink(name, target) => archive.symlink(name, target),
        Said::HardLink(name, target) => archive.hard_link(name, target),
        Said::Whiteout(name) => archive.whiteout(name),
        Said::Opaque(name) => archive.opaque(name),
        Said::Device(name) => archive.device(name, 1, 3),
        Said::Fifo(name, number) => {
            with_attributes(*number, |with| archive.entry(b'6', name.as_bytes(), b"", b"", with))
        }
    })
}

/// What containerd takes, with a note where it passes in silence. Only root can make devices.
pub(crate) fn policies() -> impl Strategy<Value = Policy> {
    let is_root = rustix::process::geteuid().is_root();
    let compatible = Policy::compatible().allow(QuirkRule::OpaqueBehindOwn);
    let made = if is_root { compatible.clone().with_devices(Devices::Create) } else { compatible.clone() };
    let callers = compatible.clone().with_owners(Owners::Caller);
    let recorded = compatible.clone().with_owners(Owners::Record);
    // What Linux has no attributes on is refused then.
    let strict = compatible.clone().refuse(QuirkRule::XattrUnsupported);
    prop::sample::select(vec![compatible, made.clone(), made, callers, recorded, strict, Policy::default()])
}

pub(crate) type Layers = Vec<Vec<Said>>;

pub(crate) fn layers(most: usize) -> impl Strategy<Value = Layers> {
    prop::collection::vec(prop::collection::vec(said(), 1..most), 1..5)
}

/// The entries of layers that can be merged, one after another. Of the layers as they are made, five of six are refused.
pub(crate) fn accepted(layers: Layers, policy: &Policy) -> Layers {
    let is_accepted = |layers: &Layers| {
        let (mut merger, mut session) = (Merger::new(), Unpacker::new(policy.clone()).session());
        layers.iter().all(|layer| session.apply(Layer::new(&archive(layer).build()[..]), &mut merger).is_ok())
    };
    let mut kept = Layers::new();
    for layer in layers {
        kept.push(Vec::new());
        let top = kept.len() - 1;
        for said in layer {
            kept[top].push(said);
            if !is_accepted(&kept) {
                kept[top].pop();
            }
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_merged_tree_is_the_rootfs_in_every_field(layers in layers(9), policy in policies()) {
        let layers: Vec<_> = layers.iter().map(|layer| archive(layer)).collect();
        let differences = compare(&layers, &policy, &Limits::default());
        prop_assert!(differences.is_ok(), "{}", differences.unwrap_err());
    }

    #[test]
    fn merging_meets_a_limit_where_unpacking_does(
        layers in layers(16),
        limit in prop::sample::select(vec![
            Limit::ImpliedDirectories, Limit::LayerLinkHops, Limit::LayerLinkSteps, Limit::LinkHops, Limit::LayerOpens,
            Limit::LayerPlaces, Limit::SkippedBytes, Limit::ImageBytes,
        ]),
        most in 0..400_u64,
    ) {
        let most = if matches!(limit, Limit::SkippedBytes | Limit::ImageBytes) { most } else { most / 50 };
        let layers: Vec<_> = layers.iter().map(|layer| archive(layer)).collect();
        let policy = Policy::compatible().allow(QuirkRule::OpaqueBehindOwn);
        let differences = compare(&layers, &policy, &Limits::default().with(limit, most));
        prop_assert!(differences.is_ok(), "{}", differences.unwrap_err());
    }
}
