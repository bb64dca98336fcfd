//! The room against little layouts on disk, each broken in one place.

use super::platform::Platform;
use super::*;
use crate::read::{Format, Hasher};
use crate::words::{Algorithm, Error, Fault, Limit, Limits, Misuse};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use proptest::prelude::*;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};
use std::fs::{self, remove_file, write};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

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
        Image::open_within(&Dir::open_ambient_dir(self.0.path(), ambient_authority()).unwrap(), limits)
    }

    fn select(&self) -> Result<Selected, Error> {
        self.open_within(Limits::default())?.select(&wanted())
    }
}

fn wanted() -> Selector {
    let mut selector = Selector::host();
    selector.platform = Platform::new("linux", "amd64", "").unwrap();
    selector
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

/// A sentence, a layout, and the rule that must refuse it (`None`: its manifest is read).
type Case = (&'static str, fn(&World), Option<&'static str>);

const CASES: &[Case] = &[
    ("a plain image", |w| w.list(&[w.image("linux", "amd64")]), None),
    ("an image in nested indexes", |w| w.list(&[w.index_of(&[w.index_of(&[w.image("linux", "amd64")])])]), None),
    (
        "an image without layers, as Go writes it",
        |w| {
            let text =
                r#"{"os":"linux","architecture":"amd64","variant":null,"rootfs":{"type":"layers","diff_ids":null}}"#;
            let config = w.bytes(CONFIG, text.as_bytes());
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": null, "manifests": null});
            w.list(&[with(w.json(MANIFEST, &manifest), "annotations", Value::Null)]);
        },
        None,
    ),
    (
        "an image without diff IDs, and with a key twice where nobody looks",
        |w| {
            let config = w.bytes(CONFIG, br#"{"rootfs":{"type":"layers"},"x":{"a":1,"a":2}}"#);
            w.list(&[w.json(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": []}))]);
        },
        None,
    ),
    // The layout.
    ("a directory without `oci-layout`", |w| remove_file(w.at("oci-layout")).unwrap(), Some("not-an-image")),
    (
        "a layout of another version",
        |w| write(w.at("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap(),
        Some("not-an-image"),
    ),
    ("a layout without a version", |w| write(w.at("oci-layout"), "{}").unwrap(), Some("json")),
    (
        "an `oci-layout` that is a link",
        |w| {
            fs::rename(w.at("oci-layout"), w.at("other")).unwrap();
            symlink("other", w.at("oci-layout")).unwrap();
        },
        Some("blob-not-regular"),
    ),
    ("a layout without `index.json`", |_| {}, Some("not-an-image")),
    (
        "an `index.json` that is a FIFO",
        |w| mkfifoat(CWD, w.at("index.json"), Mode::RUSR).unwrap(),
        Some("blob-not-regular"),
    ),
    ("an `index.json` that is too large", |w| w.index_json(&" ".repeat((4 << 20) + 1)), Some("limit")),
    ("an index of nothing", |w| w.list(&[]), Some("not-an-image")),
    ("an index of something else alone", |w| w.list(&[w.bytes("text/plain", b"")]), Some("media-type")),
    (
        "an index of an artifact alone",
        |w| {
            let config = w.bytes("application/vnd.oci.empty.v1+json", b"{}");
            w.list(&[w.json(MANIFEST, &w.manifest_of(&config))]);
        },
        Some("media-type"),
    ),
    // Blobs.
    (
        "a digest that climbs",
        |w| w.list(&[with(w.image("linux", "amd64"), "digest", json!("sha256:../../../etc/passwd"))]),
        Some("digest-malformed"),
    ),
    (
        "a digest of an algorithm that climbs",
        |w| w.list(&[with(w.image("linux", "amd64"), "digest", json!("../..:00"))]),
        Some("digest-malformed"),
    ),
    (
        "a layer's digest that climbs",
        |w| w.edited(|m| m["layers"][0]["digest"] = json!("sha256:../x")),
        Some("digest-malformed"),
    ),
    (
        "a diff ID that is none",
        |w| w.config_text(r#"{"rootfs":{"type":"layers","diff_ids":["x"]}}"#),
        Some("digest-malformed"),
    ),
    (
        "a manifest that is missing",
        |w| w.list(&[with(w.image("linux", "amd64"), "digest", json!(ABSENT))]),
        Some("blob-missing"),
    ),
    ("a configuration that is missing", |w| w.edited(|m| m["config"]["digest"] = json!(ABSENT)), Some("blob-missing")),
    (
        "a manifest behind a link",
        |w| {
            let image = w.image("linux", "amd64");
            fs::rename(w.blob_at(&image), w.at("elsewhere")).unwrap();
            symlink("../../elsewhere", w.blob_at(&image)).unwrap();
            w.list(&[image]);
        },
        Some("blob-not-regular"),
    ),
    (
        "blobs behind a linked directory",
        |w| {
            w.list(&[w.image("linux", "amd64")]);
            fs::rename(w.at("blobs"), w.at("elsewhere")).unwrap();
            symlink("elsewhere", w.at("blobs")).unwrap();
        },
        Some("blob-not-regular"),
    ),
    (
        "a manifest that is a FIFO",
        |w| {
            let image = w.image("linux", "amd64");
            remove_file(w.blob_at(&image)).unwrap();
            mkfifoat(CWD, w.blob_at(&image), Mode::RUSR).unwrap();
            w.list(&[image]);
        },
        Some("blob-not-regular"),
    ),
    (
        "a manifest of a larger size",
        |w| w.list(&[with(w.image("linux", "amd64"), "size", json!(1))]),
        Some("size-mismatch"),
    ),
    (
        "a manifest of a smaller size",
        |w| w.list(&[with(w.image("linux", "amd64"), "size", json!(100_000))]),
        Some("size-mismatch"),
    ),
    ("a manifest of a negative size", |w| w.list(&[with(w.image("linux", "amd64"), "size", json!(-1))]), Some("json")),
    (
        "a manifest that was changed",
        |w| {
            let image = w.image("linux", "amd64");
            let text = fs::read_to_string(w.blob_at(&image)).unwrap();
            write(w.blob_at(&image), text.replace("tar", "TAR")).unwrap();
            w.list(&[image]);
        },
        Some("digest-mismatch"),
    ),
    (
        "a configuration that was changed",
        |w| {
            let config = w.config("linux", "amd64");
            let text = fs::read_to_string(w.blob_at(&config)).unwrap();
            write(w.blob_at(&config), text.replace("amd64", "AMD64")).unwrap();
            w.list(&[w.json(MANIFEST, &w.manifest_of(&config))]);
        },
        Some("digest-mismatch"),
    ),
    (
        "a manifest that says it is too large",
        |w| w.list(&[with(w.image("linux", "amd64"), "size", json!(1_u64 << 40))]),
        Some("limit"),
    ),
    ("a configuration that is too large", |w| w.config_text(&" ".repeat((4 << 20) + 1)), Some("limit")),
    // Indexes.
    (
        "an index that names itself",
        |w| {
            let inner = json!({"mediaType": INDEX, "digest": ABSENT, "size": 0});
            let text = json!({"schemaVersion": 2, "manifests": [inner]}).to_string();
            let own = json!({"mediaType": INDEX, "digest": ABSENT, "size": text.len()});
            write(w.blob_at(&own), text).unwrap();
            w.list(&[own]);
        },
        Some("digest-mismatch"),
    ),
    (
        "four indexes within one another",
        |w| {
            let inner = w.index_of(&[w.image("linux", "amd64")]);
            w.list(&[w.index_of(&[w.index_of(&[inner])])]);
        },
        None,
    ),
    (
        "five indexes within one another",
        |w| {
            let inner = w.index_of(&[w.index_of(&[w.image("linux", "amd64")])]);
            w.list(&[w.index_of(&[w.index_of(&[inner])])]);
        },
        Some("limit"),
    ),
    (
        "a nested index that is a manifest",
        |w| w.list(&[with(w.image("linux", "amd64"), "mediaType", json!(INDEX))]),
        Some("json"),
    ),
    ("a manifest that is an index", |w| w.list(&[with(w.index_of(&[]), "mediaType", json!(MANIFEST))]), Some("json")),
    ("an index with layers", |w| w.index_json(r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#), Some("json")),
    (
        "an index with a configuration",
        |w| w.index_json(r#"{"schemaVersion":2,"manifests":[],"config":{}}"#),
        Some("json"),
    ),
    (
        "an index with schema 1 layers",
        |w| w.index_json(r#"{"schemaVersion":2,"manifests":[],"fsLayers":[]}"#),
        Some("json"),
    ),
    (
        "an `index.json` that says it is a manifest",
        |w| w.index_json(&json!({"schemaVersion": 2, "mediaType": MANIFEST, "manifests": []}).to_string()),
        Some("media-type"),
    ),
    (
        "an index that says it is a manifest list",
        |w| w.list(&[with(w.index_of(&[]), "mediaType", json!(LIST))]),
        Some("media-type"),
    ),
    // Manifests.
    ("a manifest that is an index as well", |w| w.edited(|m| m["manifests"] = json!([])), Some("json")),
    ("a manifest with schema 1 layers", |w| w.edited(|m| m["fsLayers"] = json!([])), Some("json")),
    ("a manifest of another schema", |w| w.edited(|m| m["schemaVersion"] = json!(1)), Some("json")),
    ("a manifest of no schema", |w| w.edited(|m| m["schemaVersion"] = Value::Null), Some("json")),
    ("a manifest with `Layers` beside `layers`", |w| w.edited(|m| m["Layers"] = json!([])), Some("json")),
    ("a manifest with a long s in `layerſ`", |w| w.edited(|m| m["layer\u{17f}"] = json!([])), Some("json")),
    ("a manifest with `MANIFESTS`", |w| w.edited(|m| m["MANIFESTS"] = json!([])), Some("json")),
    ("a layer with a `Digest`", |w| w.edited(|m| m["layers"][0]["Digest"] = json!(ABSENT)), Some("json")),
    ("a configuration's descriptor with a `SIZE`", |w| w.edited(|m| m["config"]["SIZE"] = json!(1)), Some("json")),
    (
        "a manifest whose layers are missing",
        |w| w.edited(|m| drop(m.as_object_mut().unwrap().remove("layers"))),
        Some("json"),
    ),
    ("a manifest whose layers are an object", |w| w.edited(|m| m["layers"] = json!({})), Some("json")),
    (
        "a manifest that is an array of its values",
        |w| w.edited(|m| *m = json!([2, null, m["config"], [], null, null])),
        Some("json"),
    ),
    ("a manifest with a key twice", |w| w.manifest_text(r#"{"schemaVersion":2,"schemaVersion":2}"#), Some("json")),
    (
        "a manifest with an unknown key twice",
        |w| {
            let text = w.manifest_of(&w.config("linux", "amd64")).to_string();
            w.manifest_text(&text.replacen('{', r#"{"x":1,"\u0078":1,"#, 1));
        },
        Some("json"),
    ),
    (
        "an annotation twice",
        |w| {
            w.list(&[named(w.image("linux", "amd64"), "a")]);
            let text = fs::read_to_string(w.at("index.json")).unwrap();
            w.index_json(
                &text.replace(r#""annotations":{"#, r#""annotations":{"org.opencontainers.image.ref.name":"b","#),
            );
        },
        Some("json"),
    ),
    (
        "bytes after a manifest",
        |w| w.manifest_text(&format!("{}{{}}", w.manifest_of(&w.config("linux", "amd64")))),
        Some("json"),
    ),
    (
        "white space after a manifest",
        |w| w.manifest_text(&format!("{}\n", w.manifest_of(&w.config("linux", "amd64")))),
        None,
    ),
    ("a manifest that is not UTF-8", |w| w.list(&[w.bytes(MANIFEST, b"{\"\xff\":1}")]), Some("json")),
    ("a manifest that is empty", |w| w.manifest_text(""), Some("json")),
    ("a manifest of brackets", |w| w.manifest_text(&"[".repeat(1 << 20)), Some("json")),
    ("layers of brackets", |w| w.manifest_text(&format!("{{\"layers\":{}", "[".repeat(1 << 20))), Some("json")),
    ("an unknown key of brackets", |w| w.manifest_text(&format!("{{\"x\":{}", "[".repeat(1 << 20))), Some("json")),
    (
        "a manifest that says it is Docker's",
        |w| w.edited(|m| m["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json")),
        Some("media-type"),
    ),
    ("a manifest that says what it is", |w| w.edited(|m| m["mediaType"] = json!(MANIFEST)), None),
    (
        "a configuration that is a layer",
        |w| {
            w.list(&[with(
                w.json(MANIFEST, &w.manifest_of(&with(w.config("linux", "amd64"), "mediaType", json!(TAR)))),
                "platform",
                on("linux", "amd64"),
            )])
        },
        Some("media-type"),
    ),
    (
        "a layer that is a configuration",
        |w| w.edited(|m| m["layers"][0]["mediaType"] = json!(CONFIG)),
        Some("media-type"),
    ),
    (
        "a layer that is encrypted",
        |w| w.edited(|m| m["layers"][0]["mediaType"] = json!(format!("{TAR}+encrypted"))),
        Some("media-type"),
    ),
    (
        "a layer in another spelling",
        |w| w.edited(|m| m["layers"][0]["mediaType"] = json!(TAR.to_uppercase())),
        Some("media-type"),
    ),
    (
        "a layer more than diff IDs",
        |w| w.edited(|m| m["layers"] = json!([m["layers"][0], m["layers"][0]])),
        Some("layers-and-diff-ids"),
    ),
    ("a layer less than diff IDs", |w| w.edited(|m| m["layers"] = json!([])), Some("layers-and-diff-ids")),
    ("too many layers", |w| w.edited(|m| m["layers"] = Value::Array(vec![m["layers"][0].clone(); 501])), Some("limit")),
    // Configurations.
    ("a configuration with `RootFS`", |w| w.config_text(r#"{"rootfs":{"type":"layers"},"RootFS":{}}"#), Some("json")),
    (
        "a configuration with `DIFF_IDS`",
        |w| w.config_text(r#"{"rootfs":{"type":"layers","DIFF_IDS":[]}}"#),
        Some("json"),
    ),
    ("a configuration without `rootfs`", |w| w.config_text("{}"), Some("json")),
    (
        "a root file system that is not of layers",
        |w| w.config_text(r#"{"rootfs":{"type":"x","diff_ids":[]}}"#),
        Some("json"),
    ),
    // Selection.
    (
        "an image that is incomplete in what is not asked for",
        |w| {
            let other = |platform| json!({"mediaType": MANIFEST, "digest": ABSENT, "size": 9, "platform": platform});
            let image = with(w.image("linux", "amd64"), "platform", on("linux", "amd64"));
            w.list(&[w.index_of(&[other(on("linux", "arm64")), image, other(on("linux", "amd64"))])]);
        },
        None,
    ),
    (
        "an attestation and an artifact beside an image",
        |w| {
            let absent = |key, value| with(json!({"mediaType": MANIFEST, "digest": ABSENT, "size": 9}), key, value);
            let attestation = absent("annotations", json!({"vnd.docker.reference.type": "attestation-manifest"}));
            let artifact = absent("artifactType", json!("application/vnd.dev.cosign.artifact.sig.v1+json"));
            let text = json!({"mediaType": "text/plain", "digest": ABSENT, "size": 9});
            let image = with(w.image("linux", "amd64"), "artifactType", json!(CONFIG));
            w.list(&[w.index_of(&[attestation, artifact, text, image])]);
        },
        None,
    ),
    ("an image that states no platform, alone", |w| w.list(&[w.image("", "")]), None),
    (
        "an image under two names",
        |w| w.list(&[named(w.image("linux", "amd64"), "a"), named(w.image("linux", "amd64"), "b")]),
        None,
    ),
];

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
    assert_eq!(only.compression(), Format::Gzip);
    assert_eq!(only.compression().name(), "gzip");
    assert_eq!(only.diff_id().to_string(), digest(b"layer"));
    assert_eq!(only.descriptor().size(), 10);
    assert_eq!(selected.config().digest().to_string(), manifest["config"]["digest"]);
    let mut content = String::new();
    image.open_blob(only.descriptor()).unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, "compressed");

    let rule = || image.open_blob(only.descriptor()).err().map(|fault| fault.at(Default::default()).rule_id());
    write(world.blob_at(&layer), "longer than that").unwrap();
    assert_eq!(rule(), Some(Some("size-mismatch")));
    remove_file(world.blob_at(&layer)).unwrap();
    assert_eq!(rule(), Some(Some("blob-missing")));
    symlink("/etc/passwd", world.blob_at(&layer)).unwrap();
    assert_eq!(rule(), Some(Some("blob-not-regular")));
    remove_file(world.blob_at(&layer)).unwrap();
    mkfifoat(CWD, world.blob_at(&layer), Mode::RUSR).unwrap();
    assert_eq!(rule(), Some(Some("blob-not-regular")));
}

/// Both sides of the refusal.
fn nothing(result: Result<Selected, Error>) -> (String, String) {
    match result.unwrap_err().kind() {
        Fault::Misuse(Misuse::NothingSelected { wanted, found }) => (wanted.clone(), found.clone()),
        other => panic!("{other}"),
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let world = World::new();
    world.list(&[world.image("linux", "s390x")]);
    assert_eq!(nothing(world.select()), ("linux/amd64".into(), "linux/s390x".into()));

    let escaping = with(world.image("linux", "arm"), "platform", json!({"os": "\u{1b}[2J", "architecture": "arm"}));
    world.list(&[world.image("linux", "arm"), escaping, world.image("", "")]);
    let found = r#""\x1b[2J"/arm/v7, linux/arm/v7, one that states no platform"#;
    assert_eq!(nothing(world.select()), ("linux/amd64".into(), found.into()));
}

#[test]
fn a_reference_name_tells_images_apart() {
    let world = World::new();
    let docker =
        with(world.config("linux", "amd64"), "mediaType", json!("application/vnd.docker.container.image.v1+json"));
    let one = world.image("linux", "amd64");
    let other = world.json(MANIFEST, &world.manifest_of(&docker));
    world.list(&[named(one.clone(), "one"), named(other.clone(), "other")]);
    let image = world.open_within(Limits::default()).unwrap();

    let (wanted_alone, found) = nothing(image.select(&wanted()));
    assert_eq!((&*wanted_alone, &*found), ("linux/amd64 alone", r#""one", "other": say which"#));
    for (name, descriptor) in [("one", &one), ("other", &other)] {
        let selected = image.select(&wanted().reference(name)).unwrap();
        assert_eq!(selected.manifest().digest().to_string(), descriptor["digest"]);
    }
    let (_, found) = nothing(image.select(&wanted().reference("none")));
    assert_eq!(found, r#""one", "other""#);

    // Within one index the order says which.
    let on_linux = |image: &Value| with(image.clone(), "platform", on("linux", "amd64"));
    world.list(&[world.index_of(&[on_linux(&other), on_linux(&one)])]);
    assert_eq!(image.select(&wanted()).unwrap().manifest().digest().to_string(), other["digest"]);
}

#[test]
fn indexes_that_name_one_another_over_and_over_are_walked_once() {
    let world = World::new();
    let image = with(world.image("linux", "arm64"), "platform", on("linux", "arm64"));
    let mut index = world.index_of(&vec![image; 1_000]);
    for _ in 0..2 {
        index = world.index_of(&vec![index; 1_000]);
    }
    world.list(&vec![index; 1_000]);
    assert_eq!(nothing(world.select()).1, "linux/arm64"); // a walk of 10¹² steps would not end
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
