//! Level 4, outputs: changes go through a [`Sink`] to wherever they take effect.

mod audit;
mod delegate;
mod rootfs;
mod state;

pub use audit::Lower;
pub(crate) use audit::TreeModel;
pub use rootfs::Rootfs;

use crate::plan::{Judge, Judged};
use crate::read::Checked;
use crate::words::{Change, DeferredWork, Fault, Source, Terms};
use std::sync::Arc;

/// Takes judged changes with their data: the point where the library can be extended.
///
/// Changes of one layer come in the archive's order, between one [`Sink::begin_layer`] and one [`Sink::end_layer`].
/// [`Sink::begin_layer`] is called before the layer is read. Only [`Sink::spool`] and [`Sink::chore`] may be called
/// before it. After a layer fails, only [`Sink::abandon_layer`] is called for it.
///
/// A sink returns its own errors with [`Error::sink`](crate::Error::sink), which keeps them as the source.
///
/// ```
/// use layercage::{Change, Checked, Error, Judge, Judged, Layer, Policy, Sink, Source, Terms, Unpacker};
/// use std::io::Write;
///
/// /// Lists the paths of a layer.
/// struct Names<W>(W);
///
/// impl<W: Write> Sink for Names<W> {
///     fn begin_layer(&mut self, _: &Terms) -> Result<(), Error> {
///         Ok(())
///     }
///     fn accept(&mut self, change: Judged<Change>, _: &mut dyn Source, _: &mut Judge<'_>) -> Result<(), Error> {
///         writeln!(self.0, "{}", change.get().path).map_err(Error::sink)
///     }
///     fn end_layer(&mut self, _: &Checked) -> Result<(), Error> {
///         self.0.flush().map_err(Error::sink)
///     }
///     fn spool(&mut self) -> Result<Option<std::fs::File>, Error> {
///         Ok(None)
///     }
/// }
///
/// let mut names = Names(Vec::new());
/// # let archive = [0; 1024];
/// Unpacker::new(Policy::default()).apply(Layer::new(&archive[..]), &mut names)?;
/// # Ok::<(), layercage::Error>(())
/// ```
pub trait Sink {
    /// A layer begins, for which `terms` hold.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    fn begin_layer(&mut self, terms: &Terms) -> Result<(), Fault>;

    /// One change. `data` has the bytes of a [`ChangeKind::File`](crate::ChangeKind::File) or
    /// [`ChangeKind::PseudoLink`](crate::ChangeKind::PseudoLink) and is empty for all others; what is not read is skipped. What is odd about the tree goes to `judge`.
    ///
    /// # Errors
    ///
    /// What the rules or the system refuse.
    fn accept(&mut self, change: Judged<Change>, data: &mut dyn Source, judge: &mut Judge<'_>) -> Result<(), Fault>;

    /// The layer is complete, and what was expected of it is checked.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    fn end_layer(&mut self, checked: &Checked) -> Result<(), Fault>;

    /// The layer failed. Its changes so far stay. Called after any error while the layer is applied, from these methods
    /// or elsewhere, even before [`Sink::begin_layer`]. Not called after a panic.
    fn abandon_layer(&mut self) {}

    /// Whether the layer that broke off has changed anything; what does not know says so.
    fn has_changed(&self) -> bool {
        true
    }

    /// What the sink puts off, so that other threads may do it; asked for when there are any. Whatever is left when
    /// [`Sink::end_layer`] is called is to be done then.
    fn chore(&mut self) -> Option<Arc<dyn DeferredWork>> {
        None
    }

    /// Where a layer can be kept until it is verified, when what this sink does can be seen at once.
    ///
    /// `None` when nothing can be seen before the layer is complete, so that it may be applied as it comes.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    fn spool(&mut self) -> Result<Option<std::fs::File>, Fault>;
}
