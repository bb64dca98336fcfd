//! Whole images: applied to any sink, or unpacked all or nothing.

use super::jobs::{Ahead, Jobs};
use super::layer::{Layer, Opened};
use super::numbered::{numbered, numbered_from, opened_early, stored};
use super::pipeline::{Plan, side_by_side};
use super::session::Session;
use super::stage::Staged;
use super::unpacker::Unpacker;
use crate::image::{LayerDescriptor, Selected};
use crate::output::{Sink, Visibility};
use crate::plan::Reporter;
use crate::read::{Checked, Verifying};
use crate::words::{Error, Escaped, Misuse, Note, Policy, Report, SharedWork};
use cap_std::AmbientAuthority;
use cap_std::fs::Dir;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;

impl Unpacker {
    /// Unpacks an image as the directory `name` in `parent`, in a session of its own: see [`Session::unpack`].
    /// `parent` is a `cap_std::fs::Dir`, or any other handle of an open directory.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn unpack(&self, image: &Selected, parent: impl AsFd, name: impl AsRef<OsStr>) -> Result<Report, Error> {
        self.session().unpack(image, parent, name)
    }
}

impl Session<'_> {
    /// Unpacks an image as the directory `name` in `parent`. That directory must be empty, or must not exist.
    ///
    /// All layers are applied in a staging directory and verified. Then the tree takes its name in one step. A failure
    /// before that leaves nothing behind.
    ///
    /// # Errors
    ///
    /// The first refusal, with its position; [`Misuse::TargetExists`](crate::error::Misuse::TargetExists);
    /// [`Misuse::Cancelled`](crate::error::Misuse::Cancelled); a failure of the system.
    pub fn unpack(self, image: &Selected, parent: impl AsFd, name: impl AsRef<OsStr>) -> Result<Report, Error> {
        self.unpack_staged(image, Ahead::Threads, numbered(image, stored(image)), || Staged::beside(parent, name))
    }

    /// Unpacks an image like [`Session::unpack`], but with readers from the caller: downloads, for instance.
    /// [`Session::apply_image_from`] says when `open` is called, how far a refused layer is read, and that a cancel does
    /// not wake a reader that blocks. With several [jobs](Unpacker::with_jobs) `open` is called on other threads.
    ///
    /// # Errors
    ///
    /// As for [`Session::unpack`], and an error of `open` as [`Session::apply_image_from`] says.
    pub fn unpack_from<R: Read + Send>(
        self,
        image: &Selected,
        open: impl FnMut(&LayerDescriptor) -> io::Result<R> + Send,
        parent: impl AsFd,
        name: impl AsRef<OsStr>,
    ) -> Result<Report, Error> {
        let readers = Ahead::Readers(self.unpacker().readers());
        self.unpack_staged(image, readers, numbered_from(image, open), || Staged::beside(parent, name))
    }

    /// Unpacks an image as the bundle `name` in `parent`, with this `config.json`: see [`Staged::bundle`]. Otherwise it
    /// does what [`Session::unpack`] does.
    ///
    /// # Errors
    ///
    /// As for [`Session::unpack`].
    pub fn unpack_bundle(
        self,
        image: &Selected,
        parent: impl AsFd,
        name: impl AsRef<OsStr>,
        config: &[u8],
    ) -> Result<Report, Error> {
        self.unpack_staged(image, Ahead::Threads, numbered(image, stored(image)), || {
            Staged::bundle(parent, name, config)
        })
    }

    fn unpack_staged<R: Read + Send>(
        mut self,
        image: &Selected,
        ahead: Ahead,
        layers: impl Iterator<Item = Result<Layer<R>, Error>> + Send,
        stage: impl FnOnce() -> Result<Staged, Error>,
    ) -> Result<Report, Error> {
        self.judge_image(image)?;
        let mut staged = stage()?.with_durability(self.unpacker().policy().durability());
        let applied = self.apply_layers(image, ahead, layers, staged.rootfs());
        // What was applied goes with the staging directory.
        let checked = applied.map_err(Error::without_effect)?;
        staged.commit(checked.into_iter().map(Checked::verified).collect::<Result<_, _>>()?)?;
        Ok(self.into_report())
    }

    /// Applies all layers of an image to a sink, with the positions, expected values and notes that the image has for
    /// them. Returns a [`Checked`] for each layer; [`Staged::commit`] needs their proofs.
    ///
    /// It uses as many threads as [`Unpacker::with_jobs`] allows: the next layers are read while a layer is applied. To
    /// a sink whose changes are [visible at once](Visibility::AtOnce), each layer is applied only when it is verified,
    /// and is read twice in the image.
    ///
    /// # Errors
    ///
    /// As for [`Session::apply`], and refusals of the image itself. The sink abandons the layer that failed; the layers
    /// before it have ended.
    pub fn apply_image(&mut self, image: &Selected, sink: &mut (impl Sink + ?Sized)) -> Result<Vec<Checked>, Error> {
        let layers = numbered(image, stored(image)).map(|layer| Ok(layer?.seekable()));
        self.apply_numbered(image, Ahead::Threads, layers, sink)
    }

    /// Applies all layers of an image like [`Session::apply_image`], but with readers from the caller: downloads, for
    /// instance. `open` is called for one layer after another, from the bottom, and as far ahead as
    /// [`Unpacker::with_readers`] says. With several [jobs](Unpacker::with_jobs) it is called on other threads, and so are
    /// the readers: never on the calling thread.
    ///
    /// A sink whose changes are [visible at once](Visibility::AtOnce) is different: `open` is called on the calling thread.
    /// Each layer is copied to a temporary file in the [scratch file](Unpacker::with_scratch), verified, and then
    /// applied.
    ///
    /// If an entry is refused, the rest of its layer is still read: another size or digest explains the refusal better.
    /// After a cancel, or an error of the sink, the layer is not read further. No other layer is opened after either.
    ///
    /// This returns only after the readers have returned. A cancel does not wake a reader that blocks, and readers from
    /// `open` have no [`Layer::on_abandoned`]. The code that cancels must also end the reader, for example by dropping
    /// the sender of its channel ([`manual::async_code`](crate::manual::async_code)).
    ///
    /// # Errors
    ///
    /// As for [`Session::apply_image`]. An error of `open` has the position of its layer. After it no layer is opened. It
    /// is returned once the layers before it are applied, unless one of these fails first.
    ///
    /// [`Misuse::NoScratch`](crate::error::Misuse::NoScratch), before any layer is opened, if the sink's changes are
    /// visible at once and there are no temporary files.
    pub fn apply_image_from<R: Read + Send>(
        &mut self,
        image: &Selected,
        open: impl FnMut(&LayerDescriptor) -> io::Result<R> + Send,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Vec<Checked>, Error> {
        if sink.visibility() == Visibility::AtOnce {
            self.unpacker().require_scratch().inspect_err(|_| {
                sink.abandon_layer();
            })?;
        }
        let readers = Ahead::Readers(self.unpacker().readers());
        self.apply_numbered(image, readers, numbered_from(image, open), sink)
    }

    fn apply_numbered<R: Read + Send>(
        &mut self,
        image: &Selected,
        ahead: Ahead,
        layers: impl Iterator<Item = Result<Layer<R>, Error>> + Send,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Vec<Checked>, Error> {
        self.judge_image(image).inspect_err(|_| {
            sink.abandon_layer();
        })?;
        match sink.visibility() {
            Visibility::AtCommit => self.apply_layers(image, ahead, layers, sink),
            Visibility::AtOnce => opened_early(layers, ahead.readers())
                .map(|layer| {
                    let layer = layer.inspect_err(|_| {
                        sink.abandon_layer();
                    })?;
                    Ok(self.apply(layer, sink)?.into_checked())
                })
                .collect(),
        }
    }

    /// Judges the quirks of the image as a whole.
    pub(super) fn judge_image(&mut self, image: &Selected) -> Result<(), Error> {
        let unpacker = self.unpacker();
        let mut reporter = Reporter::new(unpacker.policy(), unpacker.limits()).after(self.report());
        for Note { quirk, position } in image.notes() {
            reporter.set_position(position.clone());
            reporter.quirk(quirk.clone()).map_err(|error| error.at(position.clone()))?;
        }
        let report = reporter.into_report();
        self.add_notes(report);
        Ok(())
    }

    /// Applies layers without verifying them first.
    fn apply_layers<R: Read + Send>(
        &mut self,
        image: &Selected,
        ahead: Ahead,
        layers: impl Iterator<Item = Result<Layer<R>, Error>> + Send,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Vec<Checked>, Error> {
        let mut applying = ToSink { wanted: image.layers().len(), sink, checked: Vec::new() };
        self.open_layers(ahead, layers, &mut applying)?;
        Ok(applying.checked)
    }

    /// Opens layers, on as many threads as [`Unpacker::with_jobs`] allows, and has them applied on the calling thread.
    pub(super) fn open_layers<R: Read + Send>(
        &mut self,
        ahead: Ahead,
        layers: impl Iterator<Item = Result<Layer<R>, Error>> + Send,
        applying: &mut impl ApplyOpened,
    ) -> Result<(), Error> {
        let limits = self.unpacker().limits().clone();
        match self.unpacker().threads() {
            Jobs::Alone => {
                let layers = opened_early(layers, ahead.readers());
                applying.apply(self, &mut layers.map(|layer| layer?.open(&limits)), None)
            }
            Jobs::Beside(workers) => {
                let work = Arc::new(SharedWork::default());
                let directory = Arc::clone(&work);
                let create_spool = Some(self.unpacker().create_ahead_spool(move || directory.directory()));
                let plan = Plan { workers, ahead, limits: &limits, work: &work, create_spool };
                side_by_side(plan, layers, |opened| applying.apply(self, opened, Some(&work)))
            }
        }
    }
}

/// What is done with layers that were opened: see [`Session::open_layers`].
pub(super) trait ApplyOpened {
    /// Applies all layers, in order.
    fn apply<S: Verifying>(
        &mut self,
        session: &mut Session<'_>,
        layers: &mut dyn Iterator<Item = Result<Opened<S>, Error>>,
        shared_work: Option<&SharedWork>,
    ) -> Result<(), Error>;
}

/// The error for a layer that did not come.
pub(super) fn ended_early() -> Error {
    Error::bug("the thread that reads the layers ended early")
}

/// Applies all `wanted` layers to one sink.
struct ToSink<'s, T: ?Sized> {
    wanted: usize,
    sink: &'s mut T,
    checked: Vec<Checked>,
}

impl<T: Sink + ?Sized> ApplyOpened for ToSink<'_, T> {
    /// The sink abandons the layer that cannot be opened, also after a panic: without it, the sink would be as after the last
    /// layer, and a staged tree could be committed without the other layers.
    fn apply<S: Verifying>(
        &mut self,
        session: &mut Session<'_>,
        layers: &mut dyn Iterator<Item = Result<Opened<S>, Error>>,
        shared_work: Option<&SharedWork>,
    ) -> Result<(), Error> {
        while self.checked.len() < self.wanted {
            // The iterator is not used after a panic.
            let opened = match catch_unwind(AssertUnwindSafe(|| layers.next())) {
                Ok(Some(opened)) => opened,
                Ok(None) => Err(ended_early()),
                Err(panic) => {
                    self.sink.abandon_layer();
                    resume_unwind(panic)
                }
            };
            let Opened { about, blob_bytes, stream } = opened.inspect_err(|_| {
                self.sink.abandon_layer();
            })?;
            let applied = session.run(about, blob_bytes, || Ok(stream), &mut *self.sink, shared_work)?;
            self.checked.push(applied.into_checked());
        }
        Ok(())
    }
}

impl Selected {
    /// Unpacks the image as [`Session::unpack`] does, on the calling thread and within the limits of the image.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn unpack_into(&self, parent: impl AsFd, name: impl AsRef<OsStr>, policy: &Policy) -> Result<Report, Error> {
        Unpacker::new(policy.clone()).with_limits(self.limits().clone()).unpack(self, parent, name)
    }

    /// Unpacks the image as [`Selected::unpack_into`] does, to a path of this machine. Its parent directory must exist;
    /// the path itself must not exist, or be an empty directory.
    ///
    /// ```no_run
    /// # use layercage::{Image, Policy, Selector};
    /// # fn main() -> Result<(), layercage::Error> {
    /// use cap_std::ambient_authority;
    ///
    /// let image = Image::open_ambient("app.oci.tar", ambient_authority())?;
    /// let selected = image.select(&Selector::host())?;
    /// selected.unpack_to("app/rootfs", &Policy::default(), ambient_authority())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The same. [`Misuse::NotAComponent`] for a path without a name at its end, such as `..` and `/`.
    #[expect(clippy::disallowed_methods, reason = "the caller's authority allows paths of this machine")]
    pub fn unpack_to(
        &self,
        path: impl AsRef<Path>,
        policy: &Policy,
        authority: AmbientAuthority,
    ) -> Result<Report, Error> {
        let path = path.as_ref();
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Misuse::NotAComponent { name: Escaped::new(path.as_os_str().as_bytes()) }.into());
        };
        // Of `rootfs`, the parent is the empty path.
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let parent = Dir::open_ambient_dir(parent, authority)
            .map_err(|error| Error::system("openat", parent.as_os_str().as_bytes(), error))?;
        self.unpack_into(parent, name, policy)
    }
}
