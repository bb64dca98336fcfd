//! A whole image, all or nothing.

use super::{Layer, Staged, Unpacker};
use crate::image::Selected;
use crate::words::{Error, LayerPosition, Policy, Position, Report};
use cap_std::fs::Dir;
use std::fs::File;

impl Selected {
    /// Unpacks the image as the directory `name` in `parent`, which must not exist yet.
    ///
    /// All layers are applied out of sight and verified; then the tree takes its name at one stroke. Whatever
    /// goes wrong before leaves nothing behind.
    ///
    /// # Errors
    ///
    /// The first refusal, with its position; [`Misuse::TargetExists`](crate::Misuse::TargetExists); what the
    /// system refuses.
    pub fn unpack_into(
        &self,
        parent: &Dir,
        name: impl AsRef<std::ffi::OsStr>,
        policy: &Policy,
    ) -> Result<Report, Error> {
        let mut staged = Staged::beside(parent, name)?;
        let unpacker = Unpacker::new(policy.clone()).limits(self.image().limits().clone());
        let mut report = Report::default();
        let mut proofs = Vec::new();
        for layer in self.numbered_layers() {
            let applied = unpacker.apply_after(report.bytes_written, layer?, staged.rootfs())?;
            report.merge(applied.report().clone());
            proofs.push(applied.verified()?);
        }
        staged.commit(proofs)?;
        Ok(report)
    }

    /// The layers, opened one after another, with all that is known of them; or why one cannot be opened.
    pub(super) fn numbered_layers(&self) -> impl Iterator<Item = Result<Layer<File>, Error>> {
        let of = self.layers().len();
        self.layers().iter().enumerate().map(move |(index, layer)| {
            let position = Some(LayerPosition { number: index + 1, of });
            let descriptor = layer.descriptor();
            let reader = self.image().open_blob(descriptor);
            let reader = reader.map_err(|fault| fault.at(Position { layer: position, ..Position::default() }))?;
            let known = Layer::new(reader).blob(*descriptor.digest(), descriptor.size()).diff_id(*layer.diff_id());
            Ok(Layer { position, stated_compression: Some(layer.compression()), ..known })
        })
    }
}
