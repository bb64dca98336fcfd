//! Which of several images is the one that is meant.

use super::*;
use crate::words::{Blame, Remedy, SelectBy};

/// Both sides of the refusal.
fn nothing(result: Result<Selected, Error>) -> (String, String) {
    let error = result.unwrap_err();
    match error.misuse() {
        Some(Misuse::NothingSelected { wanted, found, .. }) => (wanted.clone(), found.clone()),
        _ => panic!("{error}"),
    }
}

/// What was asked for, and the images that fit it.
fn several(result: Result<Selected, Error>) -> (String, String) {
    let error = result.unwrap_err();
    match error.misuse() {
        Some(Misuse::SeveralSelected { wanted, found, .. }) => (wanted.clone(), found.clone()),
        _ => panic!("{error}"),
    }
}

#[test]
fn a_selector_returns_what_was_set() {
    let host = Selector::host();
    assert_eq!((host.platform(), host.reference(), host.position()), (&Platform::host(), None, None));
    assert_eq!((host.manifest_digest(), host.image_id()), (None, None));
    let digests = [ABSENT.to_owned(), digest(b"")].map(|text| text.parse().unwrap());
    let set = host.with_platform("s390x".parse().unwrap()).with_reference("a:1").with_position(2);
    let set = set.with_manifest_digest(digests[0]).with_image_id(digests[1]);
    assert_eq!(set.platform().to_string(), "linux/s390x");
    assert_eq!((set.reference(), set.position()), (Some("a:1"), Some(2)));
    assert_eq!((set.manifest_digest(), set.image_id()), (Some(&digests[0]), Some(&digests[1])));
}

#[test]
fn what_does_not_fit_is_named() {
    let world = World::new();
    world.list(&[world.image("linux", "s390x")]);
    assert_eq!(nothing(world.select()), ("linux/amd64".into(), "linux/s390x".into()));

    let escaping = with(world.image("linux", "arm"), "platform", json!({"os": "\u{1b}[2J", "architecture": "arm"}));
    world.list(&[world.image("linux", "arm"), escaping]);
    let found = r#""\x1b[2j"/arm/v7, linux/arm/v7"#;
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

    assert_eq!(several(image.select(&wanted())), ("linux/amd64".into(), r#""one", "other""#.into()));
    let message = image.select(&wanted()).unwrap_err().to_string();
    assert_eq!(message, r#"more than one image matches linux/amd64: "one", "other""#);
    for (name, descriptor) in [("one", &one), ("other", &other)] {
        let selected = image.select(&wanted().with_reference(name)).unwrap();
        assert_eq!(selected.manifest().unwrap().digest().to_string(), descriptor["digest"]);
    }
    let (_, found) = nothing(image.select(&wanted().with_reference("none")));
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
        let selected = world.open_within(Limits::default()).unwrap().select(&wanted().with_reference(name));
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
fn images_without_names_are_told_apart_by_their_digests_and_positions() {
    let world = World::new();
    let docker =
        with(world.config("linux", "amd64"), "mediaType", json!("application/vnd.docker.container.image.v1+json"));
    let one = world.image("linux", "amd64");
    let other_manifest = with(world.manifest_of(&docker), "annotations", json!({"number": "2"}));
    let other = world.json(MANIFEST, &other_manifest);
    let digest = |image: &Value| image["digest"].as_str().unwrap().to_owned();
    world.list(&[one.clone(), other.clone(), named(world.image("linux", "s390x"), "named")]);
    let image = world.open_within(Limits::default()).unwrap();

    let (_, found) = several(image.select(&wanted()));
    let expected = format!("@0 without a name ({}), @1 without a name ({})", digest(&one), digest(&other));
    assert_eq!(found, expected);
    let error = image.select(&wanted()).unwrap_err();
    assert_eq!(error.remedies(), [Remedy::Select(SelectBy::Any)]);
    for (position, expected) in [(0, &one), (1, &other)] {
        let selected = image.select(&wanted().with_position(position)).unwrap();
        assert_eq!(selected.manifest().unwrap().digest().to_string(), digest(expected));
        assert_eq!(selected.name(), None);
        let pinned = image.select(&wanted().with_manifest_digest(digest(expected).parse().unwrap())).unwrap();
        assert_eq!(pinned.manifest(), selected.manifest());
    }
    // A position says more than a platform and a name.
    let selected = image.select(&wanted().with_reference("none").with_position(2)).unwrap();
    assert_eq!((selected.platform(), selected.name()), ("linux/s390x".parse().ok().as_ref(), Some("named")));
    let (wanted_at, found) = nothing(image.select(&wanted().with_position(3)));
    assert_eq!(wanted_at, "position 3");
    assert!(found.starts_with("3 positions: @0 without a name (sha256:"), "{found}");
    let error = image.select(&wanted().with_position(3)).unwrap_err();
    assert_eq!(error.remedies(), [Remedy::Select(SelectBy::Position)]);
}

#[test]
fn a_position_that_is_an_index_is_for_the_platform_that_is_asked_for() {
    let world = World::new();
    let [arm, amd] = ["arm64", "amd64"].map(|cpu| with(world.image("linux", cpu), "platform", on("linux", cpu)));
    world.list(&[world.image("linux", "s390x"), named(world.index_of(&[arm.clone(), amd]), "many")]);
    let image = world.open_within(Limits::default()).unwrap();
    let selected = image.select(&wanted().with_platform("arm64".parse().unwrap()).with_position(1)).unwrap();
    assert_eq!(selected.manifest().unwrap().digest().to_string(), arm["digest"]);
    assert_eq!(selected.name(), Some("many"));
    let selector = wanted().with_platform("linux/riscv64".parse().unwrap()).with_position(1);
    assert_eq!(
        nothing(image.select(&selector)),
        ("linux/riscv64 at position 1".into(), "linux/amd64, linux/arm64".into())
    );
}

#[test]
fn an_image_id_is_found_wherever_its_configuration_is_named() {
    let world = World::new();
    let [s390x, amd64, riscv] = ["s390x", "amd64", "riscv64"].map(|cpu| {
        (world.config("linux", cpu)["digest"].as_str().unwrap().parse::<crate::words::Digest>().unwrap(), {
            with(world.image("linux", cpu), "platform", on("linux", cpu))
        })
    });
    let absent = with(world.image("linux", "arm"), "digest", json!(ABSENT));
    let nested = world.index_of(&[absent, s390x.1.clone()]);
    world.list(&[named(amd64.1.clone(), "a"), nested]);
    let image = world.open_within(Limits::default()).unwrap();
    let selected = image.select(&wanted().with_image_id(s390x.0)).unwrap();
    assert_eq!(selected.manifest().unwrap().digest().to_string(), s390x.1["digest"], "whatever its platform");
    assert_eq!(*selected.config().digest(), s390x.0);

    let refused = |selector: &Selector| {
        let error = image.select(selector).unwrap_err();
        assert_eq!(error.rule_id(), Some("pinned-manifest-missing"), "{error}");
        error.to_string()
    };
    // What there is; and what a digest is that was given for another one.
    let message = refused(&wanted().with_image_id(riscv.0));
    assert!(message.ends_with(&format!("found {}, {}", amd64.0, s390x.0)), "{message}");
    let manifest = amd64.1["digest"].as_str().unwrap().parse().unwrap();
    assert!(refused(&wanted().with_image_id(manifest)).ends_with("it is not an image ID"));
    let remedies = |selector: &Selector| image.select(selector).unwrap_err().remedies();
    assert_eq!(remedies(&wanted().with_image_id(manifest)), [Remedy::Select(SelectBy::ManifestDigest)]);
    assert_eq!(remedies(&wanted().with_manifest_digest(riscv.0)), [Remedy::Select(SelectBy::ImageId)]);
    assert_eq!(remedies(&wanted().with_manifest_digest(ABSENT.parse().unwrap())), [Remedy::Select(SelectBy::Digest)]);
    let message = refused(&wanted().with_manifest_digest(amd64.0));
    assert!(message.ends_with("it is an image ID"), "{message}");
    assert!(refused(&wanted().with_manifest_digest(riscv.0)).contains("image ID"), "one that no manifest names, too");
    assert!(!refused(&wanted().with_manifest_digest(ABSENT.parse().unwrap())).contains("image ID"));
    // Both digests must hold.
    assert!(image.select(&wanted().with_manifest_digest(manifest).with_image_id(amd64.0)).is_ok());
    assert!(refused(&wanted().with_manifest_digest(manifest).with_image_id(s390x.0)).contains(&amd64.0.to_string()));
}

#[test]
fn a_short_name_is_taken_where_it_stands_for_one_name_alone() {
    let world = World::new();
    let whole = |image: Value, name: &str| with(image, "annotations", json!({"io.containerd.image.name": name}));
    let [ours, theirs] = ["linux", "Linux"].map(|os| world.image(os, "amd64"));
    let picked = |name: &str| {
        let selected = world.open_within(Limits::default()).unwrap().select(&wanted().with_reference(name))?;
        Ok::<_, Error>((json!(selected.manifest().unwrap().digest().to_string()), selected.name().map(str::to_owned)))
    };
    for name in ["localhost/sm:1", "quay.io/team/sm:1"] {
        for listed in [named(ours.clone(), name), whole(ours.clone(), name)] {
            world.list(&[listed, named(theirs.clone(), "localhost/other:1")]);
            assert_eq!(picked("sm:1").unwrap(), (ours["digest"].clone(), Some(name.to_owned())));
            assert!(picked("m:1").is_err() && picked("sm").is_err() && picked("other/sm:1").is_err());
        }
    }
    // Two registries have it: neither is meant, on whatever platform.
    for other in [&theirs, &world.image("linux", "s390x")] {
        world.list(&[named(ours.clone(), "localhost/sm:1"), whole(other.clone(), "quay.io/sm:1")]);
        let error = picked("sm:1").unwrap_err();
        let both = r#"more than one image matches linux/amd64 under the reference name "sm:1": "localhost/sm:1", "quay.io/sm:1""#;
        assert_eq!((error.to_string().as_str(), error.remedies()), (both, vec![Remedy::Select(SelectBy::Name)]));
        assert_eq!(picked("localhost/sm:1").unwrap().0, ours["digest"]);
    }
    // They are names of one image.
    world.list(&[named(ours.clone(), "localhost/sm:1"), whole(ours.clone(), "quay.io/sm:1")]);
    assert_eq!(picked("sm:1").unwrap().0, ours["digest"]);
    // One of them on the Docker Hub, whose names are short by themselves.
    world.list(&[named(ours.clone(), "localhost/sm:1"), whole(theirs.clone(), "docker.io/library/sm:1")]);
    assert_eq!(picked("sm:1").unwrap().0, theirs["digest"]);
    // One name for two platforms is one name.
    let s390x = world.image("linux", "s390x");
    world.list(&[named(s390x, "localhost/sm:1"), named(ours.clone(), "localhost/sm:1")]);
    assert_eq!(picked("sm:1").unwrap().0, ours["digest"]);
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
            let selector = Selector::host().with_platform(platform.parse().unwrap());
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
    assert_eq!(pick(&[&s390x, &amd64], "amd64"), digest(&amd64));
    let [v8, v8_3, v9] = ["v8", "v8.3", "v9"].map(|variant| {
        let platform = json!({"os": "linux", "architecture": "arm64", "variant": variant});
        with(world.image("linux", &format!("arm64{variant}")), "platform", platform)
    });
    assert_eq!(pick(&[&v8, &v9, &v8_3], "linux/arm64/v9"), digest(&v9));
    assert_eq!(pick(&[&v8, &v8_3], "linux/arm64/v9"), digest(&v8_3));
    assert_eq!(pick(&[&v6, &v8], "linux/arm64/v9"), digest(&v8));
    assert_eq!(pick(&[&v9, &v8], "arm64"), digest(&v8));
    assert_eq!(pick(&[&v9], "arm64"), None, "what needs a later processor");
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
    let unknown = Selector::host().with_platform("unknown/unknown".parse().unwrap());
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

/// The rules of the notes.
fn noted(selected: &Selected) -> Vec<&'static str> {
    selected.notes().iter().map(|note| note.quirk.id()).collect()
}

#[test]
fn a_configuration_that_does_not_state_its_platform_is_for_any_where_none_is_better() {
    let world = World::new();
    for (os, architecture, missing) in [
        ("", "", "os and architecture"),
        ("linux", "", "architecture"),
        ("", "arm64", "os"),
        ("windows", "", "architecture"),
    ] {
        let unstated = world.image(os, architecture);
        let stated = world.image("linux", "arm64");
        // A descriptor that does not state all leaves it to the configuration.
        let half = with(unstated.clone(), "platform", json!({"os": os, "architecture": architecture}));
        for listed in [&unstated, &half] {
            for roots in [vec![listed.clone()], vec![world.index_of(slice::from_ref(listed))]] {
                world.list(&roots);
                let selected = world.select().unwrap();
                let quirk = &selected.notes()[0].quirk;
                assert_eq!((quirk.id(), quirk.data()), ("platform-unstated", vec![("missing", missing.to_owned())]));
            }
        }
        for roots in [vec![unstated.clone(), stated.clone()], vec![world.index_of(&[unstated.clone(), stated.clone()])]]
        {
            world.list(&roots);
            let image = world.open_within(Limits::default()).unwrap();
            for (platform, expected) in [("linux/arm64", &stated), ("linux/s390x", &unstated)] {
                let selected = image.select(&Selector::host().with_platform(platform.parse().unwrap())).unwrap();
                assert_eq!(selected.manifest().unwrap().digest().to_string(), expected["digest"], "{platform}");
                assert_eq!(noted(&selected).is_empty(), expected == &stated);
            }
        }
    }
    // So does an operating system alone, which this machine completes.
    let unstated = world.image("linux", "");
    world.list(slice::from_ref(&unstated));
    let selector = Selector::host().with_platform("linux".parse().unwrap());
    let selected = world.open_within(Limits::default()).unwrap().select(&selector).unwrap();
    assert_eq!(selected.manifest().unwrap().digest().to_string(), unstated["digest"]);
    // Two of them are two images.
    world.list(&[world.image("", ""), world.image("linux", "")]);
    assert_eq!(several(world.select()).0, "linux/amd64");
}

#[test]
fn what_a_layout_lacks_is_noted_and_its_policy_may_refuse_it() {
    let world = World::new();
    world.list(&[world.image("linux", "amd64")]);
    assert_eq!(noted(&world.select().unwrap()), [""; 0]);
    remove_file(world.at("oci-layout")).unwrap();
    let selected = world.select().unwrap();
    assert_eq!(noted(&selected), ["layout-unmarked"]);
    assert_eq!(selected.notes()[0].position.to_string(), r#""oci-layout""#);
    world.index_json(&json!({"manifests": [world.image("linux", "amd64")]}).to_string());
    assert_eq!(noted(&world.select().unwrap()), ["index-unversioned", "layout-unmarked"]);
    write(world.at("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    world.edited(|m| m["config"]["mediaType"] = json!("text/html"));
    let selected = world.select().unwrap();
    assert_eq!(noted(&selected), ["config-media-type"]);
    assert_eq!(selected.notes()[0].quirk.data(), [("media_type", "text/html".to_owned())]);
}

#[test]
fn a_foreign_layer_that_is_not_here_is_named_with_its_urls() {
    let world = World::new();
    let foreign = |media_type: &str, urls: &Value| {
        world.edited(|m| m["layers"][0] = json!({"mediaType": media_type, "digest": ABSENT, "size": 9, "urls": urls}));
        let image = world.open_within(Limits::default()).unwrap();
        let selected = image.select(&wanted()).unwrap();
        selected.open_layer(&selected.layers()[0]).unwrap_err()
    };
    let two = json!(["https://a.example/1", "https://b.example/\u{1b}[2J"]);
    for media_type in [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ] {
        let error = foreign(media_type, &two);
        assert_eq!(error.rule_id(), Some("foreign-layer-missing"));
        let message = error.to_string();
        assert!(message.ends_with(r#"urls "https://a.example/1", "https://b.example/\x1b[2J""#), "{message}");
        assert!(!error.advice().unwrap().contains("fetch it again"));
    }
    let many: Vec<_> = (0..1_000).map(|number| format!("https://{number}/{}", "x".repeat(1_000))).collect();
    let message = foreign("application/vnd.oci.image.layer.nondistributable.v1.tar", &json!(many)).to_string();
    assert!(message.len() < 5_000 && message.ends_with("and more"), "{}", message.len());
    let message = foreign("application/vnd.oci.image.layer.nondistributable.v1.tar", &Value::Null).to_string();
    assert!(message.ends_with("urls none"), "{message}");
    assert_eq!(foreign(GZIP, &two).rule_id(), Some("blob-missing"), "a layer that copies have");
}

#[test]
fn an_index_of_which_one_platform_is_here_says_which() {
    let world = World::new();
    let platforms = [("linux", "amd64"), ("linux", "arm64"), ("linux", "s390x")];
    let [amd64, arm64, s390x] = platforms.map(|(os, architecture)| {
        // Each with a layer of its own.
        let layer = world.bytes(TAR, architecture.as_bytes());
        let rootfs = json!({"type": "layers", "diff_ids": [digest(architecture.as_bytes())]});
        let config = world.json(CONFIG, &json!({"os": os, "architecture": architecture, "rootfs": rootfs}));
        let manifest = world.json(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": [layer]}));
        (with(manifest, "platform", on(os, architecture)), config, layer)
    });
    let attestation = with(
        with(json!({"mediaType": MANIFEST, "digest": ABSENT, "size": 9}), "platform", on("unknown", "unknown")),
        "annotations",
        json!({"vnd.docker.reference.type": "attestation-manifest"}),
    );
    let index = world.index_of(&[amd64.0.clone(), attestation, arm64.0.clone(), s390x.0.clone()]);
    world.list(slice::from_ref(&index));
    let said = |platform: &str| {
        let image = world.open_within(Limits::default()).unwrap();
        let error = image.select(&Selector::host().with_platform(platform.parse().unwrap())).err()?;
        assert_eq!(error.rule_id(), Some("platform-missing"), "{error}");
        assert_eq!((error.remedies(), error.blame()), (vec![Remedy::Select(SelectBy::Platform)], Blame::Archive));
        let (_, said) =
            error.to_string().split_once(": platform ").map(|(at, said)| (at.to_owned(), said.to_owned()))?;
        Some(said)
    };
    assert_eq!(said("linux/amd64"), None);
    // The manifest, the configuration or the layer is missing, as the engine has it that wrote the archive.
    for missing in [&amd64.0, &amd64.1, &amd64.2] {
        let bytes = fs::read(world.blob_at(missing)).unwrap();
        remove_file(world.blob_at(missing)).unwrap();
        assert_eq!(said("linux/amd64").as_deref(), Some("linux/amd64, found linux/arm64, linux/s390x"));
        assert_eq!(said("linux/arm64"), None);
        remove_file(world.blob_at(&s390x.2)).unwrap();
        assert_eq!(said("linux/amd64").as_deref(), Some("linux/amd64, found linux/arm64"));
        world.bytes(TAR, b"s390x");
        write(world.blob_at(missing), bytes).unwrap();
    }
    // Where nothing is here at all, the blob is what is missing.
    for image in [&amd64.0, &arm64.0, &s390x.0] {
        remove_file(world.blob_at(image)).unwrap();
    }
    assert_eq!(world.select().unwrap_err().rule_id(), Some("blob-missing"));
}

#[test]
fn a_reference_with_a_digest_names_the_choice_by_manifest_digest() {
    let world = World::new();
    world.list(&[named(world.image("linux", "amd64"), "3.19")]);
    let image = world.open_within(Limits::default()).unwrap();
    let remedies = |name: &str| image.select(&wanted().with_reference(name)).unwrap_err().remedies();
    for name in ["alpine", "alpine:3.19", "quay.io/team/alpine:3.19"] {
        assert_eq!(remedies(&format!("{name}@{ABSENT}")), [Remedy::Select(SelectBy::ManifestDigest)], "{name}");
    }
    // Cut on the way, it was still meant as a digest.
    assert_eq!(remedies(&format!("alpine@{}", &ABSENT[..19])), [Remedy::Select(SelectBy::ManifestDigest)]);
    for name in ["alpine:3.2", "user@host:1", "@", "a@sha256"] {
        assert_eq!(remedies(name), [Remedy::Select(SelectBy::Name)], "{name}");
    }
    // A layout may have such a name itself.
    let whole = format!("docker.io/library/alpine@{ABSENT}");
    world.list(&[named(world.image("linux", "amd64"), &whole)]);
    assert_eq!(image.select(&wanted().with_reference(format!("alpine@{ABSENT}"))).unwrap().name(), Some(&*whole));
}
