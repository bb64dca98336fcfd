//! A whole image, all or nothing.

use super::layer::{Layer, Opened};
use super::pipeline::{Jobs, side_by_side};
use super::stage::Staged;
use super::unpacker::Unpacker;
use super::watched::Watched;
use crate::image::{BlobReader, Selected};
use crate::output::Sink;
use crate::plan::Reporter;
use crate::read::Verifying;
use crate::words::{Error, Fault, LayerPosition, Note, Policy, Position, Report};
use std::ffi::OsStr;
use std::os::fd::AsFd;

impl Unpacker {
    /// Unpacks an image as the directory `name` in `parent`. That directory must be empty, or must not exist. Uses as
    /// many threads as [`Unpacker::jobs`] allows: the next layer is opened while a layer is applied. `parent` is a
    /// `cap_std::fs::Dir`, or any other handle of an open directory.
    ///
    /// All layers are applied in a staging directory and verified. Then the tree takes its name in one step. A failure
    /// before that leaves nothing behind.
    ///
    /// # Errors
    ///
    /// The first refusal, with its position; [`Misuse::TargetExists`](crate::Misuse::TargetExists); what the
    /// system refuses.
    pub fn unpack(&self, image: &Selected, parent: impl AsFd, name: impl AsRef<OsStr>) -> Result<Report, Error> {
        self.with_progress(&mut ()).unpack(image, parent, name)
    }
}

impl Watched<'_> {
    /// Unpacks an image as [`Unpacker::unpack`] does.
    ///
    /// # Errors
    ///
    /// The same, and [`Misuse::Cancelled`](crate::Misuse::Cancelled), which leaves nothing behind either.
    pub fn unpack(&self, image: &Selected, parent: impl AsFd, name: impl AsRef<OsStr>) -> Result<Report, Error> {
        let unpacker = self.unpacker;
        let report = self.judged(image)?;
        let mut staged = Staged::beside(parent, name)?.durability(unpacker.policy.durability());
        let layers = image.numbered_layers();
        match unpacker.threads() {
            Jobs::Alone => {
                self.unpack_layers(image, layers.map(|layer| layer?.open(unpacker.within())), report, staged)
            }
            Jobs::Threads(threads) => {
                let deferred = staged.rootfs().deferred_work();
                side_by_side(threads, unpacker.within(), deferred, layers, |opened| {
                    self.unpack_layers(image, opened, report, staged)
                })
            }
        }
    }

    /// Has policy decide what is odd about the image as a whole.
    fn judged(&self, image: &Selected) -> Result<Report, Error> {
        let mut reporter = Reporter::new(&self.unpacker.policy, self.unpacker.within());
        for Note { quirk, position } in image.notes() {
            reporter.set_position(position.clone());
            reporter.quirk(quirk.clone()).map_err(|fault| fault.at(position.clone()))?;
        }
        Ok(reporter.into_report())
    }

    fn unpack_layers<S: Verifying>(
        &self,
        image: &Selected,
        layers: impl Iterator<Item = Result<Opened<S>, Error>>,
        mut report: Report,
        mut staged: Staged,
    ) -> Result<Report, Error> {
        let mut proofs = Vec::new();
        for layer in layers {
            let Opened { about, stream } = layer?;
            let applied = self.run(about, &report, || Ok(stream), staged.rootfs())?;
            report.merge(applied.report().clone());
            proofs.push(applied.verified()?);
        }
        if proofs.len() != image.layers().len() {
            return Err(Fault::bug("the thread that reads the layers broke off").at(Position::default()));
        }
        staged.commit(proofs)?;
        Ok(report)
    }
}

impl Selected {
    /// Unpacks the image as [`Unpacker::unpack`] does, on the calling thread and within the limits of the image.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn unpack_into(&self, parent: impl AsFd, name: impl AsRef<OsStr>, policy: &Policy) -> Result<Report, Error> {
        Unpacker::new(policy.clone()).limits(self.image().limits().clone()).unpack(self, parent, name)
    }

    /// The layers, opened one after another, with all that is known of them; or why one cannot be opened.
    pub(super) fn numbered_layers(&self) -> impl Iterator<Item = Result<Layer<BlobReader>, Error>> {
        let of = self.layers().len();
        self.layers().iter().enumerate().map(move |(index, layer)| {
            let position = Some(LayerPosition { number: index + 1, of });
            let reader = self.image().open_layer(layer);
            let reader = reader.map_err(|fault| fault.at(Position { layer: position, ..Position::default() }))?;
            let known = match layer.descriptor() {
                Some(blob) => Layer::new(reader).blob(*blob.digest(), blob.size()).diff_id(*layer.diff_id()),
                None => Layer::new(reader).diff_id_alone(*layer.diff_id()),
            };
            Ok(known.numbered(position, layer.compression()))
        })
    }
}
