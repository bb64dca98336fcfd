//! Layers of an overlay, mounted, are the root filesystem in every field: for random stacks, for the cases of this file, by
//! a mount and by a model of one.

#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod ahead;
mod cases;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod corpus;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod killed;
mod later;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod many;
mod model;
pub(crate) mod mounted;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod removal;
mod stacks;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod staged;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod store;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod world;

use crate::support::layer::LayerBuilder;
use crate::support::open;
use crate::support::tree::{self, Listing};
use cap_std::fs::Dir;
use layercage::overlay::{Overlay, OverlayFormat, OverlayNamespace, Whiteouts};
use layercage::rules::Limit;
use layercage::rules::QuirkRule;
use layercage::{Error, Layer, Limits, Policy, Report, Staged, Unpacker};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const DEVICES: OverlayFormat =
    OverlayFormat { whiteouts: Whiteouts::Device, namespace: OverlayNamespace::Trusted };
pub(crate) const XATTRS: OverlayFormat =
    OverlayFormat { whiteouts: Whiteouts::Xattr, namespace: OverlayNamespace::Trusted };
pub(crate) const USER_DEVICES: OverlayFormat =
    OverlayFormat { whiteouts: Whiteouts::Device, namespace: OverlayNamespace::User };
pub(crate) const USER_XATTRS: OverlayFormat =
    OverlayFormat { whiteouts: Whiteouts::Xattr, namespace: OverlayNamespace::User };

/// Layers as directories, the top one first.
pub(crate) struct Stack {
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) report: Report,
}

/// Unpacks what the tests can list: they read holes, and they walk along a whole path for each directory, by recursion.
/// Both outputs refuse the rest in the same words.
pub(crate) fn unpacker(policy: &Policy) -> Unpacker {
    let limits = Limits::default().with(Limit::PathDepth, 400).with(Limit::FileBytes, 2 << 20);
    Unpacker::new(policy.clone()).with_limits(limits.with(Limit::PathBytes, 4_000))
}

/// A layer, made or stored.
pub(crate) trait Archived {
    fn archive(&self) -> Vec<u8>;
}

impl Archived for LayerBuilder {
    fn archive(&self) -> Vec<u8> {
        self.clone().build()
    }
}

impl Archived for Vec<u8> {
    fn archive(&self) -> Vec<u8> {
        self.clone()
    }
}

/// Applies layers to directories in `place`, each over those below it.
pub(crate) fn stack(
    place: &Path,
    layers: &[impl Archived],
    policy: &Policy,
    format: OverlayFormat,
) -> Result<Stack, Error> {
    let mut session = unpacker(policy).session();
    let (mut directories, mut last): (Vec<PathBuf>, Option<Overlay>) = (Vec::new(), None);
    for (number, layer) in layers.iter().enumerate() {
        let directory = place.join(number.to_string());
        fs::create_dir(&directory).unwrap();
        let mut overlay = match last.take() {
            None => Overlay::over(open(&directory), Vec::<Dir>::new(), format)?,
            Some(last) => last.next(open(&directory))?,
        };
        session.apply(Layer::new(&layer.archive()[..]), &mut overlay)?;
        last = Some(overlay);
        directories.insert(0, directory);
    }
    Ok(Stack { directories, report: session.into_report() })
}

/// The root filesystem of the same layers.
fn rootfs(place: &Path, layers: &[impl Archived], policy: &Policy) -> Result<(Listing, Report), Error> {
    let mut staged = Staged::beside(open(place), "rootfs")?;
    let mut session = unpacker(policy).session();
    for layer in layers {
        session.apply(Layer::new(&layer.archive()[..]), staged.rootfs())?;
    }
    staged.commit_unproven()?;
    Ok((tree::list(&place.join("rootfs")), session.into_report()))
}

/// Compares what layers show with the root filesystem of the same layers, and the verdicts and notes about both.
fn compare(
    layers: &[impl Archived],
    policy: &Policy,
    format: OverlayFormat,
    show: impl FnOnce(&[PathBuf]) -> Listing,
) -> Result<(), String> {
    let place = tempfile::tempdir().unwrap();
    let expected = rootfs(place.path(), layers, policy);
    let stack = stack(place.path(), layers, policy, format);
    let result = match (expected, stack) {
        (Ok((expected, report)), Ok(stack)) => {
            let notes = |report: &Report| -> Vec<_> {
                let is_other = |id: &str| id != QuirkRule::HardLinkCopied.row().id;
                report.counts().filter(|(id, _)| is_other(id)).collect()
            };
            let mut differences = tree::differences(&expected, &show(&stack.directories));
            if notes(&report) != notes(&stack.report) {
                differences.push(format!("{:?} and {:?}", notes(&report), notes(&stack.report)));
            }
            if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
        }
        (Err(expected), Err(error)) if expected.to_string() == error.to_string() => Ok(()),
        (expected, stack) => Err(format!("{:?}\n{:?}", expected.map(drop), stack.map(drop))),
    };
    tree::unlock(place.path());
    result
}

/// The format for layers that the tests themselves can make and read.
pub(crate) fn possible() -> OverlayFormat {
    if rustix::process::geteuid().is_root() { DEVICES } else { USER_XATTRS }
}
