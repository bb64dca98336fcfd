//! The choices that a policy has in single matters: one word each, as options and data write it.

use std::fmt::{self, Display};
use std::str::FromStr;

/// A word that names no choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of the choices")]
pub struct UnknownWord;

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            #[doc = concat!("The word for it:" $(, " `", $word, "`",)","+ " as it is written in options and data.")]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|choice| choice.word() == word).ok_or(UnknownWord)
            }
        }
    )+};
}

choices! {
    /// What becomes of character and block devices.
    Devices {
        /// The layer is refused.
        Refuse "refuse",
        /// Nothing is made, with a note; what a lower layer has at that path goes all the same.
        Skip "skip",
        /// They are made, which takes privilege.
        Create "create",
    }

    /// What is on the disk when a tree takes its name.
    #[derive(Default)]
    Durability {
        /// Whatever the kernel has written by then: after a crash of the machine, files may lack their content.
        #[default]
        Kernel "kernel",
        /// All of it: the file system is synchronized before, and the directory of the name after.
        Synced "synced",
    }
}
