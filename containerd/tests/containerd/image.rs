//! Archives of images, as `ctr images import` reads them.

use crate::layer::{gzip, sha256, zstd};
use serde_json::{Value, json};
use std::path::Path;
use tar::{Builder, Header};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Plain,
    Gzip,
    Zstd,
}

/// Writes an archive of an image of these layers, from the lowest up.
pub(crate) fn write(path: &Path, layers: &[(Vec<u8>, Stored)]) {
    let mut archive = Builder::new(std::fs::File::create(path).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).unwrap();
    };
    let mut blob = |media_type: &str, bytes: &[u8]| -> Value {
        let digest = sha256(bytes);
        add(&format!("blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap()), bytes);
        json!({"mediaType": format!("application/vnd.oci.image.{media_type}"), "digest": digest, "size": bytes.len()})
    };
    let descriptors: Vec<_> = layers
        .iter()
        .map(|(bytes, stored)| match stored {
            Stored::Plain => blob("layer.v1.tar", bytes),
            Stored::Gzip => blob("layer.v1.tar+gzip", &gzip(bytes)),
            Stored::Zstd => blob("layer.v1.tar+zstd", &zstd(bytes)),
        })
        .collect();
    let diff_ids: Vec<_> = layers.iter().map(|(bytes, _)| sha256(bytes)).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let platform = json!({"architecture": architecture, "os": "linux"});
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {"Cmd": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = blob("config.v1+json", config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": descriptors});
    let mut manifest = blob("manifest.v1+json", manifest.to_string().as_bytes());
    manifest["platform"] = platform;
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    add("index.json", json!({"schemaVersion": 2, "manifests": [manifest]}).to_string().as_bytes());
    archive.finish().unwrap();
}

/// Writes an archive of the image in `tests/images/world`.
pub(crate) fn write_world(path: &Path) {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
    let mut archive = Builder::new(std::fs::File::create(path).unwrap());
    archive.append_dir_all(".", world).unwrap();
    archive.finish().unwrap();
}
