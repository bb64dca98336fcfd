//! How overlay layers state what they hide.

use super::{Device, DeviceKind, words};

words! {
    "a kind of whiteout":
    /// How an overlay layer hides a path of the layers below it.
    ///
    /// The enum is exhaustive on purpose: overlayfs knows these two.
    enum Whiteouts {
        /// A character device with the number 0:0. All kernels understand it.
        Device "device",
        /// An empty file with the extended attribute `overlay.whiteout`, in a directory marked `overlay.opaque=x`. It can
        /// be copied by any tool that copies extended attributes. It needs Linux 6.7.
        Xattr "xattr",
    }

    "a namespace of overlay attributes":
    /// The namespace of the extended attributes of overlayfs.
    ///
    /// The enum is exhaustive on purpose: overlayfs knows these two.
    enum OverlayNamespace {
        /// `trusted.overlay.*`, for ordinary mounts. Only root outside of a user namespace can set them.
        Trusted "trusted",
        /// `user.overlay.*`, for mounts with the option `userxattr`, as in a user namespace.
        User "user",
    }
}

/// How the layers of an overlay state what they hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OverlayFormat {
    /// How a path is hidden.
    pub whiteouts: Whiteouts,
    /// The namespace of the attributes of opaque directories and of whiteouts.
    pub namespace: OverlayNamespace,
}

impl OverlayFormat {
    /// Device whiteouts and `trusted` attributes. Every overlay mount by root understands this format, and container
    /// engines use it for their layers.
    pub const ORDINARY: Self = Self { whiteouts: Whiteouts::Device, namespace: OverlayNamespace::Trusted };
}

/// The device that a whiteout is.
pub(crate) const WHITEOUT_DEVICE: Device = Device { kind: DeviceKind::Character, major: 0, minor: 0 };

impl OverlayNamespace {
    /// The prefix of the names of attributes.
    pub(crate) fn prefix(self) -> &'static [u8] {
        match self {
            Self::Trusted => b"trusted.overlay.",
            Self::User => b"user.overlay.",
        }
    }
}

/// Whether a name is that of an attribute of overlayfs, in either namespace. A layer never brings one: `redirect` and
/// `metacopy` would show other files than the layer has.
pub(crate) fn is_overlay_attribute(name: &[u8]) -> bool {
    OverlayNamespace::ALL.iter().any(|namespace| name.starts_with(namespace.prefix()))
}
