//! The trait that every output implements.

use super::context::LayerContext;
use super::data::Data;
use super::sink_error::SinkError;
use crate::plan::{Judged, Reporter};
use crate::read::Checked;
use crate::words::{Change, Effect};

/// Receives the judged changes of layers, with their data. This is where the library can be extended.
///
/// A sink sees layers, and not the final file system. Paths are the names in the archive, whose links are not resolved, and
/// a later entry or layer may replace or remove what an earlier one brought. `MergedTree` has the final file system.
///
/// # Order of calls
///
/// For each layer:
///
/// 1. [`Sink::begin_layer`], once, before the first byte of the layer is read.
/// 2. [`Sink::change`], once for each change, in the archive's order.
/// 3. [`Sink::end_layer`], once, when the layer is complete and everything that was expected of it is checked.
///
/// If anything fails, in these methods or elsewhere, [`Sink::abandon_layer`] is called once instead of the remaining
/// calls. It is called without `begin_layer` if the layer fails before it begins, while it is verified for instance.
/// After `end_layer` or `abandon_layer`, the next layer may begin. After a panic of the sink, nothing is called. After a
/// panic of a layer's reader, or of the code that opens it, `abandon_layer` may be called, and nothing else is.
/// [`Sink::visibility`] may be called at any time. In a [`Tee`](crate::sink::Tee), `abandon_layer` also follows `end_layer` if
/// the other sink failed there.
///
/// A caller that calls these methods itself can break this order. A sink that cannot continue then returns
/// [`Misuse::OutsideLayer`](crate::error::Misuse::OutsideLayer) or [`Misuse::Poisoned`](crate::error::Misuse::Poisoned), as
/// [`Rootfs`](crate::Rootfs) does.
///
/// # Errors
///
/// The `?` operator turns an [`io::Error`](std::io::Error) into the sink's own failure, and an
/// [`Error`](crate::Error) of the [`Reporter`] or a refusal by rule into itself: see [`SinkError`].
///
/// # Tests
///
/// A [`Layer`](crate::Layer) of bytes in memory drives a sink through the whole sequence, as in the example. For a test
/// of a single method, [`LayerContext::new`], [`Reporter::new`] and [`Data::of`] create the arguments. A [`Judged`]
/// change comes from a sink that keeps clones of its changes, and a [`Checked`] from
/// [`LayerStream::finish`](crate::blob::LayerStream::finish).
///
/// # Example
///
/// ```
/// use layercage::{Layer, Policy, Sink, Unpacker};
/// use layercage::blob::Checked;
/// use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError};
/// use layercage::tar::Change;
/// use std::io::Write;
///
/// /// Lists the paths of a layer.
/// struct Names<W>(W);
///
/// impl<W: Write> Sink for Names<W> {
///     fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
///         Ok(writeln!(self.0, "layer {}", layer.number().unwrap_or(1))?)
///     }
///     fn change(&mut self, change: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
///         Ok(writeln!(self.0, "{}", change.get().path)?)
///     }
///     fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
///         Ok(self.0.flush()?)
///     }
/// }
///
/// # let mut archive = tar::Builder::new(Vec::new());
/// # let mut header = tar::Header::new_gnu();
/// # header.set_size(2);
/// # archive.append_data(&mut header, "etc/hostname", &b"a\n"[..])?;
/// # let archive = archive.into_inner()?;
/// let mut names = Names(Vec::new());
/// Unpacker::new(Policy::default()).apply(Layer::new(&archive[..]), &mut names)?;
/// assert_eq!(names.0, b"layer 1\n\"etc/hostname\"\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Sink {
    /// Begins a layer.
    ///
    /// # Errors
    ///
    /// Any failure of the sink. [`Sink::abandon_layer`] is called next.
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError>;

    /// Takes one change. `data` is the content of a [`ChangeKind::File`](crate::tar::ChangeKind::File) or a
    /// [`ChangeKind::PseudoLink`](crate::tar::ChangeKind::PseudoLink), and is empty for all other changes. Content that is
    /// not read is skipped.
    ///
    /// # Errors
    ///
    /// Any failure of the sink, or a refusal by rule. [`Sink::abandon_layer`] is called next.
    fn change(&mut self, change: Judged<Change>, data: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError>;

    /// Ends a layer that is complete and verified.
    ///
    /// # Errors
    ///
    /// Any failure of the sink. [`Sink::abandon_layer`] is called next.
    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError>;

    /// Abandons a layer that failed, and returns whether its changes so far have taken effect.
    ///
    /// [`Effect::Partial`] by default. It becomes the [`Error::effect`](crate::Error::effect) of the error.
    fn abandon_layer(&mut self) -> Effect {
        Effect::Partial
    }

    /// When the changes of a layer become visible to others. **[`Visibility::AtCommit`]** by default.
    ///
    /// A sink around another one must return what that one returns, and must pass on [`Sink::abandon_layer`], too: a tree
    /// that is in use would be changed before its layer is verified otherwise.
    ///
    /// With [`Visibility::AtOnce`], a layer whose digest, size or diff ID is known is verified before it begins.
    fn visibility(&self) -> Visibility {
        Visibility::AtCommit
    }
}

/// When the changes of a layer become visible to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Each change is visible as soon as it is applied, as in a directory that is in use.
    AtOnce,
    /// Nothing is visible before the caller commits, which needs every layer to have ended.
    AtCommit,
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: Sink + ?Sized> Sink for $pointer {
            fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
                (**self).begin_layer(layer)
            }

            fn change(
                &mut self,
                change: Judged<Change>,
                data: Data<'_>,
                reporter: &mut Reporter<'_>,
            ) -> Result<(), SinkError> {
                (**self).change(change, data, reporter)
            }

            fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
                (**self).end_layer(checked)
            }

            fn abandon_layer(&mut self) -> Effect {
                (**self).abandon_layer()
            }

            fn visibility(&self) -> Visibility {
                (**self).visibility()
            }
        }
    )*};
}

forward!(&mut S, Box<S>);
