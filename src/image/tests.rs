//! The room against little layouts on disk, each broken in one place.

// Redundant for the compiler; the guard of rooms reads it.
#[cfg(test)]
mod cases;

use super::platform::Platform;
use super::*;
use crate::read::{Format, Hasher};
use crate::words::{Algorithm, Error, Fault, Limit, Limits, Misuse};
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
        Image::open_within(&Dir::open_ambient_dir(self.0.path(), ambient_authority()).unwrap(), limits)
    }

    fn select(&self) -> Result<Selected, Error> {
        self.open_within(Limits::default())?.select(&wanted())
    }
}

fn wanted() -> Selector {
    Selector::host().platform(Platform::new("linux", "amd64", "").unwrap())
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
    image.open_layer(only).unwrap().read_to_string(&mut content).unwrap();
    assert_eq!(content, "compressed");

    let rule = || image.open_layer(only).err().map(|fault| fault.at(Default::default()).rule_id());
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
    let found = r#""\x1b[2j"/arm/v7, linux/arm/v7, one that states no platform"#;
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
        assert_eq!(selected.manifest().unwrap().digest().to_string(), descriptor["digest"]);
    }
    let (_, found) = nothing(image.select(&wanted().reference("none")));
    assert_eq!(found, r#""one", "other""#);

    // Within one index the order says which.
    let on_linux = |image: &Value| with(image.clone(), "platform", on("linux", "amd64"));
    world.list(&[world.index_of(&[on_linux(&other), on_linux(&one)])]);
    assert_eq!(image.select(&wanted()).unwrap().manifest().unwrap().digest().to_string(), other["digest"]);
}

#[test]
fn a_whole_reference_in_place_of_a_tag_is_found_by_its_shortened_forms_where_no_tag_is_the_same() {
    let world = World::new();
    let [alpine, tagged] = ["linux", "Linux"].map(|os| world.image(os, "amd64"));
    let picked = |name: &str| {
        let selected = world.open_within(Limits::default()).unwrap().select(&wanted().reference(name));
        selected.ok().map(|selected| json!(selected.manifest().unwrap().digest().to_string()))
    };
    let whole = named(alpine.clone(), "docker.io/library/alpine:3.19");
    world.list(slice::from_ref(&whole));
    for name in ["docker.io/library/alpine:3.19", "library/alpine:3.19", "alpine:3.19", "3.19"] {
        assert_eq!(picked(name), Some(alpine["digest"].clone()), "{name}");
    }
    for name in ["alpine", "alpine:3.2", "quay.io/library/alpine:3.19", "19"] {
        assert_eq!(picked(name), None, "{name}");
    }
    world.list(&[whole, named(tagged.clone(), "3.19")]);
    assert_eq!(picked("3.19"), Some(tagged["digest"].clone()), "a tag comes before the end of a reference");
    assert_eq!(picked("alpine:3.19"), Some(alpine["digest"].clone()));
    world.list(&[named(tagged, "alpine")]);
    assert_eq!(picked("alpine:latest"), None, "a tag is no reference");
}

#[test]
fn the_best_platform_is_taken_wherever_it_stands() {
    let world = World::new();
    let [v5, v6, i386, amd64, s390x] =
        [("arm", "v5"), ("arm", "v6"), ("386", ""), ("amd64", ""), ("s390x", "")].map(|(architecture, variant)| {
            let platform = json!({"os": "linux", "architecture": architecture, "variant": variant});
            with(world.image("linux", &format!("{architecture}{variant}")), "platform", platform)
        });
    let pick = |listed: &[&Value], platform: &str| {
        let listed: Vec<_> = listed.iter().map(|&image| image.clone()).collect();
        let mut picked = Vec::new();
        // In one index, in indexes of their own, and without one.
        let nested: Vec<_> = listed.iter().map(|image| world.index_of(std::slice::from_ref(image))).collect();
        for roots in [vec![world.index_of(&listed)], vec![world.index_of(&nested)], nested, listed] {
            world.list(&roots);
            let selector = Selector::host().platform(platform.parse().unwrap());
            let selected = world.open_within(Limits::default()).unwrap().select(&selector);
            picked.push(selected.map(|selected| json!(selected.manifest().unwrap().digest().to_string())).ok());
        }
        assert!(picked.windows(2).all(|two| two[0] == two[1]), "{picked:?}");
        picked.remove(0)
    };
    let digest = |image: &Value| Some(image["digest"].clone());
    assert_eq!(pick(&[&i386, &s390x, &amd64], "linux/amd64"), digest(&amd64));
    assert_eq!(pick(&[&s390x, &i386], "linux/amd64"), digest(&i386));
    assert_eq!(pick(&[&amd64], "linux/386"), None);
    assert_eq!(pick(&[&v5, &v6, &i386], "linux/arm/v7"), digest(&v6));
    assert_eq!(pick(&[&v6, &v5], "linux/arm64"), digest(&v6));
    assert_eq!(pick(&[&v6], "linux/arm/v5"), None);
    assert_eq!(pick(&[&amd64, &s390x], "linux/amd64/v3"), digest(&amd64));
}

#[test]
fn what_needs_features_of_the_operating_system_is_passed_over() {
    let world = World::new();
    let needing = |features: Value| with(on("linux", "amd64"), "os.features", features);
    let image = |number: &str| {
        let mut document = world.manifest_of(&world.config("linux", "amd64"));
        document["annotations"] = json!({"number": number});
        world.json(MANIFEST, &document)
    };
    let erofs = with(image("1"), "platform", needing(json!(["erofs", "\u{1b}"])));
    let plain = with(image("2"), "platform", needing(json!([])));
    let null = with(image("3"), "platform", needing(Value::Null));
    for (listed, expected) in [([&erofs, &plain], &plain), ([&erofs, &null], &null)] {
        world.list(&[world.index_of(&listed.map(Value::clone))]);
        assert_eq!(world.select().unwrap().manifest().unwrap().digest().to_string(), expected["digest"]);
    }
    world.list(&[erofs]);
    assert_eq!(nothing(world.select()).1, r#"linux/amd64 with "\x1b", erofs"#);
    // A configuration states it where the descriptor states nothing.
    let config = json!({"os": "linux", "architecture": "amd64", "os.features": ["erofs"], "rootfs": {
        "type": "layers", "diff_ids": [digest(b"layer")]
    }});
    world.list(&[world.json(MANIFEST, &world.manifest_of(&world.json(CONFIG, &config)))]);
    assert_eq!(nothing(world.select()).1, "linux/amd64 with erofs");
}

#[test]
fn an_index_that_states_a_platform_is_for_that_one_whatever_is_in_it() {
    let world = World::new();
    let [one, other] = ["linux", "Linux"].map(|os| with(world.image(os, "amd64"), "platform", on("linux", "amd64")));
    let [for_arm, for_us] = [(&one, "arm64"), (&other, "x86_64")].map(|(image, architecture)| {
        with(world.index_of(slice::from_ref(image)), "platform", on("linux", architecture))
    });
    world.list(&[world.index_of(&[for_arm.clone(), for_us.clone()])]);
    assert_eq!(world.select().unwrap().manifest().unwrap().digest().to_string(), other["digest"]);
    world.list(&[for_arm.clone(), for_us]);
    assert_eq!(world.select().unwrap().manifest().unwrap().digest().to_string(), other["digest"]);
    world.list(&[for_arm]);
    assert_eq!(nothing(world.select()).1, "linux/arm64");
}

#[test]
fn what_is_for_no_known_platform_is_no_image_to_choose_from() {
    let world = World::new();
    let attestation = with(world.image("Linux", "amd64"), "platform", on("unknown", "unknown"));
    let unstated = world.image("", "");
    for listed in [[&attestation, &unstated], [&unstated, &attestation]] {
        let listed = listed.map(Value::clone);
        for roots in [vec![world.index_of(&listed)], listed.to_vec()] {
            world.list(&roots);
            assert_eq!(world.select().unwrap().manifest().unwrap().digest().to_string(), unstated["digest"]);
        }
    }
    world.list(slice::from_ref(&attestation));
    assert_eq!(nothing(world.select()).1, "unknown/unknown");
    let unknown = Selector::host().platform("unknown/unknown".parse().unwrap());
    let selected = world.open_within(Limits::default()).unwrap().select(&unknown).unwrap();
    assert_eq!(selected.manifest().unwrap().digest().to_string(), attestation["digest"], "whoever asks for it has it");
}

#[test]
fn the_depth_of_indexes_counts_on_each_way_to_one() {
    let world = World::new();
    // What fits nobody is walked to its end.
    let inner = world.index_of(&[world.index_of(&[with(world.image("x", "y"), "platform", on("x", "y"))])]);
    let chain = world.index_of(&[world.index_of(slice::from_ref(&inner))]);
    let image = world.image("linux", "amd64");
    for roots in [[&inner, &chain, &image], [&chain, &inner, &image]] {
        world.list(&roots.map(Value::clone));
        let rule = |depth| {
            let image = world.open_within(Limits::default().with(Limit::IndexDepth, depth)).unwrap();
            image.select(&wanted()).err().map(|error| error.rule_id().unwrap_or("no rule"))
        };
        assert_eq!([3, 4, 5].map(rule), [Some("limit"), Some("limit"), None]);
    }
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
