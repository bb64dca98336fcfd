//! The SELinux label of what is created.

use super::{UnknownWord, Xattr};
use std::fmt::{self, Display};
use std::str::FromStr;

/// An SELinux label: the security context of a file, such as `system_u:object_r:container_file_t:s0:c1,c2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SelinuxLabel(Box<str>);

const UNKNOWN: UnknownWord = UnknownWord::of_form(
    "an SELinux label",
    "`user:role:type` or `user:role:type:level`, up to 4,095 bytes without blanks",
);

impl SelinuxLabel {
    /// The longest label.
    const MOST: usize = 4095;

    /// The attribute that has the label of a file.
    pub(crate) const NAME: &[u8] = b"security.selinux";

    /// The text of the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The attribute, with a NUL at its end, as the tools of SELinux write it.
    pub(crate) fn xattr(&self) -> Xattr {
        Xattr { name: Self::NAME.into(), value: [self.0.as_bytes(), b"\0"].concat() }
    }
}

impl FromStr for SelinuxLabel {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        // A level may have colons, too (`s0-s0:c1`). Without SELinux in the kernel, nothing else checks the label.
        let parts: Vec<_> = text.splitn(4, ':').collect();
        let is_context = parts.len() >= 3 && parts.iter().all(|part| !part.is_empty());
        match is_context && text.len() <= Self::MOST && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.into())),
            false => Err(UNKNOWN),
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
    fn a_label_is_a_security_context_that_an_attribute_can_hold() {
        let label: SelinuxLabel = "system_u:object_r:container_file_t:s0:c1,c2".parse().unwrap();
        assert_eq!(label.to_string().parse(), Ok(label));
        for right in ["u:r:t", "u:r:t:s0-s0:c0.c1023", &format!("u:r:{}", "x".repeat(4091))] {
            assert!(right.parse::<SelinuxLabel>().is_ok(), "{right}");
        }
        let long = format!("u:r:{}", "x".repeat(4092));
        for wrong in
            ["", "x", "bad label", "u:r", "u::t", ":r:t", "u:r:", "u:r:t:", "u:r:t s", "u:r:t\0", "u:r:t\n", &long]
        {
            assert!(wrong.parse::<SelinuxLabel>().is_err(), "{wrong}");
        }
    }
}
