//! The policy: what `/etc/layercage/differ.toml` says, for each namespace of containerd.

mod file;
mod section;
mod source;

pub(crate) use file::{Judging, Policies};
pub(crate) use source::PolicyFile;
