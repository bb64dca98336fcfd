//! The rules: one table, two kinds.
//!
//! A *violation* is refused under every policy. A *quirk* has a verdict that policy sets. Everything that
//! speaks of rules (messages, policies, documentation, tests) reads this table.

use super::rule_data::{ArchiveBytes, Because, Datum, FoundInstead, JsonProblem, Octal, SizeSeen};
use super::{DeviceKind, Digest, Escaped, FileKind, Limit, Preset, Timestamp, UnsupportedType, Verdict, named};
use std::fmt::{self, Display};

/// One row of the table of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The stable id, as messages and options write it.
    pub id: &'static str,
    /// What the rule says an archive has.
    pub sentence: &'static str,
    /// What a note says instead of the sentence. `None` if the sentence also fits a note: it says what was done, or
    /// nothing was changed.
    pub noted: Option<&'static str>,
    /// What the user can do about a refusal outside of this library. `None` if there is nothing beside the
    /// [remedies](crate::error::Remedy).
    pub advice: Option<&'static str>,
    /// The verdicts of the presets `default`, `compatible` and `paranoid`.
    pub verdicts: [Verdict; 3],
}

impl Row {
    /// The verdict of one preset.
    pub fn verdict(&self, preset: Preset) -> Verdict {
        let [default, compatible, paranoid] = self.verdicts;
        match preset {
            Preset::Default => default,
            Preset::Compatible => compatible,
            Preset::Paranoid => paranoid,
        }
    }
}

macro_rules! rules {
    ($what:literal $(#[$doc:meta])* $kind:ident, $(#[$id_doc:meta])* $ids:ident { $(
        $id:literal $variant:ident $({ $($field:ident: $type:ty),+ })? $sentence:literal $(noted $noted:literal)? $(advice $advice:literal)? $(= $verdicts:expr)?;
    )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $kind {
            $(#[doc = concat!("`", $id, "`: ", $sentence, ".")] $variant $({ $(
                #[doc = field!($field)] $field: $type
            ),+ })?,)*
        }

        $(#[$id_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $ids {
            $(#[doc = concat!("`", $id, "`: ", $sentence, ".")] $variant,)*
        }

        impl $ids {
            /// All rules of this kind, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable id, as messages and options write it.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id),* }
            }

            /// The row of the table.
            pub fn row(self) -> Row {
                match self { $(Self::$variant => Row {
                    id: $id, sentence: $sentence, noted: optional!($($noted)?), advice: optional!($($advice)?),
                    verdicts: verdicts!($($verdicts)?),
                }),* }
            }
        }

        named!($ids, $what, id, [$($id),*]);

        impl $kind {
            /// Which rule it is, without the data.
            pub fn rule(&self) -> $ids {
                match self { $(Self::$variant $({ $($field: _),+ })? => $ids::$variant),* }
            }

            /// The rule's stable id.
            pub fn id(&self) -> &'static str {
                self.rule().id()
            }

            /// The data that the sentence speaks of, by their names. Names from the archive are escaped.
            pub fn data(&self) -> Vec<(&'static str, String)> {
                self.named_data().into_iter().map(|(name, datum)| (name, datum.datum())).collect()
            }

            /// The data by their names.
            pub(super) fn named_data(&self) -> Vec<(&'static str, &dyn Datum)> {
                match self { $(Self::$variant $({ $($field),+ })? => vec![$($((stringify!($field), $field as &dyn Datum)),+)?]),* }
            }

            /// The same as a message shows it: names are between quotes.
            fn shown(&self) -> Vec<(&'static str, String)> {
                self.named_data().into_iter().map(|(name, datum)| (name, datum.to_string())).collect()
            }
        }

        impl Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_with_data(f, self.rule().row().sentence, self.shown())
            }
        }

        impl std::error::Error for $kind {}
    };
}

/// What a field holds. A field of a new name needs a row here.
macro_rules! field {
    (member) => {
        "The name of the member."
    };
    (amount) => {
        "The amount that was seen."
    };
    (asked) => {
        "The time in the archive."
    };
    (at) => {
        "Where: an offset in bytes, or a name."
    };
    (because) => {
        "The reason."
    };
    (bytes) => {
        "The length in bytes."
    };
    (component) => {
        "The component."
    };
    (computed) => {
        "The value that the bytes give."
    };
    (diff_ids) => {
        "The number of diff IDs in the configuration."
    };
    (digest) => {
        "The digest of the document or layer."
    };
    (directory) => {
        "The directory that holds the image."
    };
    (error) => {
        "The error of the system."
    };
    (expected) => {
        "The value that was expected."
    };
    (field) => {
        "The name of the header field."
    };
    (flag) => {
        "The type flag."
    };
    (format) => {
        "The name of the format."
    };
    (found) => {
        "What was found instead."
    };
    (gnu) => {
        "The value of the GNU long name."
    };
    (got) => {
        "The value that was computed or counted."
    };
    (header) => {
        "The value in the header."
    };
    (hops) => {
        "The number of links that were followed."
    };
    (id) => {
        "The id in the layer."
    };
    (kept) => {
        "The time that is kept."
    };
    (key) => {
        "The key of the record."
    };
    (kind) => {
        "The kind."
    };
    (layers) => {
        "The number of layers in the manifest."
    };
    (limit) => {
        "The limit."
    };
    (magic) => {
        "The magic of the header."
    };
    (major) => {
        "The major number."
    };
    (mapped) => {
        "The number of bytes that the map has."
    };
    (meaning) => {
        "The meaning of the type flag."
    };
    (media_type) => {
        "The media type."
    };
    (minor) => {
        "The minor number."
    };
    (missing) => {
        "The part of the platform that is missing."
    };
    (mode) => {
        "The mode."
    };
    (most) => {
        "The largest amount that is allowed."
    };
    (name) => {
        "The name, escaped."
    };
    (parent) => {
        "The path of the parent."
    };
    (path) => {
        "The path."
    };
    (pax) => {
        "The value in the PAX header."
    };
    (platform) => {
        "The platform."
    };
    (problem) => {
        "The problem that the parser found."
    };
    (record) => {
        "The record as it is written."
    };
    (rule) => {
        "The id of the rule that is broken inside the archive."
    };
    (segment) => {
        "The number of the segment, from 1."
    };
    (size) => {
        "The size in bytes."
    };
    (stated) => {
        "What the media type states."
    };
    (stored) => {
        "The value that the archive states."
    };
    (target) => {
        "The target of the link."
    };
    (text) => {
        "The text that is not a digest."
    };
    (time) => {
        "The time as it is written."
    };
    (urls) => {
        "The URLs of the layer."
    };
    (value) => {
        "The value as it is written."
    };
}

macro_rules! verdicts {
    () => {
        REFUSED
    };
    ($verdicts:expr) => {
        $verdicts
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

/// Writes a sentence and the data that it speaks of.
fn write_with_data(f: &mut fmt::Formatter<'_>, sentence: &str, data: Vec<(&str, String)>) -> fmt::Result {
    f.write_str(sentence)?;
    for (index, (name, value)) in data.into_iter().enumerate() {
        // A reason is part of the sentence.
        let before = if index == 0 && name != "because" { ": " } else { ", " };
        write!(f, "{before}{} {value}", name.replace('_', " "))?;
    }
    Ok(())
}

/// Ordinary: it passes unless the policy asks for a note or a refusal.
const PASSED: [Verdict; 3] = [Verdict::Pass; 3];
const REFUSED: [Verdict; 3] = [Verdict::Refuse; 3];
/// Known from real images.
const NOTED: [Verdict; 3] = [Verdict::Note, Verdict::Note, Verdict::Refuse];
/// Hostile or ambiguous, but other engines accept it.
const COMPATIBLE: [Verdict; 3] = [Verdict::Refuse, Verdict::Note, Verdict::Refuse];

rules! {
    "a violation"
    /// What is refused under every policy.
    Violation,
    /// The name of a violation, for tables.
    ViolationRule {
        // Names.
        "name-climbs" NameClimbs "a name has a `..` component";
        "name-nul" NameNul "a name contains a NUL byte";
        "name-empty" NameEmpty "a name is empty, or is the root, where a file name is needed";
        "component-too-long" ComponentTooLong { bytes: usize } "a component of a name is longer than 255 bytes";
        "root-not-directory" RootNotDirectory "the root of the image is not a directory";
        "link-target-empty" LinkTargetEmpty "a link has an empty target";
        "link-target-too-long" LinkTargetTooLong { bytes: usize } "the target of a symbolic link is longer than 4,095 bytes";
        "link-target-nul" LinkTargetNul "the target of a link contains a NUL byte";
        "hard-link-target" HardLinkTarget { target: Escaped, because: &'static str } "the target of a hard link is not a valid name";
        // Places.
        "parent-not-directory" ParentNotDirectory { parent: Escaped } "a parent of the name is not a directory";
        "link-loop" LinkLoop { hops: u64 } "a name leads through more symbolic links than the limit `link-hops` allows"
            advice "raise the limit if the links do not form a loop";
        "mount-crossed" MountCrossed { at: Escaped } "a name leads into another mount"
            advice "unmount what is mounted below the root, or unpack into a directory of its own";
        "hard-link-missing" HardLinkMissing { target: Escaped } "the target of a hard link does not exist in the image"
            advice "the target may be in a lower layer: apply the lower layers first";
        "hard-link-to-directory" HardLinkToDirectory { target: Escaped } "the target of a hard link is a directory";
        "hard-link-to-itself" HardLinkToItself { target: Escaped } "the target of a hard link is the entry itself, which does not exist yet";
        // Whiteouts.
        "whiteout-of-nothing" WhiteoutOfNothing "a whiteout names nothing: `.wh.` is followed by the end of the name, `.` or `..`";
        "whiteout-in-parent" WhiteoutInParent { component: Escaped } "a component before the last one begins with `.wh.`";
        "whiteout-type" WhiteoutType "a whiteout is neither a regular file nor a hard link";
        "whiteout-with-content" WhiteoutWithContent { size: u64 } "a whiteout has content";
        // Types and numbers.
        "entry-type" EntryType { flag: Escaped, meaning: UnsupportedType } "an entry has a type that layers do not support";
        "not-a-tar" NotATar { found: FileKind } "not a tar archive or a supported compressed tar"
            advice "layers and image archives are tar archives, plain or compressed with gzip or zstd";
        "header-checksum" HeaderChecksum { stored: u64, computed: u64 } "the checksum of a header is wrong";
        "number" Number { field: &'static str, value: Escaped } "a numeric header field is malformed or out of range";
        "device-number" DeviceNumber { kind: DeviceKind, major: u32, minor: u32 } "a device number is out of range: on Linux, major numbers end at 4095 and minor numbers at 1048575"
            advice "no policy allows it: the kernel would create another device";
        // Extended headers.
        "pax-record" PaxRecord { record: Escaped } "a PAX record is malformed";
        "pax-value" PaxValue { key: Escaped, value: Escaped } "a PAX record has a value that its key does not allow";
        "pax-padding" PaxPadding "bytes follow the last record of a PAX header";
        "xattr-name" XattrName { name: Escaped } "the name of an extended attribute is empty or too long";
        "xattr-value" XattrValue { name: Escaped } "the value of an extended attribute is malformed";
        "sparse" Sparse { format: &'static str } "sparse metadata is inconsistent or non-standard";
        "sparse-map" SparseMap { segment: usize } "a sparse map overlaps, is out of order, or does not end where the file ends";
        "sparse-size" SparseSize { stored: u64, mapped: u64 } "a sparse file has more or less data than its map says";
        // Ends and compression.
        "truncated" Truncated "the archive is truncated"
            advice "the copy is incomplete: fetch it again";
        "lone-zero-block" LoneZeroBlock "one zero block stands in the middle of the archive, and readers differ on whether the archive ends there";
        "compression" Compression { format: Because } "unsupported compression"
            advice "decompress it, or compress it with gzip or zstd";
        "two-formats" TwoFormats { format: &'static str } "the compressed data also begins with a valid tar header, and readers differ on which format it is";
        "compression-corrupt" CompressionCorrupt { format: &'static str } "the compressed data is damaged"
            advice "the copy is damaged: fetch it again";
        "data-after-compression" DataAfterCompression { format: &'static str } "data follows the end of the compressed data";
        // Digests and manifests.
        "digest-malformed" DigestMalformed { text: Escaped } "a digest is malformed or has an unknown algorithm"
            advice "supported are sha256 and sha512, in lower-case hexadecimal digits";
        "digest-mismatch" DigestMismatch { expected: Box<Digest>, got: Box<Digest> } "the digest of the data is not the expected digest"
            advice "the blob is damaged, or it is another blob: fetch it again";
        "size-mismatch" SizeMismatch { expected: u64, got: SizeSeen } "the size of the blob is not the expected size"
            advice "the blob is damaged, or it is another blob: fetch it again";
        "diff-id-mismatch" DiffIdMismatch { expected: Box<Digest>, got: Box<Digest> } "the digest of the uncompressed layer is not the expected diff ID"
            advice "the configuration of the image and its layers do not belong together: fetch the image again";
        "blob-missing" BlobMissing { digest: Digest } "the image names a blob that is missing"
            advice "the copy of the image is incomplete: fetch it again";
        "pinned-manifest-missing" PinnedManifestMissing { digest: Digest, found: FoundInstead } "the image does not hold the manifest or configuration that was asked for"
            advice "check the digest, or fetch the image that it names";
        "blob-not-regular" BlobNotRegular { name: Escaped } "a file of the image is not a regular file";
        "blob-outside" BlobOutside { name: Escaped, target: Escaped } "a file of the image is a symbolic link that leads out of the image"
            advice "only files inside the image are opened: copy the image with the targets of its links (`cp -rL`, or `skopeo copy`)";
        "foreign-layer-missing" ForeignLayerMissing { digest: Digest, urls: String } "a foreign layer is not part of the image and must be fetched from its URLs"
            advice "copies of an image usually lack such layers: download it, and store it beside the other blobs under its digest";
        "platform-missing" PlatformMissing { platform: String, found: String } "the image lists this platform but does not hold all of its blobs"
            advice "fetch the image again for this platform, or for all platforms";
        "artifact" Artifact { kind: Escaped } "an artifact or an attestation, not a container image"
            advice "it has no file system: choose the image that it belongs to";
        "schema-1" Schema1 "a manifest in the unsupported Docker schema 1"
            advice "Docker replaced it in 2016: `skopeo copy --format v2s2` converts the image";
        "not-an-image" NotAnImage { because: Because } "not an image in a supported form"
            advice "an image is an OCI layout, an archive of `docker save` or `podman save`, or a `dir:` of skopeo";
        "image-in-directory" ImageInDirectory { directory: Escaped } "the image is not at the top of the archive but in a directory"
            advice "pack the content of the directory: `tar -C DIR -cf FILE .`";
        "member-missing" MemberMissing { name: Escaped } "the image names a file that is missing from its archive"
            advice "the copy of the image is incomplete: fetch it again";
        "member-twice" MemberTwice { name: Escaped } "the archive of an image holds two different members with the same name";
        "member-path" MemberPath { path: Escaped } "a name or a link in the archive of an image leads out of it"
            advice "do not trust the archive; if you packed it yourself, pack it again with relative links that stay inside";
        "member-link-missing" MemberLinkMissing { member: Escaped, target: Escaped } "a hard link in the archive of an image has no target in front of it"
            advice "the target must be an earlier member of the same archive: pack the archive again";
        "archive-ambiguous" ArchiveAmbiguous { rule: &'static str, because: String } "readers differ on what the archive around the image holds"
            advice "no policy allows it: fetch the archive again, or write it again with another tool";
        "json" Json { problem: JsonProblem } "a document of the image is malformed";
        "media-type" MediaType { media_type: Escaped } "a media type is unknown or not allowed here";
        "layers-and-diff-ids" LayersAndDiffIds { layers: usize, diff_ids: usize } "the manifest and the configuration disagree on the layers";
        // Outputs.
        "unwritable" Unwritable { because: &'static str } "an entry cannot be written to a tar archive so that all readers read it alike"
            advice "a directory can hold it: unpack it instead, or leave this path out";
        // Amounts.
        "limit" LimitExceeded { limit: Limit, most: u64, amount: u64 } "an amount exceeds its limit"
            advice "raise the limit for an image that you trust";
    }
}

rules! {
    "a quirk"
    /// A quirk; policy decides whether it passes, passes with a note, or is refused.
    Quirk,
    /// The name of a quirk, by which a policy decides it.
    QuirkRule {
        "device-node" DeviceNode { kind: DeviceKind, major: u32, minor: u32 } "a device node" noted "a device node is dropped"
            advice "base images have these" = COMPATIBLE;
        "device-zero" DeviceZero "a character device has the number 0:0, which overlay file systems use for whiteouts"
            noted "a character device is dropped, because it has the number 0:0, which overlay file systems use for whiteouts"
            advice "images that contain the storage of another engine have these, and no policy creates them" = COMPATIBLE;
        "fifo" Fifo "a named pipe" noted "a named pipe is dropped" = PASSED;
        "setid" SetId { mode: Octal } "a setuid, setgid or sticky bit" noted "the setuid, setgid and sticky bits are dropped"
            advice "base images have these" = PASSED;
        "link-parent" LinkParent { target: Escaped } "a parent of the name is a symbolic link" = PASSED;
        "link-climbs" LinkClimbs { target: Escaped } "a parent of the name is a symbolic link that leads above the root"
            noted "a parent of the name is a symbolic link that leads above the root: it is followed to the root" = COMPATIBLE;
        "whiteout-behind-own-link" WhiteoutBehindOwnLink "the parent of a whiteout is a link or a file of the same layer: nothing is removed" = NOTED;
        "whiteout-of-own" WhiteoutOfOwn "a whiteout names a path of its own layer: entries of this layer stay, because a whiteout applies to lower layers only" = NOTED;
        "opaque-behind-own" OpaqueBehindOwn "an opaque marker follows entries of its own layer, which stay" = PASSED;
        "aufs-bookkeeping" AufsBookkeeping "an AUFS bookkeeping entry is dropped" = NOTED;
        "aufs-pseudo-link" AufsPseudoLink "an AUFS pseudo-link holds the data of hard links and is not part of the image" = NOTED;
        "duplicate-path" DuplicatePath "a path occurs twice in one layer: the later entry counts" = NOTED;
        "directory-over-link" DirectoryOverLink { target: Escaped } "a directory replaces a symbolic link" = NOTED;
        "hard-link-repeated" HardLinkRepeated { target: Escaped } "the target of a hard link is the entry itself: the existing file stays as it is" = NOTED;
        "hard-link-metadata" HardLinkMetadata "a hard link has another mode or owner than its target: those of the target count" = NOTED;
        "hard-link-to-skipped" HardLinkToSkipped { target: Escaped } "a hard link to a dropped device or pipe is dropped too" = NOTED;
        "hard-link-copied" HardLinkCopied { target: Escaped } "the target of a hard link is in a lower layer of an overlay: it is copied to the layer" = NOTED;
        "owner-to-caller" OwnerToCaller "the caller becomes the owner" = NOTED;
        "owner-unmapped" OwnerUnmapped { kind: &'static str, id: u32 } "an id is not in the id map: 65534 (nobody) is used" = PASSED;
        "setid-dropped" SetIdDropped { mode: Octal } "a setuid or setgid bit is dropped, because the owner, the group or the privileges do not allow it" = NOTED;
        "xattr-dropped" XattrDropped { name: Escaped } "an extended attribute is dropped: its name is reserved, or the policy disables it" = NOTED;
        "xattr-name-escaped" XattrNameEscaped { name: Escaped } "the name of an extended attribute contains `%3D` or `%25`, and readers differ on whether these are `=` and `%`" = COMPATIBLE;
        "acl-dropped" AclDropped { key: Escaped } "an access control list in text form is dropped, which container engines ignore, too" = NOTED;
        "xattr-unsupported" XattrUnsupported { name: Escaped, error: String } "an extended attribute is dropped: the file system or the privileges do not allow it" = NOTED;
        "time-clamped" TimeClamped { asked: Timestamp, kept: Timestamp } "a time is changed, because the file system cannot store it" = NOTED;
        "contiguous-file" ContiguousFile "a file of type 7, which some readers refuse" = NOTED;
        "old-sparse-file" OldSparseFile "a sparse file of type S, which some readers refuse" = NOTED;
        "sparse-unaligned" SparseUnaligned { segment: usize } "a sparse segment is not a multiple of 512 bytes, and GNU tar looks for the next one at another offset" = COMPATIBLE;
        "foreign-magic" ForeignMagic { format: &'static str } "the archive begins like another format, and some readers take it for that format" = COMPATIBLE;
        "header-dialect" HeaderDialect { magic: Escaped } "a header has an unknown magic, and readers differ on its name, device or type" = COMPATIBLE;
        "gnu-prefix" GnuPrefix "a header with GNU magic has a ustar prefix, which counts" = NOTED;
        "gnu-times" GnuTimes "a header with GNU magic has times where ustar has a name prefix, and some readers take them for a prefix" = NOTED;
        "time-sign" TimeSign "a time has a minus sign after zeros, and readers differ on whether it is zero or malformed" = COMPATIBLE;
        "global-comment" GlobalComment { key: Escaped } "a global header without effect" = NOTED;
        "global-record" GlobalRecord { key: Escaped } "a global header would change entries, and readers differ on whether it does" = COMPATIBLE;
        "pax-key-alike" PaxKeyAlike { key: Escaped } "a PAX key occurs twice with the same value" = NOTED;
        "pax-key-twice" PaxKeyTwice { key: Escaped } "a PAX key occurs twice with different values" = COMPATIBLE;
        "pax-empty" PaxEmpty { key: Escaped } "a PAX owner, group or time is empty: the value of the header counts, but some readers use zero" = NOTED;
        "negative-fraction" NegativeFraction { time: Escaped } "a time before 1970 has a fraction, and some readers add it instead of subtracting it" = NOTED;
        "pax-empty-name" PaxEmptyName { key: Escaped } "a PAX name or link target is empty, and readers differ on whether it counts" = COMPATIBLE;
        "pax-empty-size" PaxEmptySize "a PAX size is empty, and readers differ on whether it is zero" = COMPATIBLE;
        "pax-foreign-key" PaxForeignKey { key: Escaped } "a PAX key that only some readers know changes the entry for these readers" = COMPATIBLE;
        "pax-unknown-key" PaxUnknownKey { key: Escaped } "an unknown PAX key has no effect" = NOTED;
        "size-without-data" SizeWithoutData { size: u64 } "an entry has a size, though its type has no data" = COMPATIBLE;
        "data-after-end" DataAfterEnd { at: u64 } "data follows the end of the archive" = COMPATIBLE;
        "unmarked-end" UnmarkedEnd { bytes: ArchiveBytes } "the archive has no end mark, and no digest shows that it is complete" = COMPATIBLE;
        "extended-header-twice" ExtendedHeaderTwice { kind: &'static str } "an entry has two extended headers of one kind" = COMPATIBLE;
        "extended-header-alone" ExtendedHeaderAlone "an extended header has no entry after it" = COMPATIBLE;
        "file-with-slash" FileWithSlash "the name or the hard link target of a non-directory ends in a slash or `/.`, and readers differ on its type" = COMPATIBLE;
        "size-disagrees" SizeDisagrees { header: u64, pax: u64 } "the header and a PAX record of an entry state different sizes" = COMPATIBLE;
        "long-name-trailing" LongNameTrailing "bytes follow the end of a GNU long name" = COMPATIBLE;
        "path-disagrees" PathDisagrees { gnu: Escaped, pax: Escaped } "a GNU long name and a PAX record state different names" = COMPATIBLE;
        "ragged-end" RaggedEnd { bytes: u64 } "the last block of the archive is incomplete" = NOTED;
        "one-zero-block" OneZeroBlock "the archive ends with one zero block" = NOTED;
        "no-padding" NoPadding "the archive ends right after the data of its last file, without padding or end mark; a digest shows that it is complete" = NOTED;
        "estargz-index" EstargzIndex "the index of an eStargz layer follows the end of the archive and is not part of the layer" = NOTED;
        "no-end-blocks" NoEndBlocks "the archive has no end mark; a digest shows that it is complete" = NOTED;
        "gzip-padding" GzipPadding "zeros follow the compressed data" = NOTED;
        "lists-disagree" ListsDisagree { because: String } "`index.json` and `manifest.json` name different images, and readers differ on which of them they use" = COMPATIBLE;
        "config-media-type" ConfigMediaType { media_type: Escaped } "a configuration has a media type that registries used for Docker 1.10" = NOTED;
        "platform-unstated" PlatformUnstated { missing: &'static str } "a configuration lacks `os` or `architecture`: it matches any platform" = NOTED;
        "layout-unmarked" LayoutUnmarked "an image layout has no file `oci-layout`" = NOTED;
        "index-unversioned" IndexUnversioned "`index.json` states no `schemaVersion`" = NOTED;
        "compression-differs" CompressionDiffers { stated: &'static str, found: &'static str } "the compression is not what the media type states" = NOTED;
    }
}

impl Quirk {
    /// What a note says of the quirk: the sentence, or what was done, and the data.
    pub(super) fn noted(&self) -> impl Display {
        struct Noted<'q>(&'q Quirk);
        impl Display for Noted<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let row = self.0.rule().row();
                write_with_data(f, row.noted.unwrap_or(row.sentence), self.0.shown())
            }
        }
        Noted(self)
    }
}

impl Violation {
    /// Parses a digest that an archive contains.
    #[cfg(feature = "image")]
    pub(crate) fn parse_digest(text: &str) -> Result<Digest, Self> {
        text.parse().map_err(|_| Self::DigestMalformed { text: Escaped::new(text.as_bytes()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_readable() {
        let violations = ViolationRule::ALL.iter().map(|rule| rule.row());
        let rows: Vec<_> = violations.chain(QuirkRule::ALL.iter().map(|rule| rule.row())).collect();
        let ids: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), rows.len());
        assert!(
            ids.iter()
                .all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'))
        );
    }

    #[test]
    fn paranoid_refuses_every_quirk_and_nothing_is_stricter_under_compatible() {
        for row in QuirkRule::ALL.iter().map(|rule| rule.row()) {
            let [default, compatible, paranoid] = row.verdicts;
            assert!(paranoid == Verdict::Refuse || row.verdicts == PASSED, "{}", row.id);
            assert!(default == Verdict::Refuse || compatible == default, "{}", row.id);
        }
    }

    #[test]
    fn a_message_has_the_sentence_and_the_data() {
        let quirk = Quirk::DeviceNode { kind: DeviceKind::Character, major: 5, minor: 1 };
        assert_eq!(quirk.to_string(), "a device node: kind character, major 5, minor 1");
    }
}
