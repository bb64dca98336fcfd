//! A failed system call, before it is known on which file it failed.

use crate::words::Error;
use rustix::io::Errno;

/// A system call that failed. It carries the name of the call, so a caller adds only the name of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) call: &'static str,
    pub(super) errno: Errno,
}

impl Failed {
    /// The error for a call that failed on `name`.
    #[cold]
    pub(super) fn at(self, name: &[u8]) -> Error {
        let error = Error::system(self.call, name, self.errno);
        match self.errno {
            Errno::MFILE => error.with_advice("the process may not open more files: raise its limit (`ulimit -n`)"),
            Errno::NFILE => error.with_advice("the machine may not open more files: raise `fs.file-max` (`sysctl`)"),
            _ => error,
        }
    }
}

/// Turns a failed system call into an error that names the file.
pub(super) trait At<T> {
    fn at(self, name: &[u8]) -> Result<T, Error>;
}

impl<T> At<T> for Result<T, Failed> {
    fn at(self, name: &[u8]) -> Result<T, Error> {
        self.map_err(|failed| failed.at(name))
    }
}

/// The error for a name that belongs to another file than a moment ago: another process is changing the tree.
#[cold]
pub(super) fn swapped(name: &[u8]) -> Error {
    Failed { call: "openat", errno: Errno::STALE }.at(name)
}

/// Whether an error is that of a system call with one of these error codes.
pub(super) fn is_one_of(error: &Error, errnos: &[Errno]) -> bool {
    let code = error.io_error().and_then(std::io::Error::raw_os_error);
    errnos.iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// Whether a call failed because the process, or the machine, may open no more files.
pub(super) fn lacks_descriptors(error: &Error) -> bool {
    is_one_of(error, &[Errno::MFILE, Errno::NFILE])
}
