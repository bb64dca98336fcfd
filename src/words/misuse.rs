//! What callers do wrong.

use super::{Escaped, Occupant, words};

/// What a caller did wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The target of an unpacking already exists, and is not an empty directory.
    #[error("{name} exists already: {occupant}")]
    TargetExists {
        /// Its name.
        name: Escaped,
        /// What is there.
        occupant: Occupant,
    },
    /// The target of an output file already exists, and is not a regular file.
    #[error("{name} exists already, and is not a regular file")]
    NotRegularFile {
        /// Its name.
        name: Escaped,
    },
    /// A name is not a single path component.
    #[error("{name} is not a plain file name")]
    NotAComponent {
        /// What was given.
        name: Escaped,
    },
    /// A name is reserved for this library's own directories ([`is_reserved_name`](crate::is_reserved_name)).
    #[error("{name} is a name that layercage gives to its own directories; choose another one")]
    ReservedName {
        /// What was given.
        name: Escaped,
    },
    /// The image has no manifest that matches the selection.
    #[error("the image has no manifest for {wanted}; it has {found}")]
    NothingSelected {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
        /// What has to be asked for differently.
        by: SelectBy,
    },
    /// Several images match the selection equally well.
    #[error("more than one image matches {wanted}: {found}")]
    SeveralSelected {
        /// What was asked for.
        wanted: String,
        /// The images that fit.
        found: String,
        /// What tells them apart.
        by: SelectBy,
    },
    /// The input must be a file, but is a pipe or another stream.
    #[error("a stream cannot be read twice; keep it in a file first")]
    NotAFile,
    /// A layer has to be verified before it is applied, but it cannot be read twice, and there is no file for a temporary
    /// copy. [`Unpacker::with_scratch`](crate::Unpacker::with_scratch) gives one, and
    /// [`Layer::seekable`](crate::Layer::seekable) needs none.
    #[error("the layer must be verified before it is applied: it needs a seekable reader or a temporary file")]
    NoScratch,
    /// An EROFS image needs a temporary file, for files with holes or with blocks of 4096 bytes, and the unpacker has none:
    /// [`Unpacker::with_scratch`](crate::Unpacker::with_scratch).
    #[error("an EROFS image of files with holes, or with blocks of 4096 bytes, needs a temporary file, and has none")]
    NoImageScratch,
    /// A [`Filter`](crate::sink::Filter) keeps a hard link, but drops its target and has no copy of it.
    #[error("the filter keeps a hard link to {target}, and drops its target")]
    LinkToFiltered {
        /// The target, as the hard link names it.
        target: Escaped,
    },
    /// The input of `apply` is the archive of an image, not a layer.
    #[error("this is the archive of an image and not a layer: it holds {member}")]
    ImageAsLayer {
        /// The member that shows that it is an image.
        member: Escaped,
    },
    /// The layers of the image cannot be opened: it was created from documents only
    /// ([`Selected::from_documents`](crate::Selected::from_documents)).
    #[error("the layers of this image are not on disk: it was made of a manifest and a configuration alone")]
    LayersElsewhere,
    /// The image has other layers than those that were merged or added: a [`MergedTree`](crate::MergedTree) was given
    /// another image than its own, or a [`StagedOverlay`](crate::overlay::StagedOverlay) has not exactly the layers of the
    /// image that it is committed as.
    #[error("the image has other layers than those that were merged or added")]
    OtherImage,
    /// An image index was given in place of a manifest.
    #[error("this is an image index and not a manifest: choose one of the manifests that it lists")]
    IndexAsManifest,
    /// A layer was not checked against every value that a proof needs.
    #[error("the layer was applied without {missing}, so nothing proves that it is the right one")]
    Unproven {
        /// What was not given.
        missing: &'static str,
    },
    /// The proofs are not those of the applied layers, in order.
    #[error("{given} proofs were handed over for {applied} applied layers, or not in their order")]
    ProofsDoNotMatch {
        /// The number of given proofs.
        given: usize,
        /// How many layers were applied.
        applied: usize,
    },
    /// The tree is not the staged tree: it was replaced by another.
    #[error("the tree that layers were applied to is not the one that was staged")]
    ForeignTree,
    /// A sink was given a change with content that is not the whole content of its file: a part was read before, or it is
    /// that of another file.
    #[error("a sink was given content that is not the whole content of the file")]
    OtherContent,
    /// A layer of which something is expected was to be applied to a tree that is in use, before it was verified. A sink
    /// around a [`Rootfs`](crate::Rootfs) has to return its [`Sink::visibility`](crate::Sink::visibility).
    #[error("the layer has to be verified before it is applied to a tree that is in use, and was not")]
    NotVerified,
    /// The end of a layer was reported with the result of another layer.
    #[error("a sink was given the result of another layer at the end of its layer")]
    OtherLayer,
    /// A sink method that is only valid inside a layer was called outside of a layer.
    #[error("{call} was called on a sink while no layer was being applied to it")]
    OutsideLayer {
        /// The method that was called.
        call: &'static str,
    },
    /// A second layer was applied to a [`TarSink`](crate::sink::TarSink). A whiteout in it would remove paths of the
    /// first layer, and an archive of one layer cannot express that.
    #[error("an archive holds one layer, and a second one was applied to it")]
    SecondLayer,
    /// The policy makes the caller the owner of files, but an archive or an EROFS image has no files of the caller.
    #[error("an archive has the owners of the layer: the policy must keep or map them")]
    CallerInArchive,
    /// A lower layer of an overlay has something that only mounts with special options understand.
    #[error("the lower layer has {name}, {what}, which is not supported")]
    UnsupportedLower {
        /// What it is called.
        name: Escaped,
        /// What it is.
        what: &'static str,
    },
    /// What a path leads to depends on the lower layers, which are not available.
    #[error("{name} depends on the lower layers, which are not available")]
    LowerNeeded {
        /// The path.
        name: Escaped,
    },
    /// Another user could change the layers of a store of overlay layers.
    #[error("the directory {name} of the store belongs to another user, or other users may write to it")]
    SharedStore {
        /// The directory; `.` for the store itself.
        name: Escaped,
    },
    /// The caller has no privileges for a format of overlay layers.
    #[error("layers in this format have {needs}")]
    FormatNotPermitted {
        /// What the format has, and the privilege that it needs.
        needs: &'static str,
    },
    /// A store of overlay layers is damaged, or has content that this library did not write.
    #[error("{name} in the store is damaged, or was not written by layercage")]
    DamagedStore {
        /// Its name.
        name: Escaped,
    },
    /// An EROFS image would have more blocks than fit into 32 bits.
    #[error("the image would have more than 2^32 blocks of {block_bytes} bytes, and EROFS counts them with 32 bits")]
    TooManyBlocks {
        /// The size of a block.
        block_bytes: u64,
    },
    /// An EROFS image cannot be written to a file: it is not an empty regular file that is open for reading and writing.
    #[error("the file for the EROFS image {why}")]
    UnsuitableFile {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The tree for an EROFS image has content that another writer wrote.
    #[error("the content of {name} was written by another writer of EROFS images")]
    OtherWriter {
        /// The name of the file.
        name: Escaped,
    },
    /// A file of an EROFS image was given with content or holes of another size.
    #[error("a file of {size} bytes has {what}")]
    OtherSize {
        /// The stated size of the file.
        size: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// An EROFS image cannot hold an extended attribute: Linux shows no such name, the name has more than 255 bytes or
    /// a NUL, the value has more than 65,535 bytes, or the file has the name twice.
    #[error("EROFS cannot hold the extended attribute {name}")]
    ImpossibleXattr {
        /// Its name.
        name: Escaped,
    },
    /// A file of an EROFS image has too many extended attributes.
    #[error("EROFS holds at most {most} extended attributes of a file")]
    TooManyXattrs {
        /// How many it may have.
        most: usize,
    },
    /// The target of a symbolic link is empty, longer than 4095 bytes, or has a NUL.
    #[error("the target of a symbolic link is empty, longer than 4095 bytes, or has a NUL")]
    ImpossibleTarget,
    /// A tree for an EROFS image has an inode number that is not below the number of inodes that it states.
    #[error("an inode number of the tree is not below its inode count")]
    InodeOutOfRange,
    /// A tree for an EROFS image has a directory under two names, or in itself.
    #[error("the directory {name} is in the tree twice, or in itself")]
    RepeatedDirectory {
        /// One of its names.
        name: Escaped,
    },
    /// The names in a directory for an EROFS image are not in order, or one of them is not a file name.
    #[error("{name} is not a file name, or is out of order")]
    NamesOutOfOrder {
        /// The name.
        name: Escaped,
    },
    /// Something else was added at a path before, or a parent is not a directory.
    #[error("{name} exists already")]
    EntryExists {
        /// The path, or the parent.
        name: Escaped,
    },
    /// The target of a hard link does not exist, or is a directory.
    #[error("{name} does not exist or is a directory")]
    NoEntry {
        /// The target.
        name: Escaped,
    },
    /// The progress observer or a [`Cancellation`](crate::progress::Cancellation) cancelled.
    #[error("cancelled")]
    Cancelled,
    /// An earlier call failed and left this unusable.
    #[error("an earlier call on this value failed, so it cannot be used any more")]
    Poisoned,
}

words! {
    "a part of a selection":
    /// The part of a selection that fits no image, or does not tell images apart.
    #[non_exhaustive]
    enum SelectBy {
        /// The platform: there are images for other platforms.
        Platform "platform",
        /// The reference name: there are images of other names.
        Name "name",
        /// The position: the list is shorter.
        Position "position",
        /// The digest of the manifest or of the configuration: another one is needed, or only a digest says which image
        /// is meant.
        Digest "digest",
        /// The digest of the manifest: the given digest is one, but was not given as one.
        ManifestDigest "manifest-digest",
        /// The digest of the configuration (the image ID): the given digest is one, or the image has no manifests.
        ImageId "image-id",
        /// Any of them: more than one image fits.
        Any "any",
    }
}

impl Misuse {
    /// What a person can do about it outside of this library, if anything.
    pub(super) fn advice(&self) -> Option<&'static str> {
        match self {
            Self::TargetExists { occupant, .. } => Some(occupant.advice()),
            Self::NotRegularFile { .. } => {
                Some("choose another name; of a symbolic link, give the name of the file that it leads to")
            }
            Self::SharedStore { .. } => {
                Some("a store is a directory of yours to which no other user may write: `chmod go-w STORE`")
            }
            Self::FormatNotPermitted { .. } => {
                Some("use the namespace `user`, for mounts with `userxattr`, and `Whiteouts::Xattr`")
            }
            Self::DamagedStore { .. } => Some(
                "an image with a damaged list can be removed by its digest; otherwise use another directory, or remove the \
                 store and begin again",
            ),
            Self::TooManyBlocks { block_bytes: 512 } => Some("use blocks of 4096 bytes"),
            Self::LowerNeeded { .. } => Some("unpack the layers of the image one after another, from the bottom"),
            Self::UnsupportedLower { .. } => {
                Some("layers of overlayfs mounts with `redirect_dir` or `metacopy` cannot be lower layers")
            }
            Self::Poisoned => {
                Some("drop it and begin again: with a new staged tree and its first layer, or with a new reader")
            }
            _ => None,
        }
    }
}
