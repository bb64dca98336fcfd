//! The overlay as a tree: an upper directory on disk over a stack of lower ones.
//!
//! What the applier sees is what a mount would show: overlayfs looks a name up in the upper directory and then in one lower
//! layer after another, until something ends the search: a file, a whiteout, or an opaque directory. The upper directory
//! gets what differs from the lower layers, and nothing else. It is a tree on disk like any other (a [`Cage`]), so what is
//! made in it is made as in a root filesystem.
//!
//! - What lower layers show and the layer removes gets a whiteout. Where they show nothing there is none: it would show up.
//! - A new directory where lower layers show one is opaque. So is one that is cleared. The root cannot be: it gets a
//!   whiteout for each name of the lower layers.
//! - A directory of lower layers is copied before something in it changes: with its attributes and without its content.
//! - A file of a lower layer is copied when it gets another name, with all names that it has, so that they still are one
//!   file.

mod arrive;
mod clear;
mod copy_up;
mod directory;
mod later;
mod links;
mod look;
mod lower;
mod make;
pub(super) mod marks;
mod names;
mod state;
mod tree;

pub(crate) use later::LaterLowers;
pub(crate) use marks::may_set_trusted;
pub(crate) use state::{Lowers, OverlayTree, Stack};
