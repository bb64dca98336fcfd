//! The choices that a policy has in single matters: one word each, as options and data write it.

use super::{Verdict, words};

words! {
    "a way to handle devices":
    /// What becomes of character and block devices.
    ///
    /// The enum is exhaustive on purpose: each choice is one verdict.
    enum Devices {
        /// The layer is refused.
        Refuse "refuse",
        /// Nothing is made, with a note; what a lower layer has at that path goes all the same.
        Skip "skip",
        /// They are made, which takes privilege.
        Create "create",
    }

    "a way to handle named pipes":
    /// What becomes of named pipes.
    ///
    /// The enum is exhaustive on purpose: each choice is one verdict.
    enum Fifos {
        /// They are made.
        Create "create",
        /// Nothing is made, with a note, as for a device.
        Skip "skip",
        /// The layer is refused.
        Refuse "refuse",
    }

    "a way to handle setuid, setgid and sticky bits":
    /// What becomes of setuid, setgid and sticky bits, of files and directories.
    ///
    /// The enum is exhaustive on purpose: each choice is one verdict.
    enum SetId {
        /// They are kept: an image needs them. They are set once content and owner are final.
        Keep "keep",
        /// They are left off, with a note.
        Strip "strip",
        /// A layer that has one is refused; base images have them.
        Refuse "refuse",
    }

    "a way to handle links":
    /// What becomes of symbolic links on the way to what a layer changes.
    #[non_exhaustive]
    enum Links {
        /// They are followed inside the root, as a container would see them; one that leads above it is refused.
        Follow "follow",
        /// They are followed, and one that leads above the root ends at the root, with a note.
        Clamp "clamp",
        /// Any is refused.
        Refuse "refuse",
    }

    "a choice of extended attributes":
    /// What becomes of extended attributes.
    ///
    /// Whatever is chosen, a capability or ACL that is malformed is refused.
    #[non_exhaustive]
    enum Xattrs {
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

    "a durability":
    /// What is on the disk when a tree takes its name, or when a layer has been applied to one that has it.
    #[derive(Default)]
    #[non_exhaustive]
    enum Durability {
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
