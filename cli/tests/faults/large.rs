//! An image of large layers.

use crate::layers::layer;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::Path;
use tar::EntryType::{Directory as Dir, Regular as File};

/// Writes the layout of an image. Its first layer takes long to be applied. The others have more bytes than may be kept in
/// memory until then.
pub(crate) fn write(image: &Path) {
    fs::create_dir_all(image.join("blobs/sha256")).unwrap();
    let names: Vec<_> = (0..1_000).map(|number| format!("dir/{number}")).collect();
    let small = names.iter().map(|name| (File, name.as_str(), "small", 0o644));
    let first: Vec<_> = [(Dir, "./", "", 0o755), (Dir, "dir", "", 0o755)].into_iter().chain(small).collect();
    let content = "large ".repeat(1 << 20);
    let next = [(File, "one", &content[..], 0o644), (File, "dir/.wh.7", "", 0o644)];
    let last = [(File, "two", &content[1..], 0o600), (File, "one", &content[7..], 0o640)];
    let layers = [layer(&first), layer(&next), layer(&last)];
    let (oci, mut descriptors, mut diff_ids) = ("application/vnd.oci.image", Vec::new(), Vec::new());
    for layer in layers {
        let (named, digest) = store(image, &layer);
        descriptors.push(format!(r#"{{"mediaType":"{oci}.layer.v1.tar",{named}}}"#));
        diff_ids.push(format!("\"sha256:{digest}\""));
    }
    let (descriptors, diff_ids) = (descriptors.join(","), diff_ids.join(","));
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}}}}"#
    );
    let (config, _) = store(image, config.as_bytes());
    let config = format!(r#"{{"mediaType":"{oci}.config.v1+json",{config}}}"#);
    let media_type = format!(r#""mediaType":"{oci}.manifest.v1+json""#);
    let manifest = format!(r#"{{"schemaVersion":2,{media_type},"config":{config},"layers":[{descriptors}]}}"#);
    let (manifest, _) = store(image, manifest.as_bytes());
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{{{media_type},{manifest}}}]}}"#);
    fs::write(image.join("index.json"), index).unwrap();
    fs::write(image.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// Writes a blob. Returns what names it in a descriptor, and its digest.
fn store(image: &Path, bytes: &[u8]) -> (String, String) {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(image.join("blobs/sha256").join(&digest), bytes).unwrap();
    (format!(r#""digest":"sha256:{digest}","size":{}"#, bytes.len()), digest)
}
