//! Errors of sinks.

use super::data::ReadError;
use crate::words::{Error, Misuse, Position, Quirk, Rule, Violation};
use std::error::Error as StdError;
use std::io;

/// An error of a [`Sink`](crate::Sink). It says which position the final [`Error`](crate::Error) gets.
///
/// Every error that `?` converts belongs to the current change: an [`Error`] of the
/// [`Reporter`](crate::sink::Reporter), or a refusal by rule. An [`io::Error`] is the sink's own failure: it becomes
/// the [source](StdError::source) of the error, and the system is to blame, not the archive. The exception is an error
/// of [`Data`](crate::sink::Data): it is an error of the archive or the reader, even if it passed through other code of
/// the sink.
#[derive(Debug)]
#[non_exhaustive]
pub enum SinkError {
    /// The current change failed.
    Here(Error),
    /// This call detected that an earlier change, or the layer as a whole, failed. The error gets the position of the
    /// layer, without the entry.
    Earlier(Error),
}

impl SinkError {
    /// A failure of the sink itself. `error` becomes the source of the final [`Error`](crate::Error).
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Here(Error::sink(error))
    }

    /// Returns what failed.
    pub fn error(&self) -> &Error {
        match self {
            Self::Here(error) | Self::Earlier(error) => error,
        }
    }

    /// Returns what failed, for a caller that knows the position of the layer alone.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Here(error) | Self::Earlier(error) => error,
        }
    }

    /// Returns the error with its position, given the current one.
    pub(crate) fn at(self, position: &Position) -> Error {
        match self {
            Self::Here(error) => error.at(position.clone()),
            Self::Earlier(error) => error.at(Position { layer: position.layer, ..Position::default() }),
        }
    }
}

/// Says what failed. `{:#}` adds all causes.
impl std::fmt::Display for SinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error().fmt(f)
    }
}

impl StdError for SinkError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error().source()
    }
}

impl From<io::Error> for SinkError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<ReadError>() {
            Ok(ReadError(error)) => Self::Here(error),
            Err(error) => Self::new(error),
        }
    }
}

impl From<Error> for SinkError {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

macro_rules! convert {
    ($($refusal:ty),*) => {$(
        impl From<$refusal> for SinkError {
            fn from(refusal: $refusal) -> Self {
                Self::Here(refusal.into())
            }
        }
    )*};
}

convert!(Rule, Violation, Quirk, Misuse);
