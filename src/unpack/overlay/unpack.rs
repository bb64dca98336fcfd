//! Whole images, unpacked to a store.
//!
//! Layers are made from the bottom. A run *claims* a layer before it is opened: until it is published, other runs wait for
//! it. Layers are claimed in order, as far as they are read ahead, and a run that waits for the layer of another one has
//! claimed none itself. So no two runs wait for each other, and no layer is read by both.

use super::chain::chain_ids;
use super::image::OverlayImage;
use super::made::MadeLayers;
use super::store::{OverlayStore, pause};
use crate::cage::{Found, InUse, LayerClaim, LayerKey, Use};
use crate::image::{LayerDescriptor, Selected};
use crate::read::Verifying;
use crate::unpack::image::ended_early;
use crate::unpack::jobs::{Ahead, Jobs};
use crate::unpack::layer::{Layer, Opened};
use crate::unpack::numbered::{described, opened_early, stored};
use crate::unpack::pipeline::{Plan, side_by_side};
use crate::unpack::session::Session;
use crate::unpack::unpacker::Unpacker;
use crate::words::{Digest, Durability, Error, Lock, Policy, Position, SharedWork};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

impl Session<'_> {
    /// Unpacks an image as layers of overlayfs. Mounted over each other, they are the root filesystem that
    /// [`Session::unpack`] makes. It uses as many threads as [`Unpacker::with_jobs`] allows: the next layers are read while
    /// a layer is applied.
    ///
    /// A layer becomes visible in the store when it is verified, and the image when all its layers are there. A failure
    /// leaves the layers before it: they are complete, and the next run finds them.
    ///
    /// # Errors
    ///
    /// The first refusal, with its position; [`Misuse::Cancelled`](crate::error::Misuse::Cancelled);
    /// [`Misuse::DamagedStore`](crate::error::Misuse::DamagedStore); a failure of the system.
    pub fn unpack_overlay(self, image: &Selected, store: &OverlayStore) -> Result<OverlayImage, Error> {
        self.unpack_layers(image, Ahead::Threads, stored(image), store)
    }

    /// Unpacks an image like [`Session::unpack_overlay`], but with readers from the caller: downloads, for instance. `open`
    /// is called for one layer after another, from the bottom, but not for those that the store has or that another run
    /// makes. It is called as far ahead as [`Unpacker::with_readers`] says, and with several [jobs](Unpacker::with_jobs) on
    /// other threads. [`Session::apply_image_from`] says how far a refused layer is read, and that a cancel does not wake a
    /// reader that blocks.
    ///
    /// # Errors
    ///
    /// As for [`Session::unpack_overlay`], and an error of `open`, with the position of its layer.
    pub fn unpack_overlay_from<R: Read + Send>(
        self,
        image: &Selected,
        mut open: impl FnMut(&LayerDescriptor) -> io::Result<R> + Send,
        store: &OverlayStore,
    ) -> Result<OverlayImage, Error> {
        let readers = Ahead::Readers(self.unpacker().readers());
        self.unpack_layers(image, readers, |layer| open(layer).map_err(Error::of_opening), store)
    }

    fn unpack_layers<R: Read + Send>(
        mut self,
        image: &Selected,
        ahead: Ahead,
        mut open: impl FnMut(&LayerDescriptor) -> Result<R, Error> + Send,
        store: &OverlayStore,
    ) -> Result<OverlayImage, Error> {
        self.judge_image(image)?;
        let in_use = store.wait(Use::Shared, || self.check_cancelled())?;
        let keys = keys(image, store.policy_digest(self.unpacker().policy()));
        let mut made = MadeLayers::new(store.format());
        let durability = self.unpacker().policy().durability();
        while let Some(rest) = image.layers().get(made.count()..)
            && let Some((layer, key)) = rest.first().zip(keys.get(made.count()))
        {
            match in_use.find_or_claim(*key, durability).map_err(|error| at(layer, error))? {
                Found::There(layer) => made.add(key.chain_id, layer),
                Found::Busy => pause(|| self.check_cancelled())?,
                Found::Missing(claim) => {
                    let keys = keys.get(made.count()..).unwrap_or_default();
                    let missing = Missing { in_use: &in_use, durability, layers: rest, keys, claims: Lock::default() };
                    self.make_layers(&missing, claim, ahead, &mut open, &mut made)?;
                }
            }
        }
        let policy = self.unpacker().policy().clone();
        let made = made.into_image(self.into_report());
        store.add(&OverlayStore::digest_of(image), &policy, made.layers())?;
        Ok(made)
    }

    /// Makes layers, until one is there or another run makes it.
    fn make_layers<'s, R: Read + Send>(
        &mut self,
        missing: &Missing<'_, 's>,
        first: Box<LayerClaim<'s>>,
        ahead: Ahead,
        open: impl FnMut(&LayerDescriptor) -> Result<R, Error> + Send,
        made: &mut MadeLayers,
    ) -> Result<(), Error> {
        let limits = self.unpacker().limits().clone();
        let directory = Arc::clone(first.directory());
        let layers = missing.open(first, open);
        match self.unpacker().threads() {
            Jobs::Alone => {
                let layers = opened_early(layers, ahead.readers());
                self.make_opened(missing, &mut layers.map(|layer| layer?.open(&limits)), made, None)
            }
            Jobs::Beside(workers) => {
                let work = SharedWork::default();
                // A staging directory may be gone when it is needed.
                let create_spool = Some(self.unpacker().create_ahead_spool(move || Some(Arc::clone(&directory))));
                let plan = Plan { workers, ahead, limits: &limits, work: &work, create_spool };
                side_by_side(plan, layers, |opened| self.make_opened(missing, opened, made, Some(&work)))
            }
        }
    }

    fn make_opened<S: Verifying>(
        &mut self,
        missing: &Missing<'_, '_>,
        layers: &mut dyn Iterator<Item = Result<Opened<S>, Error>>,
        made: &mut MadeLayers,
        work: Option<&SharedWork>,
    ) -> Result<(), Error> {
        for opened in layers {
            let Opened { about, blob_bytes, stream } = opened?;
            let claim = missing.next_claim().ok_or(Error::bug("a layer is read that was not claimed"))?;
            made.make(*claim, missing.durability, |overlay| self.run(about, blob_bytes, || Ok(stream), overlay, work))?;
        }
        match missing.next_claim() {
            None => Ok(()),
            Some(_) => Err(ended_early()),
        }
    }
}

/// Layers that the store does not have, or not all of them.
struct Missing<'a, 's> {
    in_use: &'a InUse<'s>,
    durability: Durability,
    layers: &'a [LayerDescriptor],
    keys: &'a [LayerKey],
    /// The layers that are claimed and not made yet.
    claims: Lock<VecDeque<Box<LayerClaim<'s>>>>,
}

impl<'s> Missing<'_, 's> {
    /// Claims and opens one layer after another, until one is there or another run makes it. The first one is claimed.
    fn open<R: Read>(
        &self,
        first: Box<LayerClaim<'s>>,
        mut open: impl FnMut(&LayerDescriptor) -> Result<R, Error>,
    ) -> impl Iterator<Item = Result<Layer<R>, Error>> {
        let (mut first, mut keys) = (Some(first), self.keys.iter());
        described(self.layers, move |layer| {
            let key = keys.next()?;
            let claim = match first.take() {
                Some(first) => first,
                None => match self.in_use.find_or_claim(*key, self.durability) {
                    Ok(Found::Missing(claim)) => claim,
                    Ok(Found::There(_) | Found::Busy) => return None,
                    Err(error) => return Some(Err(error)),
                },
            };
            self.claims.lock().push_back(claim);
            Some(open(layer))
        })
    }

    fn next_claim(&self) -> Option<Box<LayerClaim<'s>>> {
        self.claims.lock().pop_front()
    }
}

/// What identifies the layers of an image.
fn keys(image: &Selected, policy: Digest) -> Vec<LayerKey> {
    let diff_ids = || image.layers().iter().map(LayerDescriptor::diff_id);
    let keys = diff_ids().zip(chain_ids(diff_ids()));
    keys.map(|(diff_id, chain_id)| LayerKey { chain_id, diff_id: *diff_id, policy }).collect()
}

fn at(layer: &LayerDescriptor, error: Error) -> Error {
    error.at(Position { layer: Some(layer.position()), ..Position::default() })
}

impl Unpacker {
    /// Unpacks an image as layers of overlayfs, in a session of its own: see [`Session::unpack_overlay`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn unpack_overlay(&self, image: &Selected, store: &OverlayStore) -> Result<OverlayImage, Error> {
        self.session().unpack_overlay(image, store)
    }
}

impl Selected {
    /// Unpacks the image as layers of overlayfs as [`Session::unpack_overlay`] does, on the calling thread and within the
    /// limits of the image.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn unpack_overlay(&self, store: &OverlayStore, policy: &Policy) -> Result<OverlayImage, Error> {
        Unpacker::new(policy.clone()).with_limits(self.limits().clone()).unpack_overlay(self, store)
    }
}
