//! What went wrong, where, and whose fault it is.

use super::cause::{causes, source_of};
use super::{Digest, Escaped, Occupant, Quirk, Rule, Violation};
use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::io;

/// Which party is to blame for an error. It determines the exit code of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The image or layer: it was refused.
    Archive,
    /// The caller: wrong arguments, wrong order of calls.
    Caller,
    /// The system: I/O, permission, space.
    System,
    /// This library: please report it.
    Bug,
}

impl Blame {
    /// The exit code of the command: 3, 2, 1 and 1.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Archive => 3,
            Self::Caller => 2,
            Self::System | Self::Bug => 1,
        }
    }
}

/// What went wrong, without its position.
///
/// `{}` does not include the [`source`](std::error::Error::source), as in `read(the layer)`. `{:#}` adds all causes, as
/// in `read(the layer): connection reset`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The archive breaks a rule.
    Refused(Rule),
    /// The caller asks for something that makes no sense.
    Misuse(Misuse),
    /// A system call or the reader of a layer failed. The [`io::Error`] is the source.
    System(SystemFault),
    /// The caller's own [`Sink`](crate::Sink) failed. Its error is the source. [`Fault::sink`] creates this variant.
    Sink(Box<dyn StdError + Send + Sync>),
    /// An invariant of this library does not hold.
    Bug(&'static str),
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(rule) => rule.fmt(f)?,
            Self::Misuse(misuse) => misuse.fmt(f)?,
            Self::System(SystemFault { call, arguments, .. }) => write!(f, "{call}({arguments})")?,
            Self::Sink(_) => f.write_str("the sink failed")?,
            Self::Bug(what) => write!(f, "a bug in layercage, please report it: {what}")?,
        }
        causes(f, self)
    }
}

impl StdError for Fault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        source_of(self)
    }
}

/// The same as [`Fault`]; the word for it where it has its [`Position`].
pub type ErrorKind = Fault;

/// What a caller did wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The target of an unpacking already exists, and is not an empty directory.
    #[error("{name} exists already: {occupant}")]
    TargetExists {
        /// Its name.
        name: Escaped,
        /// What is there.
        occupant: Occupant,
    },
    /// A name is not a single path component.
    #[error("{name} is not a plain file name")]
    NotAComponent {
        /// What was given.
        name: Escaped,
    },
    /// A name is reserved for this library's own directories ([`is_reserved_name`](crate::is_reserved_name)).
    #[error("{name} is a name that layercage gives to its own directories; choose another one")]
    ReservedName {
        /// What was given.
        name: Escaped,
    },
    /// The image has no manifest that fits what was asked for, or more than one.
    #[error("the image has no manifest for {wanted}; it has {found}")]
    NothingSelected {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
        /// What has to be asked for differently.
        by: SelectBy,
    },
    /// The input must be a file, but is a pipe or another stream.
    #[error("a stream cannot be read twice; keep it in a file first")]
    NotAFile,
    /// The input of `apply` is the archive of an image, not a layer.
    #[error("this is the archive of an image and not a layer: it holds {member}")]
    ImageAsLayer {
        /// The member that shows that it is an image.
        member: Escaped,
    },
    /// A layer was not checked against every value that a proof needs.
    #[error("the layer was applied without {missing}, so nothing proves that it is the right one")]
    Unproven {
        /// What was not given.
        missing: &'static str,
    },
    /// The proofs are not those of the applied layers, in order.
    #[error("{given} proofs were handed over for {applied} applied layers, or not in their order")]
    ProofsDoNotMatch {
        /// How many were handed over.
        given: usize,
        /// How many layers were applied.
        applied: usize,
    },
    /// The tree is not the staged tree: it was replaced by another.
    #[error("the tree that layers were applied to is not the one that was staged")]
    ForeignTree,
    /// A sink method that is only valid inside a layer was called outside of a layer.
    #[error("{call} was called on a sink while no layer was being applied to it")]
    OutsideLayer {
        /// The method that was called.
        call: &'static str,
    },
    /// The progress observer cancelled.
    #[error("cancelled")]
    Cancelled,
    /// An earlier call failed and left this unusable.
    #[error("an earlier call on this failed; nothing more can be done with it")]
    Poisoned,
}

/// The part of a selection that fits no image, or does not tell images apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SelectBy {
    /// The platform: there are images for other platforms.
    Platform,
    /// The reference name: there are images of other names.
    Name,
    /// The position: the list is shorter.
    Position,
    /// Any of them: more than one image fits.
    Any,
}

impl SelectBy {
    fn help(self) -> &'static str {
        match self {
            Self::Platform => "`--platform OS/ARCH[/VARIANT]` takes one for another platform",
            Self::Name => {
                "`--ref NAME`, or IMAGE:NAME, takes one by its name; `layercage list --images IMAGE` lists all"
            }
            Self::Position => "positions count from 0; `layercage list --images IMAGE` lists them",
            Self::Any => {
                "`--ref NAME` chooses by name, `--image-id ID` or `--manifest-digest DIGEST` by digest, IMAGE:@N by \
                 position; `layercage list --images IMAGE` lists all"
            }
        }
    }
}

/// A system call that failed. `{:#}` says why, as of a [`Fault`].
#[derive(Debug)]
#[non_exhaustive]
pub struct SystemFault {
    /// The call's name, `openat` say.
    pub call: &'static str,
    /// Its arguments as far as they help; names are escaped, relative to a directory handle.
    pub arguments: String,
    /// What the system answered.
    pub error: io::Error,
    /// What a person can do about it, where there is something.
    pub help: Option<&'static str>,
}

impl Display for SystemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.call, self.arguments)?;
        causes(f, self)
    }
}

impl StdError for SystemFault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

impl Fault {
    /// A system call that failed on `name` in some directory.
    pub fn system(call: &'static str, name: &[u8], error: impl Into<io::Error>) -> Self {
        Self::System(SystemFault { call, arguments: Escaped::new(name).to_string(), error: error.into(), help: None })
    }

    /// Creates the fault for a failure of the caller's own sink. `error` becomes the source.
    pub fn sink(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Sink(error.into())
    }

    /// Adds the help text for a failed system call. It is added where the call fails, because its purpose is known
    /// there.
    #[must_use]
    pub(crate) fn with_help(self, help: &'static str) -> Self {
        match self {
            Self::System(fault) => Self::System(SystemFault { help: Some(help), ..fault }),
            other => other,
        }
    }

    /// Adds the purpose of a failed system call if its arguments do not show it.
    pub(crate) fn about(self, what: &str) -> Self {
        match self {
            Self::System(fault) => {
                Self::System(SystemFault { arguments: format!("{}, {what}", fault.arguments), ..fault })
            }
            other => other,
        }
    }

    /// The violation, where it is one.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Refused(Rule::Violation(violation)) => Some(violation),
            _ => None,
        }
    }

    /// Who is to blame.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Refused(_) => Blame::Archive,
            Self::Misuse(_) => Blame::Caller,
            Self::System(_) | Self::Sink(_) => Blame::System,
            Self::Bug(_) => Blame::Bug,
        }
    }

    /// Adds the position.
    pub fn at(self, position: Position) -> Error {
        Error(Box::new(Placed { fault: self, position, effect: Effect::None }))
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Refused(Rule::Violation(violation))
    }
}

impl From<Misuse> for Fault {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl From<Quirk> for Fault {
    fn from(quirk: Quirk) -> Self {
        Self::Refused(Rule::Quirk(quirk))
    }
}

/// Which layer of how many, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerPosition {
    /// The layer, counted from 1 at the bottom.
    pub number: usize,
    /// How many the image has.
    pub of: usize,
}

/// Where in an image something is: each part where it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The layer.
    pub layer: Option<LayerPosition>,
    /// The entry of the layer, from 1.
    pub entry: Option<u64>,
    /// The byte in the uncompressed layer, from 0: of the entry's first header block.
    pub offset: Option<u64>,
    /// The path of the entry.
    pub path: Option<Escaped>,
    /// The blob.
    pub blob: Option<Digest>,
}

impl Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.layer.map(|layer| format!("layer {} of {}", layer.number, layer.of)));
        parts.extend(self.blob.map(|digest| format!("blob {digest}")));
        parts.extend(self.entry.map(|entry| format!("entry {entry}")));
        parts.extend(self.offset.map(|offset| format!("byte {offset}")));
        parts.extend(self.path.as_ref().map(Escaped::to_string));
        f.write_str(&parts.join(", "))
    }
}

/// An error: a kind, a [`Position`] and a [`Blame`].
///
/// `Display` is one line, without the [`source`](std::error::Error::source): printing the whole chain repeats nothing.
/// `{:#}` is one line with all causes. [`Error::help`] suggests what to do. `Debug` is for people, too: it prints that
/// line and the help, for a `main` that returns the error.
///
/// The source of a failed system call is its [`io::Error`]. The source of a reader failure is an [`io::Error`] of the
/// same kind. Its source in turn is the reader's own error, if there is one. A search along the chain finds both.
///
/// ```
/// # use layercage::{Blame, Expected, Layer, LayerStream, Limits, Policy, Position};
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
/// let fault = LayerStream::open(Download, Expected::unchecked(), &Limits::default()).err().unwrap();
/// let error = fault.at(Position::default());
/// assert_eq!(error.blame(), Blame::System);
/// assert_eq!(error.to_string(), "read(the layer)");
/// assert_eq!(format!("{error:#}"), "read(the layer): connection reset: the registry closed the connection");
/// let io = error.source().and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
/// assert_eq!(io.kind(), io::ErrorKind::ConnectionReset);
/// assert!(io.source().unwrap().is::<Closed>());
/// ```
pub struct Error(Box<Placed>);

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.line())?;
        causes(f, self)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        source_of(&self.0.fault)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")?;
        match self.help() {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

struct Placed {
    fault: Fault,
    position: Position,
    effect: Effect,
}

/// What a layer that failed has done to its sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing.
    None,
    /// What came before the failure is applied; each path has its old or its new state.
    Partial,
}

impl Placed {
    fn line(&self) -> String {
        match &self.fault {
            Fault::Refused(rule) => format!("refused {}", told(rule.id(), &self.position, rule)),
            fault => format!("{}{fault}", self.position.lead()),
        }
    }
}

/// A rule's id, where it is met, and what it says.
pub(super) fn told(id: &str, position: &Position, sentence: &dyn Display) -> String {
    format!("[{id}]: {}{sentence}", position.lead())
}

impl Position {
    /// What stands in front of a sentence; nothing where nothing is known.
    fn lead(&self) -> String {
        let place = self.to_string();
        if place.is_empty() { place } else { place + ": " }
    }
}

impl Error {
    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.fault
    }

    /// Where.
    pub fn position(&self) -> &Position {
        &self.0.position
    }

    /// Who is to blame.
    pub fn blame(&self) -> Blame {
        self.0.fault.blame()
    }

    /// The id of the rule that refused the archive; `None` when it was not refused.
    pub fn rule_id(&self) -> Option<&'static str> {
        match &self.0.fault {
            Fault::Refused(rule) => Some(rule.id()),
            _ => None,
        }
    }

    /// What the layer had done to its sink when it failed. In a [`Staged`](crate::Staged) tree, such changes are never
    /// visible.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// The same place and effect with another fault.
    #[must_use]
    pub(crate) fn replaced(mut self, fault: Fault) -> Self {
        self.0.fault = fault;
        self
    }

    /// Says that part of the layer is applied.
    #[must_use]
    pub(crate) fn in_part(mut self) -> Self {
        self.0.effect = Effect::Partial;
        self
    }

    /// What a person can do about it, where there is something.
    pub fn help(&self) -> Option<&'static str> {
        match &self.0.fault {
            Fault::Refused(rule) => rule.help(),
            Fault::System(fault) => fault.help,
            Fault::Misuse(Misuse::ImageAsLayer { .. }) => {
                Some("`layercage unpack` takes images; `--as layer` applies it all the same")
            }
            Fault::Misuse(Misuse::TargetExists { occupant, .. }) => Some(occupant.help()),
            Fault::Misuse(Misuse::NothingSelected { by, .. }) => Some(by.help()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
