//! The types of tar entries that layers do not support.

use std::fmt::{self, Display};

macro_rules! types {
    ($($(#[$doc:meta])* $variant:ident $flag:literal $name:literal advice $advice:literal;)*) => {
        /// The meaning of a type flag that layers do not support.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum UnsupportedType {
            $($(#[$doc])* $variant,)*
            /// No known program writes this type.
            Unknown,
        }

        impl UnsupportedType {
            /// The meaning of a flag. Flags of supported types are unknown here.
            pub(crate) fn of(flag: u8) -> Self {
                match flag {
                    $($flag => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }

            /// The name in messages.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown => "unknown",
                }
            }

            /// Advice for a user with an archive that has such an entry.
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant => $advice,)*
                    Self::Unknown => "no known program writes this type: write the archive again with another program",
                }
            }
        }
    };
}

types! {
    /// Type `A`.
    SolarisAcl b'A' "a Solaris ACL"
        advice "Solaris `tar -p` writes these: write the archive again without `-p`, or with GNU tar";
    /// Type `D`.
    IncrementalDirectory b'D' "a directory of a GNU incremental archive"
        advice "an incremental archive is a backup: write the archive again without `--listed-incremental` and `--incremental`";
    /// Type `I`.
    StarInode b'I' "an inode without content, by star"
        advice "star writes these with `-meta` and in dumps: write the archive again without them, or with GNU tar";
    /// Type `M`.
    MultiVolume b'M' "the rest of a file from the previous volume of a GNU multi-volume archive"
        advice "this is one volume of several: write the archive again as one file, without `--multi-volume`";
    /// Type `N`. It renames and links other entries.
    OldLongNames b'N' "a list of long names, by an old GNU tar"
        advice "only very old versions of GNU tar write these: write the archive again with a newer one";
    /// Type `V`.
    VolumeLabel b'V' "a GNU volume label"
        advice "a layer has no label: write the archive again without `--label`";
    /// Type `X`.
    SolarisExtended b'X' "a Solaris extended header"
        advice "Solaris `tar -E` writes these: write the archive again with GNU tar, or with `pax -x pax`";
}

impl Display for UnsupportedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Error, Escaped, Violation};

    #[test]
    fn the_advice_for_an_entry_fits_its_type() {
        let advice = |flag: u8| {
            let meaning = UnsupportedType::of(flag);
            Error::from(Violation::EntryType { flag: Escaped::new(&[flag]), meaning }).advice().unwrap()
        };
        assert!(advice(b'V').contains("`--label`"));
        assert!(advice(b'M').contains("`--multi-volume`"));
        assert!(advice(b'D').contains("`--listed-incremental`"));
        for flag in [b'8', b'Z', 0xff] {
            assert!(!advice(flag).contains("--"), "{flag}");
        }
    }
}
