//! An image whose layers arrive one after another, for a store.

use super::chain::chain_id;
use super::image::OverlayImage;
use super::made::MadeLayers;
use super::store::{OverlayStore, pause};
use crate::cage::{Found, InUse, LayerClaim, LayerKey, Use};
use crate::image::Selected;
use crate::unpack::layer::Layer;
use crate::unpack::run::Applied;
use crate::unpack::session::Session;
use crate::unpack::stage::Staged;
use crate::words::{Digest, Error, Limit, Misuse, Report};
use std::io::Read;

/// An image whose layers arrive one after another, from a registry for instance, for a store of overlay layers.
/// [`Staged::overlay`] begins it.
///
/// Each layer takes its name in the store when it is verified. The image is listed there on [`StagedOverlay::commit`]. If
/// this value is dropped before, its layers stay for other images, or until one is [removed](OverlayStore::remove).
///
/// If a layer fails, for any reason, this value can only be dropped, as a [`Staged`] tree. A new one finds the layers below.
///
/// ```no_run
/// # use cap_std::{ambient_authority, fs::Dir};
/// # use layercage::overlay::OverlayStore;
/// # use layercage::image::LayerDescriptor;
/// # use layercage::{Layer, Limits, Policy, Selected, Staged, Unpacker};
/// # fn download(_: &LayerDescriptor) -> std::io::Result<std::fs::File> { unimplemented!() }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = Dir::open_ambient_dir("store", ambient_authority())?;
/// # let (manifest, config, digest) = (vec![], vec![], "sha256:…".parse()?);
/// let image = Selected::from_documents(&manifest, &config, &digest, &Limits::default())?;
/// let store = OverlayStore::open(&directory)?;
/// let mut staged = Staged::overlay(&store, Unpacker::new(Policy::default()).session())?;
/// for layer in image.layers() {
///     if staged.reuse(layer.diff_id())? {
///         continue; // nothing to download
///     }
///     staged.apply(Layer::described(download(layer)?, layer))?;
/// }
/// let unpacked = staged.commit(&image)?;
/// println!("{:?}", unpacked.mount_options("/var/lib/store"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the image is not listed before it is committed"]
pub struct StagedOverlay<'s, 'p> {
    store: &'s OverlayStore,
    session: Session<'p>,
    /// The digest of the session's policy.
    policy: Digest,
    made: MadeLayers,
    /// The next layer, if this run makes it.
    claim: Option<Box<LayerClaim<'s>>>,
    state: State,
    // Dropped last.
    in_use: InUse<'s>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// A layer has failed, or a call on it has panicked.
    Failed,
}

impl Staged {
    /// Begins an image in a store of overlay layers. The session has the policy, the limits and the threads. Waits while
    /// another run removes layers.
    ///
    /// # Errors
    ///
    /// [`Misuse::Cancelled`]; a system error.
    pub fn overlay<'s, 'p>(store: &'s OverlayStore, session: Session<'p>) -> Result<StagedOverlay<'s, 'p>, Error> {
        let in_use = store.wait(Use::Shared, || session.check_cancelled())?;
        let policy = store.policy_digest(session.unpacker().policy());
        let made = MadeLayers::new(store.format());
        Ok(StagedOverlay { store, session, policy, made, claim: None, state: State::Ready, in_use })
    }
}

impl StagedOverlay<'_, '_> {
    /// Adds the next layer if the store has it. Returns `false` if not: then it must be applied. Waits while another run
    /// makes it; the progress observer of the session may cancel that.
    ///
    /// A layer that must be applied is claimed: other runs wait for it until it is applied, or this value is dropped. So
    /// two values on one thread can deadlock.
    ///
    /// # Errors
    ///
    /// [`Misuse::Poisoned`] after a layer that failed; [`Misuse::Cancelled`]; [`Misuse::DamagedStore`];
    /// [`Limit::Layers`]; a system error. The layer was not added then. After all of these but
    /// the first two, another call may succeed.
    pub fn reuse(&mut self, diff_id: &Digest) -> Result<bool, Error> {
        if self.state == State::Failed {
            return Err(Misuse::Poisoned.into());
        }
        self.session.unpacker().limits().check(Limit::Layers, self.made.count() as u64 + 1)?;
        let key = self.key(diff_id);
        // A claim for another layer would keep other runs waiting, and one for this layer this run.
        drop(self.claim.take_if(|claim| claim.key() != key));
        if self.claim.is_some() {
            return Ok(false);
        }
        let durability = self.session.unpacker().policy().durability();
        loop {
            match self.in_use.find_or_claim(key, durability)? {
                Found::There(layer) => {
                    self.made.add(key.chain_id, layer);
                    return Ok(true);
                }
                Found::Missing(claim) => {
                    self.claim = Some(claim);
                    return Ok(false);
                }
                Found::Busy => pause(|| self.session.check_cancelled())?,
            }
        }
    }

    /// Applies the next layer, and gives it its name in the store. Returns `None` if the store has it: then it is not
    /// read. Waits while another run makes it.
    ///
    /// # Errors
    ///
    /// As for [`Session::apply`] and [`StagedOverlay::reuse`]. [`Misuse::Unproven`] if too little is expected of the layer:
    /// its diff ID is needed in any case. After any error, this value can only be dropped.
    pub fn apply<R: Read + Send>(&mut self, layer: Layer<R>) -> Result<Option<Applied>, Error> {
        let Some(diff_id) = layer.about.expected.diff_id() else {
            self.state = State::Failed;
            return Err(Misuse::Unproven { missing: "a diff ID" }.into());
        };
        let is_there = self.reuse(&diff_id);
        self.state = State::Failed;
        let applied = match (is_there?, self.claim.take()) {
            (true, _) => None,
            (false, Some(claim)) => {
                let durability = self.session.unpacker().policy().durability();
                let apply = |overlay: &mut _| self.session.apply(layer, overlay);
                Some(self.made.make(*claim, durability, apply)?)
            }
            (false, None) => return Err(Error::bug("a layer that is not there is not claimed")),
        };
        self.state = State::Ready;
        Ok(applied)
    }

    /// What was tolerated, adjusted or skipped in the layers that were applied.
    pub fn report(&self) -> &Report {
        self.session.report()
    }

    /// Lists the image in the store, under [`OverlayStore::digest_of`] it. All its layers must have been added, in order,
    /// and no others: so a list of layers that ended early never takes the place of a complete image.
    ///
    /// # Errors
    ///
    /// [`Misuse::Poisoned`] after a layer that failed; [`Misuse::OtherImage`] if the diff IDs of the image are not those of
    /// the added layers; a system error.
    pub fn commit(self, image: &Selected) -> Result<OverlayImage, Error> {
        if self.state == State::Failed {
            return Err(Misuse::Poisoned.into());
        }
        if !self.made.are_those_of(image) {
            return Err(Misuse::OtherImage.into());
        }
        let policy = self.session.unpacker().policy().clone();
        let made = self.made.into_image(self.session.into_report());
        self.store.add(&OverlayStore::digest_of(image), &policy, made.layers())?;
        Ok(made)
    }

    fn key(&self, diff_id: &Digest) -> LayerKey {
        LayerKey { chain_id: chain_id(self.made.top(), diff_id), diff_id: *diff_id, policy: self.policy }
    }
}
