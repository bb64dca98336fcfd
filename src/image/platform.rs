//! What a manifest's files run on.

use crate::words::Escaped;
use std::fmt::{self, Display};

/// An operating system and an architecture in Go's words (`linux/amd64`), with the architecture's variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

impl Platform {
    /// Takes what a descriptor or a configuration states; `None` when it states neither of the two.
    ///
    /// A variant that is the architecture's first one is the same as none, as Go's tools have it.
    pub(super) fn new(os: &str, architecture: &str, variant: &str) -> Option<Self> {
        if os.is_empty() && architecture.is_empty() {
            return None;
        }
        let variant = match (architecture, variant) {
            ("arm64", "8" | "v8") | ("amd64", "v1") => "",
            ("arm", "" | "7") => "v7",
            (_, variant) => variant,
        };
        Some(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() })
    }

    /// What this program runs on.
    pub(super) fn host() -> Self {
        let little = cfg!(target_endian = "little");
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => {
                if little {
                    "ppc64le"
                } else {
                    "ppc64"
                }
            }
            "loongarch64" => "loong64",
            "mips64" => {
                if little {
                    "mips64le"
                } else {
                    "mips64"
                }
            }
            other => other, // arm, riscv64 and s390x are called the same
        };
        let variant = if architecture == "arm" { "v7" } else { "" };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() }
    }
}

impl Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Word(&self.os), Word(&self.architecture))?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", Word(&self.variant)) }
    }
}

/// A word of an image, bare where it is a short and plain one.
struct Word<'a>(&'a str);

impl Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=32).contains(&self.0.len()) && self.0.bytes().all(plain) {
            f.write_str(self.0)
        } else {
            Escaped::new(self.0.as_bytes()).fmt(f)
        }
    }
}
