//! The files of the cases: archives, images, and what is neither.

use crate::build::{self, Header};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

pub(crate) fn put(at: &Path, name: &str, content: &[u8]) {
    fs::write(at.join(name), content).unwrap();
}

/// A header with its checksum, and the content.
pub(crate) fn entry(name: &str, flag: u8, target: &str, content: &[u8]) -> Vec<u8> {
    build::tar().with(Header::posix(flag, name).mode(0o644).target(target), content).cut()
}

pub(crate) fn ended(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1_024]].concat()
}

pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    ended(&files.iter().map(|(name, content)| entry(name, b'0', "", content)).collect::<Vec<_>>())
}

pub(crate) fn device() -> Vec<u8> {
    build::tar().header(Header::posix(b'3', "dev/console").mode(0o600).device(5, 1)).end()
}

pub(crate) fn climbing() -> Vec<u8> {
    ended(&[entry("opt/app", b'2', "../../etc", b""), entry("opt/app/passwd", b'0', "", b"x")])
}

/// Four KiB or more in which these bytes stand at this place.
pub(crate) fn block(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0; at];
    block.extend_from_slice(bytes);
    block.resize(block.len().max(4_096), 0);
    block
}

/// Each byte as a character, as PowerShell decodes what a program prints.
pub(crate) fn utf16(bytes: &[u8]) -> Vec<u8> {
    [0xff, 0xfe].into_iter().chain(bytes.iter().flat_map(|&byte| [byte, 0])).collect()
}

/// A gzip member of one block that is stored as it is (RFC 1952, RFC 1951 section 3.2.4).
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let sum = !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
    });
    let mut member = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    member.extend(length.to_le_bytes().into_iter().chain((!length).to_le_bytes()));
    member.extend_from_slice(bytes);
    member.extend(sum.to_le_bytes().into_iter().chain(u32::from(length).to_le_bytes()));
    member
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

pub(crate) fn image_layer() -> Vec<u8> {
    tar(&[("etc/motd", b"hello")])
}

/// The configuration of an image for linux/amd64.
fn config(layer: &[u8], comment: &str) -> Vec<u8> {
    let diff_id = hex(layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","comment":"{comment}","rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}}}}"#
    );
    config.into_bytes()
}

/// An archive `app.tar` of two images, as `docker save` wrote it before Docker 25.
pub(crate) fn saved(at: &Path) {
    let layer = image_layer();
    let (one, two) = (config(&layer, "one"), config(&layer, "two"));
    let names = [format!("{}.json", hex(&one)), format!("{}.json", hex(&two))];
    let list = format!(
        r#"[{{"Config":"{}","RepoTags":["app:1"],"Layers":["l/layer.tar"]}},{{"Config":"{}","RepoTags":["app:2"],"Layers":["l/layer.tar"]}}]"#,
        names[0], names[1]
    );
    let members: [(&str, &[u8]); 4] =
        [(&names[0], &one), (&names[1], &two), ("l/layer.tar", &layer), ("manifest.json", list.as_bytes())];
    put(at, "app.tar", &tar(&members));
}

/// A layout `app` of one image `latest` for linux/amd64.
pub(crate) fn image(at: &Path) {
    image_of(at, &image_layer());
}

/// The same of another layer.
pub(crate) fn image_of(at: &Path, layer: &[u8]) {
    fs::create_dir_all(at.join("app/blobs/sha256")).unwrap();
    let blob = |bytes: &[u8]| {
        put(&at.join("app/blobs/sha256"), &hex(bytes), bytes);
        format!(r#""digest":"sha256:{}","size":{}"#, hex(bytes), bytes.len())
    };
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json",{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar",{}}}]}}"#,
        blob(&config(layer, "")),
        blob(layer)
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json",{},"platform":{{"architecture":"amd64","os":"linux"}},"annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}]}}"#,
        blob(manifest.as_bytes())
    );
    put(at, "app/index.json", index.as_bytes());
    put(at, "app/oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
}
