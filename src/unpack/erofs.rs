//! The final file system of an image, as an EROFS image.

use super::contents::files;
use super::image_contents::open_again;
use super::session::{Session, changed};
use super::unpacker::Unpacker;
use crate::erofs::{BlockSize, Options, Verity, Writer, Written};
use crate::image::Selected;
use crate::output::{Contents, ErofsSink, ErofsTree, ImageContent, MergedTree};
use crate::words::{Digest, Error, Limit, Misuse, Owners, Policy, Report, SelinuxLabel};
use std::fs::File;
use std::io;

/// How an image is written as an EROFS image: [`Session::write_erofs`].
///
/// The file system gets the build time of the policy's [epoch](Policy::epoch), and a UUID that is derived from the digest
/// of the manifest. So the same image, policy and options give the same bytes on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErofsOptions {
    block_size: Option<crate::erofs::BlockSize>,
    verity: Option<crate::erofs::Salt>,
    hidden: HiddenContent,
}

/// What happens to the content of files that upper layers hide. The enum is exhaustive on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HiddenContent {
    /// It is dead space in the file, and each layer is read once.
    #[default]
    Keep,
    /// It is dropped, and layers with content are read twice.
    Drop,
}

impl ErofsOptions {
    /// The defaults: blocks of 512 bytes, no hash tree, one pass over the layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the size of blocks. **512 bytes** by default; **4096** with a hash tree.
    #[must_use]
    pub fn with_block_size(self, block_size: crate::erofs::BlockSize) -> Self {
        Self { block_size: Some(block_size), ..self }
    }

    /// Appends the hash tree of dm-verity, computed with this salt: see [`Options::with_verity`].
    #[must_use]
    pub fn with_verity(self, salt: crate::erofs::Salt) -> Self {
        Self { verity: Some(salt), ..self }
    }

    /// Sets what happens to the content of hidden files. **[`HiddenContent::Keep`]** by default.
    #[must_use]
    pub fn with_hidden_content(self, hidden: HiddenContent) -> Self {
        Self { hidden, ..self }
    }

    /// What happens to the content of hidden files.
    pub fn hidden_content(&self) -> HiddenContent {
        self.hidden
    }

    /// A writer of an image that this digest identifies.
    pub(super) fn writer<'f>(
        &self,
        file: &'f File,
        digest: &Digest,
        unpacker: &'f Unpacker,
    ) -> Result<Writer<'f>, Error> {
        let scratch = || unpacker.require_scratch().map_err(|_| Error::from(Misuse::NoImageScratch));
        let options = self.of_writer(digest, unpacker.policy());
        // Almost every image has ends of files. This is known before any layer is read.
        if options.block_size() == BlockSize::Large {
            scratch()?;
        }
        let create_temporary = move || {
            scratch().map_err(io::Error::other)?;
            unpacker.create_spool().map_err(io::Error::other)
        };
        Writer::new(file, options, create_temporary)
    }

    /// The options of the writer, for what this digest identifies.
    fn of_writer(&self, digest: &Digest, policy: &Policy) -> Options {
        let options = Options::new().with_build_time(policy.epoch()).with_uuid(uuid(digest));
        let options = options.with_common_xattrs(policy.selinux_label().map(SelinuxLabel::xattr).into_iter().collect());
        let options = self.block_size.into_iter().fold(options, Options::with_block_size);
        self.verity.clone().into_iter().fold(options, Options::with_verity)
    }
}

/// An image that was written as an EROFS image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErofsImage {
    /// The size of the file, with the hash tree.
    pub bytes: u64,
    /// The inodes of the file system.
    pub inodes: u64,
    /// Dead space: bytes of the file with content that upper layers hide. [`HiddenContent::Drop`] avoids it.
    pub dead_bytes: u64,
    /// Dead space that [`HiddenContent::Drop`] avoided.
    pub saved_bytes: u64,
    /// The hash tree, if there is one.
    pub verity: Option<Verity>,
}

impl Session<'_> {
    /// Writes the final file system of an image to a file, as an EROFS image that Linux mounts read-only.
    ///
    /// Owners, modes, devices and extended attributes are those that root would unpack. Writing them needs no privileges,
    /// because no file of the image is created on this machine. If the policy has an SELinux label, every inode gets it as
    /// `security.selinux`. SELinux is not needed on this machine.
    ///
    /// Content is written while the layers are decompressed, each once. The tree and the superblock follow when all layers
    /// are verified: until then, Linux does not mount the file. It must be an empty regular file that is open for reading
    /// and writing, and not for appending. [`StagedFile`](crate::sink::StagedFile) gives a file that gets its name in one
    /// step.
    ///
    /// Blocks of 4096 bytes and files with holes need a [temporary file](Unpacker::with_scratch).
    ///
    /// # Errors
    ///
    /// As for [`Session::merge`]: [`Limit::TreeBytes`] limits the memory of the writer, too. [`Misuse::CallerInArchive`] if
    /// the policy gives files to the caller,
    /// [`Misuse::NoImageScratch`], [`Misuse::UnsuitableFile`], and other errors of [`Writer`].
    pub fn write_erofs(&mut self, image: &Selected, file: &File, options: &ErofsOptions) -> Result<ErofsImage, Error> {
        let unpacker = self.unpacker().clone();
        check_owners(unpacker.policy())?;
        let digest = image.manifest().unwrap_or(image.config()).digest();
        let mut writer = options.writer(file, digest, &unpacker)?;
        let (tree, contents, saved_bytes) = match options.hidden {
            HiddenContent::Keep => {
                let mut sink = ErofsSink::new(ImageContent::written(&mut writer));
                self.apply_image(image, &mut sink)?;
                let (tree, content) = sink.into_parts()?;
                (tree, content.into_contents(), 0)
            }
            HiddenContent::Drop => {
                let mut sink = ErofsSink::new(ImageContent::measured(&writer));
                self.apply_image(image, &mut sink)?;
                let (tree, content) = sink.into_parts()?;
                let (all, start) = (content.bytes(), writer.position());
                let contents = self.write_contents(image, &tree, &mut writer)?;
                (tree, contents, all.saturating_sub(writer.position() - start))
            }
        };
        let tables = Writer::memory(tree.inode_count(), tree.xattr_count());
        let bytes = tree.memory_bytes().saturating_add(contents.bytes()).saturating_add(tables);
        unpacker.limits().check(Limit::TreeBytes, bytes)?;
        let dead_bytes = contents.dead_blocks(&tree, writer.next_block()?) * writer.block_bytes();
        let Written { bytes, inodes, verity, .. } = writer.finish(&ErofsTree::new(&tree, &contents))?;
        Ok(ErofsImage { bytes, inodes, dead_bytes, saved_bytes, verity })
    }

    /// Writes the content of the files of a tree, in one more pass over the layers.
    fn write_contents(
        &mut self,
        image: &Selected,
        tree: &MergedTree,
        writer: &mut Writer<'_>,
    ) -> Result<Contents, Error> {
        let mut contents = Contents::default();
        let read = self.read_entries(
            tree,
            files(tree, |node| node.size() > 0),
            |number| open_again(image, number),
            None,
            |node, mut data| Ok(contents.write(writer, node, &mut data)?),
        );
        read.map_err(|error| changed(error.without_effect()))?;
        Ok(contents)
    }
}

impl Selected {
    /// Writes the final file system of the image to a file, as [`Session::write_erofs`] does with the default options, on
    /// the calling thread and within the limits of the image.
    ///
    /// ```no_run
    /// # fn write(selected: &layercage::Selected) -> Result<(), Box<dyn std::error::Error>> {
    /// use cap_std::{ambient_authority, fs::Dir};
    /// use layercage::Policy;
    /// use layercage::sink::StagedFile;
    ///
    /// let parent = Dir::open_ambient_dir(".", ambient_authority())?;
    /// let staged = StagedFile::beside(&parent, "rootfs.erofs")?;
    /// selected.write_erofs(staged.file(), &Policy::default())?;
    /// staged.commit()?; // visible only now
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Session::write_erofs`]. A file with holes is [`Misuse::NoImageScratch`]: use a session whose unpacker has a
    /// scratch file.
    pub fn write_erofs(&self, file: &File, policy: &Policy) -> Result<Report, Error> {
        let mut session = Unpacker::new(policy.clone()).with_limits(self.limits().clone()).session();
        session.write_erofs(self, file, &ErofsOptions::new())?;
        Ok(session.into_report())
    }
}

/// Checks that no file belongs to the caller: a file system has none.
pub(super) fn check_owners(policy: &Policy) -> Result<(), Misuse> {
    match policy.owners() {
        Owners::Caller | Owners::Record => Err(Misuse::CallerInArchive),
        _ => Ok(()),
    }
}

/// A UUID of version 8 from a digest: that of the manifest, for instance, or of the configuration if an image has no
/// manifest.
fn uuid(digest: &Digest) -> [u8; 16] {
    let bytes: &[u8] = match digest {
        Digest::Sha256(bytes) => bytes,
        Digest::Sha512(bytes) => bytes,
    };
    let mut uuid = [0; 16];
    uuid.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut uuid;
    *version = 0x80 | *version & 0x0f;
    *variant = 0x80 | *variant & 0x3f;
    uuid
}
