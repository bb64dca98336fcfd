//! A merged tree, written elsewhere as one layer.

use super::cached::read_cached;
use super::contents::{Wanted, add};
use super::image_contents::{check_image, open_again};
use super::run::with_effect;
use super::session::{Session, changed};
use super::stage::Staged;
use super::unpacker::Unpacker;
use crate::cage::Scratch;
use crate::image::Selected;
use crate::output::{
    ContentFile, ContentPlace, ContentWriter, Data, LayerContext, Node, NotAdded, Part, Sink, SinkError, TarSink,
    Visibility, check_writable,
};
use crate::plan::{Judged, Reporter, terms};
use crate::read::Checked;
use crate::words::{Error, Escaped, Misuse, Owners, Policy, Position, Report, Segment, SharedWork, SparseMap};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Bytes of an archive that are written at once.
const BUFFER: usize = 128 << 10;

impl Session<'_> {
    /// Gives a part of a merged tree to a sink, as one layer that creates it.
    ///
    /// Paths, metadata and hard links are those of the tree. Content that the tree [keeps](crate::merged::ContentCache) is
    /// taken from there. All other content is read in one more pass over only those layers that have any. Each of these
    /// layers is compared with its digest and size once more, or with its diff ID if the image states no digest, **after the
    /// sink has seen its content**. If a layer has changed since the layers were merged, the replay fails, and the sink
    /// abandons it.
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
    /// [`Session::replay`] says where the content comes from. `out` needs no buffer.
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
    /// [`Session::replay`] says where the content comes from.
    ///
    /// The report counts the entries of the whole image, because all of it was read, and the bytes of this part.
    ///
    /// # Errors
    ///
    /// As for [`Session::unpack`] and [`Session::replay`].
    pub fn unpack_part(
        self,
        part: &Part<'_>,
        image: &Selected,
        parent: impl AsFd,
        name: impl AsRef<OsStr>,
    ) -> Result<Report, Error> {
        self.unpack_part_staged(part, image, Staged::beside(parent, name)?)
    }

    /// Unpacks a part of an image as the bundle `name` in `parent`, with this `config.json`: see [`Staged::bundle`].
    /// Otherwise it does what [`Session::unpack_part`] does.
    ///
    /// # Errors
    ///
    /// As for [`Session::unpack_part`].
    pub fn unpack_part_as_bundle(
        self,
        part: &Part<'_>,
        image: &Selected,
        parent: impl AsFd,
        name: impl AsRef<OsStr>,
        config: &[u8],
    ) -> Result<Report, Error> {
        self.unpack_part_staged(part, image, Staged::bundle(parent, name, config)?)
    }

    fn unpack_part_staged(mut self, part: &Part<'_>, image: &Selected, staged: Staged) -> Result<Report, Error> {
        let mut staged = staged.with_durability(self.unpacker().policy().durability());
        // What was made goes with the staging directory.
        self.replay(part, image, staged.rootfs()).map_err(Error::without_effect)?;
        // Each layer was compared with what the image says of it when it was merged, and when it was read again.
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
                let spooled = self.spool(part, player.image, scratch)?;
                self.play_in_order(player, spooled.as_ref()).map_err(SinkError::into_error)?;
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
            part.tree(),
            files(part, |_| true),
            |number| open_again(image, number),
            work,
            |file, data| {
                for node in nodes.by_ref() {
                    if node == file {
                        return player.play(node, data);
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

    /// Copies the content that the tree does not keep to a temporary file. `None` if it keeps all.
    fn spool(&mut self, part: &Part<'_>, image: &Selected, scratch: &Scratch) -> Result<Option<Spooled>, Error> {
        let has_cache = part.tree().content().is_some();
        let files = files(part, |node| !has_cache || node.content_place().is_none());
        if files.is_empty() {
            return Ok(None);
        }
        let (mut writer, mut places) = (ContentWriter::new(scratch.create()?), HashMap::new());
        let open = |number| open_again(image, number);
        let read = self.read_entries(part.tree(), files, open, None, |file, mut data| {
            let has_holes = data.map().is_some();
            let place = writer.add(&mut data).map_err(|error| match error {
                NotAdded::Unread(error) => SinkError::from(error),
                NotAdded::Unwritten(error) => error.into(),
            })?;
            places.insert(file.inode(), ContentPlace { place, size: file.size(), has_holes });
            Ok(())
        });
        read.map_err(|error| changed(error.without_effect()))?;
        Ok(Some(Spooled { content: writer.finish()?, places }))
    }

    /// Gives the paths to the sink in their order, with content from the temporary file and from the tree.
    fn play_in_order<S: Sink + ?Sized>(
        &self,
        player: &mut Player<'_, '_, S>,
        spooled: Option<&Spooled>,
    ) -> Result<(), SinkError> {
        let part = player.part;
        let mut kept = part.tree().content().map(ContentFile::reader);
        let mut spool = spooled.map(|spooled| spooled.content.reader());
        for node in part.nodes() {
            if !part.has_content(node) {
                player.play_empty(node)?;
                continue;
            }
            let in_spool = spooled.and_then(|spooled| spooled.places.get(&node.inode()).copied());
            let found = match in_spool {
                Some(place) => spool.as_mut().zip(Some(place)),
                None => kept.as_mut().zip(node.content_place()),
            };
            let (reader, place) = found.ok_or(Error::bug("the content of a file was not kept"))?;
            let played = read_cached(reader, place, self.watch(), |data| player.play(node, data));
            played.map_err(|error| at(error, &position(node, player.image)))?;
        }
        Ok(())
    }
}

/// Content in a temporary file, and where in it that of each file is, by inode.
struct Spooled {
    content: ContentFile,
    places: HashMap<u32, ContentPlace>,
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

/// The chosen files of a part that have content, by the entries that have it.
fn files<'t>(part: &Part<'t>, choose: impl Fn(Node<'t>) -> bool) -> Wanted<Node<'t>> {
    let mut files = Wanted::new();
    for node in part.nodes().filter(|node| part.has_content(*node) && choose(*node)) {
        let content = (node.size(), node.content_place());
        add(&mut files, (node.content_layer(), node.content_entry()), content, node);
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

/// The entry that a path comes from.
fn position(node: Node<'_>, image: &Selected) -> Position {
    let layer = node.layer().checked_sub(1).and_then(|index| image.layers().get(index));
    let layer = layer.map(|layer| layer.position());
    let path = Some(Escaped::new(node.path().as_bytes()));
    Position { layer, entry: node.entry(), offset: node.offset(), path, ..Position::default() }
}

/// Adds what is not known yet of the position of an error.
fn at(error: SinkError, position: &Position) -> SinkError {
    match error {
        SinkError::Here(_) => SinkError::Here(error.at(position)),
        SinkError::Earlier(_) => SinkError::Earlier(error.at(position)),
    }
}

/// Gives the paths of a part to a sink.
struct Player<'r, 't, S: ?Sized> {
    part: &'r Part<'t>,
    image: &'r Selected,
    reporter: Reporter<'r>,
    sink: &'r mut S,
}

impl<'t, S: Sink + ?Sized> Player<'_, 't, S> {
    fn play(&mut self, node: Node<'t>, data: Data<'_>) -> Result<(), SinkError> {
        let position = position(node, self.image);
        self.reporter.set_position(position.clone());
        let played = self.part.change(node, data.map().cloned()).map_err(SinkError::from);
        let played = played.and_then(|change| self.sink.change(Judged::again(change), data, &mut self.reporter));
        played.map_err(|error| at(error, &position))
    }

    /// Gives a path without content.
    fn play_empty(&mut self, node: Node<'t>) -> Result<(), SinkError> {
        self.play(node, Data::of(&mut &b""[..]))
    }
}
