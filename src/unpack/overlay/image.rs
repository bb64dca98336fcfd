//! An image in a store, and its layers.

use crate::words::{Digest, OverlayFormat, OverlayNamespace, Report};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// An image in a store.
#[derive(Debug, Clone)]
pub struct OverlayImage {
    pub(super) layers: Vec<OverlayLayer>,
    pub(super) format: OverlayFormat,
    pub(super) report: Report,
}

/// A layer of an image in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayLayer {
    pub(super) path: String,
    pub(super) chain_id: Digest,
    pub(super) was_there: bool,
}

impl OverlayImage {
    /// The layers, the top one first, as the mount option `lowerdir` lists them.
    pub fn layers(&self) -> &[OverlayLayer] {
        &self.layers
    }

    /// The format that the layers have.
    pub fn format(&self) -> OverlayFormat {
        self.format
    }

    /// What was tolerated, adjusted or skipped in the layers that were made. Layers that were there are not read again, and
    /// report nothing.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Options for `mount -t overlay`: the lower directories, and `userxattr` if the layers need it. `store` is the path of
    /// the store; if it is empty, paths are relative to the store, in which the mount must then be made.
    ///
    /// `None` if the mount options cannot state it: there are no layers, the path has a character that separates options
    /// (`:`, `,`, `\`, `"`, a blank), or the options are longer than the page that the kernel reads. Relative paths fit for
    /// about 48 layers. Beyond that, mount the layers by short names (symbolic links), up to the 500 that overlayfs takes.
    pub fn mount_options(&self, store: impl AsRef<OsStr>) -> Option<OsString> {
        const PAGE: usize = 4096;
        let store = store.as_ref().as_bytes();
        let separates = |byte: &u8| matches!(byte, b':' | b',' | b'\\' | b'"' | b'\'') || byte.is_ascii_whitespace();
        if self.layers.is_empty() || store.iter().any(separates) {
            return None;
        }
        let slash = if store.is_empty() || store.ends_with(b"/") { &b""[..] } else { b"/" };
        let lowers: Vec<_> = self.layers.iter().map(|layer| [store, slash, layer.path.as_bytes()].concat()).collect();
        let user = if self.format.namespace == OverlayNamespace::User { &b",userxattr"[..] } else { b"" };
        let options = [b"lowerdir=", &*lowers.join(&b':'), user].concat();
        (options.len() < PAGE).then(|| OsStr::from_bytes(&options).to_owned())
    }
}

impl OverlayLayer {
    /// The path of its directory from the store.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Identifies the layer with all layers below it (image-spec, config.md, "Layer ChainID").
    pub fn chain_id(&self) -> &Digest {
        &self.chain_id
    }

    /// Whether the store had the layer already.
    pub fn was_there(&self) -> bool {
        self.was_there
    }
}
