//! A merged tree, written elsewhere as one layer.

use super::contents::{Wanted, add};
use super::image_contents::{check_image, open_again};
use super::run::with_effect;
use super::session::{Session, changed};
use super::stage::Staged;
use super::unpacker::Unpacker;
use crate::image::Selected;
use crate::output::{
    ContentSpool, Data, LayerContext, Node, Part, Sink, SinkError, TarSink, Visibility, check_writable,
};
use crate::plan::{Judged, Reporter, terms};
use crate::read::Checked;
use crate::words::{
    ChangeKind, Error, Escaped, Misuse, Owners, Policy, Position, Report, Segment, SharedWork, SparseMap,
};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Bytes of an archive that are written at once.
const BUFFER: usize = 128 << 10;

impl Session<'_> {
    /// Gives a part of a merged tree to a sink, as one layer that creates it.
    ///
    /// Paths, metadata and hard links are those of the tree. The content of files is read in one more pass over only those
    /// layers that have any. Each of these layers is compared with its digest and size once more, or with its diff ID if the
    /// image states no digest, **after the sink has seen its content**. If a layer has changed since the layers were merged,
    /// the replay fails, and the sink abandons it.
    ///
    /// [`LayerContext::is_replay`] is true for the sink. The position of a change is that of the entry that the path comes
    /// from. Quirks that the sink reports are added to the report of the session, and those of the layers are not added
    /// again.
    ///
    /// # Errors
    ///
    /// The errors of the sink, with the position of the path; a layer that cannot be opened or has changed;
    /// [`Misuse::OtherImage`](crate::error::Misuse::OtherImage) if the image has other layers than the tree.
    pub fn replay(&mut self, part: &Part<'_>, image: &Selected, sink: &mut (impl Sink + ?Sized)) -> Result<(), Error> {
        let unpacker = self.unpacker().clone();
        let reporter = Reporter::new(unpacker.policy(), unpacker.limits());
        let mut player = Player { part, image, reporter, sink };
        match self.play(&mut player, &unpacker) {
            Ok(()) => {
                self.add_notes(player.reporter.into_report());
                Ok(())
            }
            Err(error) => Err(with_effect(error, player.sink.abandon_layer())),
        }
    }

    /// Writes a part of a merged tree as a tar archive, which all readers extract alike. [`TarSink`] describes its form.
    /// [`Session::replay`] says how the content is read. `out` needs no buffer.
    ///
    /// The same image and policy give the same bytes. Each path of the part is checked first: if one cannot be
    /// written unambiguously, nothing is written. After a failure, the archive is truncated.
    ///
    /// # Errors
    ///
    /// As for [`Session::replay`]. [`Violation::Unwritable`](crate::rules::Violation::Unwritable) if readers would differ
    /// about a path; [`Misuse::CallerInArchive`](crate::error::Misuse::CallerInArchive) if the policy gives files to the
    /// caller. A failure of `out` is [`ErrorKind::Sink`](crate::error::ErrorKind::Sink).
    pub fn export_tar(&mut self, part: &Part<'_>, image: &Selected, out: impl Write) -> Result<(), Error> {
        check_image(part.tree(), image)?;
        // An archive has no caller who could own its files.
        if let Owners::Caller | Owners::Record = self.unpacker().policy().owners() {
            return Err(Misuse::CallerInArchive.into());
        }
        for node in part.nodes() {
            check_form(part, node).map_err(|error| error.at(position(node, image)))?;
        }
        // All layers were verified when they were merged.
        let mut tar = TarSink::new(BufWriter::with_capacity(BUFFER, out)).with_visibility(Visibility::AtCommit);
        self.replay(part, image, &mut tar)
    }

    /// Unpacks a part of an image as the directory `name` in `parent`, all or nothing as [`Session::unpack`].
    /// [`Session::replay`] says how the content is read.
    ///
    /// The report counts the entries of the whole image, because all of it was read, and the bytes of this part.
    ///
    /// # Errors
    ///
    /// As for [`Session::unpack`] and [`Session::replay`].
    pub fn unpack_part(
        mut self,
        part: &Part<'_>,
        image: &Selected,
        parent: impl AsFd,
        name: impl AsRef<OsStr>,
    ) -> Result<Report, Error> {
        let mut staged = Staged::beside(parent, name)?.with_durability(self.unpacker().policy().durability());
        // What was made goes with the staging directory.
        self.replay(part, image, staged.rootfs()).map_err(Error::without_effect)?;
        // The layers with content were compared with what the image says of them, twice, and the others once.
        staged.commit_unproven()?;
        Ok(written(self.into_report(), part))
    }

    fn play<S: Sink + ?Sized>(&mut self, player: &mut Player<'_, '_, S>, unpacker: &Unpacker) -> Result<(), Error> {
        let part = player.part;
        check_image(part.tree(), player.image)?;
        // The notes about implied directories were recorded when the layers were merged.
        let terms = terms(&mut Reporter::new(unpacker.policy(), unpacker.limits()))?;
        // The threads that read the content may do the work of the sink while they wait.
        let work = (unpacker.jobs().get() > 1).then(Arc::<SharedWork>::default);
        let context = LayerContext::new(&terms).of_replay();
        let context = work.iter().fold(context, |context, work| context.with_shared_work(work));
        player.sink.begin_layer(&context).map_err(SinkError::into_error)?;
        match part.scratch() {
            None => self.play_by_layer(player, work.as_ref())?,
            Some(scratch) => {
                let file = scratch.create()?;
                let spool = self.keep_content(part, player.image, &file)?;
                part.nodes().try_for_each(|node| player.play_kept(node, &spool)).map_err(SinkError::into_error)?;
            }
        }
        player.sink.end_layer(&Checked::of_nothing()).map_err(SinkError::into_error)
    }

    fn play_by_layer<S: Sink + ?Sized>(
        &mut self,
        player: &mut Player<'_, '_, S>,
        work: Option<&Arc<SharedWork>>,
    ) -> Result<(), Error> {
        let (part, image) = (player.part, player.image);
        let mut nodes = part.nodes();
        let read = self.read_entries(
            files(part),
            |number| open_again(image, number),
            work,
            |file, change, data| {
                for node in nodes.by_ref() {
                    if node == file {
                        return player.play(node, sparse_map(&change.kind), data);
                    }
                    player.play_empty(node)?;
                }
                Err(Error::bug("a file is not in the order of the layers").into())
            },
        );
        // The effect is what the sink says.
        read.map_err(|error| changed(error.without_effect()))?;
        nodes.try_for_each(|node| player.play_empty(node)).map_err(SinkError::into_error)
    }

    /// Keeps the content of all files.
    fn keep_content<'f>(
        &mut self,
        part: &Part<'_>,
        image: &Selected,
        scratch: &'f File,
    ) -> Result<ContentSpool<'f>, Error> {
        let mut spool = ContentSpool::new(scratch);
        let read = self.read_entries(
            files(part),
            |number| open_again(image, number),
            None,
            |file, change, mut data| spool.keep(file.inode(), sparse_map(&change.kind).as_ref(), &mut data),
        );
        read.map_err(|error| changed(error.without_effect()))?;
        spool.flush()?;
        Ok(spool)
    }
}

impl Selected {
    /// Writes the final file system of the image as one tar archive, as [`Session::export_tar`] does, on the calling thread
    /// and within the limits of the image. Every layer is verified before the first byte is written.
    ///
    /// ```no_run
    /// # use layercage::{Image, Policy, Selector};
    /// # fn main() -> Result<(), layercage::Error> {
    /// let image = Image::open_ambient("app.oci.tar", cap_std::ambient_authority())?;
    /// let selected = image.select(&Selector::host())?;
    /// selected.export_tar(std::io::stdout(), &Policy::default())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::merge`] and [`Session::export_tar`].
    pub fn export_tar(&self, out: impl Write, policy: &Policy) -> Result<Report, Error> {
        let mut session = Unpacker::new(policy.clone()).with_limits(self.limits().clone()).session();
        let tree = session.merge(self)?;
        let whole = tree.whole();
        session.export_tar(&whole, self, out)?;
        Ok(written(session.into_report(), &whole))
    }
}

/// The report of layers that were merged, with the bytes of what was written of them.
fn written(mut report: Report, part: &Part<'_>) -> Report {
    report.bytes_written = part.content_bytes();
    report
}

/// The files of a part that have content, by the entries that have it.
fn files<'t>(part: &Part<'t>) -> Wanted<Node<'t>> {
    let mut files = Wanted::new();
    for node in part.nodes().filter(|node| part.has_content(*node)) {
        add(&mut files, (node.content_layer(), node.content_entry()), node.size(), node);
    }
    files
}

/// Checks that an entry can mean a path to all readers.
fn check_form<'t>(part: &Part<'t>, node: Node<'t>) -> Result<(), Error> {
    // Of a file with holes, the map is not known yet. A hole from end to end has the same form.
    let all = Segment { offset: node.size(), length: 0 };
    let sparse = node.has_holes().then(|| SparseMap::new(vec![all], node.size(), 0)).transpose()?;
    Ok(check_writable(&part.change(node, sparse)?)?)
}

fn sparse_map(change: &ChangeKind) -> Option<SparseMap> {
    match change {
        ChangeKind::File { sparse, .. } | ChangeKind::PseudoLink { sparse, .. } => sparse.clone(),
        _ => None,
    }
}

/// The entry that a path comes from.
fn position(node: Node<'_>, image: &Selected) -> Position {
    let layer = node.layer().checked_sub(1).and_then(|index| image.layers().get(index));
    let layer = layer.map(|layer| layer.position());
    let path = Some(Escaped::new(node.path().as_bytes()));
    Position { layer, entry: node.entry(), offset: node.offset(), path, ..Position::default() }
}

/// Gives the paths of a part to a sink.
struct Player<'r, 't, S: ?Sized> {
    part: &'r Part<'t>,
    image: &'r Selected,
    reporter: Reporter<'r>,
    sink: &'r mut S,
}

impl<'t, S: Sink + ?Sized> Player<'_, 't, S> {
    fn play(&mut self, node: Node<'t>, sparse: Option<SparseMap>, data: Data<'_>) -> Result<(), SinkError> {
        let position = position(node, self.image);
        self.reporter.set_position(position.clone());
        let played = self.part.change(node, sparse).map_err(SinkError::from);
        let played = played.and_then(|change| self.sink.change(Judged::again(change), data, &mut self.reporter));
        played.map_err(|error| match error {
            SinkError::Here(_) => SinkError::Here(error.at(&position)),
            SinkError::Earlier(_) => SinkError::Earlier(error.at(&position)),
        })
    }

    /// Gives a path without content.
    fn play_empty(&mut self, node: Node<'t>) -> Result<(), SinkError> {
        self.play(node, None, Data::of(&mut &b""[..]))
    }

    /// Gives a path whose content was kept.
    fn play_kept(&mut self, node: Node<'t>, spool: &ContentSpool<'_>) -> Result<(), SinkError> {
        if !self.part.has_content(node) {
            return self.play_empty(node);
        }
        let (sparse, mut source) = spool.get(node.inode())?;
        let data = Data::new(&mut source, node.size(), sparse.clone());
        self.play(node, sparse, data)
    }
}
