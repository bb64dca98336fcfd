//! Where temporary files come from.

use super::spool::create_spool;
use crate::words::{Error, Lock};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

/// A source of temporary files. Everything in this library that needs a temporary file takes a `Scratch`.
///
/// A file is created when it is needed. In a [sandbox](crate::sandbox) in which no file can be created, use
/// [`Scratch::of`] with a file that exists already. A clone is the same source.
///
/// ```
/// # use layercage::{Error, Scratch, Unpacker};
/// use cap_std::{ambient_authority, fs::Dir};
///
/// # let directory = tempfile::tempdir()?;
/// let temporary = Dir::open_ambient_dir(directory.path(), ambient_authority())?;
/// let unpacker = Unpacker::default().with_scratch(Scratch::beneath(&temporary)?);
///
/// // The files of another crate.
/// let unpacker = unpacker.with_scratch(Scratch::of(tempfile::tempfile));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Scratch(Arc<Lock<Create>>);

type Create = Box<dyn FnMut() -> io::Result<File> + Send>;

impl Scratch {
    /// Creates files without names in a directory. The handle is copied. Nothing is created yet.
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn beneath(directory: impl AsFd) -> Result<Self, Error> {
        let directory = directory.as_fd().try_clone_to_owned();
        let directory = directory.map_err(|error| Error::system("fcntl", b".", error))?;
        Ok(Self::of(move || Ok(create_spool(directory.as_fd())?)))
    }

    /// Takes files from a callback. A file must be empty, and open for reading and writing. Nothing else may write to it.
    ///
    /// An error of the callback becomes the source of a system error, or is that error if it carries an
    /// [`Error`](crate::Error).
    pub fn of(create: impl FnMut() -> io::Result<File> + Send + 'static) -> Self {
        Self(Arc::new(Lock::new(Box::new(create))))
    }

    /// Creates a file.
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn create(&self) -> Result<File, Error> {
        let mut create = self.0.lock();
        create().map_err(|error| match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::system("open", b"(a temporary file)", error),
        })
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}
