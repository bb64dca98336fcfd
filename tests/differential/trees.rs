//! The trees that umoci makes, compared with ours.

use super::item::{Item, Kind, sha256};
use super::ours;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::{Error, Expected, Layer, Rootfs, Unpacker};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::{fmt, fs};

/// umoci, where it is and may do its work.
pub(crate) struct Umoci {
    pub(crate) version: String,
}

/// What came of some layers.
#[derive(Default)]
pub(crate) struct Trees {
    layers: u64,
    taken: u64,
    shared: u64,
    excepted: BTreeMap<&'static str, u64>,
}

impl Trees {
    pub(crate) fn has(&self, exception: &str) -> bool {
        self.excepted.contains_key(exception)
    }
}

impl fmt::Display for Trees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layers, taken, shared, excepted } = self;
        write!(f, "{layers} layers, {taken} unpacked, {shared} of them by umoci too; exceptions {excepted:?}")
    }
}

/// A known difference between the trees.
pub(crate) struct TreeException {
    pub(crate) name: &'static str,
    /// What umoci does; the page in `docs/` has it too.
    pub(crate) reason: &'static str,
    applies: fn(&TreeDifference) -> bool,
}

/// A path where the trees differ.
struct TreeDifference<'a> {
    path: &'a [u8],
    /// What stands there for us, and for umoci.
    ours: Option<&'a Item>,
    theirs: Option<&'a Item>,
    /// The entries of the upper layer.
    entries: &'a [Item],
}

pub(crate) const EXCEPTIONS: &[TreeException] = &[
    TreeException {
        name: "umoci-aufs-bookkeeping",
        reason: "unpacks AUFS bookkeeping as files of the image",
        applies: |difference| {
            let is_bookkeeping =
                |name: &[u8]| name.split(|&byte| byte == b'/').any(|part| part.starts_with(b".wh..wh."));
            // Its parents are made for it, too.
            let mut below = difference.entries.iter().filter(|entry| is_below(&entry.name, difference.path));
            difference.ours.is_none()
                && (is_bookkeeping(difference.path) || below.any(|entry| is_bookkeeping(&entry.name)))
        },
    },
    TreeException {
        name: "umoci-aufs-pseudo-link",
        reason: "keeps an AUFS pseudo-link as a file of the image, so that its hard links have one more name",
        applies: |difference| {
            let mut pseudo_links = difference.entries.iter().filter(|entry| entry.name.starts_with(b".wh..wh.plnk/"));
            difference.ours.is_some() && difference.theirs.is_some() && pseudo_links.next().is_some()
        },
    },
    TreeException {
        name: "umoci-whiteout-behind-own-link",
        reason: "follows a link of the same layer in the path of a whiteout, and removes the file there",
        applies: |difference| {
            let entries = difference.entries;
            let links = || entries.iter().filter(|entry| entry.kind == Kind::Symlink);
            let behind = |entry: &Item| links().any(|link| is_below(&entry.name, &link.name));
            difference.theirs.is_none() && entries.iter().any(|entry| is_whiteout(&entry.name) && behind(entry))
        },
    },
];

fn is_whiteout(name: &[u8]) -> bool {
    name.rsplit(|&byte| byte == b'/').next().is_some_and(|last| last.starts_with(b".wh."))
}

fn is_below(name: &[u8], directory: &[u8]) -> bool {
    name.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

impl Umoci {
    pub(crate) fn find() -> Option<Self> {
        let skipped = |why: &str| {
            println!("skipped, the comparison with umoci: {why}");
            None
        };
        if !rustix::process::geteuid().is_root() {
            return skipped("it needs root; what readers read is compared without");
        }
        let Ok(output) = Command::new("umoci").arg("--version").output() else { return skipped("it is not installed") };
        let text = String::from_utf8(output.stdout).unwrap();
        Some(Self { version: text.trim().trim_start_matches("umoci version ").to_owned() })
    }

    /// Unpacks plain layers, the lowest first, with both, and says where the trees differ without being listed.
    pub(crate) fn compare(&self, layers: &[&[u8]], trees: &mut Trees) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let [root, image, other] = ["root", "image", "other"].map(|name| place.path().join(name));
        trees.layers += 1;
        fs::create_dir(&root).unwrap();
        if unpack(layers, &root).is_err() {
            return Vec::new();
        }
        trees.taken += 1;
        write_image(&image, layers);
        let mut name = image.into_os_string();
        name.push(":latest");
        let done = Command::new("umoci").args(["raw", "unpack", "--image"]).arg(name).arg(&other).output().unwrap();
        if !done.status.success() {
            return Vec::new();
        }
        trees.shared += 1;
        let (ours, theirs) = (tree(&root), tree(&other));
        let entries = layers.last().and_then(|layer| ours::read(layer).ok()).unwrap_or_default();
        let entries: Vec<_> = entries.into_iter().map(|seen| seen.item).collect();
        let paths = ours.keys().chain(theirs.keys().filter(|path| !ours.contains_key(*path)));
        let different = paths.filter(|path| ours.get(*path) != theirs.get(*path));
        let mut wrong = Vec::new();
        let mut excepted: Vec<&'static str> = Vec::new();
        for path in different {
            let (here, there) = (ours.get(path), theirs.get(path));
            let difference = TreeDifference { path, ours: here, theirs: there, entries: &entries };
            match EXCEPTIONS.iter().find(|exception| (exception.applies)(&difference)) {
                Some(exception) if excepted.contains(&exception.name) => (),
                Some(exception) => excepted.push(exception.name),
                None => wrong.push(format!("umoci: {}: {here:?}, theirs is {there:?}", path.escape_ascii())),
            }
        }
        excepted.into_iter().for_each(|name| *trees.excepted.entry(name).or_default() += 1);
        wrong
    }
}

fn unpack(layers: &[&[u8]], root: &Path) -> Result<(), Error> {
    let root = Dir::open_ambient_dir(root, ambient_authority()).unwrap();
    let mut rootfs = Rootfs::over(&root)?;
    for layer in layers {
        let diff_id = format!("sha256:{}", sha256(layer)).parse().unwrap();
        Unpacker::new(ours::policy()).with_limits(ours::limits()).apply(
            Layer::new(Cursor::new(*layer)).expecting(Expected::unchecked().with_diff_id(diff_id)).seekable(),
            &mut rootfs,
        )?;
    }
    Ok(())
}

/// An OCI layout with one image, `latest`.
pub(crate) fn write_image(place: &Path, layers: &[&[u8]]) {
    fs::create_dir_all(place.join("blobs/sha256")).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = sha256(bytes);
        fs::write(place.join("blobs/sha256").join(&digest), bytes).unwrap();
        let media_type = format!("application/vnd.oci.image.{kind}");
        serde_json::json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let diff_ids: Vec<_> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", config.to_string().as_bytes()),
        "layers": layers.iter().map(|layer| blob("layer.v1.tar", layer)).collect::<Vec<_>>(),
    });
    let mut manifest = blob("manifest.v1+json", manifest.to_string().as_bytes());
    manifest["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(place.join("index.json"), index.to_string()).unwrap();
    fs::write(place.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// All that a tree has, by path; of a hard link, the target is the first path of the same inode.
fn tree(root: &Path) -> BTreeMap<Vec<u8>, Item> {
    let mut tree = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    let mut to_do = vec![root.to_owned()];
    while let Some(directory) = to_do.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let kind = metadata.file_type();
            let item = if kind.is_dir() {
                to_do.push(path);
                Item::new(&name, Kind::Directory)
            } else if kind.is_file() {
                Item::file(&name, &fs::read(&path).unwrap())
            } else if kind.is_symlink() {
                Item::new(&name, Kind::Symlink).with_target(fs::read_link(&path).unwrap().as_os_str().as_bytes())
            } else {
                let device = (rustix::fs::major(metadata.rdev()).into(), rustix::fs::minor(metadata.rdev()).into());
                let kind = match kind {
                    kind if kind.is_fifo() => Kind::Fifo,
                    kind if kind.is_block_device() => Kind::Block,
                    _ => Kind::Character,
                };
                Item::new(&name, kind).with_device(device.0, device.1)
            };
            if metadata.nlink() > 1 && !metadata.is_dir() {
                let names: &mut Vec<Vec<u8>> = inodes.entry(metadata.ino()).or_default();
                names.push(name.clone());
            }
            tree.insert(name, item);
        }
    }
    for names in inodes.values_mut() {
        names.sort();
        for name in &names[..] {
            let item = tree.get_mut(name).unwrap();
            item.target = [&item.target[..], b" like ", &names[0]].concat();
        }
    }
    tree
}
