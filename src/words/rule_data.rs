//! What the sentences of rules speak of, as it is shown in a message.

use super::{DeviceKind, Digest, Escaped, FileKind, Limit, Timestamp, UnsupportedType};
use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::Arc;

/// A value in the sentence of a rule, as text for programs.
pub(super) trait Datum: Display {
    /// The text without the quotes that a message puts around names.
    fn datum(&self) -> String {
        self.to_string()
    }

    /// The bytes, if it is a name or value of the archive.
    #[cfg(feature = "serde")]
    fn archive_bytes(&self) -> Option<&Escaped> {
        None
    }
}

impl Datum for Escaped {
    fn datum(&self) -> String {
        self.unquoted()
    }

    #[cfg(feature = "serde")]
    fn archive_bytes(&self) -> Option<&Escaped> {
        Some(self)
    }
}

macro_rules! data {
    ($($type:ty),+ $(,)?) => {
        $(impl Datum for $type {})+
    };
}

data!(u32, u64, usize, String, &'static str, Digest, Box<Digest>, DeviceKind, FileKind, Limit, Timestamp);
data!(UnsupportedType, Octal, ArchiveBytes, Because, FoundInstead, SizeSeen, JsonProblem);

/// A mode, shown in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Octal(pub u32);

impl Display for Octal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// The length of an archive. A message says if it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArchiveBytes(pub u64);

impl Display for ArchiveBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0 (it is empty)"),
            bytes => bytes.fmt(f),
        }
    }
}

/// Why something is not an image or cannot be decompressed, and what to do about it if that is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Because {
    /// What is there, or is missing.
    pub what: Cow<'static, str>,
    /// What to do, if it is more exact than the advice of the rule.
    pub advice: Option<&'static str>,
    /// Whether it is a single layer or a file system, which can be applied to a directory.
    pub is_layer: bool,
}

impl From<&'static str> for Because {
    fn from(what: &'static str) -> Self {
        Self { what: what.into(), advice: None, is_layer: false }
    }
}

impl Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What an image holds instead of the digest that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FoundInstead {
    /// A manifest digest was asked for, and a configuration has this digest.
    Configuration,
    /// An image ID was asked for, and a manifest has this digest.
    Manifest,
    /// A manifest digest was asked for, and the image has no manifests.
    NoManifests,
    /// Other digests, or why there are none.
    Others(String),
}

impl Display for FoundInstead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "a configuration of that digest: it is an image ID",
            Self::Manifest => "a manifest of that digest: it is not an image ID",
            Self::NoManifests => "none, because an archive of `docker save` has no manifests",
            Self::Others(found) => found,
        })
    }
}

/// The size of a blob whose size is wrong, as far as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SizeSeen {
    /// The blob ended after this number of bytes.
    Exactly(u64),
    /// The blob is larger than stated. Reading stopped there.
    More,
}

impl Display for SizeSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(bytes) => write!(f, "{bytes}"),
            Self::More => f.write_str("more"),
        }
    }
}

/// What the JSON parser found.
#[derive(Debug, Clone)]
pub struct JsonProblem(pub Arc<dyn std::error::Error + Send + Sync>);

impl PartialEq for JsonProblem {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for JsonProblem {}

impl Display for JsonProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
