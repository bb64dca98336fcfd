//! Conversion between our errors and [`io::Error`].

use super::cause::{copied, with_source};
use super::{Blame, Effect, Error, ErrorKind, Misuse, SystemError};
use std::error::Error as StdError;
use std::io;

/// The error of a failed allocation.
fn out_of_memory() -> io::Error {
    // ENOMEM has this number on Linux and macOS, on every architecture.
    if cfg!(unix) { io::Error::from_raw_os_error(12) } else { io::ErrorKind::OutOfMemory.into() }
}

impl Error {
    /// Converts an error of a [`std::io::Read`] over a layer. Returns the [`Error`] inside it, or else a system failure
    /// of the reader.
    ///
    /// Use it only for errors from reading a [`LayerStream`](crate::blob::LayerStream): any other error is reported as
    /// `read(the layer)`. For a failing sink use [`Error::sink`].
    pub fn of_reader(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::system("read", b"", with_source(error)).naming("the layer"),
        }
    }

    /// Converts an error of opening the reader of a layer, in the same way.
    #[cfg(feature = "image")]
    pub(crate) fn of_opening(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::system("open", b"", with_source(error)).naming("the layer"),
        }
    }

    /// An allocation failed. The system is to blame, because the request was within the limits.
    pub(crate) fn out_of_memory(what: &str) -> Self {
        Self::system("malloc", b"", out_of_memory()).naming(what).with_advice(
            "nothing is wrong with the layer: give the process more memory (`ulimit -v`, `memory.max` of its cgroup) and \
             run again",
        )
    }
}

/// For callers with [`io::Error`] as error type, and to pass an error through a [`std::io::Read`]
/// ([`Error::of_reader`] unwraps it). The error is inside. The kind is:
///
/// - of a failed system call, that of its error; of a failed sink, that of the first [`io::Error`] in its chain of
///   sources, or `Other` if there is none
/// - `InvalidData` for a refusal
/// - `InvalidInput` for misuse
/// - `Other` for [`Misuse::Cancelled`], and in place of `Interrupted`: readers and writers of the standard library repeat
///   a call that was `Interrupted`, so a cancelled one would start again
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.io_kind(), error)
    }
}

impl Error {
    /// Returns an equal error, for a caller that may have ignored this one.
    pub(crate) fn again(&self) -> Self {
        let kind = match self.kind() {
            ErrorKind::Refused(rule) => ErrorKind::Refused(rule.clone()),
            ErrorKind::Misuse(misuse) => ErrorKind::Misuse(misuse.clone()),
            ErrorKind::System(SystemError { call, arguments, error, advice, remedies }) => {
                let (arguments, error) = (arguments.clone(), copied(error));
                ErrorKind::System(SystemError { call, arguments, error, advice: *advice, remedies })
            }
            ErrorKind::Sink(error) => ErrorKind::Sink(error.to_string().into()),
            ErrorKind::Bug(what) => ErrorKind::Bug(what),
        };
        let again = Self::from(kind).at(self.position().clone());
        if self.effect() == Effect::Partial { again.in_part() } else { again }
    }

    /// The kind of an [`io::Error`] that carries this error.
    pub(crate) fn io_kind(&self) -> io::ErrorKind {
        match self.kind() {
            ErrorKind::System(system) => not_repeated(system.error.kind()),
            ErrorKind::Sink(error) => kind_in_chain(&**error).map_or(io::ErrorKind::Other, not_repeated),
            ErrorKind::Misuse(Misuse::Cancelled) => io::ErrorKind::Other,
            _ => match self.blame() {
                Blame::Archive => io::ErrorKind::InvalidData,
                Blame::Caller => io::ErrorKind::InvalidInput,
                Blame::System | Blame::Bug => io::ErrorKind::Other,
            },
        }
    }
}

/// Readers retry on `Interrupted`: they would retry for ever.
fn not_repeated(kind: io::ErrorKind) -> io::ErrorKind {
    if kind == io::ErrorKind::Interrupted { io::ErrorKind::Other } else { kind }
}

/// The kind of the first [`io::Error`] among an error and its sources.
fn kind_in_chain(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => Some(error.kind()),
        None => kind_in_chain(error.source()?),
    }
}
