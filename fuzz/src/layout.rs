//! Image layouts: right ones, and ones with something wrong in a document or a file.

use super::build;
use super::bytes::Bytes;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use sha2::{Digest, Sha256, Sha512};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A layout in the making: `image` in a place that has more than it.
pub(crate) struct Layout<'a, 'b> {
    bytes: &'a mut Bytes<'b>,
    place: PathBuf,
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const TYPES: &[&str] = &[
    INDEX,
    MANIFEST,
    CONFIG,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "text/plain",
    "",
];

impl<'a, 'b> Layout<'a, 'b> {
    /// Writes an image of a few layers below `place`. With no bytes left, all is as it should be.
    pub(crate) fn write(bytes: &'a mut Bytes<'b>, place: &Path) {
        let mut layout = Self { bytes, place: place.to_owned() };
        fs::create_dir_all(place.join("image/blobs/sha256")).unwrap();
        fs::create_dir_all(place.join("image/blobs/sha512")).unwrap();
        fs::create_dir(place.join("outside")).unwrap();
        let mut roots = Vec::new();
        for _ in 0..1 + layout.bytes.below(3) {
            let mut descriptor = layout.manifest();
            for _ in 0..layout.rarely(7) {
                descriptor = layout.index(&[descriptor], INDEX);
            }
            roots.push(descriptor);
        }
        let fields = [("schemaVersion", "2".to_owned()), ("mediaType", text(INDEX)), ("manifests", array(&roots))];
        let index = layout.document(&fields);
        layout.file("image/index.json", &index);
        layout.file("image/oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        if layout.bytes.byte() == 255 {
            // A folder of the blobs that lies outside.
            let folder = place.join("image/blobs/sha256");
            fs::rename(&folder, place.join("outside/sha256")).unwrap();
            symlink("../../outside/sha256", folder).unwrap();
        }
    }

    fn manifest(&mut self) -> String {
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for number in 0..self.bytes.below(4) {
            let name = ["a", "b", "c"][number % 3];
            let tar = build::tar().file(name, self.bytes.some(20)).end();
            let (blob, media_type) = match self.bytes.below(4) {
                0 => (tar.clone(), TYPES[6]),
                1 => (super::compress::gzip(&tar), TYPES[7]),
                2 => (super::compress::zstd(&tar), TYPES[8]),
                _ => (self.bytes.some(90).to_vec(), TYPES[9]),
            };
            layers.push(self.blob(&blob, media_type, &[]));
            let diff_id = self.digest(&tar);
            diff_ids.push(text(&diff_id));
            match self.bytes.byte() {
                250 => drop(layers.pop()),
                251 => drop(diff_ids.pop()),
                _ => (),
            }
        }
        let diff_ids = match self.bytes.byte() {
            255 => "null".to_owned(),
            _ => array(&diff_ids),
        };
        let root = self.object(&[("type", text("layers")), ("diff_ids", diff_ids)]);
        let platform = self.platform();
        let config = self.document(&[platform, vec![("rootfs", root)]].concat());
        let config = self.blob(&config, CONFIG, &[]);
        let fields = [
            ("schemaVersion", "2".to_owned()),
            ("mediaType", text(MANIFEST)),
            ("config", config),
            ("layers", array(&layers)),
        ];
        let manifest = self.document(&fields);
        let mut more = Vec::new();
        if self.bytes.byte() & 1 == 1 {
            let platform = self.platform();
            more.push(("platform", self.object(&platform)));
        }
        match self.bytes.below(8) {
            1 => more.push(("annotations", r#"{"org.opencontainers.image.ref.name":"latest"}"#.to_owned())),
            2 => more.push(("annotations", r#"{"vnd.docker.reference.type":"attestation-manifest"}"#.to_owned())),
            3 => more.push(("artifactType", text(self.bytes.pick(TYPES)))),
            _ => (),
        }
        self.blob(&manifest, MANIFEST, &more)
    }

    fn index(&mut self, manifests: &[String], media_type: &str) -> String {
        let fields =
            [("schemaVersion", "2".to_owned()), ("mediaType", text(media_type)), ("manifests", array(manifests))];
        let index = self.document(&fields);
        self.blob(&index, media_type, &[])
    }

    fn platform(&mut self) -> Vec<(&'static str, String)> {
        let host = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let architecture = [host, "riscv64", "", "unknown"][self.rarely(4)];
        let os = ["linux", "windows", "", "unknown"][self.rarely(4)];
        vec![("architecture", text(architecture)), ("os", text(os))]
    }

    /// Stores a blob, well or not, and gives its descriptor.
    fn blob(&mut self, content: &[u8], media_type: &str, more: &[(&'static str, String)]) -> String {
        let sha512 = self.bytes.byte() & 7 == 7;
        let name = if sha512 { format!("sha512/{}", hex(&Sha512::digest(content))) } else { sha256(content) };
        self.file(&format!("image/blobs/{name}"), content);
        let mut digest = name.replace('/', ":");
        match self.bytes.byte() {
            240 => digest.make_ascii_uppercase(),
            241 => drop(digest.pop()),
            242 => digest = format!("sha256:{}", "0".repeat(64)),
            243 => digest = "sha256:../../../outside/0".to_owned(),
            244 => digest = digest.replace("sha256:", "sha256:./"),
            _ => (),
        }
        let size = match self.bytes.byte() {
            250 => content.len() as u64 + 1,
            251 => content.len().saturating_sub(1) as u64,
            252 => u64::MAX,
            _ => content.len() as u64,
        };
        let media_type = if self.bytes.byte() > 250 { self.bytes.pick(TYPES) } else { media_type };
        let fields = [("mediaType", text(media_type)), ("digest", text(&digest)), ("size", size.to_string())];
        self.object(&[&fields[..], more].concat())
    }

    fn digest(&mut self, content: &[u8]) -> String {
        match self.bytes.byte() {
            250 => format!("sha256:{}", "0".repeat(64)),
            251 => format!("sha512:{}", hex(&Sha512::digest(content))),
            252 => "md5:00".to_owned(),
            _ => sha256(content).replace('/', ":"),
        }
    }

    /// Puts a file where it belongs, or something else.
    fn file(&mut self, path: &str, content: &[u8]) {
        let (path, outside) = (self.place.join(path), self.place.join("outside/file"));
        let _ = fs::remove_file(&path);
        match self.bytes.byte() {
            _ if path.is_dir() => (),
            240 => symlink(&outside, &path).and(fs::write(&outside, content)).unwrap(),
            241 => fs::create_dir_all(&path).unwrap(),
            242 => mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap(),
            243 => (),
            244 => fs::write(&path, content.get(1..).unwrap_or_default()).unwrap(),
            245 => fs::write(&path, [content, b" "].concat()).unwrap(),
            246 => symlink("/dev/zero", &path).unwrap(),
            _ => fs::write(&path, content).unwrap(),
        }
    }

    /// An object as a whole document, or something that is not quite one.
    fn document(&mut self, fields: &[(&'static str, String)]) -> Vec<u8> {
        let mut document = self.object(fields).into_bytes();
        match self.bytes.byte() {
            240 => drop(document.pop()),
            241 => document.extend(b"{}"),
            242 => document.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
            243 => document.extend([b' '; 3000]),
            244 => document.insert(1, 0xff),
            245 => document = [&b"["[..], &document, b"]"].concat(),
            246 => {
                if let Some(at) = document.len().checked_sub(1).map(|last| self.bytes.below(256).min(last)) {
                    document[at] = self.bytes.byte();
                }
            }
            _ => (),
        }
        document
    }

    fn object(&mut self, fields: &[(&'static str, String)]) -> String {
        const STRANGERS: &[&str] = &["layers", "manifests", "config", "fsLayers", "urls", "data", "Layers", "DIGEST"];
        let mut members = Vec::new();
        for (key, value) in fields {
            let member = format!("{}:{value}", text(key));
            match self.bytes.byte() {
                230 => continue,
                231 => members.push(member.clone()),
                232 => members.push(format!("{}:null", text(key))),
                233 => members.push(format!("{}:{value}", text(&key.to_uppercase()))),
                234 => {
                    members.push(format!("{}:{}", text(key), self.value()));
                    continue;
                }
                // Escaped, it is the same key.
                235 => members.push(format!("\"\\u{:04x}{}\":{value}", u32::from(key.as_bytes()[0]), &key[1..])),
                236 => members.insert(0, format!("{}:{}", text(self.bytes.pick(STRANGERS)), self.value())),
                237 => members.push(format!("{}:{value}", text(&key.replace('s', "\u{17f}")))),
                _ => (),
            }
            members.push(member);
        }
        format!("{{{}}}", members.join(","))
    }

    fn value(&mut self) -> String {
        let deep = "[".repeat(100) + &"]".repeat(100);
        match self.bytes.below(12) {
            0 => "null".to_owned(),
            1 => "2".to_owned(),
            2 => "2.0".to_owned(),
            3 => "-1".to_owned(),
            4 => "18446744073709551616".to_owned(),
            5 => "{}".to_owned(),
            6 => "[]".to_owned(),
            7 => "[{}]".to_owned(),
            8 => deep,
            9 => r#""\ud83d\ude00""#.to_owned(),
            10 => text(self.bytes.pick(TYPES)),
            _ => "true".to_owned(),
        }
    }

    /// Zero most of the time.
    fn rarely(&mut self, end: usize) -> usize {
        usize::from(self.bytes.byte()).saturating_sub(200) % end
    }
}

fn sha256(content: &[u8]) -> String {
    format!("sha256/{}", hex(&Sha256::digest(content)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(text: &str) -> String {
    format!("\"{text}\"")
}

fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}
