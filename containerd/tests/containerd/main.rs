//! The program under a real containerd: that of Debian 13, in a directory that `tests/make-chroot.sh` makes.
//!
//! `LAYERCAGE_CONTAINERD=DIR cargo test --test containerd -- --nocapture` runs these tests. They need root. With
//! `LAYERCAGE_LONG=1`, those that repeat something do so as often as it takes to trust it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod docker;
mod engine;
mod failures;
mod hostile;
mod image;
#[path = "../service/layer.rs"]
#[allow(dead_code, reason = "some of it is for the other tests")]
mod layer;
mod times;
#[path = "../../../tests/it/support/tree.rs"]
#[allow(dead_code, clippy::type_complexity, reason = "some of it is for the tests of the library")]
mod tree;
mod trees;
