//! Makes the other forms of an image out of its layout.

use super::layer::LayerBuilder;
use flate2::{Compression, write::GzEncoder};
use layercage::blob::LayerStream;
use layercage::{Expected, Limits};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

/// The parts of an image of one manifest.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    /// As they are stored, from the bottom.
    pub(crate) layers: Vec<Vec<u8>>,
}

impl Parts {
    pub(crate) fn of_layout(layout: &Path) -> Self {
        let index = document(&fs::read(layout.join("index.json")).unwrap());
        let blob = |descriptor: &Value| {
            fs::read(layout.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))).unwrap()
        };
        let manifest = blob(&index["manifests"][0]);
        let named = document(&manifest);
        let layers = named["layers"].as_array().unwrap().iter().map(blob).collect();
        Self { config: blob(&named["config"]), manifest, layers }
    }

    /// The layers uncompressed.
    pub(crate) fn tars(&self) -> Vec<Vec<u8>> {
        self.layers.iter().map(|layer| uncompressed(layer)).collect()
    }

    /// `docker save` before version 25: a directory for each layer, links between those that are the same.
    pub(crate) fn docker_of_old(&self) -> Vec<u8> {
        let mut archive = LayerBuilder::new();
        let mut names = Vec::new();
        let tars = self.tars();
        for (number, tar) in tars.iter().enumerate() {
            let id = hex(format!("layer {number}").as_bytes());
            archive = archive.dir(&id).file(&format!("{id}/VERSION"), b"1.0").file(&format!("{id}/json"), b"{}");
            let name = format!("{id}/layer.tar");
            archive = match tars[..number].iter().position(|other| other == tar) {
                Some(same) => archive.symlink(&name, &format!("../{}", names[same])),
                None => archive.file(&name, tar),
            };
            names.push(name);
        }
        let config = format!("{}.json", hex(&self.config));
        let manifest = json!([{"Config": config, "RepoTags": ["example.org/world:latest"], "Layers": names}]);
        archive
            .file(&config, &self.config)
            .file("manifest.json", manifest.to_string().as_bytes())
            .file("repositories", br#"{"example.org/world":{"latest":"0"}}"#)
            .build()
    }

    /// skopeo and podman: layers by their diff IDs, and links to them from the old names.
    pub(crate) fn docker_of_skopeo(&self) -> Vec<u8> {
        let mut archive = LayerBuilder::new();
        let mut names = Vec::new();
        for tar in self.tars() {
            let name = format!("{}.tar", hex(&tar));
            let old = hex(name.as_bytes());
            archive = archive.file(&name, &tar).symlink(&format!("{old}/layer.tar"), &format!("../{name}"));
            names.push(name);
        }
        let config = format!("{}.json", hex(&self.config));
        let manifest = json!([{"Config": config, "RepoTags": ["docker.io/library/world:latest"], "Layers": names}]);
        archive.file(&config, &self.config).file("manifest.json", manifest.to_string().as_bytes()).build()
    }

    /// kaniko and others: layers as they are stored in a registry.
    pub(crate) fn docker_of_kaniko(&self) -> Vec<u8> {
        let names: Vec<_> = self.layers.iter().map(|layer| format!("{}.tar.gz", hex(layer))).collect();
        let config = format!("sha256:{}", hex(&self.config));
        let manifest = json!([{"Config": config, "RepoTags": null, "Layers": names}]);
        let archive = LayerBuilder::new().file(&config, &self.config);
        let archive = names.iter().zip(&self.layers).fold(archive, |archive, (name, layer)| archive.file(name, layer));
        archive.file("manifest.json", manifest.to_string().as_bytes()).build()
    }

    /// What `skopeo copy … dir:` makes.
    pub(crate) fn flat(&self, directory: &Path) {
        let write = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).unwrap();
        fs::create_dir_all(directory).unwrap();
        write("version", b"Directory Transport Version: 1.1\n");
        write("manifest.json", &self.manifest);
        write(&hex(&self.config), &self.config);
        self.layers.iter().for_each(|layer| write(&hex(layer), layer));
    }
}

/// A layout in an archive, its names begun with `prefix`; `more` adds what else there is.
pub(crate) fn oci_archive(layout: &Path, prefix: &str, more: impl FnOnce(LayerBuilder) -> LayerBuilder) -> Vec<u8> {
    let mut archive = LayerBuilder::new().dir(&format!("{prefix}blobs")).dir(&format!("{prefix}blobs/sha256"));
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let mut blobs: Vec<_> = blobs.filter(|path| path.is_file()).collect();
    blobs.sort();
    for blob in blobs {
        let name = format!("{prefix}blobs/sha256/{}", blob.file_name().unwrap().to_str().unwrap());
        archive = archive.file(&name, &fs::read(blob).unwrap());
    }
    for name in ["index.json", "oci-layout"].into_iter().filter(|name| layout.join(name).is_file()) {
        archive = archive.file(&format!("{prefix}{name}"), &fs::read(layout.join(name)).unwrap());
    }
    more(archive).build()
}

/// `docker save` since version 25: a layout, and the older `manifest.json` beside it.
pub(crate) fn docker_of_today(layout: &Path) -> Vec<u8> {
    let parts = Parts::of_layout(layout);
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", hex(bytes));
    let layers: Vec<_> = parts.layers.iter().map(|layer| blob(layer)).collect();
    let manifest = json!([{"Config": blob(&parts.config), "RepoTags": ["world:latest"], "Layers": layers}]);
    oci_archive(layout, "", |archive| {
        let repositories = br#"{"world":{"latest":"0"}}"#;
        archive.file("manifest.json", manifest.to_string().as_bytes()).file("repositories", repositories)
    })
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    super::tree::hex(&Sha256::digest(bytes))
}

fn uncompressed(layer: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut stream = LayerStream::open(layer, Expected::unchecked(), &Limits::default()).unwrap();
    stream.read_to_end(&mut tar).unwrap();
    tar
}
