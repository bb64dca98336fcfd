//! The content of chosen files of the merged tree of an image on disk.

use super::contents::{files, hidden_files, plain};
use super::layer::Layer;
use super::session::Session;
use super::unpacker::Unpacker;
use crate::image::{BlobReader, LayerDescriptor, Selected};
use crate::output::{Hidden, MergedTree, Node, SinkError};
use crate::read::Expected;
use crate::words::{Devices, Error, Fifos, Misuse, Policy, QuirkRule};
use std::io::Read;

impl Session<'_> {
    /// Reads the content of chosen files as [`MergedTree::read_files`] does, but with the policy and the threads of the session.
    /// Use the policy that merged the tree: a stricter one may refuse the layers now. The report of the session stays as it
    /// is.
    ///
    /// # Errors
    ///
    /// As for [`MergedTree::read_files`], and refusals by the policy of the session.
    pub fn read_files<'t>(
        &mut self,
        tree: &'t MergedTree,
        image: &Selected,
        choose: impl FnMut(Node<'t>) -> bool,
        read: impl FnMut(Node<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        check_image(tree, image)?;
        self.read_entries(tree, files(tree, choose), |number| open_layer(image, number), None, plain(read))
    }

    /// Reads the content of chosen files that are hidden: see [`MergedTree::read_hidden`]. The session's policy decides
    /// about the layers again, on as many threads as it may use; the report of the session stays as it is.
    ///
    /// # Errors
    ///
    /// As for [`Session::read_files`].
    pub fn read_hidden<'t>(
        &mut self,
        tree: &'t MergedTree,
        image: &Selected,
        choose: impl FnMut(Hidden<'t>) -> bool,
        read: impl FnMut(Hidden<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        check_image(tree, image)?;
        self.read_entries(tree, hidden_files(tree, choose), |number| open_layer(image, number), None, plain(read))
    }
}

impl MergedTree {
    /// Reads the content of chosen files, in one more pass over only those layers of the image that have any. No layer is
    /// read of which the tree [keeps](crate::merged::ContentCache) all that is wanted.
    ///
    /// `choose` is called for the paths of regular files, in the order of [`MergedTree::iter`]. `read` is called for each
    /// chosen file once, with the first of its paths that was chosen, in the order of layers and entries. Holes are read as
    /// zeros, and content that is not read is skipped.
    ///
    /// Each layer that is read is compared with its digest, size and diff ID again. **`read` sees content before that:** a layer is
    /// verified when it has been read to its end. If the layer has changed since the layers were merged, this fails.
    /// Then discard all results from content that `read` has seen.
    ///
    /// The policy judged the layers when they were merged. This pass accepts every quirk that some policy lets pass,
    /// and has the same limits.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), layercage::Error> {
    /// # let selected: layercage::Selected = unimplemented!();
    /// let tree = selected.merge(&layercage::Policy::default())?;
    /// let mut sizes = Vec::new();
    /// tree.read_files(&selected, |node| node.is_setuid(), |node, content| {
    ///     sizes.push((node.path(), std::io::copy(content, &mut std::io::sink())?));
    ///     Ok(())
    /// })?;
    /// // Only now are the sizes those of the image.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of `read`; a layer that cannot be opened or is not the expected one, with its position;
    /// [`Misuse::OtherImage`](crate::error::Misuse::OtherImage) if the image has other layers than the tree.
    pub fn read_files<'t>(
        &'t self,
        image: &Selected,
        choose: impl FnMut(Node<'t>) -> bool,
        read: impl FnMut(Node<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        self.session().read_files(self, image, choose, read)
    }

    /// Reads the content of chosen hidden files, as [`MergedTree::read_files`] does for the files of the tree.
    ///
    /// `choose` is called in the order of [`MergedTree::hidden`]. The file of a hidden path is read even if it still has
    /// other paths in the tree: see [`Hidden::link_count`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn read_hidden<'t>(
        &'t self,
        image: &Selected,
        choose: impl FnMut(Hidden<'t>) -> bool,
        read: impl FnMut(Hidden<'t>, &mut dyn Read) -> Result<(), SinkError>,
    ) -> Result<(), Error> {
        self.session().read_hidden(self, image, choose, read)
    }

    fn session(&self) -> Session<'static> {
        Unpacker::new(anything()).with_limits(self.limits().clone()).session()
    }
}

/// The policy under which everything passes that some policy lets pass.
fn anything() -> Policy {
    let policy = QuirkRule::ALL.iter().fold(Policy::default(), |policy, &rule| policy.allow(rule));
    policy.with_devices(Devices::Create).with_fifos(Fifos::Create)
}

/// Checks that the image has the layers that the tree was made of.
pub(super) fn check_image(tree: &MergedTree, image: &Selected) -> Result<(), Misuse> {
    let (merged, layers) = (tree.diff_ids(), image.layers());
    let is_same =
        |(merged, layer): (Option<_>, &LayerDescriptor)| merged.is_none_or(|merged| merged == *layer.diff_id());
    let are_same = tree.layer_count() == layers.len() && merged.zip(layers).all(is_same);
    if are_same { Ok(()) } else { Err(Misuse::OtherImage) }
}

/// Opens a layer that was verified in full when it was merged. The same blob has the same diff ID, so that the digest of the
/// blob is enough. It is computed over fewer bytes.
pub(super) fn open_again(image: &Selected, number: usize) -> Result<Layer<BlobReader>, Error> {
    let layer = open_layer(image, number)?;
    let expected = layer.about.expected;
    Ok(match (expected.digest(), expected.size()) {
        (Some(digest), Some(size)) => layer.expecting(Expected::blob_alone(digest, size)),
        _ => layer,
    })
}

/// Opens the layer of an image that has this number.
pub(super) fn open_layer(image: &Selected, number: usize) -> Result<Layer<BlobReader>, Error> {
    let layer = number.checked_sub(1).and_then(|index| image.layers().get(index)).ok_or(Misuse::OtherImage)?;
    Ok(Layer::described(image.open_layer(layer)?, layer))
}
