//! The SELinux label of what is created.

use super::UnknownWord;
use std::fmt::{self, Display};
use std::str::FromStr;

/// An SELinux label: the security context of a file, such as `system_u:object_r:container_file_t:s0:c1,c2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SelinuxLabel(Box<str>);

const UNKNOWN: UnknownWord = UnknownWord::of_form("an SELinux label", "up to 4,095 bytes of text without a NUL");

impl SelinuxLabel {
    /// The longest label.
    const MOST: usize = 4095;

    /// The text of the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SelinuxLabel {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text.is_empty() || text.len() > Self::MOST || text.contains('\0') {
            true => Err(UNKNOWN),
            false => Ok(Self(text.into())),
        }
    }
}

impl Display for SelinuxLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_text_that_an_attribute_can_hold() {
        let label: SelinuxLabel = "system_u:object_r:container_file_t:s0:c1,c2".parse().unwrap();
        assert_eq!(label.to_string().parse(), Ok(label));
        assert!("x".repeat(4095).parse::<SelinuxLabel>().is_ok());
        for wrong in ["", "a\0b", &"x".repeat(4096)] {
            assert!(wrong.parse::<SelinuxLabel>().is_err());
        }
    }
}
