//! One layer: read, judged, handed to a sink, in one pass.

use super::pipeline::Jobs;
use super::progress::{Progress, Step, Watch, WatchedStream};
use super::watched::Watched;
use crate::plan::Judge;
use crate::read::{Blob, Checked, Expected, Format, LayerStream, TarReader, Unwanted, Verified, Verifying};
use crate::sink::Sink;
use crate::words::{Blame, Digest, Entry, Error, Fault, LayerPosition, Limits, Policy, Position, Quirk, Report};
use std::fmt;
use std::io::{Read, SeekFrom};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// A layer to be applied: where its bytes come from, and what is known about them beforehand.
///
/// The bytes may be a plain tar, or one compressed with gzip or zstd: what they are is seen from them.
#[derive(Debug)]
pub struct Layer<R> {
    pub(super) reader: R,
    pub(super) about: About,
    /// How to go back to its first byte, where the reader can.
    pub(super) seek: Option<Seek<R>>,
    pub(super) told: Told,
}

/// Who is told when nobody wants more of a layer.
#[derive(Clone, Default)]
pub(super) struct Told(pub(super) Unwanted);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Told" } else { "Nobody" })
    }
}

/// [`std::io::Seek::seek`] of a reader that has it.
pub(super) type Seek<R> = fn(&mut R, SeekFrom) -> std::io::Result<u64>;

/// What is known about a layer before it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) expected: Expected,
    pub(super) position: Option<LayerPosition>,
    pub(super) stated_compression: Option<Format>,
}

impl About {
    pub(super) fn position(&self) -> Position {
        Position { layer: self.position, ..Position::default() }
    }
}

/// A layer whose bytes can be had.
pub(super) struct Opened<S> {
    pub(super) about: About,
    pub(super) stream: S,
}

impl<R: Read> Layer<R> {
    /// A layer about which nothing is known: it is applied as it comes, and nothing proves that it is whole.
    pub fn new(reader: R) -> Self {
        let about = About { expected: Expected::unchecked(), position: None, stated_compression: None };
        Self { reader, about, seek: None, told: Told::default() }
    }

    /// Has `tell` called when nobody wants more of the layer's bytes, at its end or when something has refused them:
    /// where [`Unpacker::apply_side_by_side`] reads it on a thread of its own, that may wait for bytes which are long in
    /// coming, and is waited for. What it is told can have the reader answer, with an error say, that nobody sees.
    ///
    /// It is called on any thread, once at most. Where one thread does it all nobody has to be told.
    #[must_use]
    pub fn tell_when_unwanted(mut self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        self.told = Told(Some(Arc::new(tell)));
        self
    }

    /// The digest and the size in bytes of the blob, as its descriptor has them.
    #[must_use]
    pub fn blob(self, digest: Digest, size: u64) -> Self {
        self.digest(digest).size(size)
    }

    /// The digest of the blob.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.about.expected = self.about.expected.with_digest(digest);
        self
    }

    /// The size of the blob in bytes.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.about.expected = self.about.expected.with_size(size);
        self
    }

    /// The digest of the uncompressed layer, as the image's configuration has it.
    #[must_use]
    pub fn diff_id(mut self, diff_id: Digest) -> Self {
        self.about.expected = self.about.expected.with_diff_id(diff_id);
        self
    }

    /// The digest of the uncompressed layer, of an image that names its layers by nothing else: a proof comes of
    /// it alone. See [`Expected::with_diff_id_alone`].
    #[must_use]
    pub fn diff_id_alone(mut self, diff_id: Digest) -> Self {
        self.about.expected = self.about.expected.with_diff_id_alone(diff_id);
        self
    }

    /// Its place in an image, and how its media type says it is compressed.
    #[cfg(feature = "image")]
    pub(super) fn numbered(mut self, position: Option<LayerPosition>, stated: Option<Format>) -> Self {
        (self.about.position, self.about.stated_compression) = (position, stated);
        self
    }

    /// Looks at its first bytes.
    pub(super) fn open(self, limits: &Limits) -> Result<Opened<LayerStream<R>>, Error> {
        let Self { reader, about, .. } = self;
        let stream = LayerStream::open(reader, about.expected, limits).map_err(|fault| fault.at(about.position()))?;
        Ok(Opened { about, stream })
    }
}

impl<R: Read + std::io::Seek> Layer<R> {
    /// Says that the reader can go back, to where it is now: where the layer is to be verified before the tree is
    /// touched, it is read twice then, and not kept meanwhile.
    ///
    /// Both times its size and digests are compared. Bytes that somebody changes between the two are found out after they
    /// were applied: the error says so, and what was applied stays. A file that others may write to is better copied, so
    /// leave it unsaid for one.
    #[must_use]
    pub fn seekable(mut self) -> Self {
        self.seek = Some(R::seek);
        self
    }
}

/// What came of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    report: Report,
    checked: Checked,
}

impl Applied {
    /// What was tolerated, adjusted or skipped.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The same, for keeps.
    pub fn into_report(self) -> Report {
        self.report
    }

    /// The proof that this was the layer meant.
    ///
    /// # Errors
    ///
    /// [`Misuse::Unproven`](crate::Misuse::Unproven) when digest, size or diff ID was not given.
    pub fn verified(self) -> Result<Verified<Blob>, Error> {
        self.checked.verified().map_err(|misuse| Fault::from(misuse).at(Position::default()))
    }
}

/// Applies layers under one policy.
///
/// ```
/// # use layercage::{Fault, Layer, Policy, Rootfs, Unpacker};
/// # let directory = tempfile::tempdir()?;
/// # let mut archive = tar::Builder::new(Vec::new());
/// # let mut header = tar::Header::new_gnu();
/// # header.set_size(2);
/// # header.set_mode(0o644);
/// # archive.append_data(&mut header, "etc/hostname", &b"a\n"[..])?;
/// # let archive = archive.into_inner()?;
/// use cap_std::{ambient_authority, fs::Dir};
///
/// let rootfs = Dir::open_ambient_dir(directory.path(), ambient_authority())?;
/// let applied = Unpacker::new(Policy::default()).apply(Layer::new(&archive[..]), &mut Rootfs::over(&rootfs)?)?;
/// assert_eq!(applied.report().entries, 1);
/// assert_eq!(rootfs.read("etc/hostname")?, b"a\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Unpacker {
    pub(super) policy: Policy,
    limits: Limits,
    jobs: Jobs,
}

impl Unpacker {
    /// Applies layers under this policy, within the default limits.
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Sets what is enforced while layers are read.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets [`Unpacker::apply_side_by_side`] and [`Unpacker::unpack`] use so many threads, the calling one among
    /// them; one by default.
    ///
    /// With two, reading and inflating go on beside parsing and making files, and whichever has to wait computes
    /// digests and writes small files; a third does nothing but that. More are not used.
    #[must_use]
    pub fn jobs(mut self, threads: NonZeroUsize) -> Self {
        self.jobs = Jobs::of(threads);
        self
    }

    /// Has somebody told how far the unpacking is, who may end it.
    pub fn watched_by<'u>(&'u self, progress: &'u mut dyn Progress) -> Watched<'u> {
        Watched { unpacker: self, watch: Watch::new(progress) }
    }

    /// Applies a layer, all on the calling thread.
    ///
    /// Where the sink's effects can be seen at once and a digest, size or diff ID is given, the layer is verified
    /// first: read through once where it is [seekable](Layer::seekable), or kept in a file without a name meanwhile. A
    /// refusal in the middle leaves what was applied so far, and [`Error::effect`] says whether that is anything; each
    /// path then has its old or its new state.
    ///
    /// # Errors
    ///
    /// The refusal, with its position, or what the system refused.
    pub fn apply<R: Read>(&self, layer: Layer<R>, sink: &mut impl Sink) -> Result<Applied, Error> {
        self.watched_by(&mut ()).apply(layer, sink)
    }

    /// Applies a layer as [`Unpacker::apply`] does, on as many threads as [`Unpacker::jobs`] allows.
    ///
    /// Whatever ends it, a panic of the sink included, ends the other threads before this returns; one that waits
    /// for the layer's reader ends when that answers, which [`Layer::tell_when_unwanted`] may have it do.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn apply_side_by_side<R: Read + Send>(&self, layer: Layer<R>, sink: &mut impl Sink) -> Result<Applied, Error> {
        self.watched_by(&mut ()).apply_side_by_side(layer, sink)
    }

    pub(super) fn threads(&self) -> Jobs {
        self.jobs
    }

    pub(super) fn within(&self) -> &Limits {
        &self.limits
    }
}

/// The application of one layer.
pub(super) struct Run<'a, 'p> {
    pub(super) unpacker: &'a Unpacker,
    pub(super) watch: &'a Watch<'p>,
    pub(super) about: About,
    pub(super) bytes_before: u64,
}

impl Run<'_, '_> {
    pub(super) fn apply<S: Verifying>(self, stream: S, sink: &mut impl Sink) -> Result<Applied, Error> {
        let Unpacker { policy, limits, .. } = self.unpacker;
        let About { expected, position: layer, stated_compression } = self.about;
        let at_layer = |fault: Fault| fault.at(self.about.position());
        let mut judge = Judge::new(policy, limits, self.bytes_before);
        judge.at(self.about.position());
        if let Some(stated) = stated_compression
            && stated != stream.format()
        {
            let quirk = Quirk::CompressionDiffers { stated: stated.name(), found: stream.format().name() };
            judge.quirk(quirk).map_err(at_layer)?;
        }
        self.watch.begin(layer, Step::Applying).map_err(at_layer)?;
        let stream = WatchedStream::new(stream, self.watch);
        let mut reader = TarReader::new(stream, limits, expected.covers_stream());
        let terms = judge.terms().map_err(at_layer)?;
        sink.begin_layer(&terms).map_err(at_layer)?;
        if let Err(error) = self.transfer(&mut reader, &mut judge, sink) {
            sink.abandon_layer();
            // A damaged blob breaks any rule: that it is damaged is what its owner wants to know.
            let is_refused = error.blame() == Blame::Archive;
            let damage = if is_refused { reader.into_inner().damage() } else { None };
            return Err(with_effect(damage.map_or(error, |violation| at_layer(violation.into())), sink));
        }
        self.finish(reader, judge, sink).map_err(|fault| {
            sink.abandon_layer();
            with_effect(at_layer(fault), sink)
        })
    }

    fn transfer<S: Verifying>(
        &self,
        reader: &mut TarReader<S>,
        judge: &mut Judge<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Error> {
        let layer = self.about.position;
        loop {
            let entry = match reader.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(()),
                Err(fault) => return Err(fault.at(Position { layer, ..reader.position() })),
            };
            reader.locate(judge.position_mut());
            self.take(entry, reader, judge, sink).map_err(|fault| fault.at(judge.position().clone()))?;
        }
    }

    fn take<S: Verifying>(
        &self,
        entry: Entry,
        reader: &mut TarReader<S>,
        judge: &mut Judge<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Fault> {
        let change = judge.judge(entry)?;
        self.watch.entry(self.bytes_before + judge.bytes_written())?;
        match change {
            Some(change) => sink.accept(change, &mut reader.source(), judge),
            None => Ok(()),
        }
    }

    fn finish<S: Verifying>(
        &self,
        reader: TarReader<S>,
        mut judge: Judge<'_>,
        sink: &mut impl Sink,
    ) -> Result<Applied, Fault> {
        let end = Position { layer: self.about.position, ..reader.position() };
        let quirks = reader.end_quirks().to_vec();
        let checked = reader.into_inner().finish()?;
        judge.at(end);
        for quirk in quirks {
            judge.quirk(quirk)?;
        }
        judge.at(self.about.position());
        for quirk in checked.quirks.clone() {
            judge.quirk(quirk)?;
        }
        sink.end_layer(&checked)?;
        Ok(Applied { report: judge.into_report(), checked })
    }
}

fn with_effect(error: Error, sink: &impl Sink) -> Error {
    if sink.has_changed() { error.in_part() } else { error }
}
