//! The media types of layers that are applied.

/// Types whose blobs are tar archives: plain, or compressed with gzip or zstd. The bytes decide which.
const LAYERS: &[&str] = &[
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// The media type of what was applied: an uncompressed layer.
pub(crate) const UNCOMPRESSED: &str = "application/vnd.oci.image.layer.v1.tar";

/// Checks that a blob of this type is a layer that can be applied.
///
/// # Errors
///
/// A sentence about the type.
pub(crate) fn check(media_type: &str) -> Result<(), String> {
    let is_foreign = media_type.contains(".foreign.") || media_type.contains(".nondistributable.");
    match media_type {
        _ if LAYERS.contains(&media_type) => Ok(()),
        _ if media_type.ends_with("+encrypted") => Err(format!("encrypted layers are not supported: {media_type:?}")),
        _ if is_foreign => Err(format!("foreign layers are not supported: {media_type:?}")),
        _ => Err(format!("not a layer media type: {media_type:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_pass_and_what_else_a_manifest_can_list_is_refused_by_its_name() {
        for layer in LAYERS {
            assert_eq!(check(layer), Ok(()));
        }
        for (other, said) in [
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "encrypted"),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "foreign"),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "foreign"),
            ("application/vnd.erofs.layer.v1", "not a layer media type"),
            ("application/vnd.oci.image.config.v1+json", "not a layer media type"),
            ("", "not a layer media type"),
        ] {
            let refused = check(other).unwrap_err();
            assert!(refused.contains(said) && refused.contains(&format!("{other:?}")), "{refused}");
        }
    }
}
