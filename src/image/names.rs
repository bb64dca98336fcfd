//! The files of an image by their names, and where an error is.

use crate::words::{Digest, Escaped, Position};

/// The list of images that `docker save` writes. `dir:` has its one manifest under this name.
pub(super) const MANIFEST_JSON: &str = "manifest.json";

/// The list of manifests of an image layout.
pub(super) const INDEX_JSON: &str = "index.json";

/// The mark of an image layout.
pub(super) const OCI_LAYOUT: &str = "oci-layout";

/// The name of a blob's file in a layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The position of an error in a blob.
pub(super) fn in_blob(digest: &Digest) -> Position {
    Position { blob: Some(*digest), ..Position::default() }
}

/// The position of an error in a file of the image.
pub(super) fn in_file(name: &str) -> Position {
    Position { path: Some(Escaped::new(name.as_bytes())), ..Position::default() }
}
