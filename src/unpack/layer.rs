//! One layer: read, judged, handed to a sink, in one pass.

use super::spool::verify_first;
use crate::plan::{Judge, Verdicts};
use crate::read::{Blob, Checked, Expected, Format, LayerStream, TarReader, Verified};
use crate::sink::Sink;
use crate::words::{Blame, Digest, Error, Fault, LayerPosition, Limits, Policy, Position, Quirk, Report};
use std::io::Read;

/// A layer to be applied: where its bytes come from, and what is known about them beforehand.
///
/// The bytes may be a plain tar, or one compressed with gzip or zstd: what they are is seen from them.
#[derive(Debug)]
pub struct Layer<R> {
    pub(super) reader: R,
    pub(super) expected: Expected,
    pub(super) position: Option<LayerPosition>,
    pub(super) stated_compression: Option<Format>,
}

impl<R: Read> Layer<R> {
    /// A layer about which nothing is known: it is applied as it comes, and nothing proves that it is whole.
    pub fn new(reader: R) -> Self {
        Self { reader, expected: Expected::unchecked(), position: None, stated_compression: None }
    }

    /// The digest and the size in bytes of the blob, as its descriptor has them.
    #[must_use]
    pub fn blob(self, digest: Digest, size: u64) -> Self {
        self.digest(digest).size(size)
    }

    /// The digest of the blob.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.expected = self.expected.with_digest(digest);
        self
    }

    /// The size of the blob in bytes.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.expected = self.expected.with_size(size);
        self
    }

    /// The digest of the uncompressed layer, as the image's configuration has it.
    #[must_use]
    pub fn diff_id(mut self, diff_id: Digest) -> Self {
        self.expected = self.expected.with_diff_id(diff_id);
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
    policy: Policy,
    limits: Limits,
}

impl Unpacker {
    /// Applies layers under this policy, within the default limits.
    pub fn new(policy: Policy) -> Self {
        Self { policy, limits: Limits::default() }
    }

    /// Sets what is enforced while layers are read.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Applies a layer.
    ///
    /// Where the sink's effects can be seen at once and a digest, size or diff ID is given, the layer is verified
    /// first and kept in a file without a name meanwhile. A refusal in the middle leaves what was applied so far,
    /// and [`Error::effect`] says whether that is anything; each path then has its old or its new state.
    ///
    /// # Errors
    ///
    /// The refusal, with its position, or what the system refused.
    pub fn apply<R: Read>(&self, layer: Layer<R>, sink: &mut impl Sink) -> Result<Applied, Error> {
        self.apply_after(0, layer, sink)
    }

    /// Applies a layer of an image that has written so many bytes before.
    pub(super) fn apply_after<R: Read>(
        &self,
        bytes_before: u64,
        layer: Layer<R>,
        sink: &mut impl Sink,
    ) -> Result<Applied, Error> {
        let position = Position { layer: layer.position, ..Position::default() };
        let spool = match layer.expected.checks_anything() {
            true => sink.spool().map_err(|fault| fault.at(position.clone()))?,
            false => None,
        };
        let Layer { reader, expected, stated_compression, .. } = layer;
        let run = Run { unpacker: self, position: position.clone(), bytes_before, stated_compression };
        match spool {
            None => run.apply(reader, expected, sink),
            Some(file) => {
                let file = verify_first(reader, expected, file, &self.limits).map_err(|fault| fault.at(position))?;
                run.apply(file, expected, sink)
            }
        }
    }
}

/// The application of one layer.
struct Run<'a> {
    unpacker: &'a Unpacker,
    position: Position,
    bytes_before: u64,
    stated_compression: Option<Format>,
}

impl Run<'_> {
    fn apply<R: Read>(self, reader: R, expected: Expected, sink: &mut impl Sink) -> Result<Applied, Error> {
        let Unpacker { policy, limits } = self.unpacker;
        let at_layer = |fault: Fault| fault.at(self.position.clone());
        let mut judge = Judge::new(Verdicts::Policy(policy), limits, self.bytes_before);
        judge.at(self.position.clone());
        let stream = LayerStream::open(reader, expected, limits).map_err(at_layer)?;
        if let Some(stated) = self.stated_compression
            && stated != stream.format()
        {
            let quirk = Quirk::CompressionDiffers { stated: stated.name(), found: stream.format().name() };
            judge.quirk(quirk).map_err(at_layer)?;
        }
        let mut reader = TarReader::new(stream, limits, expected.covers_stream());
        sink.begin_layer(limits).map_err(at_layer)?;
        if let Err(fault) = transfer(&mut reader, &mut judge, sink, &self.position) {
            sink.abandon_layer();
            let position = Position { layer: self.position.layer, ..reader.position() };
            // A damaged blob breaks any rule: that it is damaged is what its owner wants to know.
            let is_refused = fault.blame() == Blame::Archive;
            let damage = if is_refused { reader.into_inner().damage() } else { None };
            let error = match damage {
                Some(violation) => Fault::from(violation).at(self.position),
                None => fault.at(position),
            };
            return Err(with_effect(error, sink));
        }
        self.finish(reader, judge, sink).map_err(|fault| {
            sink.abandon_layer();
            with_effect(at_layer(fault), sink)
        })
    }

    fn finish<R: Read>(
        &self,
        reader: TarReader<LayerStream<R>>,
        mut judge: Judge<'_>,
        sink: &mut impl Sink,
    ) -> Result<Applied, Fault> {
        let end = Position { layer: self.position.layer, ..reader.position() };
        let quirks = reader.end_quirks().to_vec();
        let checked = reader.into_inner().finish()?;
        judge.at(end);
        for quirk in quirks {
            judge.quirk(quirk)?;
        }
        judge.at(self.position.clone());
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

fn transfer<R: Read>(
    reader: &mut TarReader<LayerStream<R>>,
    judge: &mut Judge<'_>,
    sink: &mut impl Sink,
    layer: &Position,
) -> Result<(), Fault> {
    while let Some(entry) = reader.next_entry()? {
        judge.at(Position { layer: layer.layer, ..reader.position() });
        if let Some(change) = judge.judge(entry)? {
            sink.accept(change, &mut reader.source(), judge)?;
        }
    }
    Ok(())
}
