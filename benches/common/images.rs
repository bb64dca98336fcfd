//! Archives of images whose documents are as large as they may be.

use super::layers::{Item, layer};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::io::{Read, Write as _};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const ZSTD_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const DIFF_ID: &str = r#""sha256:0000000000000000000000000000000000000000000000000000000000000000","#;

/// An image layout in the making.
#[derive(Default)]
pub(crate) struct Layout(Vec<Item>);

impl Layout {
    /// Adds a blob. Returns the members of its descriptor, without the braces.
    pub(crate) fn blob(&mut self, media_type: &str, bytes: impl Into<Vec<u8>>) -> String {
        let bytes = bytes.into();
        let hex = hex(&bytes);
        let described = format!(r#""mediaType":"{media_type}","digest":"sha256:{hex}","size":{}"#, bytes.len());
        self.0.push(Item::Content(format!("blobs/sha256/{hex}"), bytes));
        described
    }

    /// Adds an image without layers; `more` is added to its configuration.
    pub(crate) fn image(&mut self, architecture: &str, more: &str) -> String {
        let config = self.blob(CONFIG, config(architecture, "", more));
        self.blob(MANIFEST, manifest(&config, "", ""))
    }

    /// The archive of it, with these descriptors in its `index.json`.
    pub(crate) fn archive(mut self, listed: &str) -> Box<dyn Read> {
        self.0.push(Item::Content("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        self.0.push(Item::Content("index.json".into(), index(listed).into_bytes()));
        layer(self.0)
    }
}

fn config(architecture: &str, diff_ids: &str, more: &str) -> String {
    let rootfs = format!(r#""rootfs":{{"type":"layers","diff_ids":[{}]}}"#, diff_ids.trim_end_matches(','));
    format!(r#"{{"os":"linux","architecture":"{architecture}",{rootfs}{more}}}"#)
}

fn manifest(config: &str, layers: &str, more: &str) -> String {
    format!(r#"{{"schemaVersion":2,"config":{{{config}}},"layers":[{}]{more}}}"#, layers.trim_end_matches(','))
}

fn index(listed: &str) -> String {
    format!(r#"{{"schemaVersion":2,"manifests":[{listed}]}}"#)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// So many pieces of text one after another.
fn repeated(number: u64, piece: impl Fn(u64) -> String) -> String {
    (0..number).map(piece).collect()
}

/// An image of so many layers, each with a file of 12 MiB and in a zstd frame with a window of 8 MiB.
pub(crate) fn large_layers(number: u64) -> Box<dyn Read> {
    let (mut layout, mut layers, mut diff_ids) = (Layout::default(), String::new(), String::new());
    for i in 0..number {
        let (mut plain, mut state) = (Vec::new(), i as u32);
        let content = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let content = content.take(12 << 20).collect();
        layer([Item::Content(format!("f{i}"), content)]).read_to_end(&mut plain).unwrap();
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(23).unwrap();
        encoder.write_all(&plain).unwrap();
        write!(diff_ids, "\"sha256:{}\",", hex(&plain)).unwrap();
        write!(layers, "{{{}}},", layout.blob(ZSTD_LAYER, encoder.finish().unwrap())).unwrap();
    }
    let config = layout.blob(CONFIG, config("amd64", &diff_ids, ""));
    let image = layout.blob(MANIFEST, manifest(&config, &layers, ""));
    layout.archive(&format!("{{{image}}}"))
}

/// One image, whose descriptor and configuration have so many of something.
pub(crate) fn image(number: u64, in_descriptor: fn(u64) -> String, in_config: fn(u64) -> String) -> Box<dyn Read> {
    let mut layout = Layout::default();
    let image = layout.image("amd64", &in_config(number));
    layout.archive(&format!("{{{image}{}}}", in_descriptor(number)))
}

pub(crate) fn nothing(_: u64) -> String {
    String::new()
}

pub(crate) fn annotations(number: u64) -> String {
    let digit = |i: u64| char::from_digit((i % 36) as u32, 36).unwrap();
    let key = |i: u64| [i, i / 36, i / 36 / 36, i / 36 / 36 / 36].map(digit).iter().collect::<String>();
    format!(r#","annotations":{{"":""{}}}"#, repeated(number, |i| format!(r#","{}":"""#, key(i))))
}

pub(crate) fn history(number: u64) -> String {
    format!(r#","history":[""{}]"#, repeated(number, |_| r#","""#.into()))
}

/// A platform for which nothing runs, beside an image that fits.
pub(crate) fn features(number: u64) -> Box<dyn Read> {
    let features = repeated(number, |i| format!(r#","{i}""#));
    let platform = format!(r#""platform":{{"os":"linux","architecture":"amd64","os.features":[""{features}]}}"#);
    let mut layout = Layout::default();
    let image = layout.image("amd64", "");
    layout.archive(&format!("{{{image},{platform}}},{{{image}}}"))
}

/// Descriptors of other platforms, before an image that fits.
pub(crate) fn descriptors(number: u64) -> Box<dyn Read> {
    let mut layout = Layout::default();
    let image = layout.image("amd64", "");
    let other = |i| format!(r#"{{"mediaType":"","digest":"sha256:{i:064x}","size":0,"platform":{{"os":"a"}}}},"#);
    let others = repeated(number, other);
    layout.archive(&format!("{others}{{{image}}}"))
}

/// Four indexes, each with the next one before so many manifests that wait meanwhile.
pub(crate) fn nested(number: u64) -> Box<dyn Read> {
    let mut layout = Layout::default();
    let mut inner = layout.image("amd64", "");
    let absent = |i| format!(r#",{{"mediaType":"{MANIFEST}","digest":"sha256:{i:064x}","size":0}}"#);
    let absent = repeated(number, absent);
    for _ in 0..3 {
        inner = layout.blob(INDEX, index(&format!("{{{inner}}}{absent}")));
    }
    layout.archive(&format!("{{{inner}}}"))
}

/// Indexes of one manifest that would do and has a name of 4 MB, before an image that fits better.
pub(crate) fn names(number: u64) -> Box<dyn Read> {
    let mut layout = Layout::default();
    let mut listed = String::new();
    for i in 0..number {
        let name = format!(r#""org.opencontainers.image.ref.name":"{}""#, "x".repeat(4_000_000));
        let platform = r#""platform":{"os":"linux","architecture":"386"}"#;
        let manifest = format!(r#""mediaType":"{MANIFEST}","digest":"sha256:{i:064x}","size":0"#);
        let inner = layout.blob(INDEX, index(&format!(r#"{{{manifest},{platform},"annotations":{{{name}}}}}"#)));
        write!(listed, "{{{inner}}},").unwrap();
    }
    let image = layout.image("amd64", "");
    let outer = layout.blob(INDEX, index(&format!("{listed}{{{image}}}")));
    layout.archive(&format!("{{{outer}}}"))
}

/// Manifests without a platform, with one configuration of 4 MB between them, before an image that fits.
pub(crate) fn sharing(number: u64) -> Box<dyn Read> {
    let mut layout = Layout::default();
    let config = layout.blob(CONFIG, config("s390x", "", &format!(r#","x":"{}""#, "x".repeat(4_000_000))));
    let mut listed = String::new();
    for i in 0..number {
        let manifest = layout.blob(MANIFEST, manifest(&config, "", &format!(r#","x":{i}"#)));
        write!(listed, "{{{manifest}}},").unwrap();
    }
    let image = layout.image("amd64", "");
    layout.archive(&format!("{listed}{{{image}}}"))
}

/// What `docker save` writes, with these members besides.
fn docker(images: &str, members: impl IntoIterator<Item = Item> + 'static) -> Box<dyn Read> {
    let manifest = Item::Content("manifest.json".into(), format!("[{}]", images.trim_end_matches(',')).into_bytes());
    layer(members.into_iter().chain([manifest]))
}

/// So many layers, all of them behind 39 links whose names are 4,000 bytes long.
pub(crate) fn links(layers: u64) -> Box<dyn Read> {
    let name = |i: u64| format!("{}l{i}", "a/".repeat(2_000));
    let named = vec![format!("\"{}\"", name(0)); layers as usize].join(",");
    let members = (0..39).map(move |i| Item::Symlink(name(i), format!("l{}", i + 1)));
    let config = Item::Content("c".into(), config("amd64", &repeated(layers, |_| DIFF_ID.into()), "").into_bytes());
    let last = Item::Content(name(39), vec![0; 1024]);
    docker(&format!(r#"{{"Config":"c","Layers":[{named}]}}"#), members.chain([last, config]))
}

/// One image of so many layers.
pub(crate) fn layers(number: u64) -> Box<dyn Read> {
    let layers = repeated(number, |_| r#""","#.into());
    let config = Item::Content("c".into(), config("amd64", "", "").into_bytes());
    docker(&format!(r#"{{"Config":"c","Layers":[{}]}}"#, layers.trim_end_matches(',')), [config])
}

/// One image so many times.
pub(crate) fn images(number: u64) -> Box<dyn Read> {
    let config = Item::Content("c".into(), config("amd64", "", "").into_bytes());
    docker(&repeated(number, |_| r#"{"Config":"c"},"#.into()), [config])
}

/// So many images with configurations of 50,000 diff IDs, and one that fits.
pub(crate) fn configurations(number: u64) -> Box<dyn Read> {
    let images = repeated(number, |i| format!(r#"{{"Config":"c{i}"}},"#));
    let diff_ids = repeated(50_000, |_| DIFF_ID.into());
    let of_others =
        move |i| Item::Content(format!("c{i}"), config("s390x", &diff_ids, &format!(r#","x":{i}"#)).into_bytes());
    let config = Item::Content("c".into(), config("amd64", "", "").into_bytes());
    docker(&format!(r#"{images}{{"Config":"c"}}"#), (0..number).map(of_others).chain([config]))
}
