//! layercage unpacks container image layers safely: a streaming unpacker applies layer tarballs and their
//! whiteouts inside a directory handle that nothing in an image can lead out of.
//!
//! - [`Image`] reads an image in any of its forms on disk: an OCI image layout, as a directory or in an archive, what
//!   `docker save` writes, or skopeo's `dir:`; [`Selected::unpack_into`] unpacks it, all or nothing. [`What`]
//!   distinguishes the archive of an image from a layer.
//! - [`Unpacker::session`] applies a [`Layer`] after another, or a whole image, to a [`Sink`]: a [`Rootfs`] over a
//!   directory that exists, a [`Staged`] one that becomes visible as a whole, or a sink of your own. [`Tee`] and
//!   [`Filter`] are sinks over other sinks.
//! - [`Policy`] says what is done about what is odd, [`Limits`] how much is too much.
//! - [`Audit`] reads everything, writes nothing, and tells all that the rules speak of.
//! - [`LayerStream`] and [`TarReader`] are the strict readers below it, for who wants only these.
//! - `Sandbox` (feature `sandbox`) has the kernel forbid a thread what unpacking does not need.
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
//! With `default-features = false`, and `gzip` or `zstd` if needed, the strict readers remain: [`LayerStream`],
//! [`TarReader`], and [`Change::of`], which recognises whiteouts. They depend on neither rustix nor cap-std, and build on
//! every platform.
//!
//! [`manual`] has what is behind it: attacks and the tests that show them, the rules, coming from elsewhere, async code.
//!
//! Readers are plain [`std::io::Read`]. Authority over the file system comes from whoever calls, as a
//! `cap_std::fs::Dir`; nothing here opens a path of the machine but [`Image::open_ambient`], which asks for that authority.
#![forbid(unsafe_code)]
// The library proper is held to it in the build that users make.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code"))]

#[cfg(all(feature = "unpack", not(target_os = "linux")))]
compile_error!("the feature `unpack` needs Linux; the readers build on every platform with `default-features = false`");

#[cfg(feature = "unpack")]
mod cage;
#[cfg(feature = "image")]
mod image;
pub mod manual;
#[cfg(feature = "unpack")]
mod output;
mod plan;
mod read;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "unpack")]
mod tree;
#[cfg(feature = "unpack")]
mod unpack;
#[cfg_attr(
    not(feature = "unpack"),
    allow(dead_code, unused_imports, unreachable_pub, reason = "the missing modules use the rest")
)]
mod words;

#[cfg(feature = "image")]
pub use image::{
    BlobReader, Descriptor, HistoryEntry, Image, ImageConfig, ImageForm, LayerDescriptor, ListedManifest, ManifestKind,
    Platform, Scratch, Selected, Selector, What,
};
#[cfg(feature = "unpack")]
pub use output::{Data, Filter, LayerContext, Piece, Rootfs, Sink, SinkError, Tee, Visibility};
#[cfg(feature = "unpack")]
pub use plan::{Judged, Reporter};
pub use read::{Blob, Checked, EndMark, Expected, Format, LayerStream, TarReader, Verified};
#[cfg(feature = "sandbox")]
pub use sandbox::Sandbox;
#[cfg(feature = "unpack")]
pub use tree::Lower;
#[cfg(feature = "unpack")]
pub use unpack::{Advance, Applied, Audit, Layer, Observer, Progress, Session, Staged, Step, Unpacker};
pub use words::*;

#[cfg(all(doctest, feature = "image", feature = "gzip", feature = "zstd"))]
#[doc = include_str!("../README.md")]
struct Readme;
