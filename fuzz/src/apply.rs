//! Whole layers, applied to a root among canaries.

use super::bytes::Bytes;
use super::compress;
use super::layers;
use super::pieces::Pieces;
use super::support::tree::{self, Listing};
use super::support::world::World;
use super::support::{open, sha256};
use layercage::error::{Blame, Effect, ErrorKind};
use layercage::policy::{Devices, Fifos, IdMap, Links, Mtime, OwnerMap, Owners, Preset, SetId, Xattrs};
use layercage::rules::QuirkRule;
use layercage::tar::{EndMark, TarReader, Timestamp};
use layercage::{Applied, Error, Expected, Layer, Limits, Policy, Report, Rootfs, Scratch, Staged, Unpacker};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use rustix::{fs::Gid, fs::Uid};
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Applies two or three layers over one another, as one who may do all or as one who may not.
pub fn apply(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let choice = bytes.byte();
    let _nobody = if choice & 1 == 1 { Nobody::new() } else { None };
    let policy = policy(&mut bytes);
    let sizes = bytes.take(4);

    let (world, other) = (World::new(), World::new());
    for world in [&world, &other] {
        File::open(world.root()).unwrap().set_modified(UNIX_EPOCH).unwrap();
    }
    // The same bytes for both, so that their trees can be compared: both worlds must stay as they are.
    let out = world.out().into_os_string().into_string().unwrap();
    let mut told = Vec::new();
    let layers: Vec<_> = (0..2 + bytes.below(2))
        .map(|_| {
            told.push(bytes.byte());
            layers::layer(&mut bytes, &out)
        })
        .collect();

    let scratch = open(&std::env::temp_dir());
    let alone = Unpacker::new(policy.clone()).with_scratch(Scratch::beneath(scratch).unwrap());
    let results = in_order(&layers, &told, &world, &alone, |layer| layer.to_vec(), &[]);
    let compressed = |layer: &[u8]| if choice & 2 == 0 { layer.to_vec() } else { compress::gzip(layer) };
    let threads = if choice & 16 == 0 { 1 } else { 2 + usize::from(choice >> 5 & 1) };
    let beside = alone.clone().with_jobs(NonZeroUsize::new(threads).unwrap());
    let again = in_order(&layers, &told, &other, &beside, compressed, sizes);
    assert_eq!(results, again, "in pieces and on {threads} threads the same comes of it");
    assert_same(&list(&world.root()), &list(&other.root()), "two roots, and the same layers");
    world.assert_untouched("one root");
    other.assert_untouched("the other root");
    if choice & 0b1100 == 0b1100 {
        staged(&layers, &policy, results.iter().all(Result::is_ok).then(|| list(&world.root())));
    }
    world.assert_untouched("a stage");
}

/// As long as it lives, the thread has no privilege.
struct Nobody;

impl Nobody {
    const ID: u32 = 65534;

    /// Gives up the privilege, where there is one and temporary directories are for everybody.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        set_thread_res_gid(None, Gid::from_raw(Self::ID), None).unwrap();
        set_thread_res_uid(None, Uid::from_raw(Self::ID), None).unwrap();
        let nobody = Self;
        if let Err(error) = tempfile::tempdir() {
            eprintln!("as root, since nobody else can make a temporary directory: {error}");
            return None;
        }
        Some(nobody)
    }
}

impl Drop for Nobody {
    fn drop(&mut self) {
        let _ = set_thread_res_uid(None, Uid::ROOT, None);
        let _ = set_thread_res_gid(None, Gid::ROOT, None);
    }
}

fn policy(bytes: &mut Bytes<'_>) -> Policy {
    let choice = bytes.byte();
    let preset = [Preset::Compatible, Preset::Default, Preset::Compatible, Preset::Paranoid][usize::from(choice & 3)];
    let mut policy = Policy::preset(preset);
    match choice >> 2 & 3 {
        0 => (),
        1 => policy = policy.with_devices(Devices::Create),
        2 => policy = policy.with_devices(Devices::Skip),
        _ => policy = policy.with_devices(Devices::Refuse),
    }
    // Paranoia would end at the first thing that is not there.
    let of_the_system =
        [QuirkRule::OwnerToCaller, QuirkRule::SetIdDropped, QuirkRule::XattrUnsupported, QuirkRule::TimeClamped];
    let policy = of_the_system.into_iter().fold(policy, Policy::allow);
    match choice >> 4 {
        1 => policy.allow(bytes.pick(QuirkRule::ALL)),
        2 => policy.refuse(bytes.pick(QuirkRule::ALL)),
        3..=6 => matters(policy, bytes),
        _ => policy,
    }
}

/// Chooses in matters of which the presets have one choice.
fn matters(policy: Policy, bytes: &mut Bytes<'_>) -> Policy {
    let ids = |ranges: [&str; 2]| IdMap::new(ranges.map(|range| range.parse().unwrap())).unwrap();
    let map = OwnerMap { uids: ids(["0:100000:1001", "65534:7:1"]), gids: ids(["0:0:1", "1000:200000:1"]) };
    let owners = match bytes.below(8) {
        0 => Owners::Keep,
        1 => Owners::Caller,
        2 => Owners::Map(map),
        3 => Owners::Record,
        _ => Owners::Auto,
    };
    let policy = policy.with_owners(owners).with_xattrs(bytes.pick(Xattrs::ALL)).with_links(bytes.pick(Links::ALL));
    let policy = policy.with_fifos(bytes.pick(Fifos::ALL)).with_set_id(bytes.pick(SetId::ALL));
    let time = Timestamp::new(500_000_000, 5).unwrap();
    match bytes.below(4) {
        0 => policy.with_mtime(Mtime::Clamp(time)),
        1 => policy.with_epoch(time),
        _ => policy,
    }
}

/// Applies layers up to the first that is refused, and gives what came of each, without where it was.
fn in_order(
    layers: &[Vec<u8>],
    told: &[u8],
    world: &World,
    unpacker: &Unpacker,
    stored: impl Fn(&[u8]) -> Vec<u8>,
    sizes: &[u8],
) -> Vec<Result<Report, String>> {
    let root = world.root();
    let mut rootfs = Rootfs::over(open(&root)).unwrap();
    let mut results = Vec::new();
    let mut before = list(&root);
    for (layer, &told) in layers.iter().zip(told) {
        let blob = stored(layer);
        let applied = unpacker.apply(tell(told, &blob, layer, sizes), &mut rootfs);
        let after = list(&root);
        no_litter(&after);
        match applied {
            Ok(applied) => {
                is_bounded(applied.report());
                assert_eq!(applied.report().entries, entries(layer));
                assert!(told != WRONG_DIGEST, "a layer of another digest was applied");
                results.push(Ok(applied.into_report()));
                before = after;
            }
            Err(error) => {
                is_refusal(&error);
                if error.effect() == Effect::None {
                    assert_same(&before, &after, "nothing is said to have been done");
                }
                if told == WRONG_DIGEST {
                    assert_eq!(error.effect(), Effect::None, "what is verified first is not applied in part: {error}");
                }
                // Which name something has before it is complete, nobody knows beforehand.
                let what = match error.kind() {
                    ErrorKind::System(failed) => failed.call,
                    _ => error.rule_id().unwrap_or_default(),
                };
                results.push(Err(format!("{what} at {}", error.position())));
                break;
            }
        }
    }
    results
}

const WRONG_DIGEST: u8 = 200;

/// A layer with what its image would say of it: nothing, the truth, or something else.
fn tell<'a>(told: u8, blob: &'a [u8], layer: &[u8], sizes: &'a [u8]) -> Layer<Pieces<'a>> {
    let stream = Layer::new(Pieces::new(blob, sizes));
    match told {
        0..=127 => stream,
        WRONG_DIGEST => stream.expecting(Expected::unchecked().with_digest(sha256(b"something else"))),
        _ => stream.expecting(Expected::blob(sha256(blob), blob.len() as u64).with_diff_id(sha256(layer))),
    }
}

fn entries(layer: &[u8]) -> u64 {
    let mut reader = TarReader::new(layer, &Limits::default()).with_end_mark(EndMark::Optional);
    let mut entries = 0;
    while let Ok(Some(_)) = reader.next_entry() {
        entries += 1;
    }
    entries
}

fn is_bounded(report: &Report) {
    assert!(report.notes().len() <= Report::KEPT + QuirkRule::ALL.len());
    let noted: u64 = report.counts().map(|(_, count)| count).sum();
    assert!(noted >= report.notes().len() as u64);
}

/// It is the layer's fault, unless something was to be made or set by somebody who may not.
fn is_refusal(error: &Error) {
    match error.kind() {
        ErrorKind::System(failed) => {
            let privileged = ["mknod", "chown", "setxattr"].iter().any(|call| failed.call.contains(call));
            assert!(privileged, "{error}");
        }
        _ => assert_eq!(error.blame(), Blame::Archive, "{error}"),
    }
}

fn no_litter(tree: &Listing) {
    let is_litter = |path: &&Vec<u8>| {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        name.starts_with(b".lc-") && name != b".lc-image"
    };
    assert_eq!(tree.keys().find(is_litter), None, "a temporary name was left");
}

fn list(root: &Path) -> Listing {
    tree::list(root)
}

fn assert_same(one: &Listing, other: &Listing, what: &str) {
    let differences = tree::differences(one, other);
    assert!(differences.is_empty(), "{what}: {}", differences.join("\n"));
}

/// Out of sight the same comes of layers as on an empty root; or nothing does, and there is no trace.
fn staged(layers: &[Vec<u8>], policy: &Policy, expected: Option<Listing>) {
    let world = World::new();
    let parent = world.root();
    let unpacker = Unpacker::new(policy.clone());
    let result = (|| {
        let mut staged = Staged::beside(open(&parent), "tree")?;
        let mut proofs = Vec::new();
        for layer in layers {
            let known = Layer::new(&layer[..])
                .expecting(Expected::blob(sha256(layer), layer.len() as u64).with_diff_id(sha256(layer)));
            proofs.push(unpacker.apply(known, staged.rootfs()).and_then(Applied::verified)?);
        }
        staged.commit(proofs)
    })();
    match result {
        Ok(()) => {
            let mut tree = list(&parent.join("tree"));
            if let Some(mut expected) = expected {
                // What no entry names keeps what it had on a root that was there before.
                expected.remove(&b"."[..]);
                tree.remove(&b"."[..]);
                assert_same(&expected, &tree, "applied in sight and out of sight");
            }
        }
        Err(error) => {
            // A root that was there keeps its owner, a new one must be given away.
            let of_root = matches!(error.kind(), ErrorKind::System(failed) if failed.call.contains("chown"));
            assert!(expected.is_none() || of_root, "applied in sight, refused out of sight: {error}");
            is_refusal(&error);
            assert_eq!(fs::read_dir(&parent).unwrap().count(), 0, "{error}, and something is left");
        }
    }
    world.assert_untouched("out of sight");
}
