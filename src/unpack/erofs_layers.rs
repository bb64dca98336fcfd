//! The layers of an image, as one EROFS image each.

use super::contents::{Wanted, add};
use super::erofs::{ErofsOptions, HiddenContent, check_owners};
use super::image::{ApplyOpened, ended_early};
use super::image_contents::open_again;
use super::jobs::Ahead;
use super::layer::Opened;
use super::numbered::{numbered, stored};
use super::overlay::chain_ids;
use super::session::{Session, changed};
use super::unpacker::Unpacker;
use crate::cage::{Contents, Stage};
use crate::erofs::{Verity, Writer};
use crate::image::{LayerDescriptor, Selected};
use crate::output::{
    ErofsSink, LayerContents, LayerFiles, LayerTree, Marks, MissingFile, StoringMerger, missing_files,
};
use crate::read::Verifying;
use crate::tree::Upper;
use crate::words::{Digest, Error, Limit, OverlayFormat, Policy, Position, Report, SharedWork};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// The name of the list of layers.
const LOWER: &[u8] = b"lower";

/// The layers of an image, written as one EROFS image each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErofsLayers {
    /// The layers, the top one first, as the mount option `lowerdir` lists them.
    pub layers: Vec<ErofsLayer>,
    /// The format of whiteouts and opaque directories.
    pub format: OverlayFormat,
}

/// A layer that was written as an EROFS image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErofsLayer {
    /// The name of its file.
    pub name: String,
    /// The chain ID, which identifies the layer and all layers below it (image-spec, config.md, "Layer ChainID").
    pub chain_id: Digest,
    /// The digest of the uncompressed layer.
    pub diff_id: Digest,
    /// The size of the file, with the hash tree.
    pub bytes: u64,
    /// The inodes of the file system.
    pub inodes: u64,
    /// Bytes of content that were copied from lower layers. A hard link to a file of a lower layer becomes a copy of it.
    pub copied_bytes: u64,
    /// The hash tree, if there is one.
    pub verity: Option<Verity>,
}

impl Session<'_> {
    /// Writes each layer of an image as an EROFS image of its own, into the directory `name` in `parent`. That directory
    /// must be empty, or must not exist.
    ///
    /// An overlay of the mounted images shows the root filesystem that root would unpack, except for link counts of files
    /// with removed names. Removed paths are marked as [`Overlay`](crate::overlay::Overlay) marks them. Writing devices and
    /// attributes needs no privileges, because no file of the image is created on this machine.
    ///
    /// A file has the name `ALGORITHM-DIGEST.erofs`, with the chain ID of its layer. The file `lower` lists the names, the
    /// top one first. The bytes of a file depend only on its layer, the layers below it, the policy, the format and the
    /// options. The directory is written as a staging directory, and is renamed when all layers are verified. A failure
    /// before that leaves no file behind.
    ///
    /// Content is written while the layers are decompressed. If a layer has a hard link to a file of a lower layer, the
    /// content of that file is read again, and copied to the image of the layer, with the note
    /// [`HardLinkCopied`](crate::rules::Quirk::HardLinkCopied). [`Limit::LayerBytes`] bounds what is read again.
    ///
    /// Blocks of 4096 bytes and files with holes need a [temporary file](Unpacker::with_scratch).
    ///
    /// # Errors
    ///
    /// As for [`Session::write_erofs`], and [`Misuse::TargetExists`](crate::error::Misuse::TargetExists).
    pub fn write_erofs_layers(
        &mut self,
        image: &Selected,
        parent: impl AsFd,
        name: impl AsRef<OsStr>,
        format: OverlayFormat,
        options: &ErofsOptions,
    ) -> Result<ErofsLayers, Error> {
        check_owners(self.unpacker().policy())?;
        self.judge_image(image)?;
        let stage = Stage::beside(parent.as_fd(), name.as_ref().as_bytes(), Contents::Files)?;
        let mut writing = Writing {
            image,
            stage: &stage,
            format,
            options,
            layers: Vec::new(),
            copied: 0,
            read_again: 0,
            unpacked_bytes: Vec::new(),
        };
        let written = self.open_layers(Ahead::Threads, numbered(image, stored(image)), &mut writing);
        // What was written goes with the staging directory.
        written.map_err(Error::without_effect)?;
        let mut layers = writing.layers;
        layers.reverse();
        let list: String = layers.iter().map(|layer| format!("{}\n", layer.name)).collect();
        stage.write_beside(LOWER, list.as_bytes())?;
        stage.commit(self.unpacker().policy().durability())?;
        Ok(ErofsLayers { layers, format })
    }
}

/// Layers that are being written.
struct Writing<'a> {
    image: &'a Selected,
    stage: &'a Stage,
    format: OverlayFormat,
    options: &'a ErofsOptions,
    /// The layers so far, from the bottom.
    layers: Vec<ErofsLayer>,
    /// Bytes of content that were copied from lower layers.
    copied: u64,
    /// Uncompressed bytes of lower layers, each time that they were read again.
    read_again: u64,
    /// The uncompressed bytes of the layers so far, from the bottom.
    unpacked_bytes: Vec<u64>,
}

impl ApplyOpened for Writing<'_> {
    fn apply<S: Verifying>(
        &mut self,
        session: &mut Session<'_>,
        layers: &mut dyn Iterator<Item = Result<Opened<S>, Error>>,
        shared_work: Option<&SharedWork>,
    ) -> Result<(), Error> {
        let mut merger = StoringMerger::new(()).with_journal()?;
        let wanted = self.image.layers();
        for (layer, chain_id) in wanted.iter().zip(chain_ids(wanted.iter().map(LayerDescriptor::diff_id))) {
            let opened = layers.next().unwrap_or_else(|| Err(ended_early()))?;
            merger = self.write(session, (layer, chain_id), opened, shared_work, merger)?;
        }
        Ok(())
    }
}

impl Writing<'_> {
    /// Writes one layer over those that were merged.
    fn write<S: Verifying>(
        &mut self,
        session: &mut Session<'_>,
        (layer, chain_id): (&LayerDescriptor, Digest),
        Opened { about, blob_bytes, stream }: Opened<S>,
        shared_work: Option<&SharedWork>,
        merger: StoringMerger<()>,
    ) -> Result<StoringMerger<()>, Error> {
        let unpacker = session.unpacker().clone();
        let name = format!("{}-{}.erofs", chain_id.algorithm(), chain_id.hex());
        let file = self.stage.create(name.as_bytes())?;
        let mut writer = self.options.writer(&file, &chain_id, &unpacker)?;
        let writes_now = match self.options.hidden_content() {
            HiddenContent::Keep => Some(&mut writer),
            HiddenContent::Drop => None,
        };
        let files = LayerFiles::new(writes_now, merger.model().inode_count());
        let mut sink = ErofsSink::of_layer(merger.with_store(files)?.0);
        let checked = session.run(about, blob_bytes, || Ok(stream), &mut sink, shared_work)?.into_checked();
        self.unpacked_bytes.push(checked.unpacked_bytes);
        checked.verified()?;
        let (merger, files) = sink.into_merger().with_store(())?;
        let mut contents = files.into_contents();
        let upper = merger.model().upper()?;
        let marks = Marks::new(&upper, self.format);
        let bytes = memory(&upper, &contents, &marks);
        let check = |limit, amount| {
            unpacker.limits().check(limit, amount).map_err(|error| Error::from(error).at(layer_at(layer)))
        };
        check(Limit::TreeBytes, bytes)?;
        let (missing, copied_bytes) = self.missing(layer, missing_files(&upper, &contents));
        self.copied = self.copied.saturating_add(copied_bytes);
        check(Limit::ImageBytes, session.report().bytes_written.saturating_add(self.copied))?;
        self.read_again = self.read_again.saturating_add(self.lower_bytes(layer, &missing));
        check(Limit::LayerBytes, self.read_again)?;
        let read = session.read_between(
            missing,
            |number| open_again(self.image, number),
            |inode, mut data| Ok(contents.write(&mut writer, inode, &mut data)?),
        );
        read.map_err(changed)?;
        let epoch = unpacker.policy().epoch();
        let written = writer.finish(&LayerTree::new(&upper, &contents, (self.format, &marks), epoch)?)?;
        let diff_id = *layer.diff_id();
        let (bytes, inodes, verity) = (written.bytes, written.inodes, written.verity);
        self.layers.push(ErofsLayer { name, chain_id, diff_id, bytes, inodes, copied_bytes, verity });
        Ok(merger)
    }

    /// The bytes of the lower layers that have missing content. All of each is read, for the sake of its digest. An image of
    /// small layers over a large one costs much time this way.
    fn lower_bytes(&self, layer: &LayerDescriptor, missing: &Wanted<u32>) -> u64 {
        let lower = missing.keys().filter(|&&number| number != layer.position().number);
        // Layers have numbers from 1 on.
        let bytes = lower.filter_map(|number| self.unpacked_bytes.get(number.checked_sub(1)?));
        bytes.fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Sorts files whose content is missing by the layers that have it, and sums up what other layers have.
    fn missing(&self, layer: &LayerDescriptor, files: impl Iterator<Item = MissingFile>) -> (Wanted<u32>, u64) {
        let (mut wanted, mut copied) = (Wanted::new(), 0_u64);
        for MissingFile { inode, size, layer: of, entry } in files {
            if of as usize != layer.position().number {
                copied = copied.saturating_add(size);
            }
            add(&mut wanted, (of as usize, Some(entry.into()).filter(|&entry| entry > 0)), (size, None), inode);
        }
        (wanted, copied)
    }
}

/// Bytes of memory for the tree of all layers, and for one layer as the writer takes it.
fn memory(upper: &Upper<'_>, contents: &LayerContents, marks: &Marks) -> u64 {
    let model = upper.model();
    let ((marks, marked), missing) = (marks.memory(model), missing_files(upper, contents).count() as u64);
    let tables = Writer::memory(upper.numbers().end, model.xattr_count().saturating_add(marked));
    let parts = [model.bytes().unwrap_or(u64::MAX), upper.bytes(), contents.bytes_with(missing), marks, tables];
    parts.into_iter().fold(0, u64::saturating_add)
}

fn layer_at(layer: &LayerDescriptor) -> Position {
    Position { layer: Some(layer.position()), ..Position::default() }
}

impl Selected {
    /// Writes each layer of the image as an EROFS image of its own, as [`Session::write_erofs_layers`] does with the
    /// default options, on the calling thread and within the limits of the image. The format is
    /// [`OverlayFormat::ORDINARY`].
    ///
    /// ```no_run
    /// # fn write(selected: &layercage::Selected) -> Result<(), Box<dyn std::error::Error>> {
    /// use cap_std::{ambient_authority, fs::Dir};
    /// use layercage::Policy;
    ///
    /// let parent = Dir::open_ambient_dir(".", ambient_authority())?;
    /// let (written, report) = selected.write_erofs_layers(&parent, "layers", &Policy::default())?;
    /// for layer in &written.layers {
    ///     println!("layers/{}", layer.name); // the top one first
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::write_erofs_layers`]. A file with holes is
    /// [`Misuse::NoImageScratch`](crate::error::Misuse::NoImageScratch): use a session whose unpacker has a scratch file.
    pub fn write_erofs_layers(
        &self,
        parent: impl AsFd,
        name: impl AsRef<OsStr>,
        policy: &Policy,
    ) -> Result<(ErofsLayers, Report), Error> {
        let mut session = Unpacker::new(policy.clone()).with_limits(self.limits().clone()).session();
        let options = ErofsOptions::new();
        let written = session.write_erofs_layers(self, parent, name, OverlayFormat::ORDINARY, &options)?;
        Ok((written, session.into_report()))
    }
}
