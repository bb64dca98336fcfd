//! A tar archive of one layer or of one merged tree: the sink of `filter` and `export`.

#[cfg(feature = "image")]
use super::member::{Member, Position};
use super::writer::TarWriter;
use crate::output::TreeModel;
use crate::output::context::LayerContext;
use crate::output::data::Data;
use crate::output::sink::{Sink, Visibility};
use crate::output::sink_error::SinkError;
use crate::plan::{Judged, Reporter, Skipped};
use crate::read::Checked;
use crate::tree::{Lower, Outcome};
use crate::words::{
    Change, ChangeKind, Effect, EntryPath, Escaped, Limits, Metadata, Misuse, Ownership, Quirk, Violation,
};
use std::fmt;
use std::io::Write;

/// Writes one layer as a tar archive that all readers read alike. A second layer fails with
/// [`Misuse::SecondLayer`](crate::error::Misuse::SecondLayer): layers are not merged into one archive.
///
/// Owners that depend on the caller cannot be written: [`Owners::Caller`](crate::policy::Owners::Caller) and
/// [`Owners::Record`](crate::policy::Owners::Record) fail with
/// [`Misuse::CallerInArchive`](crate::error::Misuse::CallerInArchive).
///
/// The archive is a layer with the same meaning: whiteouts and opaque markers are kept, and over the same lower layers,
/// the archive gives the same tree. Entries without effect are dropped, and so is everything that the policy drops. A
/// device or named pipe that the policy skips becomes a whiteout, because it hides what lower layers have there.
///
/// The archive is uncompressed: ustar, and PAX for values that do not fit into ustar. Owners have no names, holes are
/// kept, and the same layer gives the same bytes.
///
/// # Whole entries
///
/// An entry is written when it is judged, and its data while it is read. So no byte of an entry that is refused is written.
/// After a failure, the archive has no end mark and ends in the middle of an entry or with an extended header without its
/// content, so that every reader reports it as truncated. The entries before that point were judged, but the layer as a
/// whole was not verified: a reader of a pipe must use nothing of it before the writer succeeded. Nothing is written of a
/// layer that is refused before it begins: while it is verified, for instance.
///
/// # What is judged
///
/// A layer is judged as by an [`Audit`](crate::audit::Audit) of one layer with its tree. A merged tree that is replayed was
/// judged when it was merged, and is not judged again. The names of a layer are kept in memory for that, up
/// to [`Limit::AuditBytes`](crate::rules::Limit::AuditBytes).
///
/// Some notes stay true of the archive, since they can be resolved only when all layers are known: `duplicate-path`,
/// `directory-over-link`, `aufs-pseudo-link`, `hard-link-metadata`, and `hard-link-repeated` over lower layers.
///
/// A device or named pipe that is skipped and replaces an earlier entry of the same layer is refused, because no whiteout
/// removes what its own layer brings. One limitation: in a directory that the layer does not list, names are known and
/// links are not. So an earlier entry that reaches the same place through a link stays in the archive.
/// A hard link to a device that a lower layer skipped stays a hard link: over lower layers without the device it is refused.
///
/// ```
/// # use layercage::{Layer, Policy, Unpacker};
/// # use layercage::sink::TarSink;
/// # let mut archive = tar::Builder::new(Vec::new());
/// # let mut header = tar::Header::new_gnu();
/// # header.set_mode(0o644);
/// # header.set_size(2);
/// # archive.append_data(&mut header, "etc/hostname", &b"a\n"[..])?;
/// # let archive = archive.into_inner()?;
/// let mut tar = TarSink::new(Vec::new());
/// Unpacker::new(Policy::default()).apply(Layer::new(&archive[..]), &mut tar)?;
/// let canonical = tar.into_inner();
/// assert_eq!(canonical.len(), 2048); // a header, a block of data, two blocks of zeros
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TarSink<W> {
    writer: TarWriter<W>,
    /// How the changes are judged, while a layer has begun and not ended.
    judge: Option<Judge>,
    /// What was skipped, by the names of the entries. The tree does not know what is below directories of lower layers.
    skipped: Skipped,
    /// The attributes of directories that no entry lists.
    implied: Metadata,
    limits: Limits,
    visibility: Visibility,
    state: State,
}

/// How the changes of a layer are judged.
enum Judge {
    /// By the names that the layer has brought so far.
    Names(Box<TreeModel>),
    /// Not again: a merged tree that is replayed was judged when it was made.
    None,
}

/// What calls the sink is ready for. Each call takes the state and leaves [`State::Failed`] until it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    InLayer,
    Complete,
    Failed,
}

/// Checks that an entry can mean a change to all readers.
///
/// # Errors
///
/// [`Violation::Unwritable`].
#[cfg(feature = "image")]
pub(crate) fn check_writable(change: &Change) -> Result<(), Violation> {
    Member::of(change)?.head(Position::Later).map(drop)
}

impl<W: Write> TarSink<W> {
    /// Writes a layer to `out`. Small pieces are written, so `out` should have a buffer.
    ///
    /// The writer is flushed when the layer is complete.
    pub fn new(out: W) -> Self {
        Self {
            writer: TarWriter::new(out),
            judge: None,
            skipped: Skipped::default(),
            implied: Metadata::default(),
            limits: Limits::default(),
            visibility: Visibility::AtOnce,
            state: State::Empty,
        }
    }

    /// Sets when the written bytes become visible to others. **[`Visibility::AtOnce`]** by default, as for a pipe: a layer
    /// whose digest, size or diff ID is given is then verified before the first byte is written.
    ///
    /// [`Visibility::AtCommit`] is right for a file that is used only after the layer succeeded.
    #[must_use]
    pub fn with_visibility(self, visibility: Visibility) -> Self {
        Self { visibility, ..self }
    }

    /// Returns the writer.
    pub fn into_inner(self) -> W {
        self.writer.into_inner()
    }

    fn take_in_layer(&mut self, call: &'static str) -> Result<(), Misuse> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::InLayer => Ok(()),
            State::Empty | State::Complete => Err(Misuse::OutsideLayer { call }),
            State::Failed => Err(Misuse::Poisoned),
        }
    }

    /// A hard link whose target is at an unknown place is skipped, if an entry of the target's name was.
    fn resolve(
        &mut self,
        change: &Change,
        outcome: Outcome,
        reporter: &mut Reporter<'_>,
    ) -> Result<Outcome, SinkError> {
        let path = change.path.as_bytes();
        let skipped = match &change.kind {
            ChangeKind::Skipped(skippable) => Some(*skippable),
            ChangeKind::HardLink { target, .. } if outcome == Outcome::Unknown => self.skipped.get(target.as_bytes()),
            _ => None,
        };
        match &change.kind {
            ChangeKind::Directory(_) => self.skipped.replace_by_directory(path),
            ChangeKind::Whiteout | ChangeKind::OpaqueWhiteout | ChangeKind::PseudoLink { .. } => (),
            _ => self.skipped.replace(path),
        }
        let Some(skippable) = skipped else { return Ok(outcome) };
        self.skipped.skip(path, skippable, &self.limits)?;
        let ChangeKind::HardLink { target, .. } = &change.kind else { return Ok(outcome) };
        reporter.quirk(Quirk::HardLinkToSkipped { target: Escaped::new(target.as_bytes()) })?;
        Ok(Outcome::Removed(path.into()))
    }

    /// Writes what has the effect of a change.
    fn write(&mut self, change: &Change, outcome: Outcome, data: Data<'_>) -> Result<(), SinkError> {
        match outcome {
            Outcome::AsStated | Outcome::Unknown => self.writer.write(change, data),
            Outcome::Nothing => Ok(()),
            Outcome::Removed(path) => self.write_removal(EntryPath::parse(&path, &self.limits)?, ChangeKind::Whiteout),
            Outcome::RemovedOwn => Err(Violation::Unwritable {
                because: "the policy skips it, and it replaces an entry of its own layer",
            })?,
            Outcome::Opaque => self.write_removal(change.path.clone(), ChangeKind::OpaqueWhiteout),
            Outcome::OpaqueAndImplied => {
                let implied = ChangeKind::Directory(self.implied.clone());
                self.write_removal(change.path.clone(), implied)?;
                self.write_removal(change.path.clone(), ChangeKind::OpaqueWhiteout)
            }
        }
    }

    /// Writes a change that has no data.
    fn write_removal(&mut self, path: EntryPath, kind: ChangeKind) -> Result<(), SinkError> {
        self.writer.write(&Change::new(path, kind), Data::of(&mut &b""[..]))
    }
}

impl<W: Write> Sink for TarSink<W> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Empty => (),
            State::InLayer | State::Complete => return Err(Misuse::SecondLayer.into()),
            State::Failed => return Err(Misuse::Poisoned.into()),
        }
        let terms = layer.terms();
        // A layer has no caller who could own its files.
        if let Ownership::Caller | Ownership::Recorded = terms.ownership {
            return Err(Misuse::CallerInArchive.into());
        }
        self.limits.clone_from(&terms.limits);
        self.implied.clone_from(&terms.implied);
        self.judge = Some(if layer.is_replay() {
            Judge::None
        } else {
            let mut tree = TreeModel::over(Lower::Unknown, &terms.limits);
            tree.begin_layer()?;
            Judge::Names(Box::new(tree))
        });
        self.state = State::InLayer;
        Ok(())
    }

    fn change(&mut self, change: Judged<Change>, data: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        self.take_in_layer("change")?;
        data.check_whole(change.get())?;
        let outcome = match &mut self.judge {
            Some(Judge::Names(tree)) => {
                let outcome = tree.change(change.clone(), reporter)?;
                self.resolve(change.get(), outcome, reporter)?
            }
            Some(Judge::None) => Outcome::AsStated,
            None => return Err(Misuse::Poisoned.into()),
        };
        self.write(change.get(), outcome, data)?;
        self.state = State::InLayer;
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        self.take_in_layer("end_layer")?;
        self.writer.finish()?;
        self.judge = None;
        self.state = State::Complete;
        Ok(())
    }

    fn abandon_layer(&mut self) -> Effect {
        let was_complete = std::mem::replace(&mut self.state, State::Failed) == State::Complete;
        // A layer is also abandoned before it begins, when it is not the expected one. Then nothing is written.
        if self.judge.take().is_none() && !was_complete {
            return Effect::None;
        }
        self.writer.abandon();
        Effect::Partial
    }

    fn visibility(&self) -> Visibility {
        self.visibility
    }
}

impl<W> fmt::Debug for TarSink<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarSink").field("state", &self.state).finish_non_exhaustive()
    }
}
