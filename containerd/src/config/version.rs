//! Versions of containerd, and what they can do.

use std::fmt::{self, Display};

/// A version of containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// The first version that loads a differ. Older ones end with a panic if their configuration has one.
    const FIRST: Self = Self::new(1, 7, 4);
    /// The versions that unpack layers side by side, but mount the upper ones as if they were the first.
    const PARALLEL_BROKEN: [Self; 2] = [Self::new(2, 2, 0), Self::new(2, 2, 2)];

    const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Parses a version, or a line of `containerd --version`, which has one.
    ///
    /// # Errors
    ///
    /// A sentence: there is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let version = text.split_whitespace().find_map(Self::of_word);
        version.ok_or_else(|| format!("{text:?} is not a version of containerd: 1.7.24, for example, is one"))
    }

    /// Distributions add to the version: `1.7.24~ds1`, `v2.2.0-rc.1`.
    fn of_word(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        let mut parts = word.split('.').map(|part| part.split(|char: char| !char.is_ascii_digit()).next());
        let mut next = || parts.next().flatten()?.parse().ok();
        Some(Self { major: next()?, minor: next()?, patch: next()? })
    }

    /// Why this version cannot use a differ, if so.
    pub(crate) fn refused(self) -> Option<String> {
        (self < Self::FIRST).then(|| {
            format!("containerd {self} cannot load a differ, and ends with a panic: {} is needed", Self::FIRST)
        })
    }

    /// Why this version must not unpack layers side by side, if so.
    pub(crate) fn refused_in_parallel(self) -> Option<String> {
        let [first, last] = Self::PARALLEL_BROKEN;
        (first <= self && self <= last).then(|| {
            format!(
                "containerd {self} loses the whiteouts of images with max_concurrent_unpacks above 1, whatever the differ: \
                 set it to 1, or update to a version after {last}"
            )
        })
    }

    /// Whether its own configuration is of version 3 of the format.
    pub(super) fn is_second(self) -> bool {
        self.major >= 2
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_of_distributions_are_understood() {
        assert_eq!(version("1.7.24~ds1"), Version::new(1, 7, 24));
        assert_eq!(version("v2.2.0-rc.1"), Version::new(2, 2, 0));
        let line = "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1";
        assert_eq!(version(line), Version::new(1, 6, 20));
        assert_eq!(version("2.3.4").to_string(), "2.3.4");
        for text in ["", "containerd", "1.7", "a.b.c"] {
            assert!(Version::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_that_cannot_load_a_differ_or_lose_whiteouts_are_refused() {
        for old in ["1.6.20", "1.6.39", "1.7.0", "1.7.3"] {
            assert!(version(old).refused().unwrap().contains("1.7.4"), "{old}");
        }
        for new in ["1.7.4", "1.7.24", "2.0.0", "2.3.4"] {
            assert_eq!(version(new).refused(), None);
        }
        for broken in ["2.2.0", "2.2.1", "2.2.2"] {
            assert!(version(broken).refused_in_parallel().unwrap().contains("whiteouts"), "{broken}");
        }
        for right in ["1.7.24", "2.1.9", "2.2.3", "2.3.0"] {
            assert_eq!(version(right).refused_in_parallel(), None);
        }
    }
}
