//! What went wrong, where, and whose fault it is.

use super::{Digest, Escaped, Quirk, Rule, Violation};
use std::fmt::{self, Display};
use std::io;

/// Who is to blame for an error; the exit code of the command is read off it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The image or layer: it was refused.
    Archive,
    /// Whoever called: wrong arguments, wrong order of calls.
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

/// What went wrong, without where: the part that the lower rooms know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The archive breaks a rule.
    #[error("{0}")]
    Refused(Rule),
    /// The caller asks for something that makes no sense.
    #[error("{0}")]
    Misuse(Misuse),
    /// A system call failed.
    #[error("{0}")]
    System(SystemFault),
    /// An invariant of this library does not hold.
    #[error("a bug in layercage, please report it: {0}")]
    Bug(&'static str),
}

/// The same as [`Fault`]; the word for it where it has its [`Position`].
pub type ErrorKind = Fault;

/// What a caller did wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The target of an unpacking exists already.
    #[error("{name} exists already")]
    TargetExists {
        /// Its name.
        name: Escaped,
    },
    /// A name that must be one component is none.
    #[error("{name} is not a plain file name")]
    NotAComponent {
        /// What was given.
        name: Escaped,
    },
    /// A name is one that this library gives to its own directories ([`is_reserved_name`](crate::is_reserved_name)).
    #[error("{name} is a name that layercage gives to its own directories; choose another one")]
    ReservedName {
        /// What was given.
        name: Escaped,
    },
    /// The image has no manifest that fits what was asked for.
    #[error("the image has no manifest for {wanted}; it has {found}")]
    NothingSelected {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// What must be a file is a pipe or another stream.
    #[error("a stream cannot be read twice; keep it in a file first")]
    NotAFile,
    /// The archive of an image was to be applied as a layer.
    #[error("this is the archive of an image and not a layer: it holds {member}")]
    ImageAsLayer {
        /// The member that shows it.
        member: Escaped,
    },
    /// A layer was not checked against all that is needed to make it visible.
    #[error("the layer was applied without {missing}, so nothing proves that it is the right one")]
    Unproven {
        /// What was not given.
        missing: &'static str,
    },
    /// Proofs that are not those of the layers applied, in their order.
    #[error("{given} proofs were handed over for {applied} applied layers, or not in their order")]
    ProofsDoNotMatch {
        /// How many were handed over.
        given: usize,
        /// How many layers were applied.
        applied: usize,
    },
    /// The tree is not the one that was staged: another was put in its place.
    #[error("the tree that layers were applied to is not the one that was staged")]
    ForeignTree,
    /// A change or the end of a layer came to a sink outside of any layer.
    #[error("{call} was called on a sink while no layer was being applied to it")]
    OutsideLayer {
        /// The method that was called.
        call: &'static str,
    },
    /// Whoever watched the progress ended it.
    #[error("cancelled")]
    Cancelled,
    /// An earlier call failed and left this unusable.
    #[error("an earlier call on this failed; nothing more can be done with it")]
    Poisoned,
}

/// A system call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{call}({arguments}): {error}")]
pub struct SystemFault {
    /// The call's name, `openat` say.
    pub call: &'static str,
    /// Its arguments as far as they help; names are escaped, relative to a directory handle.
    pub arguments: String,
    /// What the system answered.
    pub error: io::Error,
}

impl Fault {
    /// A system call that failed on `name` in some directory.
    pub fn system(call: &'static str, name: &[u8], error: impl Into<io::Error>) -> Self {
        Self::System(SystemFault { call, arguments: Escaped::new(name).to_string(), error: error.into() })
    }

    /// Says what a system call that failed was about, where its arguments tell nobody anything.
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
            Self::System(_) => Blame::System,
            Self::Bug(_) => Blame::Bug,
        }
    }

    /// Adds where it happened.
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

/// A fault on its way through a [`std::io::Read`].
impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        io::Error::other(fault)
    }
}

/// The fault that came through a [`std::io::Read`], or a failure of the reader itself.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        error.downcast::<Fault>().unwrap_or_else(|error| {
            Self::System(SystemFault { call: "read", arguments: "the layer".to_owned(), error })
        })
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
/// `Display` is one line; [`Error::help`] says what to do about it. `Debug` is for people too, both lines: it is what
/// a `main` prints that returns the error.
#[derive(thiserror::Error)]
#[error("{}", .0.line())]
pub struct Error(Box<Placed>);

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.line())?;
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

    /// What the layer had done to its sink when it failed. For a [`Staged`](crate::Staged) tree that is
    /// nothing that anybody sees.
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
            Fault::System(fault) => fault.help(),
            Fault::Misuse(Misuse::ImageAsLayer { .. }) => {
                Some("`layercage unpack` takes images; `--as layer` applies it all the same")
            }
            _ => None,
        }
    }
}

impl SystemFault {
    fn help(&self) -> Option<&'static str> {
        match (self.call, self.error.kind()) {
            // The one call that goes through /proc: a bare chroot has none.
            ("chmod", io::ErrorKind::Unsupported) => {
                Some("modes of FIFOs, devices and closed directories are set through /proc; mount it and run again")
            }
            // What the kernel says of ids that are none in the caller's user namespace.
            ("fchownat", io::ErrorKind::InvalidInput) => Some(
                "the user namespace has no such owner; `--owners caller` keeps all files the caller's, `--owners map` \
                 gives them to owners that it has",
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::DeviceKind;

    #[test]
    fn a_main_that_returns_an_error_prints_what_is_wrong_and_what_to_do() {
        let quirk = Quirk::DeviceNode { kind: DeviceKind::Character, major: 5, minor: 1 };
        let position = Position { entry: Some(2), path: Some(Escaped::new(b"dev/console")), ..Position::default() };
        let error = Fault::from(quirk).at(position);
        let lines = format!("{error:?}");
        assert_eq!(format!("{error:#?}"), lines);
        let (first, second) = lines.split_once('\n').unwrap();
        assert_eq!(first, error.to_string());
        assert_eq!(second, format!("help: {}", error.help().unwrap()));
        let error = Fault::from(Misuse::Poisoned).at(Position::default());
        assert_eq!(format!("{error:?}"), error.to_string(), "where there is nothing to do, it is one line");
    }

    #[test]
    fn owners_that_the_user_namespace_lacks_have_options() {
        let chown = |error| Fault::system("fchownat", b"1000:1000", error).at(Position::default());
        let help = chown(io::Error::from_raw_os_error(22)).help().unwrap_or_default();
        assert!(help.contains("`--owners caller`") && help.contains("`--owners map`"), "{help}");
        assert_eq!(chown(io::Error::from_raw_os_error(1)).help(), None);
    }

    #[test]
    fn a_machine_without_proc_is_told_what_to_do() {
        let chmod = |error: io::ErrorKind| Fault::system("chmod", b"", error).at(Position::default());
        assert!(chmod(io::ErrorKind::Unsupported).help().unwrap().contains("/proc"));
        assert_eq!(chmod(io::ErrorKind::PermissionDenied).help(), None);
    }
}
