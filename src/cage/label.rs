//! The SELinux label of what is created.
//!
//! It is an attribute, which SELinux reads, and which the root of a machine without SELinux may write, too. So a tree can be
//! made for another machine. It is set when a file is created, before its owner and its content.

use super::failed::Failed;
use super::proc;
use super::sys;
use crate::words::{Error, SelinuxLabel, Xattr};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// A label that can be set.
#[derive(Debug)]
pub(super) struct Label(Xattr);

impl Label {
    /// Sets a label on a file without a name, to see whether that is possible.
    pub(super) fn test(label: &SelinuxLabel, tree: BorrowedFd<'_>) -> Result<Self, Error> {
        let label = Self(label.xattr());
        match sys::create_nameless(tree) {
            Ok(file) => label.set(file.as_fd())?,
            // A file system without such files: the first file shows it.
            Err(Failed { errno: Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT, .. }) => (),
            Err(failed) => return Err(failed.at(b".")),
        }
        Ok(label)
    }

    /// Labels a file or directory that is open.
    pub(super) fn set(&self, file: BorrowedFd<'_>) -> Result<(), Error> {
        sys::set_xattr(file, &self.0.name, &self.0.value).map_err(unset)
    }

    /// Labels the file of an `O_PATH` handle.
    pub(super) fn set_special(&self, handle: BorrowedFd<'_>) -> Result<(), Error> {
        proc::set_xattr(handle, &self.0.name, &self.0.value)?.map_err(unset)
    }
}

fn unset(failed: Failed) -> Error {
    let advice = match failed.errno {
        Errno::PERM | Errno::ACCESS => {
            "labels are set by root, or by a user whom the SELinux policy allows it; a user namespace does not"
        }
        Errno::NOTSUP => "the file system has no labels: use another one, or mount it with one label (`context=`)",
        Errno::INVAL => "the SELinux policy of this machine does not know the label",
        _ => return failed.at(SelinuxLabel::NAME),
    };
    failed.at(SelinuxLabel::NAME).with_advice(advice)
}
