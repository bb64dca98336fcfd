//! Digests as descriptors and configurations write them.

use super::{UnknownWord, words};
use std::fmt::{self, Display};
use std::str::FromStr;

words! {
    "a digest algorithm":
    /// A digest algorithm that image-spec registers. Its name is the word before the colon of a digest, and the directory
    /// below `blobs/` in an image layout.
    #[non_exhaustive]
    enum Algorithm {
        /// SHA-256, which every image uses.
        Sha256 "sha256",
        /// SHA-512.
        Sha512 "sha512",
    }
}

/// A parsed digest: `sha256:` and 64, or `sha512:` and 128 lower-case hexadecimal digits.
///
/// Follows image-spec, descriptor.md, "Digests"; all other algorithms are refused, because a digest that is not checked
/// protects nothing.
///
/// ```
/// # use layercage::Digest;
/// let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// assert_eq!(text.parse::<Digest>()?.to_string(), text);
/// assert!("sha256:../../etc/passwd".parse::<Digest>().is_err());
/// # Ok::<(), layercage::error::UnknownWord>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Digest {
    /// A SHA-256 value.
    Sha256([u8; 32]),
    /// A SHA-512 value.
    Sha512([u8; 64]),
}

impl Digest {
    /// The algorithm of the digest.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The value as lower-case hexadecimal digits: the name of the blob's file in an image layout.
    pub fn hex(&self) -> String {
        use fmt::Write;
        let bytes: &[u8] = match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        };
        bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm().name(), self.hex())
    }
}

impl FromStr for Digest {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        const UNKNOWN: UnknownWord =
            UnknownWord::of_form("a digest", "`sha256:` with 64, or `sha512:` with 128 lower-case hexadecimal digits");
        let (algorithm, digits) = text.split_once(':').ok_or(UNKNOWN)?;
        let digest = match algorithm.parse() {
            Ok(Algorithm::Sha256) => from_hex(digits).map(Self::Sha256),
            Ok(Algorithm::Sha512) => from_hex(digits).map(Self::Sha512),
            Err(_) => None,
        };
        digest.ok_or(UNKNOWN)
    }
}

fn from_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = 16 * digit(high)? + digit(low)?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_a_digest() {
        let zeros = "0".repeat(64);
        assert_eq!(format!("sha256:{zeros}").parse(), Ok(Digest::Sha256([0; 32])));
        assert_eq!(format!("sha512:{zeros}{zeros}").parse(), Ok(Digest::Sha512([0; 64])));
        let wrong = [
            "",
            ":",
            "sha256:",
            &zeros,
            "sha256:00",
            "md5:00",
            &format!("sha256:{zeros}0"),
            &format!("sha512:{zeros}"),
            &format!("SHA256:{zeros}"),
            &format!("sha256:{}", "A".repeat(64)),
            &format!("sha256:{zeros}\n"),
        ]
        .map(String::from);
        for text in wrong {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
