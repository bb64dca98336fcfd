//! What a reader says an entry is, in a form that readers can be compared in.

use layercage::error::Escaped;
use layercage::tar::DeviceKind;
use sha2::{Digest, Sha256};
use std::fmt;

/// An entry as one reader has it. Names are as extraction takes them: without empty and `.` components.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
    /// The target of a link, as it is for a symbolic one and normalised as names are for a hard one.
    pub(crate) target: Vec<u8>,
    /// The size of a file with all holes, in bytes; 0 for all else.
    pub(crate) size: u64,
    /// The SHA-256 of a file's content with all holes, in hex; empty for all else.
    pub(crate) content: String,
    /// Major and minor number of a device.
    pub(crate) device: (u64, u64),
    pub(crate) attributes: Attributes,
}

/// What else a header says of an entry, as far as a reader tells it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Attributes {
    /// The permission bits.
    pub(crate) mode: Option<u32>,
    /// User and group, by number.
    pub(crate) owner: Option<(i64, i64)>,
    /// Seconds since the epoch.
    pub(crate) seconds: Option<i64>,
    /// And what is finer.
    pub(crate) nanoseconds: Option<u32>,
}

impl Attributes {
    /// These, as far as the other reader tells them too.
    fn as_far_as(self, other: Self) -> Self {
        Self {
            mode: self.mode.filter(|_| other.mode.is_some()),
            owner: self.owner.filter(|_| other.owner.is_some()),
            seconds: self.seconds.filter(|_| other.seconds.is_some()),
            nanoseconds: self.nanoseconds.filter(|_| other.nanoseconds.is_some()),
        }
    }

    /// Whether the modes, the owners and the times differ, where both are told.
    pub(crate) fn differ(self, theirs: Self) -> [bool; 3] {
        let ours = self.as_far_as(theirs);
        let time = |attributes: Self| (attributes.seconds, attributes.nanoseconds);
        [ours.mode != theirs.mode, ours.owner != theirs.owner, time(ours) != time(theirs)]
    }
}

/// The content of a file that a peer has, and that could not be told.
pub(crate) const UNKNOWN: &str = "unknown";

/// The types that entries of layers have, and the one that stands for all others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    Character,
    Block,
    Other,
}

impl Item {
    pub(crate) fn new(name: &[u8], kind: Kind) -> Self {
        Self {
            name: normalised(name),
            kind,
            target: Vec::new(),
            size: 0,
            content: String::new(),
            device: (0, 0),
            attributes: Attributes::default(),
        }
    }

    pub(crate) fn file(name: &[u8], content: &[u8]) -> Self {
        Self { size: content.len() as u64, content: sha256(content), ..Self::new(name, Kind::File) }
    }

    /// Whether it can be extracted as far as its names go.
    pub(crate) fn is_possible(&self) -> bool {
        !self.name.contains(&0) && !self.target.contains(&0)
    }

    /// A link of that kind, or something else that has no target.
    pub(crate) fn with_target(mut self, target: &[u8]) -> Self {
        self.target = match self.kind {
            Kind::Symlink => target.to_vec(),
            Kind::HardLink => normalised(target),
            _ => Vec::new(),
        };
        self
    }

    pub(crate) fn with_attributes(self, attributes: Attributes) -> Self {
        Self { attributes, ..self }
    }

    pub(crate) fn with_device(mut self, major: u64, minor: u64) -> Self {
        if matches!(self.kind, Kind::Character | Kind::Block) {
            self.device = (major, minor);
        }
        self
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, Escaped::new(&self.name))?;
        match self.kind {
            Kind::HardLink | Kind::Symlink => write!(f, " -> {}", Escaped::new(&self.target)),
            Kind::File => write!(f, " {} bytes {}", self.size, self.content.get(..8).unwrap_or_default()),
            Kind::Character | Kind::Block => write!(f, " {:?}", self.device),
            _ => Ok(()),
        }?;
        let Attributes { mode, owner, seconds, nanoseconds } = self.attributes;
        write!(f, " {:o} {owner:?} {seconds:?}.{nanoseconds:?}", mode.unwrap_or_default())
    }
}

impl From<DeviceKind> for Kind {
    fn from(kind: DeviceKind) -> Self {
        match kind {
            DeviceKind::Character => Self::Character,
            DeviceKind::Block => Self::Block,
        }
    }
}

/// The name without what vanishes when it is extracted; `..` stays.
fn normalised(name: &[u8]) -> Vec<u8> {
    let parts: Vec<_> = name.split(|&byte| byte == b'/').filter(|part| !matches!(part, [] | [b'.'])).collect();
    parts.join(&b'/')
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
