//! What each layer did to the tree.

use super::summary::LayerSummary;
use super::tree::MergedTree;

impl MergedTree {
    /// The layers, the lowest first, and what each did to the file system of the layers below. Each call walks over all paths, so keep
    /// the result.
    ///
    /// ```
    /// # use layercage::{Layer, Policy, Unpacker};
    /// # use layercage::merged::Merger;
    /// # let layer = |name: &str, content: &str| -> std::io::Result<Vec<u8>> {
    /// #     let mut archive = tar::Builder::new(Vec::new());
    /// #     let mut header = tar::Header::new_gnu();
    /// #     header.set_size(content.len() as u64);
    /// #     archive.append_data(&mut header, name, content.as_bytes())?;
    /// #     archive.into_inner()
    /// # };
    /// # let (mut merger, mut session) = (Merger::new(), Unpacker::new(Policy::default()).session());
    /// // A key of six bytes, which the upper layer removes.
    /// # let (lower, upper) = (layer("etc/key", "secret")?, layer("etc/.wh.key", "")?);
    /// session.apply(Layer::new(&lower[..]), &mut merger)?;
    /// session.apply(Layer::new(&upper[..]), &mut merger)?;
    /// let layers = merger.into_tree()?.layers();
    /// assert_eq!((layers[0].added, layers[0].hidden_bytes, layers[1].removed), (1, 6, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn layers(&self) -> Vec<LayerSummary> {
        let mut layers = self.summaries.clone();
        let mut count = |layer: u32, count: &mut dyn FnMut(&mut LayerSummary)| {
            let index = (layer as usize).checked_sub(1);
            index.and_then(|index| layers.get_mut(index)).into_iter().for_each(count);
        };
        let model = &self.model;
        let present = model.all().filter(|&name| model.is_present(name) && !model.is_directory(name));
        for name in present.chain(model.replaced().iter().copied()) {
            let is_changed = model.replaced_by(name).is_some();
            count(model.origin(name).layer, &mut |layer| match is_changed {
                true => layer.changed += 1,
                false => layer.added += 1,
            });
        }
        for &hidden in model.replaced().iter().filter(|&&hidden| model.successor(hidden).is_none()) {
            let by = model.hiding_layer(hidden).unwrap_or_default();
            count(by, &mut |layer| layer.removed += 1);
        }
        for (layer, size) in model.hidden_contents() {
            count(layer, &mut |layer| layer.hidden_bytes += size);
        }
        layers
    }
}
