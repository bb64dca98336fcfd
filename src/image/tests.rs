//! The room against little layouts on disk, each broken in one place.

// Redundant for the compiler; the guard of rooms reads it.
#[cfg(test)]
mod cases;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod inventory;
#[cfg(test)]
mod selection;

use super::platform::Platform;
use super::*;
use crate::read::{Format, Hasher};
use crate::words::{Algorithm, Error, Limit, Limits, Misuse};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cases::CASES;
use proptest::prelude::*;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};
use std::fs::{self, remove_file, write};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::slice;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const ABSENT: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A layout in a directory of its own.
struct World(tempfile::TempDir);

fn digest(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish().to_string()
}

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(world.at("blobs/sha256")).unwrap();
        write(world.at("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn blob_at(&self, descriptor: &Value) -> PathBuf {
        self.at(&format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/")))
    }

    fn bytes(&self, media_type: &str, bytes: &[u8]) -> Value {
        let descriptor = json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
        write(self.blob_at(&descriptor), bytes).unwrap();
        descriptor
    }

    fn json(&self, media_type: &str, document: &Value) -> Value {
        self.bytes(media_type, document.to_string().as_bytes())
    }

    fn config(&self, os: &str, architecture: &str) -> Value {
        let document = json!({
            "os": os, "architecture": architecture, "config": {"Labels": {"OS": "x", "os": "y"}},
            "rootfs": {"type": "layers", "diff_ids": [digest(b"layer")]},
        });
        self.json(CONFIG, &document)
    }

    fn manifest_of(&self, config: &Value) -> Value {
        json!({"schemaVersion": 2, "config": config, "layers": [self.bytes(TAR, b"layer")]})
    }

    /// An image with one layer, as a descriptor.
    fn image(&self, os: &str, architecture: &str) -> Value {
        self.json(MANIFEST, &self.manifest_of(&self.config(os, architecture)))
    }

    fn index_of(&self, manifests: &[Value]) -> Value {
        self.json(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))
    }

    fn list(&self, manifests: &[Value]) {
        self.index_json(&json!({"schemaVersion": 2, "manifests": manifests}).to_string());
    }

    fn index_json(&self, text: &str) {
        write(self.at("index.json"), text).unwrap();
    }

    /// Lists one manifest with this text, its digest right.
    fn manifest_text(&self, text: &str) {
        self.list(&[self.bytes(MANIFEST, text.as_bytes())]);
    }

    /// Lists one manifest with its document edited.
    fn edited(&self, edit: impl FnOnce(&mut Value)) {
        let mut document = self.manifest_of(&self.config("linux", "amd64"));
        edit(&mut document);
        self.list(&[self.json(MANIFEST, &document)]);
    }

    /// Lists one manifest whose configuration has this text.
    fn config_text(&self, text: &str) {
        let config = self.bytes(CONFIG, text.as_bytes());
        self.list(&[self.json(MANIFEST, &self.manifest_of(&config))]);
    }

    fn open_within(&self, limits: Limits) -> Result<Image, Error> {
        Image::open_within(Dir::open_ambient_dir(self.0.path(), ambient_authority()).unwrap(), limits)
    }

    fn select(&self) -> Result<Selected, Error> {
        self.open_within(Limits::default())?.select(&wanted())
    }
}

fn wanted() -> Selector {
    Selector::host().with_platform(Platform::new("linux", "amd64", "").unwrap())
}

fn with(mut descriptor: Value, key: &str, value: Value) -> Value {
    descriptor[key] = value;
    descriptor
}

fn on(os: &str, architecture: &str) -> Value {
    json!({"os": os, "architecture": architecture})
}

fn named(descriptor: Value, name: &str) -> Value {
    with(descriptor, "annotations", json!({"org.opencontainers.image.ref.name": name}))
}

#[test]
fn every_layout_is_judged_by_its_rule() {
    for (name, build, expected) in CASES {
        let world = World::new();
        build(&world);
        let got = world.select();
        let rule = got.as_ref().err().map(|error| error.rule_id().unwrap_or("no rule"));
        assert_eq!(rule, *expected, "{name}: {}", got.err().map_or_else(String::new, |error| error.to_string()));
    }
}

#[test]
fn a_layer_is_described_by_both_documents_and_opened_by_its_descriptor() {
    let world = World::new();
    let mut manifest = world.manifest_of(&world.config("linux", "amd64"));
    let layer = world.bytes(GZIP, b"compressed");
    manifest["layers"] = json!([layer]);
    world.list(&[world.json(MANIFEST, &manifest)]);
    let image = world.open_within(Limits::default()).unwrap();
    let selected = image.select(&wanted()).unwrap();

    let [only] = selected.layers() else { panic!("{selected:?}") };
    assert_eq!(only.compression(), Some(Format::Gzip));
    assert_eq!(only.diff_id().to_string(), digest(b"layer"));
    assert_eq!(only.descriptor().unwrap().size(), 10);
    assert_eq!(selected.config().digest().to_string(), manifest["config"]["digest"]);
    let mut content = String::new();
    selected.open_layer(only).unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, "compressed");

    let rule = || selected.open_layer(only).err().map(|error| error.rule_id());
    write(world.blob_at(&layer), "longer than that").unwrap();
    assert_eq!(rule(), Some(Some("size-mismatch")));
    remove_file(world.blob_at(&layer)).unwrap();
    assert_eq!(rule(), Some(Some("blob-missing")));
    symlink("/etc/passwd", world.blob_at(&layer)).unwrap();
    assert_eq!(rule(), Some(Some("blob-outside")));
    remove_file(world.blob_at(&layer)).unwrap();
    mkfifoat(CWD, world.blob_at(&layer), Mode::RUSR).unwrap();
    assert_eq!(rule(), Some(Some("blob-not-regular")));
}

#[test]
fn messages_say_where_and_stay_short() {
    let world = World::new();
    let long = "\u{1b}".repeat(10_000);
    world.index_json(&json!({"schemaVersion": long}).to_string());
    let message = world.select().unwrap_err().to_string();
    assert!(message.starts_with("refused [json]: \"index.json\": "), "{message}");
    assert!(message.len() < 4_000 && message.is_ascii() != message.contains('…'), "{message}");
    assert!(!message.contains('\u{1b}'));

    let image = world.image("linux", "amd64");
    remove_file(world.blob_at(&image)).unwrap();
    world.list(std::slice::from_ref(&image));
    let message = world.select().unwrap_err().to_string();
    assert!(message.contains(&format!("blob {}", image["digest"].as_str().unwrap())), "{message}");
}

#[test]
fn a_layout_of_another_version_is_refused_with_the_version_that_it_states() {
    let world = World::new();
    write(world.at("oci-layout"), r#"{"imageLayoutVersion":"2.0.0\u001b"}"#).unwrap();
    let error = world.select().unwrap_err();
    let message = r#"states the version "2.0.0\x1b", and only "1.0.0" is supported"#;
    assert!(error.to_string().contains(message), "{error}");
    assert_eq!(error.advice(), Some("write the image again as a layout of version 1.0.0"));
}

#[test]
fn limits_are_the_callers() {
    let world = World::new();
    world.list(&[world.index_of(&[world.image("linux", "amd64")])]);
    let limit = |limit, most| world.open_within(Limits::default().with(limit, most));
    let rule = |image: Result<Image, Error>| {
        image.and_then(|image| image.select(&wanted())).err().and_then(|error| error.rule_id())
    };
    assert_eq!(rule(limit(Limit::IndexDepth, 1)), Some("limit"));
    assert_eq!(rule(limit(Limit::IndexDepth, 2)), None);
    assert_eq!(rule(limit(Limit::Layers, 0)), Some("limit"));
    assert_eq!(rule(limit(Limit::ManifestBytes, 10)), Some("limit"));
}

fn refusal(world: &World, limit: Limit, most: u64) -> Option<&'static str> {
    let image = world.open_within(Limits::default().with(limit, most));
    image.and_then(|image| image.select(&wanted())).err().and_then(|error| error.rule_id())
}

#[test]
fn values_are_counted_in_every_document_and_not_in_texts() {
    let world = World::new();
    world.list(&[world.image("linux", "amd64")]);
    // The manifest has the most: an object, of a version, a configuration of three values, and a list of a layer of
    // three.
    let manifest = 1 + 1 + 2 + 1 + 2 + 1 + 1 + 2;
    assert_eq!(refusal(&world, Limit::DocumentValues, manifest), None);
    assert_eq!(refusal(&world, Limit::DocumentValues, manifest - 1), Some("limit"));
    assert_eq!(refusal(&world, Limit::DocumentValues, 0), Some("limit"), "`oci-layout`");
    let text = r#"{"x":"[[[,,,{{{\"[[[,,,\\","rootfs":{"type":"layers","diff_ids":["#;
    world.config_text(&format!(r#"{text}"{}"]}}}}"#, digest(b"layer")));
    assert_eq!(refusal(&world, Limit::DocumentValues, manifest), None);
}

#[test]
fn manifests_are_counted_wherever_an_index_lists_them() {
    let world = World::new();
    let other = |number| with(world.image("linux", "amd64"), "platform", on("plan9", &format!("cpu{number}")));
    let others: Vec<_> = (0..10).map(other).collect();
    let inner = world.index_of(&others);
    // The index twice is one more to look at, and its manifests are not looked at again.
    world.list(&[inner.clone(), inner, world.image("linux", "amd64")]);
    assert_eq!(refusal(&world, Limit::Manifests, 13), None);
    assert_eq!(refusal(&world, Limit::Manifests, 12), Some("limit"));
}

#[test]
fn manifests_that_share_a_configuration_have_it_read_once() {
    let world = World::new();
    let history = "x".repeat(4_000_000);
    let text = format!(r#"{{"os":"linux","architecture":"s390x","history":"{history}","rootfs":{{"type":"layers"}}}}"#);
    let config = world.bytes(CONFIG, text.as_bytes());
    let manifest = |number| {
        let document = json!({"schemaVersion": 2, "config": config, "layers": [], "annotations": {"n": number}});
        world.json(MANIFEST, &document)
    };
    let mut manifests: Vec<_> = (0..500).map(manifest).collect();
    manifests.push(world.image("linux", "amd64"));
    world.list(&[world.index_of(&manifests)]);
    let start = std::time::Instant::now();
    world.select().unwrap();
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[test]
fn what_was_found_is_a_short_text_however_much_there_is() {
    let world = World::new();
    let image = world.image("linux", "amd64");
    let long = |number| named(image.clone(), &format!("{number}{}", "\u{1}".repeat(10_000)));
    world.list(&(0..20).map(long).collect::<Vec<_>>());
    let image = world.open_within(Limits::default()).unwrap();
    let message = image.select(&wanted().with_reference("none")).unwrap_err().to_string();
    assert!(message.len() < 5_000 && message.ends_with("and more"), "{} {message}", message.len());

    let features: Vec<_> = (0..1_000).map(|number| format!("{number:04}{}", "f".repeat(1_000))).collect();
    let platform = json!({"os": "o".repeat(100_000), "architecture": "é".repeat(100_000), "os.features": features});
    world.list(&[with(world.image("linux", "amd64"), "platform", platform)]);
    let error = world.select().unwrap_err();
    assert!(matches!(error.misuse(), Some(Misuse::NothingSelected { .. })), "{error}");
    assert!(error.to_string().len() < 8_000, "{}", error.to_string().len());
}

#[test]
fn the_host_has_a_platform_in_gos_words() {
    let host = Platform::host().to_string();
    assert!(host.starts_with("linux/") && !host.contains("x86_64") && !host.contains("aarch64"), "{host}");
    assert_eq!(Platform::new("linux", "arm64", "v8"), Platform::new("linux", "arm64", ""));
    assert_ne!(Platform::new("linux", "arm", "v6"), Platform::new("linux", "arm", ""));
    assert_ne!(Platform::new("linux", "amd64", "v3"), Platform::new("linux", "amd64", ""));
}

#[test]
fn a_sha512_digest_is_a_digest_like_any() {
    let world = World::new();
    let image = world.image("linux", "amd64");
    let bytes = fs::read(world.blob_at(&image)).unwrap();
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&bytes);
    fs::create_dir(world.at("blobs/sha512")).unwrap();
    let image = with(image, "digest", json!(hasher.finish().to_string()));
    write(world.blob_at(&image), bytes).unwrap();
    world.list(&[image]);
    assert!(world.select().is_ok());
}

/// Bytes that come closer to a document than noise does.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "null",
        "2",
        "-1",
        "1e9",
        "\"layers\"",
        "\"Layers\"",
        "\"config\"",
        "\"manifests\"",
        "\"digest\"",
        "\"size\"",
        "\"schemaVersion\"",
        "\"mediaType\"",
        "\"rootfs\"",
        "\"\\ud800\"",
        " ",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(word, 0..60).prop_map(|words| words.concat().into_bytes()),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in nearly_json(), cut in 0_usize..400) {
        let world = World::new();
        let descriptor = world.bytes(MANIFEST, &bytes);
        world.list(&[descriptor.clone(), with(descriptor, "mediaType", json!(INDEX))]);
        let _ = world.select();
        assert_eq!(world.open_within(Limits::default()).and_then(|image| image.manifests()).map(|all| all.len()).ok(), Some(1));
        world.config_text(&String::from_utf8_lossy(&bytes));
        let _ = world.select();
        // A good manifest, cut and mended with them.
        let mut text = world.manifest_of(&world.config("linux", "amd64")).to_string().into_bytes();
        text.truncate(cut);
        text.extend_from_slice(&bytes);
        world.list(&[world.bytes(MANIFEST, &text)]);
        let _ = world.select();
    }
}
