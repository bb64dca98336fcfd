//! Image layouts that hold one image.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// Writes an image of these layers as a layout. Its configuration is `config` with the diff IDs of the layers.
pub(crate) fn write(layout: &Path, mut config: Value, layers: &[Vec<u8>]) {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |media_type: &str, bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&hex), bytes).unwrap();
        let media_type = format!("application/vnd.oci.image.{media_type}");
        json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()})
    };
    let json = |media_type: &str, value: &Value| blob(media_type, value.to_string().as_bytes());
    let layers: Vec<_> = layers.iter().map(|layer| blob("layer.v1.tar", layer)).collect();
    let diff_ids: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    let config = json("config.v1+json", &config);
    let manifest = json("manifest.v1+json", &json!({"schemaVersion": 2, "config": config, "layers": layers}));
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
}
