//! The library's behaviour, through its public API and on real directories.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod child;
mod floors;
mod hostile;
mod metadata;
mod model;
mod races;
mod resolver;
mod staged;
mod support;
mod unprivileged;
mod whiteouts;
mod world;
