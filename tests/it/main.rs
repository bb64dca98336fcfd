//! The library's behaviour, through its public API and on real directories.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(clippy::needless_borrows_for_generic_args, reason = "handles are borrowed alike, the last time too")]
#![cfg_attr(
    not(all(feature = "image", feature = "gzip", feature = "zstd")),
    allow(dead_code, reason = "some tests need these features, and what they stand on is not needed without")
)]

#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod ahead;
mod api;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod archives;
mod audit;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod blame;
#[path = "../../corpus/build.rs"]
mod build;
mod child;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod composed;
mod cycles;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod damage;
mod docs;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod documents;
mod erofs;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod exported;
mod failures;
mod filtered;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod forms;
mod holes;
mod hostile;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod ignored;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod index;
mod kept_links;
mod killed;
mod levels;
mod limits;
mod merged;
mod metadata;
mod misused;
mod model;
mod overlay;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod panics;
mod policy;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod progress;
mod pseudo_links;
mod races;
mod random;
mod resolver;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod sessions;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod sinks;
mod skip;
mod source;
mod staged;
mod support;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod twins;
mod unprivileged;
mod ways;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod what;
mod whiteouts;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod world;
