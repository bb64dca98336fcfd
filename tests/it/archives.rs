//! Archives of images that are broken or hostile, each in one place: each is refused by its own rule, and nothing is
//! written.

use crate::support::forms::{self, Parts, document, gzip, hex};
use crate::support::layer::{Attributes, LayerBuilder};
use crate::support::layout::{self, Stored};
use crate::support::{open, sha256, tree};
use layercage::error::Blame;
use layercage::rules::Limit;
use layercage::{Error, Image, Limits, Policy, Selector};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::Path;

/// An archive of `docker save` in the making.
struct Docker {
    config: Value,
    config_name: Option<String>,
    /// What `manifest.json` says of the one image.
    layers: Vec<String>,
    manifest: Option<String>,
    archive: LayerBuilder,
}

fn layer(content: &[u8]) -> Vec<u8> {
    LayerBuilder::new().file("f", content).build()
}

/// A file whose holes are not stored, as `tar -S`, bsdtar and Rust's `tar` write it: PAX 1.0, in whole blocks.
fn sparse(archive: LayerBuilder, name: &str, content: &[u8]) -> LayerBuilder {
    let (mut map, mut stored) = (Vec::new(), Vec::new());
    for (number, block) in content.chunks(512).enumerate().filter(|(_, block)| block.iter().any(|&byte| byte != 0)) {
        map.push((number as u64 * 512, block.len() as u64));
        stored.extend_from_slice(block);
    }
    map.push((content.len() as u64, 0));
    assert!(map.len() > 1 && stored.len() < content.len(), "it has a hole and something else");
    sparse_map(archive, name, &map, content.len() as u64, &stored)
}

fn sparse_map(archive: LayerBuilder, name: &str, map: &[(u64, u64)], size: u64, stored: &[u8]) -> LayerBuilder {
    let archive = archive.record("GNU.sparse.major", b"1").record("GNU.sparse.minor", b"0");
    let archive = archive.record("GNU.sparse.name", name.as_bytes());
    let archive = archive.record("GNU.sparse.realsize", size.to_string().as_bytes());
    let lines: String = map.iter().map(|(offset, length)| format!("{offset}\n{length}\n")).collect();
    let mut content = format!("{}\n{lines}", map.len()).into_bytes();
    content.resize(content.len().next_multiple_of(512), 0);
    content.extend_from_slice(stored);
    archive.file("GNUSparseFile.0/file", &content)
}

impl Docker {
    /// An image of one layer, which lies at `id/layer.tar`.
    fn new() -> Self {
        let diff_ids = [sha256(&layer(b"1")).to_string()];
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
        Self {
            config: json!({"os": "linux", "architecture": architecture, "rootfs": rootfs}),
            config_name: None,
            layers: vec!["id/layer.tar".into()],
            manifest: None,
            archive: LayerBuilder::new(),
        }
    }

    fn add(mut self, add: impl FnOnce(LayerBuilder) -> LayerBuilder) -> Self {
        self.archive = add(self.archive);
        self
    }

    /// The layer where it belongs.
    fn whole(self) -> Self {
        self.add(|archive| archive.file("id/layer.tar", &layer(b"1")))
    }

    fn layers(mut self, layers: &[&str]) -> Self {
        self.layers = layers.iter().map(|&name| name.to_owned()).collect();
        self
    }

    fn config_name(mut self, name: &str) -> Self {
        self.config_name = Some(name.to_owned());
        self
    }

    fn unstated(mut self) -> Self {
        let config = self.config.as_object_mut().unwrap();
        config.remove("architecture");
        config.remove("os");
        self
    }

    fn diff_ids(mut self, diff_ids: Value) -> Self {
        self.config["rootfs"]["diff_ids"] = diff_ids;
        self
    }

    fn manifest(mut self, text: &str) -> Self {
        self.manifest = Some(text.to_owned());
        self
    }

    fn build(self) -> Vec<u8> {
        let config = self.config.to_string();
        let name = self.config_name.unwrap_or_else(|| format!("{}.json", hex(config.as_bytes())));
        let manifest = json!([{"Config": name, "RepoTags": ["i:latest"], "Layers": self.layers}]).to_string();
        let archive = self.archive.file("manifest.json", self.manifest.unwrap_or(manifest).as_bytes());
        match name.contains("..") {
            true => archive,
            false => archive.file(&name, config.as_bytes()),
        }
        .build()
    }
}

/// A sentence, an archive, and the rule that must refuse it (`None`: it unpacks).
type Case = (&'static str, fn() -> Vec<u8>, Option<&'static str>);

const DOCKER: &[Case] = &[
    ("a whole image", || Docker::new().whole().build(), None),
    ("a configuration of another name", || Docker::new().whole().config_name("config.json").build(), None),
    (
        "a layer behind a link",
        || {
            let linked =
                |a: LayerBuilder| a.file("x/layer.tar", &layer(b"1")).symlink("id/layer.tar", "../x/layer.tar");
            Docker::new().add(linked).build()
        },
        None,
    ),
    (
        "a layer behind two links, one of them forwards",
        || {
            let linked = |a: LayerBuilder| {
                let a = a.dir("id").symlink("id/layer.tar", ".././b//c.tar").symlink("b/c.tar", "../l.tar");
                a.file("l.tar", &layer(b"1"))
            };
            Docker::new().add(linked).build()
        },
        None,
    ),
    ("a layer that is compressed", || Docker::new().add(|a| a.file("id/layer.tar", &gzip(&layer(b"1")))).build(), None),
    // What `manifest.json` names.
    ("a layer by an absolute name", || Docker::new().whole().layers(&["/id/layer.tar"]).build(), None),
    (
        "absolute names in the archive and in its list",
        || {
            Docker::new()
                .add(|a| a.file("/id/layer.tar", &layer(b"1")))
                .layers(&["//id/./layer.tar"])
                .config_name("/c")
                .build()
        },
        None,
    ),
    (
        "an absolute name of the list alone",
        || Docker::new().add(|a| a.file("/etc/passwd", &layer(b"2"))).layers(&["/etc/passwd"]).build(),
        Some("diff-id-mismatch"),
    ),
    (
        "a layer by an absolute name that climbs",
        || Docker::new().whole().layers(&["/../id/layer.tar"]).build(),
        Some("member-path"),
    ),
    ("a layer by a name that climbs", || Docker::new().whole().layers(&["../layer.tar"]).build(), Some("member-path")),
    (
        "a layer by a name that climbs and comes back",
        || Docker::new().whole().layers(&["x/../id/layer.tar"]).build(),
        Some("member-path"),
    ),
    ("a configuration by an absolute name", || Docker::new().whole().config_name("/c").build(), None),
    (
        "a configuration by an absolute name that is not the one that the name says",
        || Docker::new().whole().config_name(&format!("/{}.json", hex(b"other"))).build(),
        Some("digest-mismatch"),
    ),
    (
        "a configuration by a name that climbs",
        || Docker::new().whole().config_name("../c").build(),
        Some("member-path"),
    ),
    ("a layer that is missing", || Docker::new().build(), Some("member-missing")),
    (
        "a configuration that is missing",
        || Docker::new().whole().manifest(r#"[{"Config":"c","Layers":["id/layer.tar"]}]"#).build(),
        Some("member-missing"),
    ),
    (
        "a configuration that is not the one that its name says",
        || Docker::new().whole().config_name(&format!("{}.json", hex(b"other"))).build(),
        Some("digest-mismatch"),
    ),
    (
        "the same in the other spellings",
        || Docker::new().whole().config_name(&format!("blobs/sha256/{}", hex(b"other"))).build(),
        Some("digest-mismatch"),
    ),
    (
        "and in kaniko's",
        || Docker::new().whole().config_name(&format!("sha256:{}", hex(b"other"))).build(),
        Some("digest-mismatch"),
    ),
    ("another layer", || Docker::new().add(|a| a.file("id/layer.tar", &layer(b"2"))).build(), Some("diff-id-mismatch")),
    (
        "a diff ID that is none",
        || Docker::new().whole().diff_ids(json!(["sha256:../x"])).build(),
        Some("digest-malformed"),
    ),
    ("too few diff IDs", || Docker::new().whole().diff_ids(json!([])).build(), Some("layers-and-diff-ids")),
    (
        "too many diff IDs",
        || Docker::new().whole().diff_ids(json!(vec![sha256(&layer(b"1")).to_string(); 2])).build(),
        Some("layers-and-diff-ids"),
    ),
    (
        "a thousand layers",
        || {
            let diff_ids = json!(vec![sha256(&layer(b"1")).to_string(); 1_000]);
            Docker::new().whole().layers(&["id/layer.tar"; 1_000]).diff_ids(diff_ids).build()
        },
        Some("limit"),
    ),
    ("no image", || Docker::new().whole().manifest("[]").build(), Some("not-an-image")),
    ("a manifest that is an object", || Docker::new().whole().manifest("{}").build(), Some("json")),
    ("a manifest that ends in the middle", || Docker::new().whole().manifest("[{").build(), Some("json")),
    (
        "layers twice",
        || Docker::new().whole().manifest(r#"[{"Config":"c","Layers":["a"],"Layers":["b"]}]"#).build(),
        Some("json"),
    ),
    (
        "layers in another spelling",
        || Docker::new().whole().manifest(r#"[{"Config":"c","layers":["a"],"Layers":["b"]}]"#).build(),
        Some("json"),
    ),
    (
        "a manifest that is too large",
        || Docker::new().whole().manifest(&" ".repeat((4 << 20) + 1)).build(),
        Some("limit"),
    ),
    (
        "a configuration that is too large",
        || {
            Docker::new()
                .whole()
                .manifest(r#"[{"Config":"c","Layers":[]}]"#)
                .add(|a| a.file("c", &[b' '; 5 << 20]))
                .build()
        },
        Some("limit"),
    ),
    // Members.
    ("a layer that is a directory", || Docker::new().add(|a| a.dir("id/layer.tar")).build(), Some("blob-not-regular")),
    ("a layer that is a FIFO", || Docker::new().add(|a| a.fifo("id/layer.tar")).build(), Some("blob-not-regular")),
    (
        "a layer that is a device",
        || Docker::new().add(|a| a.device("id/layer.tar", 1, 5)).build(),
        Some("blob-not-regular"),
    ),
    (
        "a layer that is a hard link",
        || Docker::new().add(|a| a.file("l", &layer(b"1")).hard_link("id/layer.tar", "l")).build(),
        None,
    ),
    (
        "a layer behind a symbolic link to a hard link to a symbolic link",
        || {
            let linked = |a: LayerBuilder| {
                let a = a.file("l", &layer(b"1")).symlink("x", "l").hard_link("./y", "/x");
                a.symlink("id/layer.tar", "../y")
            };
            Docker::new().add(linked).build()
        },
        None,
    ),
    (
        "a layer that is a hard link to a later member",
        || Docker::new().add(|a| a.hard_link("id/layer.tar", "l").file("l", &layer(b"1"))).build(),
        Some("member-link-missing"),
    ),
    (
        "a layer that is a hard link to the machine",
        || Docker::new().add(|a| a.hard_link("id/layer.tar", "/etc/passwd")).build(),
        Some("member-link-missing"),
    ),
    (
        "a layer that is a hard link that climbs",
        || Docker::new().add(|a| a.hard_link("id/layer.tar", "../../etc/passwd")).build(),
        Some("hard-link-target"),
    ),
    (
        "a layer that is a hard link to a directory",
        || Docker::new().add(|a| a.dir("d").hard_link("id/layer.tar", "d")).build(),
        Some("hard-link-to-directory"),
    ),
    (
        "a layer that is a hard link to itself",
        || Docker::new().add(|a| a.hard_link("id/layer.tar", "id/layer.tar")).build(),
        Some("member-link-missing"),
    ),
    (
        "a layer and a hard link to itself",
        || Docker::new().whole().add(|a| a.hard_link("id/layer.tar", "id/layer.tar")).build(),
        None,
    ),
    (
        "a layer that is another one by a hard link as well",
        || Docker::new().whole().add(|a| a.file("l", &layer(b"2")).hard_link("id/layer.tar", "l")).build(),
        Some("member-twice"),
    ),
    (
        "a hard link to nothing that no image needs",
        || Docker::new().whole().add(|a| a.hard_link("x", "none")).build(),
        None,
    ),
    (
        "a layer that is a hole",
        || {
            let sparse = |a: LayerBuilder| {
                let a = a.record("GNU.sparse.major", b"1").record("GNU.sparse.minor", b"0");
                let a = a.record("GNU.sparse.name", b"id/layer.tar").record("GNU.sparse.realsize", b"1024");
                let mut map = b"1\n1024\n0\n".to_vec();
                map.resize(512, 0);
                a.file("GNUSparseFile.0/layer.tar", &map)
            };
            Docker::new().add(sparse).build()
        },
        Some("diff-id-mismatch"),
    ),
    (
        "a layer whose holes are not stored",
        || Docker::new().add(|a| sparse(a, "id/layer.tar", &layer(b"1"))).build(),
        None,
    ),
    (
        "a hard link to a layer with holes",
        || Docker::new().add(|a| sparse(a, "l", &layer(b"1")).hard_link("id/layer.tar", "l")).build(),
        None,
    ),
    (
        "the same layer with holes and without",
        || Docker::new().whole().add(|a| sparse(a, "id/layer.tar", &layer(b"1"))).build(),
        None,
    ),
    (
        "another layer with holes",
        || Docker::new().add(|a| sparse(a, "id/layer.tar", &layer(b"2"))).build(),
        Some("diff-id-mismatch"),
    ),
    (
        "two layers of one name with holes",
        || Docker::new().whole().add(|a| sparse(a, "id/layer.tar", &layer(b"2"))).build(),
        Some("member-twice"),
    ),
    (
        "a manifest of a hole of 2^60 bytes",
        || sparse_map(LayerBuilder::new(), "manifest.json", &[(1 << 60, 0)], 1 << 60, b"").build(),
        Some("limit"),
    ),
    (
        "a layer whose map overlaps",
        || Docker::new().add(|a| sparse_map(a, "id/layer.tar", &[(0, 512), (0, 512)], 1024, &[0; 1024])).build(),
        Some("sparse-map"),
    ),
    (
        "a layer whose map has a run of no whole blocks",
        || Docker::new().add(|a| sparse_map(a, "id/layer.tar", &[(0, 5), (512, 512)], 1024, &[0; 517])).build(),
        Some("archive-ambiguous"),
    ),
    (
        "a layer with holes that is cut short",
        || {
            // Without the end mark, and half of the data that is stored.
            let whole = sparse(LayerBuilder::new(), "id/layer.tar", &layer(b"1")).build();
            whole[..whole.len() - 1024 - 512].to_vec()
        },
        Some("truncated"),
    ),
    (
        "a configuration behind a link",
        || {
            let manifest = r#"[{"Config":"c","Layers":["id/layer.tar"]}]"#;
            Docker::new().whole().config_name("d").manifest(manifest).add(|a| a.symlink("c", "d")).build()
        },
        None,
    ),
    (
        "a manifest behind a link",
        || {
            let text = r#"[{"Config":"c","Layers":["id/layer.tar"]}]"#;
            let config = Docker::new().config.to_string();
            let a = LayerBuilder::new().symlink("manifest.json", "./m").file("m", text.as_bytes());
            a.file("c", config.as_bytes()).file("id/layer.tar", &layer(b"1")).build()
        },
        None,
    ),
    (
        "a manifest behind a link to the machine",
        || LayerBuilder::new().symlink("manifest.json", "/etc/passwd").build(),
        Some("member-path"),
    ),
    ("a configuration that states no platform", || Docker::new().unstated().whole().build(), None),
    ("a link to itself", || Docker::new().add(|a| a.symlink("id/layer.tar", "layer.tar")).build(), Some("link-loop")),
    (
        "two links to each other",
        || Docker::new().add(|a| a.symlink("id/layer.tar", "../x").symlink("x", "id/layer.tar")).build(),
        Some("link-loop"),
    ),
    (
        "a link to the machine",
        || Docker::new().add(|a| a.symlink("id/layer.tar", "/etc/passwd")).build(),
        Some("member-path"),
    ),
    (
        "a link that climbs",
        || Docker::new().add(|a| a.symlink("id/layer.tar", "../../etc/passwd")).build(),
        Some("member-path"),
    ),
    (
        "a link to nothing",
        || Docker::new().add(|a| a.symlink("id/layer.tar", "../none")).build(),
        Some("member-missing"),
    ),
    (
        "a layer in a directory that is a link",
        || Docker::new().add(|a| a.symlink("id", "x").file("x/layer.tar", &layer(b"1"))).build(),
        Some("blob-not-regular"),
    ),
    (
        "a layer below a link that its own archive puts there",
        || Docker::new().add(|a| a.symlink("id", "/tmp").file("id/layer.tar", &layer(b"1"))).build(),
        Some("blob-not-regular"),
    ),
    ("a layer below a file", || Docker::new().add(|a| a.file("id", b"")).whole().build(), Some("blob-not-regular")),
    (
        "a layer twice",
        || Docker::new().whole().add(|a| a.file("id/layer.tar", &layer(b"2"))).build(),
        Some("member-twice"),
    ),
    (
        "a layer twice in two spellings",
        || Docker::new().whole().add(|a| a.file("./id//layer.tar", &layer(b"2"))).build(),
        Some("member-twice"),
    ),
    ("the same layer twice", || Docker::new().whole().whole().build(), None),
    (
        "a layer that is a link as well",
        || Docker::new().whole().add(|a| a.symlink("id/layer.tar", "x")).build(),
        Some("member-twice"),
    ),
    (
        "a manifest twice",
        || Docker::new().whole().add(|a| a.file("manifest.json", b"[]")).build(),
        Some("member-twice"),
    ),
    ("directories twice", || Docker::new().add(|a| a.dir("id").dir("id/")).whole().build(), None),
    ("a FIFO twice", || Docker::new().whole().add(|a| a.fifo("x").fifo("x")).build(), Some("member-twice")),
    ("a member whose name climbs", || Docker::new().whole().add(|a| a.file("../x", b"")).build(), Some("name-climbs")),
    // What readers of tar differ on.
    (
        "a file whose name ends in a slash",
        || Docker::new().whole().add(|a| a.file("x/", b"content")).build(),
        Some("archive-ambiguous"),
    ),
    (
        "a global header that renames",
        || {
            Docker::new()
                .whole()
                .add(|a| a.raw_entry(b'g', b"g", b"", b"12 path=abc\n", &Attributes::default()))
                .build()
        },
        Some("archive-ambiguous"),
    ),
    (
        "a comment as git writes it",
        || {
            Docker::new()
                .whole()
                .add(|a| a.raw_entry(b'g', b"g", b"", b"13 comment=a\n", &Attributes::default()))
                .build()
        },
        None,
    ),
    ("an archive of nothing", || vec![0; 1024], Some("not-an-image")),
    ("a layer", || layer(b"1"), Some("not-an-image")),
    ("data after the end", || [Docker::new().whole().build(), vec![1; 512]].concat(), Some("archive-ambiguous")),
    ("an empty file", Vec::new, Some("not-an-image")),
    ("something else", || b"#!/bin/sh\n".repeat(100), Some("not-a-tar")),
    ("an archive by xz", || b"\xfd7zXZ\0and so on".to_vec(), Some("compression")),
];

fn select(archive: &Path) -> Result<layercage::Selected, Error> {
    let directory = open(archive.parent().unwrap());
    let image = Image::open_at(&directory, archive.file_name().unwrap(), Limits::default());
    image.and_then(|image| image.select(&Selector::host()))
}

fn unpack(archive: &Path, parent: &Path) -> Result<(), Error> {
    select(archive)?.unpack_into(&open(parent), "rootfs", &Policy::default()).map(drop)
}

/// Unpacks an archive; says by which rule it is refused, and sees that nothing is left then.
fn judged(name: &str, bytes: &[u8]) -> Option<&'static str> {
    let (place, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(place.path().join("image"), bytes).unwrap();
    let result = unpack(&place.path().join("image"), parent.path());
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), usize::from(result.is_ok()), "{name}: something is left");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "{name}: something is left beside the image");
    result.err().map(|error| {
        assert_eq!(error.blame(), Blame::Archive, "{name}: {error}");
        error.rule_id().unwrap()
    })
}

/// A hole takes no byte of the archive, so that the limit on the archive does not bound it.
#[test]
fn a_layer_of_holes_counts_with_its_holes() {
    let place = tempfile::tempdir().unwrap();
    let size = 1 << 40;
    let archive =
        Docker::new().add(|a| sparse_map(a, "id/layer.tar", &[(0, 1024), (size, 0)], size, &[1; 1024])).build();
    fs::write(place.path().join("image"), archive).unwrap();
    let limits = Limits::default().with(Limit::LayerBytes, size - 1).with(Limit::HoleBytes, Limit::OFF);
    let image = Image::open_at(&open(place.path()), "image", limits).unwrap();
    let selected = image.select(&Selector::host()).unwrap();
    let [only] = selected.layers() else { panic!("{selected:?}") };
    let error = selected.open_layer(only).unwrap_err();
    assert_eq!(error.rule_id(), Some("limit"), "{error}");
    assert!(error.to_string().contains("layer-bytes") && error.to_string().contains("layer 1 of 1"), "{error}");
}

#[test]
fn a_stored_layer_that_is_too_large_is_refused_before_it_is_read() {
    let place = tempfile::tempdir().unwrap();
    let bytes = layer(b"1").len() as u64;
    fs::write(place.path().join("image"), Docker::new().whole().build()).unwrap();
    let rule = |most| {
        let limits = Limits::default().with(Limit::LayerBytes, most);
        let image = Image::open_at(&open(place.path()), "image", limits).unwrap();
        let selected = image.select(&Selector::host()).unwrap();
        selected.open_layer(&selected.layers()[0]).err().map(|error| error.rule_id().unwrap())
    };
    assert_eq!([rule(bytes), rule(bytes - 1)], [None, Some("limit")]);
}

/// Reading holes takes as long as reading bytes, so their sizes count together before any is read.
#[test]
fn the_sizes_of_all_members_with_holes_count_against_the_limit_on_the_archive() {
    let place = tempfile::tempdir().unwrap();
    let hole = |a, name| sparse_map(a, name, &[(0, 512), (1 << 30, 0)], 1 << 30, &[0; 512]);
    let opened = |archive: LayerBuilder, limits: Limits| {
        fs::write(place.path().join("image"), Docker::new().whole().add(|_| archive).build()).unwrap();
        Image::open_at(&open(place.path()), "image", limits).err().map(|error| error.to_string())
    };
    let without_holes = |most| Limits::default().with(Limit::HoleBytes, most);
    let rule = |archive: LayerBuilder, most| {
        let limits = without_holes(Limit::OFF).with(Limit::ArchiveBytes, most);
        opened(archive, limits).map(|message| if message.contains("archive-bytes") { "limit" } else { "other" })
    };
    let two = || hole(hole(LayerBuilder::new(), "a"), "b");
    assert_eq!(rule(two(), 2 << 30), None);
    assert_eq!(rule(two(), (2 << 30) - 1), Some("limit"));
    assert_eq!(rule(hole(LayerBuilder::new(), "a"), 1 << 30), None);
    // Without their data, another limit counts them.
    let holes = (2 << 30) - 2 * 512;
    assert_eq!(opened(two(), without_holes(holes)), None);
    let refused = opened(two(), without_holes(holes - 1)).unwrap();
    assert!(refused.contains("hole-bytes"), "{refused}");
    let four_tebibytes = sparse_map(LayerBuilder::new(), "l.tar", &[(0, 1024), (1 << 42, 0)], 1 << 42, &[0; 1024]);
    assert_eq!(rule(four_tebibytes, Limit::ArchiveBytes.default()), Some("limit"));
}

#[test]
fn a_hard_link_without_its_target_is_named_with_it_and_lower_layers_are_not_mentioned() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("image"), Docker::new().add(|a| a.hard_link("id/layer.tar", "x.tar")).build()).unwrap();
    let selected = select(&place.path().join("image")).unwrap();
    let error = selected.open_layer(&selected.layers()[0]).unwrap_err();
    assert_eq!(error.rule_id(), Some("member-link-missing"), "{error}");
    let message = error.to_string();
    assert!(message.contains("\"id/layer.tar\"") && message.contains("\"x.tar\""), "{message}");
    assert!(!error.advice().unwrap().contains("lower"), "{error:?}");
}

#[test]
fn a_link_that_leads_out_of_the_archive_has_a_help_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    for target in ["/etc/passwd", "../../etc/passwd"] {
        fs::write(place.path().join("image"), Docker::new().add(|a| a.symlink("id/layer.tar", target)).build())
            .unwrap();
        let selected = select(&place.path().join("image")).unwrap();
        let error = selected.open_layer(&selected.layers()[0]).unwrap_err();
        assert_eq!(error.rule_id(), Some("member-path"), "{error}");
        assert!(error.advice().unwrap().contains("relative links that stay inside"), "{error:?}");
    }
}

/// `tar -i` and readers that go on behind the end mark find a member there, other readers do not.
#[test]
fn the_index_of_an_estargz_layer_is_no_part_of_the_archive_around_an_image() {
    let index = || LayerBuilder::new().file("stargz.index.json", b"{}").build();
    let behind = |archive: Vec<u8>| [archive, index()].concat();
    let (place, layout) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    small(layout.path());
    for archive in [Docker::new().whole().build(), forms::oci_archive(layout.path(), "", |archive| archive)] {
        fs::write(place.path().join("image"), behind(archive)).unwrap();
        let error = select(&place.path().join("image")).unwrap_err();
        assert_eq!(error.rule_id(), Some("archive-ambiguous"), "{error}");
        assert!(error.to_string().contains("estargz-index"), "{error}");
    }
}

#[test]
fn every_archive_of_docker_save_is_judged_by_its_rule() {
    let wrong: Vec<_> = DOCKER
        .iter()
        .filter_map(|(name, build, expected)| {
            let got = judged(name, &build());
            (got != *expected).then(|| format!("{name}: expected {expected:?}, got {got:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A small image in a layout.
fn small(directory: &Path) -> Vec<String> {
    layout::write(directory, &[(layer(b"1"), Stored::Gzip), (layer(b"2"), Stored::Plain)])
}

#[test]
fn every_layout_in_an_archive_is_judged_by_its_rule() {
    type Edit = fn(&Path, &[String]);
    type Add = fn(LayerBuilder) -> LayerBuilder;
    let cases: &[(&str, Edit, Add, Option<&str>)] = &[
        ("a whole image", |_, _| (), |a| a, None),
        ("a `manifest.json` that nobody asks", |_, _| (), |a| a.file("manifest.json", b"{"), None),
        ("no `oci-layout`", |at, _| fs::remove_file(at.join("oci-layout")).unwrap(), |a| a, None),
        (
            "neither",
            |at, _| ["oci-layout", "index.json"].iter().for_each(|name| fs::remove_file(at.join(name)).unwrap()),
            |a| a,
            Some("not-an-image"),
        ),
        ("no index", |at, _| fs::remove_file(at.join("index.json")).unwrap(), |a| a, Some("not-an-image")),
        ("two indexes", |_, _| (), |a| a.file("index.json", b"{}"), Some("member-twice")),
        (
            "a blob twice",
            |_, _| (),
            |a| a.file("blobs/sha256/x", b"1").file("blobs/sha256/x", b"2"),
            Some("member-twice"),
        ),
        (
            "another version",
            |at, _| fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion":"2"}"#).unwrap(),
            |a| a,
            Some("not-an-image"),
        ),
        (
            "a blob that is missing",
            |at, names| fs::remove_file(at.join(&names[0])).unwrap(),
            |a| a,
            Some("blob-missing"),
        ),
        (
            "a blob that was changed",
            |at, names| fs::write(at.join(&names[3]), "{}").unwrap(),
            |a| a,
            Some("size-mismatch"),
        ),
        (
            "a digest that climbs",
            |at, _| {
                let mut index = document(&fs::read(at.join("index.json")).unwrap());
                index["manifests"][0]["digest"] = json!("sha256:../../etc/passwd");
                fs::write(at.join("index.json"), index.to_string()).unwrap();
            },
            |a| a,
            Some("digest-malformed"),
        ),
        (
            "a size that lies",
            |at, _| {
                let mut index = document(&fs::read(at.join("index.json")).unwrap());
                index["manifests"][0]["size"] = json!(1);
                fs::write(at.join("index.json"), index.to_string()).unwrap();
            },
            |a| a,
            Some("size-mismatch"),
        ),
        ("blobs below a link", |_, _| (), |a| a.symlink("blobs", "elsewhere"), Some("member-twice")),
    ];
    for (name, edit, add, expected) in cases {
        let place = tempfile::tempdir().unwrap();
        let names = small(place.path());
        edit(place.path(), &names);
        assert_eq!(judged(name, &forms::oci_archive(place.path(), "", add)), *expected, "{name}");
    }
}

#[test]
fn a_blob_may_be_a_link_that_stays_inside_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let names = small(place.path());
    // The plain layer, which has blocks of zeros.
    let name = &names[1];
    let blob = fs::read(place.path().join(name)).unwrap();
    fs::remove_file(place.path().join(name)).unwrap();
    type Add = fn(LayerBuilder, &str, &[u8]) -> LayerBuilder;
    let cases: &[(Add, Option<&str>)] = &[
        (|a, name, blob| a.file(name, blob), None),
        (|a, name, blob| a.file("x", blob).symlink(name, "../../x"), None),
        (|a, name, blob| a.file("x", blob).symlink(name, "../../../x"), Some("member-path")),
        (|a, name, blob| a.file("x", blob).symlink(name, "/x"), Some("member-path")),
        (|a, name, blob| a.file("x", blob).symlink(name, "x"), Some("member-missing")),
        (|a, name, _| a.file("x", b"other").symlink(name, "../../x"), Some("size-mismatch")),
        (|a, name, blob| a.file("x", blob).hard_link(name, "x"), None),
        (|a, name, blob| a.hard_link(name, "x").file("x", blob), Some("member-link-missing")),
        (|a, name, blob| sparse(a, name, blob), None),
        (|a, name, _| a.fifo(name), Some("blob-not-regular")),
    ];
    for (number, (add, expected)) in cases.iter().enumerate() {
        let archive = forms::oci_archive(place.path(), "", |archive| add(archive, name, &blob));
        assert_eq!(judged("a blob", &archive), *expected, "{number}");
    }
}

#[test]
fn an_archive_cut_short_anywhere_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    small(place.path());
    for whole in [forms::oci_archive(place.path(), "", |a| a), Parts::of_layout(place.path()).docker_of_old()] {
        // What follows the first zero block of the end may be missing.
        for length in (0..whole.len() - 1024).step_by(509).chain((0..whole.len() - 1024).step_by(512)) {
            assert!(judged("cut", &whole[..length]).is_some(), "{length} of {}", whole.len());
        }
        let compressed = gzip(&whole);
        for length in (0..compressed.len()).step_by(67) {
            assert!(judged("cut", &compressed[..length]).is_some(), "{length} of {}", compressed.len());
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_in_an_archive_gives_the_same_tree_or_nothing() {
    let (place, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    small(place.path());
    let parts = Parts::of_layout(place.path());
    let archive = parent.path().join("image");
    let rootfs = parent.path().join("rootfs");
    let mut expected = None;
    for whole in [forms::oci_archive(place.path(), "", |a| a), parts.docker_of_old()] {
        let mut refused = 0;
        // The archive as it is comes first.
        for (at, flip) in std::iter::once((0, 0)).chain((0..whole.len()).step_by(7).map(|at| (at, 1_u8 << (at % 8)))) {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            fs::write(&archive, damaged).unwrap();
            match unpack(&archive, parent.path()) {
                Ok(()) => {
                    let tree = tree::list(&rootfs);
                    assert_eq!(expected.get_or_insert_with(|| tree.clone()), &tree, "byte {at}");
                    fs::remove_dir_all(&rootfs).unwrap();
                }
                Err(error) => {
                    refused += 1;
                    assert!(matches!(error.blame(), Blame::Archive | Blame::Caller), "byte {at}: {error}");
                }
            }
            assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "byte {at}: something is left");
        }
        assert!(refused > 200, "{refused} of {}", whole.len());
    }
}

/// A member of `size` bytes of which none but the holes of the file itself are written.
fn with_hole(path: &Path, name: &str, stated: u64, held: u64, before: LayerBuilder) {
    let mut bytes = before.build();
    bytes.truncate(bytes.len() - 1024);
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(stated);
    header.set_mode(0o644);
    header.set_cksum();
    bytes.extend_from_slice(header.as_bytes());
    let mut file = File::create(path).unwrap();
    file.write_all(&bytes).unwrap();
    let end = file.stream_position().unwrap() + held;
    file.set_len(end + 1024).unwrap();
}

#[test]
fn a_configuration_of_a_gigabyte_is_not_read() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    let manifest = LayerBuilder::new().file("manifest.json", br#"[{"Config":"c","Layers":[]}]"#);
    with_hole(&path, "c", 1 << 30, 1 << 30, manifest.clone());
    assert_eq!(select(&path).unwrap_err().rule_id(), Some("limit"));
    // Beyond the end of the file, of any file, and of what numbers can say.
    for stated in [(1 << 30) + 4096, 8 << 30, (8 << 30) - 1] {
        with_hole(&path, "c", stated, 1 << 30, manifest.clone());
        let error = select(&path).unwrap_err();
        assert_eq!(error.rule_id(), Some("truncated"), "{stated}");
        assert!(error.to_string().contains(r#"entry 2, byte 1024, "c""#), "{error}");
    }
    with_hole(&path, "c", u64::MAX / 2, 1 << 30, manifest);
    assert!(matches!(select(&path).unwrap_err().rule_id(), Some("truncated" | "number")));
}

#[test]
fn members_and_their_names_are_bounded() {
    let place = tempfile::tempdir().unwrap();
    let many = (0..100).fold(Docker::new().whole(), |docker, number| docker.add(|a| a.file(&number.to_string(), b"")));
    fs::write(place.path().join("image"), many.build()).unwrap();
    let rule = |limit, most| {
        let limits = Limits::default().with(limit, most);
        Image::open_at(&open(place.path()), "image", limits).err().and_then(|error| error.rule_id())
    };
    assert_eq!(rule(Limit::ArchiveMembers, 103), None);
    assert_eq!(rule(Limit::ArchiveMembers, 102), Some("limit"));
    assert_eq!(rule(Limit::ArchiveNameBytes, 200), Some("limit"));
    assert_eq!(rule(Limit::FileBytes, 0), None, "what a layer is, is no file of one");
    assert_eq!(rule(Limit::Entries, 0), None, "nor are members entries");
    assert_eq!(rule(Limit::LayerBytes, 0), None, "nor is the archive a layer");
}

#[test]
fn a_link_between_layers_is_followed_as_often_as_the_limit_says() {
    let place = tempfile::tempdir().unwrap();
    let links =
        (0..40).fold(LayerBuilder::new(), |a, number| a.symlink(&number.to_string(), &(number + 1).to_string()));
    let docker = Docker::new().layers(&["0"]).add(|_| links.file("40", &layer(b"1")));
    fs::write(place.path().join("image"), docker.build()).unwrap();
    let opened = |most| {
        let image =
            Image::open_at(&open(place.path()), "image", Limits::default().with(Limit::LinkHops, most)).unwrap();
        let selected = image.select(&Selector::host()).unwrap();
        selected.open_layer(&selected.layers()[0]).is_ok()
    };
    assert!(opened(40) && !opened(39));
}

#[test]
fn a_name_that_is_no_component_or_leads_through_a_link_is_not_opened() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("layout")).unwrap();
    small(&at("layout"));
    fs::write(at("image"), Docker::new().whole().build()).unwrap();
    std::os::unix::fs::symlink("layout", at("to-layout")).unwrap();
    std::os::unix::fs::symlink("image", at("to-image")).unwrap();
    let blame =
        |name: &str| Image::open_at(&open(place.path()), name, Limits::default()).err().map(|error| error.blame());
    assert_eq!((blame("layout"), blame("image")), (None, None));
    for name in ["", ".", "..", "/", "layout/blobs", "../image"] {
        assert_eq!(blame(name), Some(Blame::Caller), "{name}");
    }
    for name in ["to-layout", "to-image", "none"] {
        assert_eq!(blame(name), Some(Blame::System), "{name}");
    }
}
