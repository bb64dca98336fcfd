//! Unpacking that somebody watches.

use super::layer::{About, Layer, Opened};
use super::pipeline::{Jobs, Threads, side_by_side};
use super::progress::Watch;
use super::run::{Applied, Run};
use super::spool;
use super::unpacker::Unpacker;
use crate::output::{Sink, Visibility};
use crate::read::Verifying;
use crate::words::{Error, Fault, Position, Report, Violation};
use std::fs::File;
use std::io::{self, Read};

/// An [`Unpacker`] with somebody who is told how far it is, and may end it.
///
/// ```
/// # use layercage::{Advance, Error, Layer, Misuse, Policy, Rootfs, Unpacker};
/// # use cap_std::{ambient_authority, fs::Dir};
/// use std::ops::ControlFlow;
///
/// # let directory = tempfile::tempdir()?;
/// # let rootfs = Dir::open_ambient_dir(directory.path(), ambient_authority())?;
/// # let archive = [0; 1024];
/// let mut enough = |advance: &Advance| match advance.entries {
///     1_000.. => ControlFlow::Break(()),
///     _ => ControlFlow::Continue(()),
/// };
/// let unpacker = Unpacker::new(Policy::default());
/// let applied = unpacker.with_progress(&mut enough).apply(Layer::new(&archive[..]), &mut Rootfs::over(&rootfs)?);
/// # applied?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is unpacked yet"]
pub struct Watched<'u> {
    pub(super) unpacker: &'u Unpacker,
    pub(super) watch: Watch<'u>,
}

/// How a layer is verified before it is applied.
enum Beforehand<R> {
    /// Not at all: nothing is known of it, or nothing can be seen before it is complete.
    Nothing(Layer<R>),
    /// It was read where it lies, and is read again.
    Read(Layer<R>),
    /// It was kept.
    Kept(Layer<File>),
}

impl Watched<'_> {
    /// Applies a layer as [`Unpacker::apply`] does.
    ///
    /// # Errors
    ///
    /// The same, and [`Misuse::Cancelled`](crate::Misuse::Cancelled).
    pub fn apply<R: Read>(&self, layer: Layer<R>, sink: &mut (impl Sink + ?Sized)) -> Result<Applied, Error> {
        match self.verify(layer, sink)? {
            Beforehand::Nothing(layer) => self.run_alone(layer, sink),
            Beforehand::Read(layer) => self.run_alone(layer, sink).map_err(changed),
            Beforehand::Kept(layer) => self.run_alone(layer, sink),
        }
    }

    /// Applies a layer as [`Unpacker::apply_side_by_side`] does.
    ///
    /// # Errors
    ///
    /// The same, and [`Misuse::Cancelled`](crate::Misuse::Cancelled).
    pub fn apply_side_by_side<R: Read + Send>(
        &self,
        layer: Layer<R>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Applied, Error> {
        let threads = match self.unpacker.threads() {
            Jobs::Alone => return self.apply(layer, sink),
            Jobs::Threads(threads) => threads,
        };
        match self.verify(layer, sink)? {
            Beforehand::Nothing(layer) => self.run_beside(threads, layer, sink),
            Beforehand::Read(layer) => self.run_beside(threads, layer, sink).map_err(changed),
            Beforehand::Kept(layer) => self.run_beside(threads, layer, sink),
        }
    }

    /// Verifies a layer where it must not be applied as it comes.
    fn verify<R: Read>(&self, layer: Layer<R>, sink: &mut (impl Sink + ?Sized)) -> Result<Beforehand<R>, Error> {
        if sink.visibility() == Visibility::AtCommit || !layer.about.expected.checks_anything() {
            return Ok(Beforehand::Nothing(layer));
        }
        self.verify_first(layer).inspect_err(|_| {
            sink.abandon_layer();
        })
    }

    fn verify_first<R: Read>(&self, layer: Layer<R>) -> Result<Beforehand<R>, Error> {
        let limits = self.unpacker.within();
        if let Some(seek) = layer.seek {
            return spool::read_through(layer, seek, limits, &self.watch).map(Beforehand::Read);
        }
        let file = self.unpacker.create_spool().map_err(|fault| fault.at(layer.about.position()))?;
        spool::keep(layer, file, limits, &self.watch).map(Beforehand::Kept)
    }

    fn run_alone<R: Read>(&self, layer: Layer<R>, sink: &mut (impl Sink + ?Sized)) -> Result<Applied, Error> {
        let (about, limits) = (layer.about, self.unpacker.within());
        self.run(about, &Report::default(), || Ok(layer.open(limits)?.stream), sink)
    }

    fn run_beside<R: Read + Send>(
        &self,
        threads: Threads,
        layer: Layer<R>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Applied, Error> {
        let (about, deferred) = (layer.about, sink.deferred_work());
        side_by_side(threads, self.unpacker.within(), deferred, [Ok(layer)].into_iter(), |opened| {
            let open = || match opened.next() {
                Some(opened) => opened.map(|Opened { stream, .. }| stream),
                None => Err(Fault::bug("the thread that reads a layer broke off").at(Position::default())),
            };
            self.run(about, &Report::default(), open, sink)
        })
    }

    /// Applies a layer that `open` opens, on the lower layers of its image of which `before` came.
    pub(super) fn run<S: Verifying>(
        &self,
        about: About,
        before: &Report,
        open: impl FnOnce() -> Result<S, Error>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Applied, Error> {
        Run { unpacker: self.unpacker, watch: &self.watch, about, before }.apply(open, sink)
    }
}

/// What does not fit when a layer is read again did fit a moment ago.
fn changed(error: Error) -> Error {
    match error.violation() {
        Some(Violation::DigestMismatch { .. } | Violation::DiffIdMismatch { .. } | Violation::SizeMismatch { .. }) => {
            let why = io::Error::other("somebody changed it after it was verified");
            error.replaced(Fault::system("read", b"(the layer, again)", why))
        }
        _ => error,
    }
}
