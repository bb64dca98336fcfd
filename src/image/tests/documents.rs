//! The documents of an image: their bytes, what the configuration says, and images made of documents alone.

use super::*;
use crate::words::Digest;

const FULL: &str = r#"{
    "created": "2026-01-02T03:04:05Z", "author": "A <a@example.org>", "os": "linux", "architecture": "amd64",
    "variant": "v3", "os.version": "10", "id": "from Docker", "container_config": {"Cmd": 7},
    "config": {
        "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo hi"], "Env": ["PATH=/bin", "EMPTY="], "User": "1:2",
        "WorkingDir": "/srv", "Labels": {"b": "2", "a": "", "A": "1"}, "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}}, "StopSignal": "SIGQUIT", "Hostname": "x", "Healthcheck": {"Test": []}
    },
    "history": [
        {"created": "2025-01-01T00:00:00Z", "created_by": "ADD f /", "author": "B", "comment": "c"},
        {"created_by": "ENV A=", "empty_layer": true}
    ],
    "rootfs": {"type": "layers", "diff_ids": []}
}"#;

/// An image without layers, of a configuration with this text.
fn selected(config: &str) -> Result<Selected, Error> {
    let world = World::new();
    let descriptor = world.bytes(CONFIG, config.as_bytes());
    world.list(&[world.json(MANIFEST, &json!({"schemaVersion": 2, "config": descriptor, "layers": []}))]);
    world.open_within(Limits::default())?.select(&Selector::host().with_position(0))
}

fn parsed(config: &str) -> Result<ImageConfig, Error> {
    selected(config).unwrap().image_config()
}

#[test]
fn a_configuration_says_how_the_image_was_made_and_is_run() {
    let config = parsed(FULL).unwrap();
    assert_eq!(config.created(), Some("2026-01-02T03:04:05Z"));
    assert_eq!(config.author(), Some("A <a@example.org>"));
    let platform = (config.os(), config.architecture(), config.variant(), config.os_version());
    assert_eq!(platform, (Some("linux"), Some("amd64"), Some("v3"), Some("10")));
    assert_eq!(config.entrypoint(), ["/bin/sh", "-c"]);
    assert_eq!(config.cmd(), ["echo hi"]);
    assert_eq!(config.env(), ["PATH=/bin", "EMPTY="]);
    assert_eq!((config.user(), config.working_dir()), (Some("1:2"), Some("/srv")));
    let labels: Vec<_> = config.labels().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("A", "1"), ("a", ""), ("b", "2")]);
    assert!(config.exposed_ports().iter().eq(["53/udp", "80/tcp"]));
    assert!(config.volumes().iter().eq(["/data"]));
    assert_eq!(config.stop_signal(), Some("SIGQUIT"));
    let [first, second] = config.history() else { panic!("{config:?}") };
    assert_eq!((first.created(), first.created_by()), (Some("2025-01-01T00:00:00Z"), Some("ADD f /")));
    assert_eq!((first.author(), first.comment(), first.is_empty_layer()), (Some("B"), Some("c"), false));
    assert_eq!((second.created(), second.created_by()), (None, Some("ENV A=")));
    assert_eq!((second.author(), second.comment(), second.is_empty_layer()), (None, None, true));
}

#[test]
fn what_a_configuration_leaves_out_or_calls_null_is_empty() {
    let nulls = r#"{
        "created": null, "author": "", "os": null, "architecture": null, "variant": null, "history": null,
        "config": {"Entrypoint": null, "Cmd": null, "Env": null, "User": "", "WorkingDir": null, "Labels": null,
            "ExposedPorts": null, "Volumes": null, "StopSignal": null},
        "rootfs": {"type": "layers", "diff_ids": null}
    }"#;
    let no_container = r#"{"config": null, "rootfs": {"type": "layers"}}"#;
    for text in [nulls, no_container, r#"{"rootfs": {"type": "layers"}}"#] {
        let config = parsed(text).unwrap();
        let texts = [config.created(), config.author(), config.os(), config.architecture(), config.variant()];
        assert_eq!(texts, [None; 5], "{text}");
        assert_eq!(
            [config.os_version(), config.user(), config.working_dir(), config.stop_signal()],
            [None; 4],
            "{text}"
        );
        assert_eq!([config.entrypoint(), config.cmd(), config.env()], [[""; 0]; 3], "{text}");
        assert!(config.labels().is_empty() && config.history().is_empty(), "{text}");
        assert!(config.exposed_ports().is_empty() && config.volumes().is_empty(), "{text}");
    }
}

#[test]
fn a_configuration_that_readers_would_read_differently_is_refused_when_it_is_asked_for_and_unpacks_all_the_same() {
    for odd in [
        r#""config": {"Cmd": "echo"}"#,
        r#""config": {"Cmd": [1]}"#,
        r#""config": {"Cmd": ["a"], "Cmd": ["b"]}"#,
        r#""config": {"cmd": ["b"]}"#,
        r#""config": {"USER": "root"}"#,
        r#""config": {"Labels": {"a": "1", "a": "2"}}"#,
        r#""config": {"Labels": {"a": 1}}"#,
        r#""config": {"Labels": ["a"]}"#,
        r#""config": {"ExposedPorts": {"80/tcp": {}, "80/tcp": {}}}"#,
        r#""config": {"ExposedPorts": ["80/tcp"]}"#,
        r#""config": {"Volumes": "/data"}"#,
        r#""config": [["echo"]]"#,
        r#""Config": {"User": "root"}"#,
        r#""history": {}"#,
        r#""history": [null]"#,
        r#""history": [{"empty_layer": "true"}]"#,
        r#""history": [{"created_by": "a", "Created_By": "b"}]"#,
        r#""created": 7"#,
    ] {
        let selected = selected(&format!(r#"{{{odd}, "rootfs": {{"type": "layers"}}}}"#)).unwrap();
        let error = selected.image_config().unwrap_err();
        assert_eq!(error.rule_id(), Some("json"), "{odd}");
        assert!(error.to_string().contains(&selected.config().digest().to_string()), "{error}");
        assert!(selected.layers().is_empty() && selected.config_bytes().starts_with(b"{"));
    }
}

#[test]
fn each_layer_has_the_step_of_the_history_that_made_it_or_none_if_the_numbers_differ() {
    let steps_of = |history: &str, layers: usize| {
        let world = World::new();
        let layer = world.bytes(TAR, b"content");
        let diff_ids = vec![ABSENT; layers];
        let config = format!(r#"{{{history} "rootfs": {{"type": "layers", "diff_ids": {}}}}}"#, json!(diff_ids));
        let config = world.bytes(CONFIG, config.as_bytes());
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": vec![layer; layers]});
        world.list(&[world.json(MANIFEST, &manifest)]);
        let selected = world.select().unwrap();
        let steps = selected.layers().iter().map(|layer| Some(layer.history()?.created_by()?.to_owned()));
        steps.collect::<Vec<_>>()
    };
    let three = r#""history": [
        {"created_by": "FROM", "empty_layer": false}, {"created_by": "ENV", "empty_layer": true}, {"created_by": "RUN"}
    ],"#;
    assert_eq!(steps_of(three, 2), [Some("FROM".to_owned()), Some("RUN".to_owned())]);
    for layers in [1, 3] {
        assert_eq!(steps_of(three, layers), vec![None; layers]);
    }
    // Unpacking does not need it, so a history that readers would read differently is as good as none.
    for history in ["", r#""history": null,"#, r#""history": [{"created_by": 7}],"#, r#""History": [{}],"#] {
        assert_eq!(steps_of(history, 1), [None], "{history}");
    }
}

#[test]
fn a_descriptor_has_the_annotations_of_the_document_that_lists_it() {
    let world = World::new();
    let annotated = |descriptor: Value, key: &str| with(descriptor, "annotations", json!({key: "\u{1b}", "b": ""}));
    let keys = |descriptor: &Descriptor| descriptor.annotations().keys().map(String::clone).collect::<Vec<_>>();
    let config = world.config("linux", "amd64");
    let mut manifest = world.manifest_of(&annotated(config.clone(), "config"));
    manifest["layers"][0] = annotated(manifest["layers"][0].clone(), "layer");
    let manifest = world.json(MANIFEST, &manifest);
    let amd64 = || with(annotated(manifest.clone(), "inner"), "platform", on("linux", "amd64"));
    let s390x = with(annotated(manifest.clone(), "other"), "platform", on("linux", "s390x"));
    // A manifest that states its platform itself, alone or in an index; and one whose configuration states it.
    let index = annotated(world.index_of(&[s390x.clone(), amd64()]), "index");
    let unstated = world.index_of(&[annotated(manifest.clone(), "inner")]);
    let nested = world.index_of(&[world.index_of(&[s390x]), index.clone()]);
    for listed in [amd64(), index, unstated, nested] {
        world.list(slice::from_ref(&listed));
        let selected = world.select().unwrap();
        assert_eq!(keys(selected.manifest().unwrap()), ["b", "inner"], "{listed}");
        assert_eq!(selected.manifest().unwrap().annotations()["inner"], "\u{1b}");
        assert_eq!(keys(selected.config()), ["b", "config"]);
        assert_eq!(keys(selected.layers()[0].descriptor().unwrap()), ["b", "layer"]);
    }
    // What an index says does not count for what a digest finds.
    let [digest, id] = [&manifest, &config].map(|found| found["digest"].as_str().unwrap().parse().unwrap());
    for selector in [wanted().with_manifest_digest(digest), wanted().with_image_id(id)] {
        let pinned = world.open_within(Limits::default()).unwrap().select(&selector).unwrap();
        assert_eq!(keys(pinned.manifest().unwrap()), [""; 0]);
    }
}

/// The documents of the one manifest that a layout lists, where all is where it belongs.
fn documents(world: &World) -> Option<(Vec<u8>, Vec<u8>, Digest)> {
    // Links and pipes concern the layout alone.
    let file = |name: &str| {
        let path = world.at(name);
        fs::symlink_metadata(&path).is_ok_and(|it| it.is_file()).then(|| fs::read(path).unwrap())
    };
    let read = |descriptor: &Value| {
        let (algorithm, hex) = descriptor["digest"].as_str()?.split_once(':')?;
        file(&format!("blobs/{algorithm}/{hex}"))
    };
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let index = parse(&file("index.json")?)?;
    let [listed] = index["manifests"].as_array()?.as_slice() else { return None };
    let manifest = read(listed)?;
    let config = read(&parse(&manifest)?["config"])?;
    Some((manifest, config, listed["digest"].as_str()?.parse().ok()?))
}

#[test]
fn documents_alone_are_judged_as_those_of_a_layout() {
    let mut rules = std::collections::BTreeSet::new();
    for (name, build, _) in CASES {
        let world = World::new();
        build(&world);
        let Some((manifest, config, digest)) = documents(&world) else { continue };
        let Ok(image) = world.open_within(Limits::default()) else { continue };
        let rule =
            |result: &Result<Selected, Error>| result.as_ref().err().map(|error| error.rule_id().unwrap_or("misuse"));
        let on_disk = image.select(&Selector::host().with_manifest_digest(digest));
        let alone = Selected::from_documents(&manifest, &config, &digest, &Limits::default());
        assert_eq!(rule(&alone), rule(&on_disk), "{name}: {:?} {:?}", alone.err(), on_disk.err());
        rules.extend(rule(&on_disk));
        if let (Ok(alone), Ok(on_disk)) = (alone, on_disk) {
            assert_eq!(alone.layers(), on_disk.layers(), "{name}");
            assert_eq!((alone.platform(), alone.config()), (on_disk.platform(), on_disk.config()), "{name}");
            assert_eq!(alone.config_bytes(), on_disk.config_bytes(), "{name}");
            assert_eq!(alone.manifest_bytes(), on_disk.manifest_bytes(), "{name}");
            rules.insert("none");
        }
    }
    for expected in ["none", "json", "layers-and-diff-ids", "media-type", "digest-mismatch", "artifact", "schema-1"] {
        assert!(rules.contains(expected), "{expected} is not among {rules:?}");
    }
}

#[test]
fn documents_alone_are_checked_against_the_digest_the_descriptor_and_the_limits() {
    let world = World::new();
    let image = world.image("linux", "amd64");
    world.list(slice::from_ref(&image));
    let (manifest, config, digest) = documents(&world).unwrap();
    let read = |manifest: &[u8], config: &[u8], limits: &Limits| {
        Selected::from_documents(manifest, config, &digest, limits).err().map(|error| error.rule_id().unwrap())
    };
    let default = Limits::default();
    assert_eq!(read(&manifest, &config, &default), None);
    let mut flipped = config.clone();
    flipped[1] ^= 1;
    assert_eq!(read(&manifest, &flipped, &default), Some("digest-mismatch"));
    assert_eq!(read(&manifest, &config[1..], &default), Some("size-mismatch"));
    assert_eq!(read(&manifest, b"", &default), Some("size-mismatch"));
    let mut flipped = manifest.clone();
    flipped[1] ^= 1;
    assert_eq!(read(&flipped, &config, &default), Some("digest-mismatch"));
    assert_eq!(read(&manifest[1..], &config, &default), Some("digest-mismatch"));
    for (limit, least) in [(Limit::ManifestBytes, manifest.len().max(config.len()) as u64), (Limit::Layers, 1)] {
        assert_eq!(read(&manifest, &config, &default.clone().with(limit, least)), None, "{limit}");
        assert_eq!(read(&manifest, &config, &default.clone().with(limit, least - 1)), Some("limit"), "{limit}");
    }
    assert_eq!(read(&manifest, &config, &default.with(Limit::DocumentValues, 3)), Some("limit"));

    let index = world.index_of(&[image]);
    let bytes = fs::read(world.blob_at(&index)).unwrap();
    let digest = index["digest"].as_str().unwrap().parse().unwrap();
    let error = Selected::from_documents(&bytes, &config, &digest, &Limits::default()).unwrap_err();
    assert_eq!(error.misuse(), Some(&Misuse::IndexAsManifest), "{error}");
}

#[test]
fn the_layers_of_documents_alone_are_not_on_disk_and_an_error_says_so() {
    let world = World::new();
    world.list(&[world.image("linux", "amd64")]);
    let (manifest, config, digest) = documents(&world).unwrap();
    let selected = Selected::from_documents(&manifest, &config, &digest, &Limits::default()).unwrap();
    assert_eq!(selected.platform().map(ToString::to_string).as_deref(), Some("linux/amd64"));
    let [only] = selected.layers() else { panic!("{selected:?}") };
    let error = selected.open_layer(only).unwrap_err();
    assert_eq!(error.misuse(), Some(&Misuse::LayersElsewhere));
    assert_eq!(error.position().layer, Some(only.position()));
    let place = Dir::open_ambient_dir(world.0.path(), ambient_authority()).unwrap();
    let error = selected.unpack_into(&place, "rootfs", &Default::default()).unwrap_err();
    assert_eq!(error.misuse(), Some(&Misuse::LayersElsewhere), "{error}");
    assert!(!world.at("rootfs").exists());
}
