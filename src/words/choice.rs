//! The choices of a policy, one word each, as options and data write it.

use super::{Verdict, words};

words! {
    "a way to handle devices":
    /// How character and block devices are handled.
    ///
    /// The enum is exhaustive on purpose: each choice is one verdict.
    enum Devices {
        /// The layer is refused.
        Refuse "refuse",
        /// The device is not created, with a note. A file of a lower layer at that path is removed anyway.
        Skip "skip",
        /// They are created, which needs privileges.
        Create "create",
    }

    "a way to handle named pipes":
    /// How named pipes are handled.
    ///
    /// The enum is exhaustive on purpose: each choice is one verdict.
    enum Fifos {
        /// They are created.
        Create "create",
        /// The pipe is not created, with a note, as for a device.
        Skip "skip",
        /// The layer is refused.
        Refuse "refuse",
    }

    "a way to handle setuid, setgid and sticky bits":
    /// How setuid, setgid and sticky bits of files and directories are handled.
    ///
    /// The enum is exhaustive on purpose: each choice is one verdict.
    enum SetId {
        /// They are kept, because images need them. They are set after content and owner.
        Keep "keep",
        /// They are dropped, with a note.
        Strip "strip",
        /// A layer that has one is refused. Base images have them.
        Refuse "refuse",
    }

    "a way to handle links":
    /// How symbolic links in the parents of a name are handled.
    #[non_exhaustive]
    enum Links {
        /// They are followed inside the root, as in a container. A link that leads above the root is refused.
        Follow "follow",
        /// They are followed. A link that leads above the root stops at the root, with a note.
        Clamp "clamp",
        /// Every link is refused.
        Refuse "refuse",
    }

    "a choice of extended attributes":
    /// How extended attributes are handled.
    ///
    /// A malformed capability or ACL is refused under every choice.
    #[non_exhaustive]
    enum Xattrs {
        /// `user.*`, `security.capability` and `system.posix_acl_*` are set. Attributes that only a storage driver or the
        /// host may write (`user.overlay.*`, `user.containers.override_stat`, `trusted.*`, `security.selinux` …) are
        /// dropped, and so are attributes that the file system or the privileges do not allow; each with a note.
        Safe "safe",
        /// As `Safe`, but a layer with an attribute that layers may not write is refused.
        Refuse "refuse",
        /// As `Safe`, but an attribute that the file system or the privileges do not allow is refused.
        Require "require",
        /// All are set, including those of storage drivers and of the host. Use it only for layers that you made yourself.
        /// Most of these need privileges.
        All "all",
        /// All are dropped, with a note for each.
        None "none",
    }

    "a durability":
    /// The data that must be on the disk when a tree takes its name, or when a layer has been applied to a visible
    /// tree.
    #[derive(Default)]
    #[non_exhaustive]
    enum Durability {
        /// The kernel decides when it writes. After a crash of the machine, files may lack their content.
        #[default]
        Kernel "kernel",
        /// All data. The file system is synchronized before the tree takes its name, and its parent directory
        /// afterwards. For a visible tree, the file system is synchronized when the layer is complete.
        Synced "synced",
    }
}

impl Durability {
    /// The stronger of two, which satisfies both.
    pub(crate) fn stronger(self, other: Self) -> Self {
        if self == Self::Synced { self } else { other }
    }
}

/// The verdicts that the choices of [`Devices`], [`Fifos`] and [`SetId`] stand for.
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
