//! Why something failed: errors of others on their way through ours, and back.

use super::{Blame, Error, Fault, Misuse};
use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind};

/// Writes the causes of an error behind it where `{:#}` asks for them. One that repeats the end of what is written
/// already is left out: errors of others do not all keep to either their source or their text.
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

/// The error below a fault, which is somebody else's.
pub(super) fn source_of(fault: &Fault) -> Option<&(dyn StdError + 'static)> {
    match fault {
        Fault::System(fault) => Some(&fault.error),
        Fault::Sink(error) => Some(&**error),
        Fault::Refused(_) | Fault::Misuse(_) | Fault::Bug(_) => None,
    }
}

/// The number is the same on every architecture that Linux has.
const ENOMEM: i32 = 12;

impl Fault {
    /// What an error of a [`std::io::Read`] over a layer means: the fault that was met on the way, or a failure of the
    /// reader itself, which is the system's.
    ///
    /// This is for what a [`LayerStream`](crate::LayerStream) gives as a reader, and for nothing else: it says `read(the
    /// layer)` of any other error. For a sink that fails there is [`Fault::sink`].
    pub fn of_reader(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(fault) => fault,
            Err(error) => Self::system("read", b"", of_others(error)).naming("the layer"),
        }
    }

    /// Too little memory for something: the system's fault, whatever a layer asks for within the limits.
    pub(crate) fn out_of_memory(what: &str) -> Self {
        Self::system("malloc", b"", io::Error::from_raw_os_error(ENOMEM)).naming(what).with_help(
            "nothing is wrong with the layer: give the process more memory (`ulimit -v`, `memory.max` of its cgroup) and \
             run again",
        )
    }

    /// Puts what is no name of an archive in the place of the arguments.
    fn naming(mut self, object: &str) -> Self {
        if let Self::System(fault) = &mut self {
            object.clone_into(&mut fault.arguments);
        }
        self
    }
}

/// An error that a reader made of one of its own, such that both are in the chain of sources: that of an [`io::Error`]
/// leaves out the very error that it is made of.
fn of_others(error: io::Error) -> io::Error {
    let kind = error.kind();
    if error.get_ref().is_none() {
        // A code of the system's, or a kind alone.
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

/// A fault on its way through a [`std::io::Read`]. [`Fault::of_reader`] has it back.
impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::new(kind_of(&fault), fault)
    }
}

/// For callers whose own errors are [`io::Error`]s. It has the kind of the system's answer (`InvalidData` for what is
/// refused, `InvalidInput` for misuse), and the error inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(kind_of(error.kind()), error)
    }
}

fn kind_of(fault: &Fault) -> ErrorKind {
    match fault {
        Fault::System(fault) => match fault.error.kind() {
            // Whoever reads tries again when it is interrupted: it would do so for ever.
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
