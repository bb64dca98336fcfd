//! Layouts, each broken in one place.

use super::*;

/// A sentence, a layout, and the rule that must refuse it (`None`: its manifest is read).
pub(super) type Case = (&'static str, fn(&World), Option<&'static str>);

pub(super) const CASES: &[Case] = &[
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
    ("a directory without any of it", |w| remove_file(w.at("oci-layout")).unwrap(), Some("not-an-image")),
    (
        "a layout without `oci-layout`, as BuildKit writes it into a directory",
        |w| {
            remove_file(w.at("oci-layout")).unwrap();
            w.list(&[w.image("linux", "amd64")]);
        },
        None,
    ),
    (
        "a directory with an `index.json` of something else",
        |w| {
            remove_file(w.at("oci-layout")).unwrap();
            w.index_json(r#"{"pages":[]}"#);
        },
        Some("not-an-image"),
    ),
    (
        "an `oci-layout` that leads nowhere",
        |w| {
            remove_file(w.at("oci-layout")).unwrap();
            symlink("none", w.at("oci-layout")).unwrap();
            w.list(&[w.image("linux", "amd64")]);
        },
        None,
    ),
    (
        "an `index.json` without a version",
        |w| w.index_json(&json!({"manifests": [w.image("linux", "amd64")]}).to_string()),
        None,
    ),
    (
        "an `index.json` of version 1",
        |w| w.index_json(&json!({"schemaVersion": 1, "manifests": [w.image("linux", "amd64")]}).to_string()),
        Some("schema-1"),
    ),
    (
        "a nested index without a version",
        |w| w.list(&[w.json(INDEX, &json!({"manifests": [w.image("linux", "amd64")]}))]),
        Some("json"),
    ),
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
            fs::create_dir(w.at("deep")).unwrap();
            w.list(&[w.image("linux", "amd64")]);
            fs::rename(w.at("index.json"), w.at("deep/i")).unwrap();
            symlink("blobs/../deep/./i", w.at("index.json")).unwrap();
        },
        None,
    ),
    (
        "an `oci-layout` that is a link to the machine",
        |w| {
            remove_file(w.at("oci-layout")).unwrap();
            symlink("/etc/hostname", w.at("oci-layout")).unwrap();
        },
        Some("blob-outside"),
    ),
    (
        "an `index.json` that is a link to the machine",
        |w| symlink("../../../../../../etc/hostname", w.at("index.json")).unwrap(),
        Some("blob-outside"),
    ),
    (
        "an `index.json` that is a link to itself",
        |w| symlink("index.json", w.at("index.json")).unwrap(),
        Some("link-loop"),
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
        Some("artifact"),
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
        None,
    ),
    (
        "a manifest behind a link to another",
        |w| {
            let (image, other) = (w.image("linux", "amd64"), w.image("linux", "s390x"));
            remove_file(w.blob_at(&image)).unwrap();
            symlink(w.blob_at(&other).file_name().unwrap(), w.blob_at(&image)).unwrap();
            w.list(&[image]);
        },
        Some("digest-mismatch"),
    ),
    (
        "a manifest behind a link that leads out",
        |w| {
            let image = w.image("linux", "amd64");
            remove_file(w.blob_at(&image)).unwrap();
            symlink("../../../etc", w.blob_at(&image)).unwrap();
            w.list(&[image]);
        },
        Some("blob-outside"),
    ),
    (
        "a manifest behind a link by its whole path, though it is inside",
        |w| {
            let image = w.image("linux", "amd64");
            fs::rename(w.blob_at(&image), w.at("elsewhere")).unwrap();
            symlink(w.at("elsewhere"), w.blob_at(&image)).unwrap();
            w.list(&[image]);
        },
        Some("blob-outside"),
    ),
    (
        "a manifest behind a link to nothing",
        |w| {
            let image = w.image("linux", "amd64");
            remove_file(w.blob_at(&image)).unwrap();
            symlink("none", w.blob_at(&image)).unwrap();
            w.list(&[image]);
        },
        Some("blob-missing"),
    ),
    (
        "a manifest behind a link to a FIFO",
        |w| {
            let image = w.image("linux", "amd64");
            remove_file(w.blob_at(&image)).unwrap();
            mkfifoat(CWD, w.at("fifo"), Mode::RUSR).unwrap();
            symlink("../../fifo", w.blob_at(&image)).unwrap();
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
        None,
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
    ("a manifest of another schema", |w| w.edited(|m| m["schemaVersion"] = json!(3)), Some("json")),
    ("a manifest that says it is of schema 1", |w| w.edited(|m| m["schemaVersion"] = json!(1)), Some("schema-1")),
    (
        "a manifest of schema 1",
        |w| {
            let signed = json!({"schemaVersion": 1, "name": "a", "tag": "b", "architecture": "amd64", "signatures": [],
                "fsLayers": [{"blobSum": ABSENT}], "history": [{"v1Compatibility": "{}"}]});
            w.list(&[w.json(MANIFEST, &signed)]);
        },
        Some("schema-1"),
    ),
    (
        "a manifest of schema 1 that its descriptor calls so",
        |w| w.list(&[w.bytes("application/vnd.docker.distribution.manifest.v1+prettyjws", b"{}")]),
        Some("schema-1"),
    ),
    (
        "a manifest without a schema",
        |w| w.edited(|m| drop(m.as_object_mut().unwrap().remove("schemaVersion"))),
        Some("json"),
    ),
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
    ("a manifest of brackets", |w| w.manifest_text(&"[".repeat(100_000)), Some("json")),
    ("layers of brackets", |w| w.manifest_text(&format!("{{\"layers\":{}", "[".repeat(100_000))), Some("json")),
    ("an unknown key of brackets", |w| w.manifest_text(&format!("{{\"x\":{}", "[".repeat(100_000))), Some("json")),
    ("a manifest of a million brackets", |w| w.manifest_text(&"[".repeat(1 << 20)), Some("limit")),
    (
        "an unknown key of lists within one another, all closed",
        |w| {
            w.config_text(&format!(
                r#"{{"x":{}{},"rootfs":{{"type":"layers"}}}}"#,
                "[".repeat(9_999),
                "]".repeat(9_999)
            ))
        },
        Some("layers-and-diff-ids"),
    ),
    (
        "410,000 annotations",
        |w| {
            let annotations: String = (0..410_000).map(|number| format!(r#","{number:06}":"""#)).collect();
            w.index_json(&format!(r#"{{"manifests":[{{"annotations":{{"a":""{annotations}}}}}]}}"#));
        },
        Some("limit"),
    ),
    (
        "a million entries of a history that is not read",
        |w| w.config_text(&format!(r#"{{"history":[0{}]}}"#, ",0".repeat(1_000_000))),
        Some("limit"),
    ),
    (
        "an unused annotation twice",
        |w| {
            let image = with(w.image("linux", "amd64"), "annotations", json!({"a": "1"})).to_string();
            w.index_json(&format!(
                r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
                image.replace(r#""a":"1""#, r#""a":"1","b":"2","a":"1""#)
            ));
        },
        Some("json"),
    ),
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
        Some("artifact"),
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
    (
        "a configuration of Docker 1.10's types",
        |w| {
            let of_type = |media_type: Value| {
                let config = with(w.config("linux", "amd64"), "mediaType", media_type);
                w.json(MANIFEST, &w.manifest_of(&config))
            };
            let index = |image| w.index_of(&[with(image, "platform", on("linux", "amd64"))]);
            for media_type in ["application/octet-stream", "application/json", "text/html", ""] {
                w.list(&[of_type(json!(media_type))]);
                w.select().unwrap();
                w.list(&[index(of_type(json!(media_type)))]);
                w.select().unwrap();
            }
            w.list(&[of_type(Value::Null)]);
        },
        None,
    ),
    (
        "a document of one of these types that is no configuration",
        |w| w.list(&[w.json(MANIFEST, &w.manifest_of(&w.bytes("application/json", b"{}")))]),
        Some("artifact"),
    ),
    (
        "the same beside an image",
        |w| {
            let other = w.json(MANIFEST, &w.manifest_of(&w.bytes("application/json", b"{}")));
            w.list(&[w.index_of(&[other, w.image("linux", "amd64")])]);
        },
        None,
    ),
    (
        "a configuration of a type that is like one of them",
        |w| w.edited(|m| m["config"]["mediaType"] = json!("text/plain")),
        Some("artifact"),
    ),
    (
        "a layer of no type",
        |w| w.edited(|m| drop(m["layers"][0].as_object_mut().unwrap().remove("mediaType"))),
        Some("media-type"),
    ),
    (
        "a manifest of no type",
        |w| w.list(&[with(w.image("linux", "amd64"), "mediaType", Value::Null)]),
        Some("media-type"),
    ),
    // Artifacts and attestations.
    (
        "an artifact that says what it is, alone",
        |w| {
            w.edited(|m| {
                m["config"] = w.bytes("application/vnd.oci.empty.v1+json", b"{}");
                m["artifactType"] = json!("application/vnd.dev.cosign.artifact.sig.v1+json");
            })
        },
        Some("artifact"),
    ),
    (
        "an attestation, alone",
        |w| {
            let annotations = json!({"vnd.docker.reference.type": "attestation-manifest"});
            let attestation = with(w.image("unknown", "unknown"), "platform", on("unknown", "unknown"));
            w.list(&[w.index_of(&[with(attestation, "annotations", annotations)])]);
        },
        Some("artifact"),
    ),
    (
        "an attestation that nothing but its layers gives away",
        |w| w.edited(|m| m["layers"][0]["mediaType"] = json!("application/vnd.in-toto+json")),
        Some("artifact"),
    ),
    ("an image that states an artifact type", |w| w.edited(|m| m["artifactType"] = json!("application/x")), None),
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
