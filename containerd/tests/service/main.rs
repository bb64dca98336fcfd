//! The program as containerd sees it, beside a content store that the tests make up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod containerd;
mod layer;
mod layers;
mod operation;
mod refusals;
mod side_by_side;
mod snapshots;
mod world;
