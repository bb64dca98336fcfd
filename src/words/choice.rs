//! The choices that a policy has in single matters: one word each, as options and data write it.

use super::Verdict;
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

    /// What becomes of named pipes.
    Fifos {
        /// They are made.
        Create "create",
        /// Nothing is made, with a note, as for a device.
        Skip "skip",
        /// The layer is refused.
        Refuse "refuse",
    }

    /// What becomes of setuid, setgid and sticky bits, of files and directories.
    SetId {
        /// They are kept: an image needs them. They are set once content and owner are final.
        Keep "keep",
        /// They are left off, with a note.
        Strip "strip",
        /// A layer that has one is refused; base images have them.
        Refuse "refuse",
    }

    /// What becomes of symbolic links on the way to what a layer changes.
    Links {
        /// They are followed inside the root, as a container would see them; one that leads above it is refused.
        Follow "follow",
        /// They are followed, and one that leads above the root ends at the root, with a note.
        Clamp "clamp",
        /// Any is refused.
        Refuse "refuse",
    }

    /// What becomes of extended attributes.
    ///
    /// Whatever is chosen, a capability or ACL that is malformed is refused.
    Xattrs {
        /// `user.*`, `security.capability` and `system.posix_acl_*` are set. What only a storage driver or the
        /// host may write (`user.overlay.*`, `user.containers.override_stat`, `trusted.*`, `security.selinux` …)
        /// is left out, and so is what the file system or our rights do not allow; each with a note.
        Safe "safe",
        /// As `Safe`, but a layer with one that would be left out as not a layer's to write is refused.
        Refuse "refuse",
        /// As `Safe`, but one that the file system or our rights do not allow is a refusal.
        Require "require",
        /// All are set, those of storage drivers and of the host, too: only for layers that you made yourself.
        /// Most of them take privilege.
        All "all",
        /// None is set, with a note for each.
        None "none",
    }

    /// What is on the disk when a tree takes its name, or when a layer has been applied to one that has it.
    #[derive(Default)]
    Durability {
        /// Whatever the kernel has written by then: after a crash of the machine, files may lack their content.
        #[default]
        Kernel "kernel",
        /// All of it: the file system is synchronized before the tree takes its name, and the directory of the name
        /// after; or when the layer is complete.
        Synced "synced",
    }
}

impl Durability {
    /// Returns the stronger of two, which satisfies both.
    pub(crate) fn stronger(self, other: Self) -> Self {
        if self == Self::Synced { self } else { other }
    }
}

/// How [`Devices`], [`Fifos`] and [`SetId`] are the verdicts of one rule.
macro_rules! verdicts {
    ($($name:ident { $($variant:ident $verdict:ident),+ })+) => {$(
        impl $name {
            pub(super) fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict),+ }
            }

            pub(super) fn of(verdict: Verdict) -> Self {
                match verdict { $(Verdict::$verdict => Self::$variant),+ }
            }
        }
    )+};
}

verdicts! {
    Devices { Refuse Refuse, Skip Note, Create Pass }
    Fifos { Refuse Refuse, Skip Note, Create Pass }
    SetId { Refuse Refuse, Strip Note, Keep Pass }
}
