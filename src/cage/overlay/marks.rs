//! The marks that overlayfs reads in a layer: whiteouts and opaque directories.
//!
//! Measured on Linux 6.18: a whiteout in a directory that no lower layer has shows up in listings, as an entry that cannot
//! be read. A whiteout that is a file is one in listings only if its directory has `opaque=x`, and kernels differ on
//! whether the root of the layer needs it, too. `opaque=y` on the root of a layer has no effect.

use crate::cage::failed::{At, Failed};
use crate::cage::sys::{self, HandleKind, Status};
use crate::words::{Error, OverlayFormat, OverlayNamespace, Timestamp, WHITEOUT_DEVICE, Whiteouts};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// Reads and writes the marks of one format.
#[derive(Debug, Clone, Copy)]
pub(in crate::cage) struct Marks {
    pub(in crate::cage) format: OverlayFormat,
}

impl Marks {
    /// The name of an attribute in the namespace of the layers.
    pub(super) fn name(self, suffix: &str) -> Vec<u8> {
        [self.format.namespace.prefix(), suffix.as_bytes()].concat()
    }

    /// Whether an attribute belongs to overlayfs and not to the image.
    pub(in crate::cage) fn has(self, name: &[u8]) -> bool {
        name.starts_with(self.format.namespace.prefix())
    }

    /// Whether lower layers are hidden in a directory.
    pub(super) fn is_opaque(self, directory: BorrowedFd<'_>, path: &[u8]) -> Result<bool, Error> {
        sys::xattr_is(directory, &self.name("opaque"), b"y").at(path)
    }

    /// Hides what lower layers have in a directory.
    pub(super) fn make_opaque(self, directory: BorrowedFd<'_>, path: &[u8]) -> Result<(), Error> {
        sys::set_xattr(directory, &self.name("opaque"), b"y").at(path)
    }

    /// Whether a file is a whiteout, of either kind: layers of other engines may have the other one.
    pub(in crate::cage) fn is_whiteout(self, at: BorrowedFd<'_>, name: &[u8], status: &Status) -> Result<bool, Error> {
        match status.kind {
            FileType::CharacterDevice => Ok(status.device == (WHITEOUT_DEVICE.major, WHITEOUT_DEVICE.minor)),
            FileType::RegularFile if status.size == 0 => match sys::open_file(at, name) {
                Ok(file) => Ok(sys::has_xattr(file.as_fd(), &self.name("whiteout"))),
                // Nor can a mount read the attribute of a file that its owner may not read. Gone: no whiteout either.
                Err(Failed { errno: Errno::ACCESS | Errno::NOENT, .. }) => Ok(false),
                Err(failed) => Err(failed.at(name)),
            },
            _ => Ok(false),
        }
    }

    /// Makes a whiteout where nothing is. It has the time of directories that no entry lists, so that the same layer is the
    /// same on every machine. `root` is the root of the layer.
    pub(super) fn white_out(
        self,
        at: BorrowedFd<'_>,
        name: &[u8],
        root: BorrowedFd<'_>,
        mtime: Timestamp,
    ) -> Result<(), Error> {
        match self.format.whiteouts {
            Whiteouts::Device => {
                sys::create_device(at, name, WHITEOUT_DEVICE).at(name)?;
                let handle = sys::open_handle(at, name).at(name)?;
                sys::set_mtime(handle.as_fd(), mtime, HandleKind::NameOnly).at(name)
            }
            Whiteouts::Xattr => {
                let file = sys::create_file(at, name).at(name)?;
                sys::set_xattr(file.as_fd(), &self.name("whiteout"), b"y").at(name)?;
                sys::set_mtime(file.as_fd(), mtime, HandleKind::Open).at(name)?;
                [at, root].iter().try_for_each(|directory| self.announce(*directory))
            }
        }
    }

    /// States that whiteouts in a directory may be files.
    fn announce(self, directory: BorrowedFd<'_>) -> Result<(), Error> {
        let opaque = self.name("opaque");
        if sys::xattr_is(directory, &opaque, b"x").at(&opaque)? {
            return Ok(());
        }
        sys::set_xattr(directory, &opaque, b"x").at(&opaque)
    }
}

/// Whether files in a directory can get an attribute that only root outside of a user namespace may set. It is tried on a
/// file without a name, or on the directory itself where there are no such files. For a directory that is read-only, a file
/// in memory shows what the privileges allow.
pub(crate) fn may_set_trusted(directory: BorrowedFd<'_>) -> Result<bool, Error> {
    let name = OverlayNamespace::Trusted.prefix();
    let name = [name, b"layercage"].concat();
    let probe = match sys::create_nameless(directory) {
        // Kernels and file systems without `O_TMPFILE` say either.
        Err(Failed { errno: Errno::NOTSUP | Errno::ISDIR, .. }) => sys::open_directory(directory, b"."),
        Err(Failed { errno: Errno::ROFS, .. }) => sys::create_in_memory(),
        probe => probe,
    };
    let probe = probe.at(b".")?;
    match sys::set_xattr(probe.as_fd(), &name, b"") {
        Ok(()) => sys::remove_xattr(probe.as_fd(), &name).at(&name).map(|()| true),
        Err(Failed { errno: Errno::PERM | Errno::ACCESS | Errno::NOTSUP, .. }) => Ok(false),
        Err(failed) => Err(failed.at(&name)),
    }
}
