//! The final file system of an image, in memory.

use super::session::Session;
use super::unpacker::Unpacker;
use crate::image::Selected;
use crate::output::{ContentCache, MergedTree, Merger};
use crate::words::{Error, Policy};

impl Session<'_> {
    /// Merges the layers of an image into its final file system, in memory. Every layer is read and verified, as for
    /// [`Session::apply_image`]; nothing is written.
    ///
    /// ```no_run
    /// # use layercage::{Image, Policy, Selector, Unpacker};
    /// # fn main() -> Result<(), layercage::Error> {
    /// # let image = Image::open_ambient("app.oci.tar", cap_std::ambient_authority())?;
    /// let selected = image.select(&Selector::host())?;
    /// let tree = Unpacker::new(Policy::default()).session().merge(&selected)?;
    /// for node in tree.iter().filter(|node| node.is_file() && node.is_setuid()) {
    ///     println!("layer {}: {}", node.layer(), node.path());
    /// }
    /// for hidden in tree.hidden() {
    ///     println!("{} of layer {}: {} by layer {}", hidden.path(), hidden.layer(), hidden.how(), hidden.hidden_by());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::apply_image`], and [`Limit::TreeBytes`](crate::rules::Limit::TreeBytes).
    pub fn merge(&mut self, image: &Selected) -> Result<MergedTree, Error> {
        self.merge_into(Merger::new(), image)
    }

    /// Merges the layers of an image as [`Session::merge`] does, and keeps the content of files for exports, for
    /// unpacking and for reading them. [`ContentCache`] has an example.
    ///
    /// # Errors
    ///
    /// As for [`Session::merge`]. A cache that fails is dropped: then content is read from the layers again.
    pub fn merge_cached(&mut self, image: &Selected, cache: ContentCache) -> Result<MergedTree, Error> {
        self.merge_into(Merger::new().with_cache(cache), image)
    }

    fn merge_into(&mut self, mut merger: Merger, image: &Selected) -> Result<MergedTree, Error> {
        self.apply_image(image, &mut merger)?;
        merger.into_tree()
    }
}

impl Selected {
    /// Merges the layers of the image as [`Session::merge`] does, on the calling thread and within the limits of the image.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn merge(&self, policy: &Policy) -> Result<MergedTree, Error> {
        Unpacker::new(policy.clone()).with_limits(self.limits().clone()).session().merge(self)
    }
}
