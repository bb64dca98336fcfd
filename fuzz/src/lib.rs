//! What must hold for any bytes: each function is the body of a fuzz target, and panics where a law is broken.
//!
//! They reach the library by its public face alone. `tests/fuzz_corpus.rs` replays with them what fuzzers found, in
//! plain `cargo test`.
#![forbid(unsafe_code)]
#![allow(dead_code, unreachable_pub, missing_docs, reason = "a package of its own, and a module of a test as well")]
#![allow(clippy::disallowed_methods, reason = "sets up the worlds around the code, and looks at them afterwards")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a broken law")]

mod apply;
mod archive;
mod bytes;
mod canonical;
mod compression;
pub mod erofs;
mod extended;
mod header;
mod layers;
mod layout;
mod manifest;
mod pieces;
mod reading;
pub mod seeds;
mod sparse;
mod written;

#[allow(unused_imports, reason = "of a case, only its layer is of use here")]
#[path = "../../corpus/mod.rs"]
mod corpus;
#[path = "../../tests/it/support/mod.rs"]
mod support;

use corpus::{build, compress};

pub use apply::apply;
pub use archive::archive;
pub use canonical::canonical;
pub use compression::compression;
pub use extended::extended;
pub use header::header;
pub use manifest::manifest;
pub use sparse::sparse;

/// The body of a target.
type Body = fn(&[u8]);

/// All targets, by their names.
pub const TARGETS: &[(&str, Body)] = &[
    ("header", header),
    ("extended", extended),
    ("sparse", sparse),
    ("archive", archive),
    ("compression", compression),
    ("manifest", manifest),
    ("apply", apply),
    ("canonical", canonical),
    ("erofs", erofs::erofs),
];
