//! Every amount that an archive chooses.

use super::named;

macro_rules! limits {
    ($($(#[$doc:meta])* $variant:ident $id:literal = $default:expr;)*) => {
        /// An amount that an archive chooses.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Limit {
            $($(#[$doc])* $variant,)*
        }

        impl Limit {
            /// All limits, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value of a limit that is off.
            pub const OFF: u64 = u64::MAX;

            /// The stable name, as messages and options write it.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id),* }
            }

            /// The default value. Real images stay far below.
            pub fn default(self) -> u64 {
                match self { $(Self::$variant => $default),* }
            }
        }

        named!(Limit, "a limit", id, [$($id),*]);
    };
}

limits! {
    /// Entries in one layer.
    Entries "entries" = 10_000_000;
    /// Implied directories of one layer: parents of a name that no entry lists. One name can create 2,048. A Debian
    /// system with compilers has about 33,000 directories in total, listed or not.
    ImpliedDirectories "implied-directories" = 500_000;
    /// Headers of every kind in one layer: those of entries, extended and global ones.
    Headers "headers" = 40_000_000;
    /// Bytes of one layer, both as stored and uncompressed. For layers as EROFS images, also the uncompressed bytes of all
    /// lower layers that are read again, each time, for the content of files with new hard links.
    LayerBytes "layer-bytes" = 1 << 40;
    /// Uncompressed bytes of a layer for each byte read from its blob, checked after the first mebibyte, because a few
    /// blocks of zeros compress a thousandfold.
    ExpansionRatio "expansion-ratio" = Self::OFF;
    /// Bytes of file content that one image writes.
    ImageBytes "image-bytes" = 1 << 40;
    /// Bytes of one file.
    FileBytes "file-bytes" = 256 << 30;
    /// Bytes of holes that one image has read as zeros: in files whose content a caller or a sink reads, to hash it for
    /// example, and in sparse members of the archive of the image. Holes that are written as holes do not count.
    HoleBytes "hole-bytes" = 16 << 30;
    /// Bytes of one name as written in the archive.
    PathBytes "path-bytes" = 4_096;
    /// Components of one name.
    PathDepth "path-depth" = 2_048;
    /// Bytes of one extended header.
    ExtendedHeaderBytes "extended-header-bytes" = 1 << 20;
    /// Segments of data in one sparse file.
    SparseSegments "sparse-segments" = 500_000;
    /// Extended attributes of one entry.
    Xattrs "xattrs" = 128;
    /// Bytes of the names and values of one entry's extended attributes.
    XattrBytes "xattr-bytes" = 256 << 10;
    /// Symbolic links followed to find one place.
    LinkHops "link-hops" = 40;
    /// Symbolic links followed in one layer.
    LayerLinkHops "layer-link-hops" = 10_000_000;
    /// Components of the targets of symbolic links followed in one layer. They count each time that a link is followed.
    /// A target may have 2,048 components.
    LayerLinkSteps "layer-link-steps" = 100_000_000;
    /// Directories opened in one layer to resolve its names. The last 64 that were used do not count, so only long paths
    /// without common parents cost many. Each counts once more for every 16 levels below the root.
    LayerOpens "layer-opens" = 5_000_000;
    /// Steps to resolve all names of one image: 1 for each component of a link's target, 100 for each opened directory,
    /// and 300 for each directory that no entry lists.
    ImageSteps "image-steps" = 2_000_000_000;
    /// Paths in directories of lower layers that one layer adds or replaces. They are remembered for its whiteouts. Paths
    /// in a directory that the layer itself creates do not count.
    LayerPlaces "layer-places" = 2_500_000;
    /// Bytes of the names of devices and named pipes that are skipped in one image, and 64 more for each: hard links to
    /// them are skipped, too.
    SkippedBytes "skipped-bytes" = 16 << 20;
    /// Bytes of memory for the tree of an audit: 30 to 60 for each name, 10 to 30 more if the layer brings it to a
    /// directory of lower layers, and the targets of links. Above this limit the audit has a finding that every policy
    /// refuses, and continues without the tree. Unpacking has no such limit.
    AuditBytes "audit-bytes" = 56 << 20;
    /// Bytes of memory for a merged tree: up to 140 for each path that a layer brings, hidden ones included, and the bytes
    /// of its name, of the targets of links and of extended attributes. An EROFS image needs up to 36 more for each inode,
    /// and 60 for each different extended attribute. Layers as EROFS images need up to 60 more for each name of a layer,
    /// and the attributes of directories with a mark once more. While a layer is applied, up to 30 more for each path that
    /// it brings to a directory of lower layers.
    TreeBytes "tree-bytes" = 512 << 20;
    /// Layers of one image.
    Layers "layers" = 500;
    /// Bytes of an index, a manifest or a configuration.
    ManifestBytes "manifest-bytes" = 4 << 20;
    /// Values in an index, a manifest or a configuration: items of lists and members of objects, including unused ones.
    /// They are counted before the document is parsed.
    DocumentValues "document-values" = 200_000;
    /// Manifests and indexes that are read to select one manifest.
    Manifests "manifests" = 100_000;
    /// Nested indexes.
    IndexDepth "index-depth" = 4;
    /// Members of the archive of an image.
    ArchiveMembers "archive-members" = 100_000;
    /// Bytes of the names of the members of the archive of an image, of the targets of links, and of the maps of sparse
    /// members.
    ArchiveNameBytes "archive-name-bytes" = 16 << 20;
    /// Bytes of the archive of an image that is copied to a temporary file, because it is compressed or a stream. Also
    /// the sizes, holes included, of all sparse members of such an archive or of a plain one.
    ArchiveBytes "archive-bytes" = 1 << 40;
    /// Bytes of the window that a zstd frame needs.
    ZstdWindowBytes "zstd-window-bytes" = 128 << 20;
}
