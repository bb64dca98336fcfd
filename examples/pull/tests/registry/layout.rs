//! An image of files of zeros.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Read, repeat};
use std::path::Path;

/// Writes a layout with a layer for each size, which has one file of so many bytes; returns the digests of the layers.
pub(crate) fn write(directory: &Path, sizes: &[u64]) -> Vec<String> {
    fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let of_type = |media: &str, bytes: &[u8]| {
        let digest = crate::tree::hex(&Sha256::digest(bytes));
        fs::write(directory.join("blobs/sha256").join(&digest), bytes).unwrap();
        let media = format!("application/vnd.oci.image.{media}");
        (
            format!(r#"{{"mediaType":"{media}","digest":"sha256:{digest}","size":{}"#, bytes.len()),
            format!("sha256:{digest}"),
        )
    };
    let layers: Vec<_> =
        sizes.iter().zip(1..).map(|(&size, number)| of_type("layer.v1.tar", &layer(number, size))).collect();
    let (descriptors, digests): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let diff_ids = digests.join(r#"",""#);
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_ids}"]}}}}"#
    );
    let (config, _) = of_type("config.v1+json", config.as_bytes());
    let layers = descriptors.join("},");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{config}}},"layers":[{layers}}}]}}"#
    );
    let (manifest, _) = of_type("manifest.v1+json", manifest.as_bytes());
    let named = format!(r#"{manifest},"annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}"#);
    fs::write(directory.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{named}]}}"#)).unwrap();
    digests
}

fn layer(number: u32, size: u64) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    archive.append_data(&mut header, format!("file-{number}"), repeat(0).take(size)).unwrap();
    archive.into_inner().unwrap()
}
