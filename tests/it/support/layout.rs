//! Builds small OCI image layouts.

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::Write;
use std::path::Path;

/// How a layer of a layout is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stored {
    Plain,
    Gzip,
    Zstd,
    /// With a window of so many bytes, as a power of two.
    ZstdWindow(u32),
}

/// Writes a layout with one manifest of these layers, and gives the names of its blobs: the layers from the bottom,
/// the configuration, the manifest.
pub(crate) fn write(directory: &Path, layers: &[(Vec<u8>, Stored)]) -> Vec<String> {
    fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut names = Vec::new();
    let (mut descriptors, mut diff_ids) = (Vec::new(), Vec::new());
    for (layer, stored) in layers {
        let (bytes, suffix) = match stored {
            Stored::Plain => (layer.clone(), ""),
            Stored::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(layer).unwrap();
                (encoder.finish().unwrap(), "+gzip")
            }
            Stored::Zstd => (zstd::encode_all(&layer[..], 3).unwrap(), "+zstd"),
            Stored::ZstdWindow(log) => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
                encoder.window_log(*log).unwrap();
                encoder.write_all(layer).unwrap();
                (encoder.finish().unwrap(), "+zstd")
            }
        };
        let media_type = format!("application/vnd.oci.image.layer.v1.tar{suffix}");
        descriptors.push(blob(directory, &bytes, &media_type, &mut names));
        diff_ids.push(format!("\"sha256:{}\"", hex(layer)));
    }
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        diff_ids.join(",")
    );
    let config = blob(directory, config.as_bytes(), "application/vnd.oci.image.config.v1+json", &mut names);
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{manifest_type}","config":{config},"layers":[{}]}}"#,
        descriptors.join(",")
    );
    let manifest = blob(directory, manifest.as_bytes(), manifest_type, &mut names);
    fs::write(directory.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#)).unwrap();
    names
}

/// Copies a layout of a flat tree so that each of its files is a link to one in `pool`, as Debian's images have it.
pub(crate) fn link_all(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("blobs/sha256")).unwrap();
    fs::create_dir_all(to.join("pool")).unwrap();
    let blobs = fs::read_dir(from.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().file_name());
    let blobs = blobs.map(|name| (format!("blobs/sha256/{}", name.to_str().unwrap()), "../../pool"));
    for (name, pool) in blobs.chain([("index.json".to_owned(), "pool"), ("oci-layout".to_owned(), "./pool")]) {
        let file = Path::new(&name).file_name().unwrap().to_str().unwrap();
        fs::copy(from.join(&name), to.join("pool").join(file)).unwrap();
        std::os::unix::fs::symlink(format!("{pool}/{file}"), to.join(&name)).unwrap();
    }
}

fn blob(directory: &Path, bytes: &[u8], media_type: &str, names: &mut Vec<String>) -> String {
    let digest = hex(bytes);
    names.push(format!("blobs/sha256/{digest}"));
    fs::write(directory.join(names.last().unwrap()), bytes).unwrap();
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{digest}","size":{}}}"#, bytes.len())
}

fn hex(bytes: &[u8]) -> String {
    super::tree::hex(&Sha256::digest(bytes))
}

/// Writes a layout of one layer with a configuration as it is given.
pub(crate) fn rewrite(directory: &Path, config: &str, layer: &[u8], media_type: &str) {
    let mut names = Vec::new();
    let layer = blob(directory, layer, media_type, &mut names);
    let config = blob(directory, config.as_bytes(), "application/vnd.oci.image.config.v1+json", &mut names);
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    let manifest = blob(directory, manifest.as_bytes(), manifest_type, &mut names);
    fs::write(directory.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#)).unwrap();
}
