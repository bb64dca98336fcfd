//! Causes of errors: conversion between foreign errors and our own.

use super::{Blame, Error, Fault, Misuse};
use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind};

/// Writes the causes of an error after it, for `{:#}`. A cause that repeats the end of the text so far is skipped: some
/// foreign errors both print and return their source.
pub(super) fn causes(f: &mut fmt::Formatter<'_>, error: &dyn StdError) -> fmt::Result {
    if !f.alternate() {
        return Ok(());
    }
    let mut last = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !last.ends_with(&text) {
            write!(f, ": {text}")?;
            last = text;
        }
        next = cause.source();
    }
    Ok(())
}

/// The foreign error below a fault.
pub(super) fn source_of(fault: &Fault) -> Option<&(dyn StdError + 'static)> {
    match fault {
        Fault::System(fault) => Some(&fault.error),
        Fault::Sink(error) => Some(&**error),
        Fault::Refused(_) | Fault::Misuse(_) | Fault::Bug(_) => None,
    }
}

/// The number is the same on every Linux architecture.
const ENOMEM: i32 = 12;

impl Fault {
    /// Converts an error of a [`std::io::Read`] over a layer. Returns the fault inside it, or else a system failure of
    /// the reader.
    ///
    /// Use it only for errors from reading a [`LayerStream`](crate::LayerStream): any other error is reported as
    /// `read(the layer)`. For a failing sink use [`Fault::sink`].
    pub fn of_reader(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(fault) => fault,
            Err(error) => Self::system("read", b"", of_others(error)).naming("the layer"),
        }
    }

    /// An allocation failed. The system is to blame, because the request was within the limits.
    pub(crate) fn out_of_memory(what: &str) -> Self {
        Self::system("malloc", b"", io::Error::from_raw_os_error(ENOMEM)).naming(what).with_help(
            "nothing is wrong with the layer: give the process more memory (`ulimit -v`, `memory.max` of its cgroup) and \
             run again",
        )
    }

    /// Replaces the arguments by a text that is not a name from an archive.
    fn naming(mut self, object: &str) -> Self {
        if let Self::System(fault) = &mut self {
            object.clone_into(&mut fault.arguments);
        }
        self
    }
}

/// A reader's [`io::Error`] with the reader's own error as its source. The source of a plain [`io::Error`] skips the
/// error that it wraps.
fn of_others(error: io::Error) -> io::Error {
    let kind = error.kind();
    if error.get_ref().is_none() {
        // A system error code, or only a kind.
        return error;
    }
    match error.into_inner() {
        Some(theirs) => io::Error::new(kind, Carried { kind, theirs }),
        None => kind.into(),
    }
}

#[derive(Debug)]
struct Carried {
    kind: ErrorKind,
    theirs: Box<dyn StdError + Send + Sync>,
}

impl Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::Other => f.write_str("the reader failed"),
            kind => kind.fmt(f),
        }
    }
}

impl StdError for Carried {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.theirs)
    }
}

/// Wraps a fault to pass it through a [`std::io::Read`]. [`Fault::of_reader`] unwraps it.
impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::new(kind_of(&fault), fault)
    }
}

/// For callers with [`io::Error`] as error type. The kind is that of the system error, `InvalidData` for a refusal, or
/// `InvalidInput` for misuse. The error is inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(kind_of(error.kind()), error)
    }
}

fn kind_of(fault: &Fault) -> ErrorKind {
    match fault {
        Fault::System(fault) => match fault.error.kind() {
            // Readers retry on `Interrupted`: they would retry for ever.
            ErrorKind::Interrupted => ErrorKind::Other,
            kind => kind,
        },
        Fault::Misuse(Misuse::Cancelled) => ErrorKind::Other,
        fault => match fault.blame() {
            Blame::Archive => ErrorKind::InvalidData,
            Blame::Caller => ErrorKind::InvalidInput,
            Blame::System | Blame::Bug => ErrorKind::Other,
        },
    }
}
