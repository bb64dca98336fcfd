//! A whole image, all or nothing.

use super::{Layer, Staged, Unpacker};
use crate::image::Selected;
use crate::words::{Error, Fault, LayerPosition, Policy, Position, Report};
use cap_std::fs::Dir;

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
        let of = self.layers().len();
        for (index, layer) in self.layers().iter().enumerate() {
            let position = LayerPosition { number: index + 1, of };
            let at_layer = |fault: Fault| fault.at(Position { layer: Some(position), ..Position::default() });
            let descriptor = layer.descriptor();
            let reader = self.image().open_blob(descriptor).map_err(at_layer)?;
            let stated = layer.compression();
            let mut layer = Layer::new(reader).blob(*descriptor.digest(), descriptor.size()).diff_id(*layer.diff_id());
            layer.position = Some(position);
            layer.stated_compression = Some(stated);
            let applied = unpacker.apply_after(report.bytes_written, layer, staged.rootfs())?;
            report.merge(applied.report().clone());
            proofs.push(applied.verified()?);
        }
        staged.commit(proofs)?;
        Ok(report)
    }
}
