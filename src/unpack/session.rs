//! Sessions, which apply the layers of one image: limits, counters, progress and the report.

use super::blob_bytes::BlobBytes;
use super::jobs::Jobs;
use super::layer::{About, Layer, Opened};
use super::pipeline::{Plan, side_by_side};
use super::progress::{Progress, Watch};
use super::run::{Applied, Run};
use super::spool::{self, Check};
use super::unpacker::Unpacker;
use crate::output::{Sink, Visibility};
use crate::read::Verifying;
use crate::words::{Cancellation, Error, HolesRead, Report, SharedWork, Violation};
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Applies layers one after another, to any [`Sink`].
///
/// A session counts what spans its layers: [`Limit::ImageBytes`](crate::rules::Limit::ImageBytes),
/// [`Limit::HoleBytes`](crate::rules::Limit::HoleBytes), the progress and the report. Use one session for the layers of one
/// image. [`Unpacker::session`] starts one.
///
/// A layer that fails adds nothing to the report and to the bytes of the image. The session remains usable. Whether
/// the sink does depends on the sink: a [`Staged`](crate::Staged) tree can then only be dropped.
///
/// ```
/// # use layercage::{Digest, Error, Expected, Layer, Policy, Staged, Unpacker};
/// # use cap_std::{ambient_authority, fs::Dir};
/// # use std::io::Read;
/// # fn unpack(layers: Vec<(Box<dyn Read + Send>, Digest, u64, Digest)>, parent: &Dir) -> Result<(), Error> {
/// let mut session = Unpacker::new(Policy::default()).session();
/// let mut staged = Staged::beside(parent, "rootfs")?;
/// let mut proofs = Vec::new();
/// for (reader, digest, size, diff_id) in layers {
///     let layer = Layer::new(reader).expecting(Expected::blob(digest, size).with_diff_id(diff_id));
///     proofs.push(session.apply(layer, staged.rootfs())?.verified()?);
/// }
/// staged.commit(proofs)?; // visible only now
/// println!("{} entries", session.report().entries);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is applied yet"]
pub struct Session<'p> {
    pub(super) unpacker: Unpacker,
    watch: Watch<'p>,
    report: Report,
    holes: HolesRead,
}

impl Unpacker {
    /// Starts a session: the layers of one image, with limits, counters and a report of their own.
    pub fn session(&self) -> Session<'static> {
        let (watch, holes) = (Watch::new(Box::new(())), HolesRead::new(self.limits()));
        Session { unpacker: self.clone(), watch, report: Report::default(), holes }
    }

    /// Applies a single layer, in a session of its own: see [`Session::apply`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn apply<R: Read + Send>(&self, layer: Layer<R>, sink: &mut (impl Sink + ?Sized)) -> Result<Applied, Error> {
        self.session().apply(layer, sink)
    }
}

/// A layer that may be applied, and how it was verified before.
enum Ready<R> {
    /// Not verified: nothing is known of the layer, or its changes are visible only when it is complete.
    Unverified(Layer<R>),
    /// Verified in place. It is read a second time.
    InPlace(Layer<R>),
    /// Verified, and copied to a temporary file.
    Copied(Layer<File>),
}

impl<'p> Session<'p> {
    /// Attaches a progress observer. The observer may cancel. A `&mut (dyn Progress + Send)` is an observer, too.
    ///
    /// ```
    /// # use layercage::{Error, Layer, Policy, Rootfs, Unpacker};
    /// # use layercage::progress::Advance;
    /// # use cap_std::{ambient_authority, fs::Dir};
    /// use std::ops::ControlFlow;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let rootfs = Dir::open_ambient_dir(directory.path(), ambient_authority())?;
    /// # let archive = [0; 1024];
    /// let mut session = Unpacker::new(Policy::default()).session().with_progress(|advance: &Advance| {
    ///     if let Some(size) = advance.blob_size {
    ///         eprint!("\r{} of {size} bytes", advance.blob_bytes_read);
    ///     }
    ///     if advance.entries > 1_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    /// });
    /// session.apply(Layer::new(&archive[..]), &mut Rootfs::over(&rootfs)?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_progress<'q>(self, progress: impl Progress + Send + 'q) -> Session<'q> {
        let Session { unpacker, watch, report, holes } = self;
        Session { unpacker, watch: watch.with_progress(Box::new(progress)), report, holes }
    }

    /// Sets what cancels. Unlike the progress observer, it is also asked while one entry removes a large tree.
    pub fn with_cancellation(self, cancellation: Cancellation) -> Self {
        Session { watch: self.watch.with_cancellation(cancellation), ..self }
    }

    /// The policy, the limits and the other settings.
    pub fn unpacker(&self) -> &Unpacker {
        &self.unpacker
    }

    /// What was tolerated, adjusted or skipped in all layers that were applied.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Ends the session and returns its report.
    pub fn into_report(self) -> Report {
        self.report
    }

    /// Applies a layer. It uses as many threads as [`Unpacker::with_jobs`] allows; with one, all happens on the calling
    /// thread. The sink is called on the calling thread only.
    ///
    /// If the sink's changes are [visible at once](Visibility::AtOnce), and a digest, size or diff ID is given, the
    /// layer is verified first. A [seekable](Layer::seekable) layer is read twice. Any other layer is copied to a
    /// [temporary file](Unpacker::with_scratch). A refusal in the middle leaves what was applied so far, and
    /// [`Error::effect`] says whether that is anything. Each path then has its old or its new state.
    ///
    /// All other threads end before this returns, also after an error, and before a panic of the sink continues. A thread
    /// that is blocked in the layer's reader ends when the reader returns. [`Layer::on_abandoned`] can wake it.
    ///
    /// # Errors
    ///
    /// The refusal, with its position; a failure of the system, the reader or the sink;
    /// [`Misuse::Cancelled`](crate::error::Misuse::Cancelled); [`Misuse::NoScratch`](crate::error::Misuse::NoScratch).
    pub fn apply<R: Read + Send>(
        &mut self,
        layer: Layer<R>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Applied, Error> {
        let workers = match self.unpacker.threads() {
            Jobs::Alone => return self.apply_local(layer, sink),
            Jobs::Beside(workers) => workers,
        };
        let verified = self.verify(layer, sink, |session, layer| session.verify_beside(workers, layer));
        match verified? {
            Ready::Unverified(layer) => self.run_beside(workers, layer, sink),
            Ready::InPlace(layer) => self.run_beside(workers, layer, sink).map_err(changed),
            Ready::Copied(layer) => self.run_beside(workers, layer, sink),
        }
    }

    /// Applies a layer whose reader cannot be sent to another thread. Everything happens on the calling thread, however
    /// many jobs are allowed.
    ///
    /// # Errors
    ///
    /// The same as for [`Session::apply`].
    pub fn apply_local<R: Read>(&mut self, layer: Layer<R>, sink: &mut (impl Sink + ?Sized)) -> Result<Applied, Error> {
        match self.verify(layer, sink, Self::verify_alone)? {
            Ready::Unverified(layer) => self.run_alone(layer, sink),
            Ready::InPlace(layer) => self.run_alone(layer, sink).map_err(changed),
            Ready::Copied(layer) => self.run_alone(layer, sink),
        }
    }

    /// Verifies a layer, if it must be verified before it is applied.
    fn verify<R: Read>(
        &self,
        layer: Layer<R>,
        sink: &mut (impl Sink + ?Sized),
        verify_first: impl FnOnce(&Self, Layer<R>) -> Result<Ready<R>, Error>,
    ) -> Result<Ready<R>, Error> {
        if sink.visibility() == Visibility::AtCommit || !layer.about.expected.checks_anything() {
            return Ok(Ready::Unverified(layer));
        }
        verify_first(self, layer).inspect_err(|_| {
            sink.abandon_layer();
        })
    }

    fn verify_alone<R: Read>(&self, layer: Layer<R>) -> Result<Ready<R>, Error> {
        let (check, watch) = (self.check(), &self.watch);
        if let Some(seek) = layer.seek {
            let read = |reader: &mut R, checking| check.alone(reader, checking);
            return spool::verify_in_place(layer, seek, watch, read).map(Ready::InPlace);
        }
        let file = self.create_spool(&layer)?;
        spool::copy(layer, file, watch, |reader, checking| check.alone(reader, checking)).map(Ready::Copied)
    }

    fn verify_beside<R: Read + Send>(&self, workers: NonZeroUsize, layer: Layer<R>) -> Result<Ready<R>, Error> {
        let (check, watch) = (self.check(), &self.watch);
        if let Some(seek) = layer.seek {
            let read = |reader: &mut R, checking| check.beside(workers, reader, checking);
            return spool::verify_in_place(layer, seek, watch, read).map(Ready::InPlace);
        }
        let file = self.create_spool(&layer)?;
        spool::copy(layer, file, watch, |reader, checking| check.beside(workers, reader, checking)).map(Ready::Copied)
    }

    fn check(&self) -> Check<'_, 'p> {
        Check { limits: self.unpacker.limits(), watch: &self.watch }
    }

    fn create_spool<R>(&self, layer: &Layer<R>) -> Result<File, Error> {
        self.unpacker.create_spool().map_err(|error| error.at(layer.about.position()))
    }

    fn run_alone<R: Read>(&mut self, layer: Layer<R>, sink: &mut (impl Sink + ?Sized)) -> Result<Applied, Error> {
        let (about, blob, limits) = (layer.about.clone(), layer.blob_bytes.clone(), self.unpacker.limits().clone());
        self.run(about, blob, || Ok(layer.open(&limits)?.stream), sink, None)
    }

    fn run_beside<R: Read + Send>(
        &mut self,
        workers: NonZeroUsize,
        layer: Layer<R>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Applied, Error> {
        let (about, blob) = (layer.about.clone(), layer.blob_bytes.clone());
        let (limits, work) = (self.unpacker.limits().clone(), Arc::new(SharedWork::default()));
        side_by_side(Plan::of_one_layer(workers, &limits, &work), [Ok(layer)].into_iter(), |opened| {
            let open = || match opened.next() {
                Some(opened) => opened.map(|Opened { stream, .. }| stream),
                None => Err(Error::bug("the threads that read a layer ended early")),
            };
            self.run(about, blob, open, sink, Some(&work))
        })
    }

    /// Applies a layer that `open` opens, over the layers before it.
    pub(super) fn run<S: Verifying>(
        &mut self,
        about: About,
        blob: BlobBytes,
        open: impl FnOnce() -> Result<S, Error>,
        sink: &mut (impl Sink + ?Sized),
        shared_work: Option<&SharedWork>,
    ) -> Result<Applied, Error> {
        self.watch.set_blob(blob, about.expected.size());
        let run = Run {
            policy: self.unpacker.policy(),
            limits: self.unpacker.limits(),
            watch: &self.watch,
            about,
            before: &self.report,
            holes: &self.holes,
            shared_work,
        };
        let applied = run.apply(open, sink)?;
        self.report.merge(applied.report().clone());
        Ok(applied)
    }

    /// Does something with a report and counters of its own. Those of the session stay as they are.
    pub(super) fn with_own_report<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let report = std::mem::take(&mut self.report);
        let holes = std::mem::replace(&mut self.holes, HolesRead::new(self.unpacker.limits()));
        let result = act(self);
        (self.report, self.holes) = (report, holes);
        result
    }

    /// The progress observer.
    pub(super) fn watch(&self) -> &Watch<'p> {
        &self.watch
    }

    /// Asks the progress observer whether to go on.
    #[cfg(feature = "image")]
    pub(super) fn check_cancelled(&self) -> Result<(), Error> {
        self.watch.read(0)
    }

    /// Adds notes that belong to no layer.
    #[cfg(feature = "image")]
    pub(super) fn add_notes(&mut self, report: Report) {
        self.report.merge(report);
    }
}

/// Replaces the mismatch of a layer that is read a second time. It matched the first time, so it was changed since.
pub(super) fn changed(error: Error) -> Error {
    match error.violation() {
        Some(Violation::DigestMismatch { .. } | Violation::DiffIdMismatch { .. } | Violation::SizeMismatch { .. }) => {
            let why = io::Error::other("the layer was changed after it was verified");
            error.replaced(Error::system("read", b"(the layer, again)", why))
        }
        _ => error,
    }
}
