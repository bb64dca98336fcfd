//! The policy: what `/etc/layercage/differ.toml` says, for each namespace of containerd.

mod file;
mod section;

pub(crate) use file::{Judging, Policies};
