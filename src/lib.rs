//! layercage unpacks container image layers safely. It applies layer tarballs and their whiteouts as a stream, and
//! nothing in an image can leave the directory that it unpacks into.
//!
//! - [`Image`] reads an image in any of its forms on disk: an OCI image layout (a directory or an archive), an archive
//!   of `docker save`, or skopeo's `dir:`. [`Selected::unpack_into`] unpacks it, all or nothing. Module [`image`] has
//!   the documents of an image, and [`What`](image::What), which distinguishes the archive of an image from a layer.
//! - [`Unpacker::session`] applies one [`Layer`] after another, or a whole image, to a [`Sink`]: a [`Rootfs`] over an
//!   existing directory, a [`Staged`] tree that becomes visible as a whole, or a sink of your own. Module [`sink`] has
//!   more sinks.
//! - [`Policy`] decides how quirks are handled, and [`Limits`] bounds amounts. Modules [`policy`] and [`rules`] have
//!   their parts.
//! - [`Selected::unpack_overlay`] unpacks an image as layers for overlayfs, in a store that keeps each layer once.
//!   [`Staged::overlay`] does so with layers that arrive one after another, and [`Overlay`](overlay::Overlay) applies a
//!   single layer to an upper directory over lower ones.
//! - [`MergedTree`] is the final file system of an image, in memory. Nothing is written. Module [`merged`] has its
//!   parts.
//! - [`Session::write_erofs`] and [`Selected::write_erofs`] write the final file system as one EROFS image, which Linux mounts.
//!   [`erofs::Writer`] writes EROFS images of anything.
//! - [`Audit`](audit::Audit) reads everything, writes nothing, and reports each finding.
//! - [`LayerStream`](blob::LayerStream) and [`TarReader`](tar::TarReader) are the strict readers; both can be used alone.
//! - [`Sandbox`](sandbox::Sandbox) (feature `sandbox`) restricts a thread to the system calls and privileges that
//!   unpacking needs.
//!
//! The root holds the types that most programs use; the other types are in the modules.
//!
//! # Features
//!
//! - `gzip`, `zstd` (default): read layers of that compression. A layer of a compression that is turned off is refused
//!   with the name of the feature.
//! - `unpack` (default, Linux only): everything that writes, and audits.
//! - `image` (default, needs `unpack`): whole images.
//! - `sandbox` (needs `unpack`): see above.
//! - `serde`: policies, limits, reports and errors as data.
//!
//! With `default-features = false`, and `gzip` or `zstd` if needed, the strict readers remain: modules [`blob`] and
//! [`tar`], with [`Change::of`](tar::Change::of), which recognises whiteouts. They depend on neither rustix nor cap-std,
//! and build on every platform.
//!
//! [`manual`] has further pages: known attacks and their tests, the rules, migration from other libraries, async code.
//!
//! Readers are plain [`std::io::Read`]. The caller gives the authority over the file system as a directory handle, such as
//! a `cap_std::fs::Dir`. Only [`Image::open_ambient`],
//! `open_ambient_within` and [`Selected::unpack_to`] open paths of the machine, and they ask for that authority.
#![forbid(unsafe_code)]
// The library proper is held to it in the build that users make.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code"))]

#[cfg(all(feature = "unpack", not(target_os = "linux")))]
compile_error!("the feature `unpack` needs Linux; the readers build on every platform with `default-features = false`");

#[cfg(feature = "unpack")]
mod cage;
#[cfg(feature = "unpack")]
pub mod erofs;
#[cfg(feature = "image")]
pub mod image;
pub mod manual;
#[cfg(feature = "unpack")]
mod output;
mod plan;
mod read;
#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(feature = "unpack")]
mod tree;
#[cfg(feature = "unpack")]
mod unpack;
#[cfg_attr(
    not(feature = "unpack"),
    allow(dead_code, unused_imports, unreachable_pub, reason = "the missing modules use the rest")
)]
mod words;

/// The parts of a policy: its choices, and a verdict for each quirk.
pub mod policy {
    pub use crate::words::{
        BadIdMap, Devices, Durability, Fifos, IdMap, IdRange, Links, Mtime, OwnerMap, Owners, OwnersKind, Ownership,
        Policy, Preset, SelinuxLabel, SetId, Terms, Verdict, Xattrs,
    };
}

/// The rules and limits: violations, which every policy refuses; quirks, which a policy may note or refuse; and limits.
pub mod rules {
    pub use crate::words::{
        ArchiveBytes, Because, FoundInstead, JsonProblem, Limit, Limits, Note, Octal, Quirk, QuirkRule, Report, Row,
        Rule, SizeSeen, UnsupportedType, Violation, ViolationRule,
    };
}

/// The parts of an [`Error`]: its kind, position, blame and remedies.
pub mod error {
    pub use crate::words::{
        Blame, Effect, Error, ErrorKind, Escaped, LayerPosition, Misuse, Occupant, Position, Remedy, SelectBy,
        SystemError, UnknownWord,
    };
}

/// Blobs of layers: their sizes and digests, their compression, and the verified stream of their uncompressed bytes.
pub mod blob {
    pub use crate::read::{Blob, Checked, Expected, Format, LayerStream, Verified};
    pub use crate::words::{Algorithm, Digest};
}

/// The strict reader of tar archives, its entries, and the changes that the entries mean.
pub mod tar {
    pub use crate::read::{EndMark, TarReader};
    pub use crate::words::{
        Change, ChangeKind, Component, Device, DeviceKind, Entry, EntryKind, EntryPath, FileKind, LinkTarget, Metadata,
        Segment, Skippable, Source, SparseMap, TimeOutOfRange, Timestamp, Xattr,
    };
}

/// Sinks, which receive the changes of layers: a directory, a tar archive, a sink of your own, two sinks at once, or a
/// sink for a part of the paths.
#[cfg(feature = "unpack")]
pub mod sink {
    pub use crate::output::{Data, Filter, LayerContext, Piece, Rootfs, Sink, SinkError, TarSink, Tee, Visibility};
    pub use crate::plan::{Judged, Reporter};
    pub use crate::unpack::StagedFile;
}

/// Layers of an overlay: directories that overlayfs mounts over each other.
#[cfg(feature = "unpack")]
pub mod overlay {
    pub use crate::output::Overlay;
    #[cfg(feature = "image")]
    pub use crate::unpack::{OverlayImage, OverlayLayer, OverlayStore, StagedOverlay};
    pub use crate::words::{OverlayFormat, OverlayNamespace, Whiteouts};
}

/// The final file system of an image, in memory: paths, metadata, origins, and the paths that upper layers hid.
#[cfg(feature = "unpack")]
pub mod merged {
    pub use crate::output::{ContentCache, Hidden, Kind, LayerSummary, MergedTree, Merger, Node, Nodes, Part};
    pub use crate::words::Hiding;
}

/// Audits: they read everything, write nothing, and report each finding.
#[cfg(feature = "unpack")]
pub mod audit {
    pub use crate::tree::Lower;
    pub use crate::unpack::{Audit, Observer};
    pub use crate::words::Finding;
}

/// The progress of a session, its observer, and cancellation.
pub mod progress {
    #[cfg(feature = "unpack")]
    pub use crate::unpack::{Advance, Progress, Step};
    pub use crate::words::Cancellation;
}

pub use blob::{Digest, Expected};
#[cfg(feature = "unpack")]
pub use cage::Scratch;
pub use error::Error;
#[cfg(feature = "image")]
pub use image::{Image, Selected, Selector};
#[cfg(feature = "unpack")]
pub use merged::MergedTree;
pub use policy::Policy;
pub use rules::{Limits, Report};
#[cfg(feature = "unpack")]
pub use sink::{Rootfs, Sink};
#[cfg(feature = "unpack")]
pub use unpack::{Applied, Layer, Session, Staged, Unpacker};
#[cfg(feature = "unpack")]
#[cfg(feature = "image")]
pub use unpack::{ErofsImage, ErofsLayer, ErofsLayers, ErofsOptions, HiddenContent};
pub use words::is_reserved_name;

#[cfg(all(doctest, feature = "image", feature = "gzip", feature = "zstd"))]
#[doc = include_str!("../README.md")]
struct Readme;
