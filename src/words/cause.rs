//! Causes of errors, as messages and [`source`](std::error::Error::source) show them.

use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind};
use std::sync::Arc;

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

/// A reader's [`io::Error`] with the reader's own error as its source. The source of a plain [`io::Error`] skips the
/// error that it wraps.
pub(super) fn with_source(error: io::Error) -> io::Error {
    let kind = error.kind();
    if error.get_ref().is_none() {
        // A system error code, or only a kind.
        return error;
    }
    match error.into_inner() {
        Some(inner) => io::Error::new(kind, Carried { kind, inner: inner.into() }),
        None => kind.into(),
    }
}

/// Returns an equal error. A reader's own error stays the same value. Any other error inside is copied as its text.
pub(super) fn copied(error: &io::Error) -> io::Error {
    if let Some(code) = error.raw_os_error() {
        return io::Error::from_raw_os_error(code);
    }
    match error.get_ref().map(|inner| inner.downcast_ref::<Carried>()) {
        Some(Some(carried)) => io::Error::new(error.kind(), carried.clone()),
        Some(None) => io::Error::new(error.kind(), error.to_string()),
        None => error.kind().into(),
    }
}

/// The error inside a reader's [`io::Error`], with a sentence of its own.
#[derive(Debug, Clone)]
struct Carried {
    kind: ErrorKind,
    inner: Arc<dyn StdError + Send + Sync>,
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
        Some(&*self.inner)
    }
}
