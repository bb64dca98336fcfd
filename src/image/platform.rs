//! Platforms: the operating system and architecture that the programs of an image run on.

use super::reference::{SHOWN, list};
use crate::words::{Escaped, UnknownWord};
use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::str::FromStr;

/// An operating system and an architecture in Go's words (`linux/amd64`), with the architecture's variant.
///
/// The platform of an image may also require features of the operating system (image-spec, image-index.md,
/// `os.features`). A platform that is parsed from text has none.
///
/// ```
/// # use layercage::image::Platform;
/// let platform: Platform = "linux/arm/v7".parse()?;
/// assert_eq!(platform, "Linux/armhf".parse()?);
/// assert_eq!("s390x".parse::<Platform>()?.to_string(), "linux/s390x"); // one word: the other part is this machine's
/// assert!("linux/".parse::<Platform>().is_err());
/// # Ok::<(), layercage::error::UnknownWord>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: String,
    os_features: BTreeSet<String>,
}

impl Platform {
    /// Makes a platform of the words in a descriptor or a configuration. `None` if the system or the architecture is
    /// missing.
    ///
    /// Other names of an architecture get one spelling, and the first variant of an architecture is dropped, as in Go's
    /// tools.
    pub(super) fn new(os: &str, architecture: &str, variant: &str) -> Option<Self> {
        if os.is_empty() || architecture.is_empty() {
            return None;
        }
        let [os, architecture, variant] = [os, architecture, variant].map(|word| kept(word).to_ascii_lowercase());
        let os = match &*os {
            "macos" => "darwin",
            os => os,
        };
        let (architecture, variant) = match (&*architecture, &*variant) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
            ("aarch64" | "arm64", "9" | "v9.0") => ("arm64", "v9"),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            other => other,
        };
        let [os, architecture, variant] = [os, architecture, variant].map(str::to_owned);
        Some(Self { os, architecture, variant, os_features: BTreeSet::new() })
    }

    /// The same platform with required features. No [accepted](Self::accepted) platform has any, so an image that
    /// requires one matches no platform, as in containerd.
    ///
    /// Only the first ones in alphabetical order are stored: a message shows no more, and one feature is enough to match
    /// no platform.
    pub(super) fn with_os_features(self, stated: impl IntoIterator<Item = String>) -> Self {
        let mut os_features = BTreeSet::new();
        for feature in stated {
            os_features.insert(kept(&feature).to_owned());
            if os_features.len() > SHOWN + 1 {
                os_features.pop_last();
            }
        }
        Self { os_features, ..self }
    }

    /// Whether this is `unknown/unknown`, which BuildKit states for the attestations beside an image.
    pub(super) fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    /// The platforms whose programs run on this one, the best first: the platform itself, its lower variants, and other
    /// architectures that the processor supports. The order is that of containerd.
    pub(super) fn accepted(&self) -> Vec<Self> {
        let mut accepted = vec![self.clone()];
        let mut accept = |architecture: &str, variant: &str| {
            accepted.extend(Self::new(&self.os, architecture, variant));
        };
        match (&*self.architecture, version(&self.variant)) {
            ("amd64", level) => {
                let below = level.map_or(1, |(level, _)| level);
                (1..below).rev().for_each(|level| accept("amd64", &format!("v{level}")));
                accept("386", "");
            }
            ("arm", Some((version, _))) => (5..version).rev().for_each(|lower| accept("arm", &format!("v{lower}"))),
            ("arm64", version) => {
                let mut below = |major, minors: u8| {
                    (0..minors).rev().for_each(|minor| accept("arm64", &format!("v{major}.{minor}")));
                };
                match version.unwrap_or((8, 0)) {
                    // Version 9.x has all that 8.(x + 5) has, and version 8 ends with 8.9.
                    (9, minor) => {
                        below(9, minor);
                        below(8, minor.saturating_add(6).min(10));
                    }
                    (8, minor) => below(8, minor),
                    _ => {}
                }
                (5..=8).rev().for_each(|version| accept("arm", &format!("v{version}")));
            }
            _ => {}
        }
        accepted
    }

    /// The platform of this machine.
    pub fn host() -> Self {
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
            other => other, // arm, riscv64 and s390x have the same names
        };
        let variant = if architecture == "arm" { "v7" } else { "" };
        let [os, architecture, variant] = ["linux", architecture, variant].map(str::to_owned);
        Self { os, architecture, variant, os_features: BTreeSet::new() }
    }
}

/// The beginning of a word: as much as a message shows, and one byte more, so that the message says that it was cut. A
/// document may have words of megabytes, and an image many documents.
pub(super) fn kept(word: &str) -> &str {
    let end = (0..=Escaped::SHOWN + 1).rev().find(|&end| word.is_char_boundary(end));
    word.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// Parses a variant such as `v8` or `v8.2`.
fn version(variant: &str) -> Option<(u8, u8)> {
    let (major, minor) = variant.strip_prefix('v')?.split_once('.').unwrap_or((variant.strip_prefix('v')?, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

const UNKNOWN: UnknownWord = UnknownWord::of_form(
    "a platform",
    "`os/arch` or `os/arch/variant`, such as `linux/arm/v7`, or a known name of one of the two",
);

impl FromStr for Platform {
    type Err = UnknownWord;

    /// Parses `os/architecture/variant`, `os/architecture`, or a single word that is a known operating system (`linux`)
    /// or a known architecture (`arm64`). This machine provides the other part.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let parts: Vec<_> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(UNKNOWN);
        }
        match parts.as_slice() {
            [word] => Self::of_one_word(word),
            [os, architecture] => Self::new(os, architecture, "").ok_or(UNKNOWN),
            [os, architecture, variant] => Self::new(os, architecture, variant).ok_or(UNKNOWN),
            _ => Err(UNKNOWN),
        }
    }
}

/// The operating systems that Go knows. A single word is looked up here first, as in containerd.
const KNOWN_SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "windows",
    "zos",
];

/// The architectures that Go knows, in the spelling of [`Platform::new`].
const KNOWN_ARCHITECTURES: &[&str] = &[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
];

impl Platform {
    /// Parses an operating system or an architecture without the other part. A word that is in neither list is an error:
    /// it is probably a typing mistake.
    fn of_one_word(word: &str) -> Result<Self, UnknownWord> {
        let host = Self::host();
        let with_system = Self::new(word, &host.architecture, &host.variant).ok_or(UNKNOWN)?;
        if KNOWN_SYSTEMS.contains(&&*with_system.os) {
            return Ok(with_system);
        }
        let with_architecture = Self::new(&host.os, word, "").ok_or(UNKNOWN)?;
        match KNOWN_ARCHITECTURES.contains(&&*with_architecture.architecture) {
            true => Ok(with_architecture),
            false => Err(UNKNOWN),
        }
    }
}

impl Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Word(&self.os), Word(&self.architecture))?;
        if !self.variant.is_empty() {
            write!(f, "/{}", Word(&self.variant))?;
        }
        match list(self.os_features.iter().map(|feature| Word(feature).to_string())) {
            none if none.is_empty() => Ok(()),
            features => write!(f, " with {features}"),
        }
    }
}

/// A word of an image. It is shown without quotes if it is short and has no special characters.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(text: &str) -> Vec<String> {
        text.parse::<Platform>().unwrap().accepted().iter().map(Platform::to_string).collect()
    }

    /// The platforms that containerd accepts for a platform, in its order.
    const ACCEPTED: &[(&str, &[&str])] = &[
        ("linux/amd64", &["linux/amd64", "linux/386"]),
        ("linux/amd64/v1", &["linux/amd64", "linux/386"]),
        ("linux/amd64/v3", &["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]),
        ("linux/386", &["linux/386"]),
        ("windows/amd64", &["windows/amd64", "windows/386"]),
        ("linux/arm", &["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v8", &["linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v5", &["linux/arm/v5"]),
        ("linux/arm/v4", &["linux/arm/v4"]),
        ("linux/arm64", &["linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        (
            "linux/arm64/v8.1",
            &["linux/arm64/v8.1", "linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"],
        ),
        ("linux/riscv64", &["linux/riscv64"]),
        ("linux/amd64/v999", &["linux/amd64/v999", "linux/386"]),
    ];

    #[test]
    fn lower_variants_are_accepted_and_what_the_processor_runs_besides() {
        for (text, expected) in ACCEPTED {
            assert_eq!(accepted(text), *expected, "{text}");
        }
        let ninth = accepted("linux/arm64/v9");
        assert_eq!(ninth[..3], ["linux/arm64/v9", "linux/arm64/v8.5", "linux/arm64/v8.4"]);
        assert_eq!(ninth[6..8], ["linux/arm64", "linux/arm/v8"]);
        let ninth = accepted("linux/arm64/v9.1");
        assert_eq!(ninth[..3], ["linux/arm64/v9.1", "linux/arm64/v9", "linux/arm64/v8.6"]);
        assert_eq!(ninth[8..10], ["linux/arm64", "linux/arm/v8"]);
    }

    #[test]
    fn spellings_of_one_platform_are_one() {
        for (one, other) in [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/X86-64/V1", "linux/amd64"),
            ("linux/i386/v2", "linux/386"),
            ("linux/aarch64/8", "linux/arm64/v8"),
            ("linux/arm64/v9.0", "linux/arm64/9"),
            ("linux/armhf", "linux/arm/7"),
            ("linux/armel", "linux/arm/v6"),
            ("macos/arm64", "darwin/arm64"),
        ] {
            assert_eq!(one.parse::<Platform>(), other.parse(), "{one}");
        }
        for text in ["", "linux/", "/amd64", "linux/amd64/", "linux/arm/v7/x", "//", "linus", "amd46", "v7", "unknown"]
        {
            assert_eq!(text.parse::<Platform>(), Err(UNKNOWN), "{text}");
        }
    }

    #[test]
    fn a_single_word_is_completed_by_this_machine() {
        for (word, whole) in [
            ("amd64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("AArch64", "linux/arm64"),
            ("armhf", "linux/arm/v7"),
            ("armel", "linux/arm/v6"),
            ("386", "linux/386"),
        ] {
            assert_eq!(word.parse::<Platform>(), whole.parse(), "{word}");
        }
        assert_eq!("linux".parse(), Ok(Platform::host()));
        let Platform { architecture, variant, .. } = Platform::host();
        for (word, os) in [("macos", "darwin"), ("Windows", "windows")] {
            assert_eq!(word.parse().ok(), Platform::new(os, &architecture, &variant), "{word}");
        }
    }
}
