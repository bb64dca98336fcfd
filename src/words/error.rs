//! What went wrong, where, and who is to blame.

use super::cause::causes;
use super::{Escaped, Misuse, Position, Quirk, Remedy, Rule, Violation, words};
use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::io;

words! {
    "a party":
    /// The party that is to blame for an error. The enum is exhaustive on purpose.
    enum Blame {
        /// The image or layer: it was refused.
        Archive "archive",
        /// The caller: wrong arguments, wrong order of calls.
        Caller "caller",
        /// The system: I/O, permission, space.
        System "system",
        /// This library: please report it.
        Bug "bug",
    }
}

/// What went wrong, without its position.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The archive breaks a rule.
    Refused(Rule),
    /// The caller used the library wrongly, or asked for something impossible.
    Misuse(Misuse),
    /// A system call or the reader of a layer failed. The [`io::Error`] is the source.
    System(SystemError),
    /// The caller's own [`Sink`](crate::Sink) failed. Its error is the source. [`Error::sink`] creates this variant.
    Sink(Box<dyn StdError + Send + Sync>),
    /// An invariant of this library does not hold.
    Bug(&'static str),
}

/// One line without the source.
impl Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(rule) => rule.fmt(f),
            Self::Misuse(misuse) => misuse.fmt(f),
            Self::System(SystemError { call, arguments, .. }) => write!(f, "{call}({arguments})"),
            Self::Sink(_) => f.write_str("the sink failed"),
            Self::Bug(what) => write!(f, "a bug in layercage, please report it: {what}"),
        }
    }
}

/// A system call that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct SystemError {
    /// The call's name, `openat` for example.
    pub call: &'static str,
    /// Its arguments as far as they help. Names are escaped, and relative to a directory handle.
    pub arguments: String,
    /// The error that the system returned.
    pub error: io::Error,
    /// What a person can do about it outside of this library, if anything.
    pub advice: Option<&'static str>,
    /// The choices that avoid this call.
    pub remedies: &'static [Remedy],
}

/// The changes that a failed operation has left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing: the sink or the file system is as before.
    None,
    /// The changes before the failure are applied. Each path has its old or its new state.
    Partial,
}

/// An error: a kind, a [`Position`] and a [`Blame`]. It is the only error type of this library's operations.
///
/// `Display` is one line, without the [`source`](std::error::Error::source): printing the whole chain repeats nothing.
/// `{:#}` is one line with all causes. [`Error::advice`] and [`Error::remedies`] say what to do. `Debug` is for
/// people, too: it prints that line and what to do, for a `main` that returns the error.
///
/// The source of a failed system call is its [`io::Error`]. The source of a reader failure is an [`io::Error`] of the
/// same kind. Its source in turn is the reader's own error, if there is one. A search along the chain finds both.
///
/// ```
/// # use layercage::{Expected, Limits};
/// # use layercage::blob::LayerStream;
/// # use layercage::error::Blame;
/// # use std::error::Error as _;
/// # use std::io::{self, Read};
/// #[derive(Debug, thiserror::Error)]
/// #[error("the registry closed the connection")]
/// struct Closed;
///
/// struct Download;
/// impl Read for Download {
///     fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
///         Err(io::Error::new(io::ErrorKind::ConnectionReset, Closed))
///     }
/// }
///
/// let error = LayerStream::open(Download, Expected::unchecked(), &Limits::default()).err().unwrap();
/// assert_eq!(error.blame(), Blame::System);
/// assert_eq!(error.to_string(), "read(the layer)");
/// assert_eq!(format!("{error:#}"), "read(the layer): connection reset: the registry closed the connection");
/// let io = error.source().and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
/// assert_eq!(io.kind(), io::ErrorKind::ConnectionReset);
/// assert!(io.source().unwrap().is::<Closed>());
/// ```
pub struct Error(Box<Inner>);

/// Boxed, so that a `Result` is small: few functions fail, and many return one.
struct Inner {
    kind: ErrorKind,
    position: Position,
    effect: Effect,
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, position, .. } = &*self.0;
        match kind {
            ErrorKind::Refused(rule) => write!(f, "refused {}", position.message(rule.id(), rule))?,
            kind => write!(f, "{}{kind}", position.lead())?,
        }
        causes(f, self)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.kind() {
            ErrorKind::System(system) => Some(&system.error),
            ErrorKind::Sink(error) => Some(&**error),
            ErrorKind::Refused(_) | ErrorKind::Misuse(_) | ErrorKind::Bug(_) => None,
        }
    }
}

/// The line with all causes, and below it what to do.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")?;
        let remedies: Vec<_> = self.remedies().iter().map(Remedy::to_string).collect();
        match (self.advice(), remedies.join("; or ")) {
            (None, remedies) if remedies.is_empty() => Ok(()),
            (Some(advice), remedies) if remedies.is_empty() => write!(f, "\nhelp: {advice}"),
            (Some(advice), remedies) => write!(f, "\nhelp: {advice}: {remedies}"),
            (None, remedies) => write!(f, "\nhelp: {remedies}"),
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, position: Position::default(), effect: Effect::None }))
    }
}

impl From<Rule> for Error {
    fn from(rule: Rule) -> Self {
        ErrorKind::Refused(rule).into()
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Rule::Violation(violation).into()
    }
}

impl From<Quirk> for Error {
    fn from(quirk: Quirk) -> Self {
        Rule::Quirk(quirk).into()
    }
}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        ErrorKind::Misuse(misuse).into()
    }
}

impl Error {
    /// A system call that failed on `name` in some directory.
    pub fn system(call: &'static str, name: &[u8], error: impl Into<io::Error>) -> Self {
        let arguments = Escaped::new(name).to_string();
        ErrorKind::System(SystemError { call, arguments, error: error.into(), advice: None, remedies: &[] }).into()
    }

    /// Creates the error for a failure of the caller's own sink. `error` becomes the source.
    pub fn sink(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        ErrorKind::Sink(error.into()).into()
    }

    /// An invariant of this library does not hold.
    pub(crate) fn bug(what: &'static str) -> Self {
        ErrorKind::Bug(what).into()
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// What went wrong, as a value of its own.
    pub fn into_kind(self) -> ErrorKind {
        self.0.kind
    }

    /// Where it went wrong, as far as that is known.
    pub fn position(&self) -> &Position {
        &self.0.position
    }

    /// Adds what is known of the position. Parts that are set already stay.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.0.position = std::mem::take(&mut self.0.position).or(position);
        self
    }

    /// Which party is to blame.
    pub fn blame(&self) -> Blame {
        match self.kind() {
            ErrorKind::Refused(_) => Blame::Archive,
            ErrorKind::Misuse(_) => Blame::Caller,
            ErrorKind::System(_) | ErrorKind::Sink(_) => Blame::System,
            ErrorKind::Bug(_) => Blame::Bug,
        }
    }

    /// The rule that refused the archive; `None` if it was not refused.
    pub fn rule(&self) -> Option<&Rule> {
        match self.kind() {
            ErrorKind::Refused(rule) => Some(rule),
            _ => None,
        }
    }

    /// The id of the rule that refused the archive; `None` if it was not refused.
    pub fn rule_id(&self) -> Option<&'static str> {
        self.rule().map(Rule::id)
    }

    /// What the caller did wrong; `None` if another party is to blame.
    pub fn misuse(&self) -> Option<&Misuse> {
        match self.kind() {
            ErrorKind::Misuse(misuse) => Some(misuse),
            _ => None,
        }
    }

    /// The changes that the failed operation has left behind: a layer in its sink, a whole image in the parent
    /// directory. In a [`Staged`](crate::Staged) tree, the changes of a layer that failed are never visible.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// What a person can do about it outside of this library, if anything. [`Error::remedies`] has what this library
    /// can do.
    pub fn advice(&self) -> Option<&'static str> {
        match self.kind() {
            ErrorKind::Refused(rule) => rule.advice_at(self.position()),
            ErrorKind::System(system) => system.advice.or_else(|| of_system(&system.error)),
            ErrorKind::Misuse(misuse) => misuse.advice(),
            _ => None,
        }
    }

    /// What the caller can choose so that the operation succeeds, the most fitting first; empty if there is nothing.
    /// [`Error::advice`] has what can be done outside of this library.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self.kind() {
            ErrorKind::Refused(rule) => rule.remedies(),
            ErrorKind::System(system) => system.remedies.to_vec(),
            ErrorKind::Misuse(Misuse::ImageAsLayer { .. }) => vec![Remedy::UnpackImage, Remedy::ApplyAsLayer],
            ErrorKind::Misuse(Misuse::NothingSelected { by, .. } | Misuse::SeveralSelected { by, .. }) => {
                vec![Remedy::Select(*by)]
            }
            _ => Vec::new(),
        }
    }

    /// Whether the archive breaks a rule.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.kind(), ErrorKind::Refused(_))
    }

    /// The error of the system, if a call failed.
    pub(crate) fn io_error(&self) -> Option<&io::Error> {
        match self.kind() {
            ErrorKind::System(system) => Some(&system.error),
            _ => None,
        }
    }

    /// The violation, if it is one.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        match self.rule() {
            Some(Rule::Violation(violation)) => Some(violation),
            _ => None,
        }
    }

    /// All that went wrong, with its causes and without its position.
    #[cfg(feature = "serde")]
    pub(super) fn message(&self) -> String {
        struct Causes<'e>(&'e Error);
        impl Display for Causes<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.kind().fmt(f)?;
                causes(f, self.0)
            }
        }
        format!("{:#}", Causes(self))
    }

    /// The same position and effect with another kind.
    #[must_use]
    pub(crate) fn replaced(mut self, other: Self) -> Self {
        self.0.kind = other.0.kind;
        self
    }

    /// Says that part of the layer is applied.
    #[must_use]
    pub(crate) fn in_part(mut self) -> Self {
        self.0.effect = Effect::Partial;
        self
    }

    /// Says that nothing is left of what was applied.
    #[cfg(feature = "image")]
    #[must_use]
    pub(crate) fn without_effect(mut self) -> Self {
        self.0.effect = Effect::None;
        self
    }

    /// Adds what a person can do about a failed system call. Add it where the call fails, because its purpose is known
    /// there. Other errors stay as they are.
    #[must_use]
    pub fn with_advice(mut self, advice: &'static str) -> Self {
        if let ErrorKind::System(system) = &mut self.0.kind {
            system.advice = Some(advice);
        }
        self
    }

    /// Adds the choices with which a failed system call is not made.
    #[must_use]
    pub(crate) fn with_remedies(mut self, remedies: &'static [Remedy]) -> Self {
        if let ErrorKind::System(system) = &mut self.0.kind {
            system.remedies = remedies;
        }
        self
    }

    /// Adds the purpose of a failed system call if its arguments do not show it.
    pub(crate) fn about(mut self, what: &str) -> Self {
        if let ErrorKind::System(system) = &mut self.0.kind {
            system.arguments = format!("{}, {what}", system.arguments);
        }
        self
    }

    /// Replaces the arguments by a text that is not a name from an archive.
    pub(super) fn naming(mut self, object: &str) -> Self {
        if let ErrorKind::System(system) = &mut self.0.kind {
            object.clone_into(&mut system.arguments);
        }
        self
    }
}

/// What a person can do about a failed system call, whatever its purpose is.
fn of_system(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull => Some("the file system is full: free space on it, or use another one"),
        io::ErrorKind::QuotaExceeded => Some("the disk quota is used up: free space, or use another file system"),
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is mounted read-only: mount it writable, or use another one")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
