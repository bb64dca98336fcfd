//! The rules: one table, two kinds.
//!
//! A *violation* is refused under every policy. A *quirk* has a verdict that policy sets. Everything that
//! speaks of rules (messages, policies, documentation, tests) reads this table.

use super::{DeviceKind, Digest, Escaped, Limit, Preset, Timestamp, UnknownWord};
use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::Arc;

/// What becomes of an archive that shows a quirk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It passes, and nothing is said.
    Pass,
    /// It passes, and the report has a note.
    Note,
    /// It is refused.
    Refuse,
}

impl Verdict {
    /// The word for it: `pass`, `note` or `refuse`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Note => "note",
            Self::Refuse => "refuse",
        }
    }
}

impl FromStr for Verdict {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Pass, Self::Note, Self::Refuse].into_iter().find(|verdict| verdict.word() == word).ok_or(UnknownWord)
    }
}

/// One row of the table of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The stable id, as messages and options write it.
    pub id: &'static str,
    /// What the rule says an archive has.
    pub sentence: &'static str,
    /// What a person can do about a refusal; empty where there is nothing to say.
    pub help: &'static str,
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
    ($decided:ident $(#[$doc:meta])* $kind:ident, $(#[$id_doc:meta])* $ids:ident { $(
        $id:literal $variant:ident $({ $($field:ident: $type:ty),+ })? $sentence:literal $(help $help:literal)? $(= $verdicts:expr)?;
    )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $kind {
            $(#[doc = concat!("`", $id, "`: ", $sentence, ".")] $variant $({ $(
                #[doc = concat!("The ", stringify!($field), " that the sentence speaks of.")] $field: $type
            ),+ })?,)*
        }

        $(#[$id_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $ids {
            $(#[doc = concat!("`", $id, "`: ", $sentence, ".")] $variant,)*
        }

        impl $ids {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The row of the table.
            pub fn row(self) -> Row {
                match self { $(Self::$variant => Row {
                    id: $id, sentence: $sentence, help: help!($decided $id $($help)?), verdicts: verdicts!($($verdicts)?),
                }),* }
            }
        }

        impl $kind {
            /// Which rule it is, without the data.
            pub fn rule(&self) -> $ids {
                match self { $(Self::$variant $({ $($field: _),+ })? => $ids::$variant),* }
            }

            /// The rule's stable id.
            pub fn id(&self) -> &'static str {
                self.rule().row().id
            }

            /// The data that the sentence speaks of, by their names.
            pub fn data(&self) -> Vec<(&'static str, String)> {
                match self { $(Self::$variant $({ $($field),+ })? => vec![$($((stringify!($field), $field.to_string())),+)?]),* }
            }
        }

        impl Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.rule().row().sentence)?;
                for (index, (name, value)) in self.data().into_iter().enumerate() {
                    write!(f, "{}{} {value}", if index == 0 { ": " } else { ", " }, name.replace('_', " "))?;
                }
                Ok(())
            }
        }

        impl std::error::Error for $kind {}
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

/// Where policy decides, a rule without words of its own can at least be allowed.
macro_rules! help {
    (always $id:literal) => {
        ""
    };
    (by_policy $id:literal) => {
        concat!("`--allow ", $id, "` lets it pass with a note")
    };
    ($decided:ident $id:literal $help:literal) => {
        $help
    };
}

/// Nothing odd: only who asks for it hears of it.
const PASSED: [Verdict; 3] = [Verdict::Pass; 3];
const REFUSED: [Verdict; 3] = [Verdict::Refuse; 3];
/// Known from real images.
const NOTED: [Verdict; 3] = [Verdict::Note, Verdict::Note, Verdict::Refuse];
/// Hostile or ambiguous, but other engines take it.
const COMPATIBLE: [Verdict; 3] = [Verdict::Refuse, Verdict::Note, Verdict::Refuse];

rules! {
    always
    /// What is refused under every policy.
    Violation,
    /// The name of a violation, for tables.
    ViolationRule {
        // Names.
        "name-climbs" NameClimbs "a name has a `..` component";
        "name-nul" NameNul "a name has a NUL byte in it";
        "name-empty" NameEmpty "a name is empty where one component is needed";
        "component-too-long" ComponentTooLong { bytes: usize } "a component of a name is longer than file systems take";
        "root-not-directory" RootNotDirectory "the root of the image is something other than a directory";
        "link-target-empty" LinkTargetEmpty "a symbolic link points at nothing";
        "link-target-too-long" LinkTargetTooLong { bytes: usize } "a symbolic link's target is longer than file systems take";
        "link-target-nul" LinkTargetNul "a symbolic link's target has a NUL byte in it";
        // Places.
        "parent-not-directory" ParentNotDirectory { parent: Escaped } "a name leads through something that is no directory";
        "link-loop" LinkLoop { hops: u64 } "a name leads through more symbolic links than the limit `link-hops` allows"
            help "`--limit link-hops=NUMBER` allows more, where they are no loop";
        "mount-crossed" MountCrossed { at: Escaped } "a name leads into another mount"
            help "unmount what is mounted below the root, or unpack into a directory of its own";
        "hard-link-missing" HardLinkMissing { target: Escaped } "a hard link's target is not in the image"
            help "a layer may need the ones below it: apply those first";
        "hard-link-to-directory" HardLinkToDirectory { target: Escaped } "a hard link's target is a directory";
        "hard-link-to-itself" HardLinkToItself { target: Escaped } "a hard link's target is the entry itself, and nothing is there";
        // Whiteouts.
        "whiteout-of-nothing" WhiteoutOfNothing "nothing that can be removed is named after `.wh.`";
        "whiteout-in-parent" WhiteoutInParent { component: Escaped } "a name has a `.wh.` component that is not its last";
        "whiteout-type" WhiteoutType "a whiteout is neither a regular file nor a hard link";
        "whiteout-with-content" WhiteoutWithContent { size: u64 } "a whiteout has content";
        // Types and numbers.
        "entry-type" EntryType { flag: Escaped } "an entry has a type that layers do not have";
        "not-a-tar" NotATar "this is no tar archive, and nothing that holds one"
            help "a layer is a tar archive, plain or compressed with gzip or zstd";
        "header-checksum" HeaderChecksum { stored: u64, computed: u64 } "a header's checksum does not fit";
        "number" Number { field: &'static str, value: Escaped } "a number is not one, or out of range";
        "device-number" DeviceNumber { kind: DeviceKind, major: u32, minor: u32 } "a device has a number that Linux cannot hold: major numbers end at 4095, minor numbers at 1048575"
            help "no policy decides on it: the kernel would make another device of it";
        // Extended headers.
        "pax-record" PaxRecord { record: Escaped } "a PAX record is malformed";
        "pax-value" PaxValue { key: Escaped, value: Escaped } "a PAX record has a value that its key does not take";
        "pax-padding" PaxPadding "bytes follow the last record of a PAX header";
        "xattr-name" XattrName { name: Escaped } "an extended attribute's name is empty or too long";
        "xattr-value" XattrValue { name: Escaped } "an extended attribute's value is malformed";
        "sparse" Sparse { format: &'static str } "a sparse file is described in a way that no writer has, and that not all readers read alike";
        "sparse-map" SparseMap { segment: usize } "a sparse file's data overlaps, is out of order, or ends elsewhere than the file";
        "sparse-size" SparseSize { stored: u64, mapped: u64 } "a sparse file has more or less data than its map says";
        // Ends and compression.
        "truncated" Truncated "the archive ends in the middle"
            help "the copy of the layer is incomplete; fetch it again";
        "lone-zero-block" LoneZeroBlock "one zero block stands in the middle of the archive, and readers differ on whether it ends there";
        "compression" Compression { format: &'static str } "the layer is compressed in a way that is not read"
            help "decompress it, or compress it with gzip or zstd";
        "two-formats" TwoFormats { format: &'static str } "the compressed layer begins with a tar header too, and readers differ on which of them it is";
        "compression-corrupt" CompressionCorrupt { format: &'static str } "the compressed layer is damaged"
            help "the copy of the layer is damaged; fetch it again";
        "data-after-compression" DataAfterCompression { format: &'static str } "data follows the compressed layer";
        // Digests and manifests.
        "digest-malformed" DigestMalformed { text: Escaped } "a digest is malformed, or of an unknown algorithm"
            help "sha256 and sha512 are read, in lower-case hexadecimal digits";
        "digest-mismatch" DigestMismatch { expected: Digest, got: Digest } "the bytes are not those that the digest names"
            help "the blob is damaged, or not the one that was meant; fetch it again";
        "size-mismatch" SizeMismatch { expected: u64, got: SizeSeen } "the blob's size is not the one that was stated"
            help "the blob is damaged, or not the one that was meant; fetch it again";
        "diff-id-mismatch" DiffIdMismatch { expected: Digest, got: Digest } "the uncompressed layer is not the one that the diff ID names"
            help "the image's configuration and its layers do not belong together";
        "blob-missing" BlobMissing { digest: Digest } "the image names a blob that it does not hold"
            help "the copy of the image is incomplete; fetch it again";
        "pinned-manifest-missing" PinnedManifestMissing { digest: Digest, found: String } "the image does not hold the manifest, or the configuration, that it is pinned to"
            help "it is not the image that was meant, or the digest is not of this one";
        "blob-not-regular" BlobNotRegular { name: Escaped } "a file of the image is not a regular file";
        "blob-outside" BlobOutside { name: Escaped, target: Escaped } "a file of the image is a symbolic link that leads out of the image"
            help "only files inside the image are opened: copy it with what its links point at (`cp -rL`, or `skopeo copy`)";
        "foreign-layer-missing" ForeignLayerMissing { digest: Digest, urls: String } "a foreign layer is not in the image: it is only to be had from its URLs"
            help "copies of the image do not have such a layer: download it, and put it beside the other blobs under its digest";
        "platform-missing" PlatformMissing { platform: String, found: String } "the image lists what fits this platform, and does not hold all of it"
            help "`--platform` chooses another platform; fetch the image for this one, or for all of them, to have it";
        "artifact" Artifact { kind: Escaped } "this is an artifact or an attestation, and no image"
            help "it has no file system: choose the image that it belongs to";
        "schema-1" Schema1 "a manifest is of Docker's schema 1, which is not read"
            help "Docker replaced it in 2016: `skopeo copy --format v2s2` converts the image";
        "not-an-image" NotAnImage { because: &'static str } "this is no image of a kind that is read";
        "member-missing" MemberMissing { name: Escaped } "the image names a file that its archive does not hold"
            help "the copy of the image is incomplete; fetch it again";
        "member-twice" MemberTwice { name: Escaped } "the archive of an image holds two different members of one name";
        "member-path" MemberPath { path: Escaped } "a name or a link in the archive of an image leads out of it";
        "archive-ambiguous" ArchiveAmbiguous { rule: &'static str, because: String } "the archive around an image is one that readers differ on"
            help "no policy decides on it: fetch the archive again, or have it written anew";
        "json" Json { problem: JsonProblem } "a document of the image is malformed";
        "media-type" MediaType { media_type: Escaped } "a media type is unknown, or not the one that belongs here";
        "layers-and-diff-ids" LayersAndDiffIds { layers: usize, diff_ids: usize } "the manifest and the configuration disagree on the layers";
        // Amounts.
        "limit" LimitExceeded { limit: Limit, most: u64, amount: u64 } "an amount is beyond its limit"
            help "`--limit NAME=AMOUNT` sets another, for images that are trusted with it";
    }
}

rules! {
    by_policy
    /// What is odd; policy decides whether it passes with a note.
    Quirk,
    /// The name of a quirk, by which a policy decides it.
    QuirkRule {
        "device-node" DeviceNode { kind: DeviceKind, major: u32, minor: u32 } "a device node"
            help "base images carry these; `--devices skip` leaves them out" = COMPATIBLE;
        "device-zero" DeviceZero "a character device is 0:0, which overlay file systems take for a whiteout"
            help "the storage of other engines holds these; `--devices skip` drops them, and no policy makes one" = COMPATIBLE;
        "fifo" Fifo "a named pipe"
            help "`--fifos skip` leaves them out" = PASSED;
        "setid" SetId { mode: Octal } "a setuid, setgid or sticky bit"
            help "base images have these; `--setid strip` leaves them off" = PASSED;
        "link-parent" LinkParent { target: Escaped } "a symbolic link is on the way"
            help "`--links follow` follows them inside the root" = PASSED;
        "link-climbs" LinkClimbs { target: Escaped } "a symbolic link on the way leads above the root"
            help "`--links clamp` stops at the root, as a chroot would" = COMPATIBLE;
        "whiteout-behind-own-link" WhiteoutBehindOwnLink "a whiteout lies behind something that its own layer put there: nothing is removed" = NOTED;
        "whiteout-of-own" WhiteoutOfOwn "a whiteout names what its own layer brings, which stays" = NOTED;
        "opaque-behind-own" OpaqueBehindOwn "an opaque marker is behind entries of its own layer, which stay" = PASSED;
        "aufs-bookkeeping" AufsBookkeeping "an AUFS bookkeeping entry is skipped" = NOTED;
        "aufs-pseudo-link" AufsPseudoLink "an AUFS pseudo-link holds the data of hard links, and is not itself in the image" = NOTED;
        "duplicate-path" DuplicatePath "a layer has a path twice: the later one stays" = NOTED;
        "directory-over-link" DirectoryOverLink { target: Escaped } "a directory replaces a symbolic link" = NOTED;
        "hard-link-repeated" HardLinkRepeated { target: Escaped } "a hard link's target is the entry itself: what is there stays as it is" = NOTED;
        "hard-link-metadata" HardLinkMetadata "a hard link's header differs from its target's, which counts" = NOTED;
        "hard-link-to-skipped" HardLinkToSkipped { target: Escaped } "a hard link to a device or pipe that was skipped is skipped too" = NOTED;
        "owner-to-caller" OwnerToCaller "owners fall to the caller" = NOTED;
        "owner-unmapped" OwnerUnmapped { kind: &'static str, id: u32 } "an owner is none that the map has, and 65534 stands for it"
            help "give a `--uid-map` and a `--gid-map` that have it, or `--allow owner-unmapped`" = PASSED;
        "setid-dropped" SetIdDropped { mode: Octal } "a setuid or setgid bit is left off, since the file has another owner now" = NOTED;
        "xattr-dropped" XattrDropped { name: Escaped } "an extended attribute is left out, which a layer may not set, or nobody wants" = NOTED;
        "acl-dropped" AclDropped { key: Escaped } "an access control list is left out, which layers do not have" = NOTED;
        "xattr-unsupported" XattrUnsupported { name: Escaped, error: String } "an extended attribute is left out, since the file system or our rights do not allow it"
            help "`--xattrs safe` lets it pass with a note" = NOTED;
        "time-clamped" TimeClamped { asked: Timestamp, kept: Timestamp } "a time is changed, since the file system cannot hold it"
            help "`--mtime clamp=SECONDS` makes late times earlier; `--allow time-clamped` lets it pass with a note" = NOTED;
        "contiguous-file" ContiguousFile "a file of type 7, which some readers refuse" = NOTED;
        "old-sparse-file" OldSparseFile "a sparse file of type S, which some readers refuse" = NOTED;
        "sparse-unaligned" SparseUnaligned { segment: usize } "a sparse file's run of data is no whole blocks, and GNU tar looks for the next run elsewhere than others" = COMPATIBLE;
        "foreign-magic" ForeignMagic { format: &'static str } "the archive begins with a name for which some readers take it for another format" = COMPATIBLE;
        "header-dialect" HeaderDialect { magic: Escaped } "a header is of no known dialect, and readers differ on its name, its device or what it is" = COMPATIBLE;
        "gnu-prefix" GnuPrefix "a header with GNU magic has a ustar prefix" = NOTED;
        "global-comment" GlobalComment { key: Escaped } "a global header without effect" = NOTED;
        "global-record" GlobalRecord { key: Escaped } "a global header would change entries, and readers differ on whether it does" = COMPATIBLE;
        "pax-key-alike" PaxKeyAlike { key: Escaped } "a PAX key stands twice with the same value" = NOTED;
        "pax-key-twice" PaxKeyTwice { key: Escaped } "a PAX key stands twice with two values" = COMPATIBLE;
        "pax-empty" PaxEmpty { key: Escaped } "a PAX owner, group or time is empty: the header's counts, which some readers take for zero" = NOTED;
        "pax-empty-name" PaxEmptyName { key: Escaped } "a PAX name or link target is empty, and readers differ on whether it counts" = COMPATIBLE;
        "pax-empty-size" PaxEmptySize "a PAX size is empty, and readers differ on whether it is zero" = COMPATIBLE;
        "pax-foreign-key" PaxForeignKey { key: Escaped } "a PAX key that only some readers know changes what the entry is for these" = COMPATIBLE;
        "pax-unknown-key" PaxUnknownKey { key: Escaped } "a PAX key that is not known has no effect" = NOTED;
        "size-without-data" SizeWithoutData { size: u64 } "an entry of a type that has no data has a size" = COMPATIBLE;
        "data-after-end" DataAfterEnd { at: u64 } "data follows the end of the archive" = COMPATIBLE;
        "unmarked-end" UnmarkedEnd { bytes: ArchiveBytes } "the archive has no end mark, and no digest shows that it is whole"
            help "give its digest (`--digest` or `--diff-id`), or `--allow unmarked-end`" = COMPATIBLE;
        "extended-header-twice" ExtendedHeaderTwice { kind: &'static str } "an entry has two extended headers of one kind" = COMPATIBLE;
        "extended-header-alone" ExtendedHeaderAlone "an extended header has no entry after it" = COMPATIBLE;
        "file-with-slash" FileWithSlash "the name of something that is no directory ends in a slash, and readers differ on what it is" = COMPATIBLE;
        "size-disagrees" SizeDisagrees { header: u64, pax: u64 } "an entry's two sizes disagree" = COMPATIBLE;
        "long-name-trailing" LongNameTrailing "bytes follow the end of a GNU long name" = COMPATIBLE;
        "path-disagrees" PathDisagrees { gnu: Escaped, pax: Escaped } "a GNU long name and a PAX record disagree" = COMPATIBLE;
        "ragged-end" RaggedEnd { bytes: u64 } "the archive's last block is cut short" = NOTED;
        "one-zero-block" OneZeroBlock "the archive ends with one zero block" = NOTED;
        "no-end-blocks" NoEndBlocks "the archive has no end mark; a digest shows that it is whole" = NOTED;
        "gzip-padding" GzipPadding "zero bytes follow the compressed layer" = NOTED;
        "lists-disagree" ListsDisagree { because: String } "`index.json` and `manifest.json` name two images, and readers differ on which of them they take"
            help "`--manifest-digest` says which is meant; `--allow lists-disagree` takes the one that containerd takes" = COMPATIBLE;
        "config-media-type" ConfigMediaType { media_type: Escaped } "a configuration has a media type that registries gave to those of Docker 1.10" = NOTED;
        "platform-unstated" PlatformUnstated { missing: &'static str } "a configuration does not state its whole platform: it is taken for any" = NOTED;
        "layout-unmarked" LayoutUnmarked "an image layout has no file `oci-layout`" = NOTED;
        "index-unversioned" IndexUnversioned "`index.json` states no `schemaVersion`" = NOTED;
        "compression-differs" CompressionDiffers { stated: &'static str, found: &'static str } "the layer is not compressed as its media type says" = NOTED;
    }
}

/// A mode, shown in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Octal(pub u32);

impl Display for Octal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// How long an archive is. Of one that has nothing in it, a message says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArchiveBytes(pub u64);

impl Display for ArchiveBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0 (it is empty)"),
            bytes => bytes.fmt(f),
        }
    }
}

/// How much of a blob was seen when its size was known to be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SizeSeen {
    /// It ended after so many bytes.
    Exactly(u64),
    /// It has more than was stated; reading stopped there.
    More,
}

impl Display for SizeSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(bytes) => write!(f, "{bytes}"),
            Self::More => f.write_str("more"),
        }
    }
}

/// What the JSON parser found.
#[derive(Debug, Clone)]
pub struct JsonProblem(pub Arc<dyn std::error::Error + Send + Sync>);

impl PartialEq for JsonProblem {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for JsonProblem {}

impl Display for JsonProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A rule that an archive broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Refused under every policy.
    Violation(Violation),
    /// Refused because the policy says so.
    Quirk(Quirk),
}

impl Rule {
    /// The rule's stable id.
    pub fn id(&self) -> &'static str {
        self.row().id
    }

    /// What a person can do about it.
    pub fn help(&self) -> Option<&'static str> {
        Some(self.row().help).filter(|help| !help.is_empty())
    }

    /// The data that the sentence speaks of, by their names.
    pub fn data(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Violation(violation) => violation.data(),
            Self::Quirk(quirk) => quirk.data(),
        }
    }

    /// The verdict of a preset: a violation is refused by all of them.
    pub fn verdict(&self, preset: Preset) -> Verdict {
        self.row().verdict(preset)
    }

    /// The rule's row.
    pub fn row(&self) -> Row {
        match self {
            Self::Violation(violation) => violation.rule().row(),
            Self::Quirk(quirk) => quirk.rule().row(),
        }
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::Quirk(quirk) => quirk.fmt(f),
        }
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
    fn every_quirk_says_what_lets_it_pass() {
        for row in QuirkRule::ALL.iter().map(|rule| rule.row()) {
            assert!(row.help.contains("--"), "{}: {}", row.id, row.help);
        }
        assert_eq!(QuirkRule::RaggedEnd.row().help, "`--allow ragged-end` lets it pass with a note");
    }

    #[test]
    fn a_message_has_the_sentence_and_the_data() {
        let quirk = Quirk::DeviceNode { kind: DeviceKind::Character, major: 5, minor: 1 };
        assert_eq!(quirk.to_string(), "a device node: kind character, major 5, minor 1");
    }
}
