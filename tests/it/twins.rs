//! Images with two lists of what they hold: what both say is one image, or it is refused.

use crate::support::forms::hex;
use crate::support::layer::LayerBuilder;
use crate::support::open;
use crate::support::sha256;
use layercage::audit::{Audit, Finding, Observer};
use layercage::rules::QuirkRule;
use layercage::{Image, Limits, Policy, Selector};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image in the making: files by their names.
#[derive(Default)]
struct Twins(BTreeMap<String, Vec<u8>>);

/// One of the images: how each list names it.
#[derive(Clone)]
struct One {
    descriptor: Value,
    listed: Value,
}

impl One {
    fn tagged(mut self, tags: &[&str]) -> Self {
        self.listed["RepoTags"] = json!(tags);
        if let [first, ..] = tags {
            let tag = first.rsplit(':').next().unwrap();
            self.descriptor["annotations"] =
                json!({"io.containerd.image.name": first, "org.opencontainers.image.ref.name": tag});
        }
        self
    }

    fn layers(mut self, change: impl FnOnce(&mut Vec<Value>)) -> Self {
        change(self.listed["Layers"].as_array_mut().unwrap());
        self
    }
}

impl Twins {
    fn new() -> Self {
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
        Self(BTreeMap::from([("oci-layout".to_owned(), layout)]))
    }

    fn blob(&mut self, bytes: Vec<u8>) -> String {
        let name = format!("blobs/sha256/{}", hex(&bytes));
        self.0.insert(name.clone(), bytes);
        name
    }

    fn document(&mut self, media_type: &str, document: &Value) -> Value {
        let bytes = document.to_string().into_bytes();
        let descriptor = json!({"mediaType": media_type, "digest": sha256(&bytes).to_string(), "size": bytes.len()});
        self.blob(bytes);
        descriptor
    }

    /// An image of two layers, whose file `f` says which it is.
    fn image(&mut self, content: &str, architecture: &str) -> One {
        let layers = ["f", "g"].map(|name| LayerBuilder::new().file(name, content.as_bytes()).build());
        let diff_ids: Vec<_> = layers.iter().map(|layer| sha256(layer).to_string()).collect();
        let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
        let config = json!({"os": "linux", "architecture": architecture, "rootfs": rootfs});
        let config = self.document("application/vnd.oci.image.config.v1+json", &config);
        let described: Vec<_> = (layers.iter().zip(&diff_ids))
            .map(|(layer, digest)| {
                let media_type = "application/vnd.oci.image.layer.v1.tar";
                json!({"mediaType": media_type, "digest": digest, "size": layer.len()})
            })
            .collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": described});
        let mut descriptor = self.document(MANIFEST, &manifest);
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        let names = layers.map(|layer| self.blob(layer));
        let config = format!("blobs/{}", config["digest"].as_str().unwrap().replace(':', "/"));
        One { descriptor, listed: json!({"Config": config, "RepoTags": null, "Layers": names}) }
    }

    fn index_of(&mut self, images: &[&One]) -> One {
        let manifests: Vec<_> = images.iter().map(|one| &one.descriptor).collect();
        let descriptor = self.document(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}));
        One { descriptor, listed: images[0].listed.clone() }
    }

    fn lists(self, index: &[&One], listed: &[&One]) -> Self {
        let manifests: Vec<_> = index.iter().map(|one| &one.descriptor).collect();
        let text = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        let listed: Vec<_> = listed.iter().map(|one| &one.listed).collect();
        self.with("index.json", &text).with("manifest.json", &json!(listed).to_string())
    }

    fn with(mut self, name: &str, text: &str) -> Self {
        self.0.insert(name.to_owned(), text.as_bytes().to_vec());
        self
    }

    fn without(mut self, name: &str) -> Self {
        assert!(self.0.remove(name).is_some(), "{name}");
        self
    }

    fn archive(&self) -> Vec<u8> {
        self.0.iter().fold(LayerBuilder::new(), |archive, (name, bytes)| archive.file(name, bytes)).build()
    }

    fn write(&self, directory: &Path) {
        for (name, bytes) in &self.0 {
            fs::create_dir_all(directory.join(name).parent().unwrap()).unwrap();
            fs::write(directory.join(name), bytes).unwrap();
        }
    }
}

/// Two images for this platform, each in both lists.
fn two(swap: bool) -> Twins {
    let mut twins = Twins::new();
    let (a, b) = (twins.image("a", "amd64"), twins.image("b", "amd64"));
    let (one, other) = (a.clone().tagged(&["example.org/a:1"]), b.clone().tagged(&["example.org/b:2"]));
    let (swapped_one, swapped_other) = (a.tagged(&["example.org/b:2"]), b.tagged(&["example.org/a:1"]));
    match swap {
        false => twins.lists(&[&one, &other], &[&one, &other]),
        true => twins.lists(&[&one, &other], &[&swapped_one, &swapped_other]),
    }
}

/// One image, and what `manifest.json` makes of it.
fn one(listed: impl FnOnce(&mut Twins, One) -> Vec<One>) -> Twins {
    let mut twins = Twins::new();
    let image = twins.image("a", "amd64").tagged(&["a:1"]);
    let listed = listed(&mut twins, image.clone());
    twins.lists(&[&image], &listed.iter().collect::<Vec<_>>())
}

/// One of two platforms, in an index as registries have it; what `manifest.json` names of it.
fn many(listed: impl FnOnce(&mut Twins, [One; 2]) -> One) -> Twins {
    let mut twins = Twins::new();
    let images = ["amd64", "arm64"].map(|architecture| twins.image(architecture, architecture));
    let index = twins.index_of(&[&images[0], &images[1]]).tagged(&["a:1"]);
    let listed = listed(&mut twins, images).tagged(&["a:1"]);
    twins.lists(&[&index], &[&listed])
}

/// A sentence, the image, the reference and platform that are asked for, and what `f` says of the one that
/// `index.json` means.
type Case = (&'static str, fn() -> Twins, Option<&'static str>, &'static str, &'static str);

const AGREEING: &[Case] = &[
    ("one image", || one(|_, image| vec![image]), None, "amd64", "a"),
    ("one by its name", || one(|_, image| vec![image]), Some("a:1"), "amd64", "a"),
    ("one that has no names in the other list", || one(|_, image| vec![image.tagged(&[])]), None, "amd64", "a"),
    ("one of many names", || one(|_, image| vec![image.tagged(&["a:1", "b:2"])]), None, "amd64", "a"),
    ("one twice", || one(|_, image| vec![image.clone(), image.tagged(&["b:2"])]), None, "amd64", "a"),
    ("another list that is empty", || one(|_, _| vec![]), None, "amd64", "a"),
    ("a `manifest.json` of another kind", || one(|_, _| vec![]).with("manifest.json", "{}"), None, "amd64", "a"),
    ("two images, the first", || two(false), Some("example.org/a:1"), "amd64", "a"),
    ("two images, the second by its tag", || two(false), Some("2"), "amd64", "b"),
    ("two images, the second by its position", || two(false), Some("@1"), "amd64", "b"),
    ("two images, the second by its position, for another platform", || two(false), Some("@1"), "arm64", "b"),
    ("two images, the first by a short name", || two(false), Some("a:1"), "amd64", "a"),
    ("a position that the other list does not have", || one(|_, _| vec![]), Some("@0"), "amd64", "a"),
    (
        "what the other list does not have by that name",
        || one(|_, image| vec![image.tagged(&["b:2"])]),
        Some("1"),
        "amd64",
        "a",
    ),
    ("one platform of two", || many(|_, [here, _]| here), None, "amd64", "amd64"),
    ("the platform that the other list leaves out", || many(|_, [here, _]| here), Some("a:1"), "arm64", "arm64"),
    (
        "a platform that is not there",
        || {
            let mut absent = String::new();
            let twins = many(|_, [here, there]| {
                absent = format!("blobs/{}", there.descriptor["digest"].as_str().unwrap().replace(':', "/"));
                here
            });
            twins.without(&absent)
        },
        None,
        "amd64",
        "amd64",
    ),
];

const DISAGREEING: &[Case] = &[
    ("another image", || one(|twins, _| vec![twins.image("b", "amd64")]), None, "amd64", "a"),
    (
        "another image by that name",
        || one(|twins, _| vec![twins.image("b", "amd64").tagged(&["a:1"])]),
        Some("a:1"),
        "amd64",
        "a",
    ),
    (
        "one image more",
        || one(|twins, image| vec![image, twins.image("b", "amd64").tagged(&["b:2"])]),
        None,
        "amd64",
        "a",
    ),
    ("names exchanged", || two(true), Some("example.org/a:1"), "amd64", "a"),
    ("layers in another order", || one(|_, image| vec![image.layers(|layers| layers.reverse())]), None, "amd64", "a"),
    ("a layer less", || one(|_, image| vec![image.layers(|layers| drop(layers.pop()))]), None, "amd64", "a"),
    (
        "another layer",
        || {
            one(|twins, image| {
                let other = twins.blob(LayerBuilder::new().file("f", b"b").build());
                vec![image.layers(|layers| layers[0] = json!(other))]
            })
        },
        None,
        "amd64",
        "a",
    ),
    (
        "an image of another platform that the index lacks",
        || one(|twins, _| vec![twins.image("b", "s390x")]),
        None,
        "amd64",
        "a",
    ),
    (
        "one of another platform with other layers",
        || many(|_, [_, there]| there.layers(|layers| layers.reverse())),
        None,
        "amd64",
        "amd64",
    ),
    (
        "the second of two for one platform",
        || {
            let mut twins = Twins::new();
            let images = ["first", "second"].map(|name| twins.image(name, "amd64"));
            let index = twins.index_of(&[&images[0], &images[1]]);
            twins.lists(&[&index], &[&images[1]])
        },
        None,
        "amd64",
        "first",
    ),
    (
        "a list whose second image has the position of the first",
        || {
            let mut twins = two(false);
            let listed: Vec<Value> = serde_json::from_slice(&twins.0["manifest.json"]).unwrap();
            let exchanged = json!([listed[1], listed[0]]).to_string();
            twins = twins.with("manifest.json", &exchanged);
            twins
        },
        Some("@0"),
        "amd64",
        "a",
    ),
    (
        "a list that has a key twice",
        || one(|_, image| vec![image]).with("manifest.json", r#"[{"Config":"c","Layers":["a"],"Layers":["b"]}]"#),
        None,
        "amd64",
        "a",
    ),
    (
        "a list whose configuration is not there",
        || one(|_, image| vec![image]).with("manifest.json", r#" [{"Config":"c","Layers":["a"]}]"#),
        None,
        "amd64",
        "a",
    ),
    (
        "a list that leads out of the archive",
        || one(|_, image| vec![image]).with("manifest.json", r#"[{"Config":"../c","Layers":["a"]}]"#),
        None,
        "amd64",
        "a",
    ),
];

/// The archive, and the directory that somebody makes of it.
fn both_forms(twins: &Twins, place: &Path) -> [Image; 2] {
    fs::write(place.join("archive"), twins.archive()).unwrap();
    twins.write(&place.join("directory"));
    ["archive", "directory"].map(|name| Image::open_at(&open(place), name, Limits::default()).unwrap())
}

/// What takes no oddity but that of a caller who may not give files away.
fn paranoid() -> Policy {
    Policy::paranoid().allow(QuirkRule::OwnerToCaller)
}

fn selector(reference: Option<&str>, architecture: &str) -> Selector {
    let selector = Selector::host().with_platform(format!("linux/{architecture}").parse().unwrap());
    match reference.and_then(|reference| reference.strip_prefix('@')) {
        Some(position) => selector.with_position(position.parse().unwrap()),
        None => reference.into_iter().fold(selector, Selector::with_reference),
    }
}

/// Unpacks it; what `f` says, and how often the rule was noted.
fn unpack(image: &Image, selector: &Selector, policy: &Policy) -> Result<(String, u64), layercage::Error> {
    let place = tempfile::tempdir().unwrap();
    let unpacked = image.select(selector)?.unpack_into(&open(place.path()), "rootfs", policy);
    let rootfs = place.path().join("rootfs");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), usize::from(unpacked.is_ok()), "something is left");
    Ok((fs::read_to_string(rootfs.join("f")).unwrap_or_default(), unpacked?.count("lists-disagree")))
}

#[test]
fn lists_that_say_the_same_are_one_image() {
    for (name, twins, reference, architecture, expected) in AGREEING {
        let place = tempfile::tempdir().unwrap();
        for image in both_forms(&twins(), place.path()) {
            let got = unpack(&image, &selector(*reference, architecture), &paranoid());
            let got = got.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(got, ((*expected).to_owned(), 0), "{name}");
        }
    }
}

#[derive(Default)]
struct Found(Vec<String>);

impl Observer for Found {
    fn finding(&mut self, finding: &Finding) {
        self.0.push(finding.to_string());
    }
}

#[test]
fn lists_that_name_two_images_are_refused_unless_policy_takes_containerds() {
    for (name, twins, reference, architecture, expected) in DISAGREEING {
        let place = tempfile::tempdir().unwrap();
        for image in both_forms(&twins(), place.path()) {
            let asked = selector(*reference, architecture);
            for policy in [Policy::default(), paranoid()] {
                let error = unpack(&image, &asked, &policy).expect_err(name);
                assert_eq!(
                    (error.rule_id(), error.blame()),
                    (Some("lists-disagree"), layercage::error::Blame::Archive),
                    "{name}: {error}"
                );
                assert!(error.to_string().contains(r#""manifest.json": "#), "{name}: {error}");
            }
            let taken = unpack(&image, &asked, &Policy::compatible()).unwrap();
            assert_eq!(taken, ((*expected).to_owned(), 1), "{name}");

            let selected = image.select(&asked).unwrap();
            let (mut found, mut audit) = (Found::default(), Audit::new(Limits::default()));
            audit.image(&selected, &mut found).unwrap();
            assert!(found.0.len() == 1 && found.0[0].contains("[lists-disagree]"), "{name}: {:?}", found.0);
            // Whoever says which manifest or configuration is meant needs no list.
            let manifest = asked.clone().with_manifest_digest(*selected.manifest().unwrap().digest());
            for pinned in [manifest, asked.with_image_id(*selected.config().digest())] {
                assert_eq!(unpack(&image, &pinned, &paranoid()).unwrap(), ((*expected).to_owned(), 0), "{name}");
            }
        }
    }
}

#[test]
fn an_index_without_its_layout_must_say_what_the_list_says() {
    let place = tempfile::tempdir().unwrap();
    let policy = Policy::default();
    let judge = |twins: Twins| {
        fs::write(place.path().join("archive"), twins.without("oci-layout").archive()).unwrap();
        let image = Image::open_at(&open(place.path()), "archive", Limits::default()).unwrap();
        unpack(&image, &selector(None, "amd64"), &policy).map_err(|error| error.rule_id().unwrap())
    };
    let same = || one(|_, image| vec![image]);
    assert_eq!(judge(same()), Ok(("a".to_owned(), 0)));
    assert_eq!(judge(same().without("index.json")), Ok(("a".to_owned(), 0)));
    assert_eq!(judge(same().with("index.json", "{}")), Err("lists-disagree"));
    assert_eq!(judge(one(|twins, _| vec![twins.image("b", "amd64")])), Err("lists-disagree"));
    let reversed = one(|_, image| vec![image.layers(|layers| layers.reverse())]);
    assert_eq!(judge(reversed), Err("lists-disagree"));
    // It has nothing that runs here, and so nothing to disagree with.
    let mut twins = Twins::new();
    let (here, there) = (twins.image("a", "amd64"), twins.image("b", "s390x"));
    assert_eq!(judge(twins.lists(&[&there], &[&here])), Ok(("a".to_owned(), 0)));
}
