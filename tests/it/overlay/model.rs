//! What a mount would show of layers, by the rules of overlayfs and from the directories alone. It is written apart from the
//! library, for machines on which nothing can be mounted. The tests that mount show that it is right.

use crate::support::tree::{self, Groups, Listing};
use layercage::overlay::{OverlayFormat, OverlayNamespace, Whiteouts};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Lists what is shown of layers, the top one first.
pub(crate) fn list(layers: &[PathBuf], format: OverlayFormat) -> Listing {
    let model = Model { layers, format };
    let (mut listing, mut groups) = (Listing::new(), Groups::new());
    model.add(Path::new(""), &(0..layers.len()).collect::<Vec<_>>(), &mut listing, &mut groups);
    tree::name_groups(&mut listing, groups);
    listing
}

struct Model<'a> {
    layers: &'a [PathBuf],
    format: OverlayFormat,
}

impl Model<'_> {
    /// Adds a directory of these layers, and what is below it.
    fn add(&self, inside: &Path, layers: &[usize], listing: &mut Listing, groups: &mut Groups) {
        let path = self.path(layers[0], inside);
        let name = if inside.as_os_str().is_empty() { b".".to_vec() } else { inside.as_os_str().as_bytes().to_vec() };
        listing.insert(name, self.without_marks(tree::describe(&path, &fs::symlink_metadata(&path).unwrap()), &path));
        // A mount is made by root, at least of a user namespace, and sees into every directory.
        let locked: Vec<_> = layers.iter().filter_map(|&layer| unlock(self.path(layer, inside))).collect();
        let names: BTreeSet<_> = layers
            .iter()
            .flat_map(|&layer| fs::read_dir(self.path(layer, inside)).unwrap())
            .map(|entry| entry.unwrap().file_name())
            .collect();
        for name in names {
            self.add_name(&inside.join(name), layers, listing, groups);
        }
        for (path, permissions) in locked {
            fs::set_permissions(path, permissions).unwrap();
        }
    }

    fn add_name(&self, inside: &Path, layers: &[usize], listing: &mut Listing, groups: &mut Groups) {
        let mut directories = Vec::new();
        for (index, &layer) in layers.iter().enumerate() {
            let path = self.path(layer, inside);
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                directories.push(layer);
                if self.mark(&path, "opaque").as_deref() == Some(b"y") {
                    break;
                }
            } else if self.is_whiteout(&path, &metadata) {
                let is_needed = index + 1 < layers.len();
                assert!(is_needed, "{inside:?}: a whiteout over nothing shows up: layer {layer} of {layers:?}");
                break;
            } else if directories.is_empty() {
                if metadata.nlink() > 1 {
                    groups
                        .entry((metadata.dev(), metadata.ino()))
                        .or_default()
                        .push(inside.as_os_str().as_bytes().into());
                }
                let fields = self.without_marks(tree::describe(&path, &metadata), &path);
                listing.insert(inside.as_os_str().as_bytes().into(), fields);
                return;
            } else {
                break;
            }
        }
        if !directories.is_empty() {
            self.add(inside, &directories, listing, groups);
        }
    }

    fn path(&self, layer: usize, inside: &Path) -> PathBuf {
        if inside.as_os_str().is_empty() { self.layers[layer].clone() } else { self.layers[layer].join(inside) }
    }

    fn is_whiteout(&self, path: &Path, metadata: &fs::Metadata) -> bool {
        if metadata.file_type().is_char_device() && metadata.rdev() == 0 {
            assert_eq!(self.format.whiteouts, Whiteouts::Device, "{path:?}");
            return true;
        }
        let is_marked = metadata.is_file() && metadata.len() == 0 && self.mark(path, "whiteout").is_some();
        if is_marked {
            assert_eq!(self.format.whiteouts, Whiteouts::Xattr, "{path:?}");
            // Listings show it otherwise.
            assert_eq!(self.mark(path.parent().unwrap(), "opaque").as_deref(), Some(&b"x"[..]), "{path:?}");
            let root = self.layers.iter().find(|root| path.starts_with(root)).unwrap();
            assert_eq!(self.mark(root, "opaque").as_deref(), Some(&b"x"[..]), "{root:?}");
        }
        is_marked
    }

    fn prefix(&self) -> &'static str {
        match self.format.namespace {
            OverlayNamespace::Trusted => "trusted.overlay.",
            OverlayNamespace::User => "user.overlay.",
        }
    }

    fn mark(&self, path: &Path, name: &str) -> Option<Vec<u8>> {
        let mut value = [0; 16];
        let length = rustix::fs::lgetxattr(path, format!("{}{name}", self.prefix()), &mut value[..]).ok()?;
        Some(value[..length].to_vec())
    }

    /// A mount hides the attributes of overlayfs. A directory that its owner may not read is listed with them all the same.
    fn without_marks(
        &self,
        mut fields: std::collections::BTreeMap<String, String>,
        path: &Path,
    ) -> std::collections::BTreeMap<String, String> {
        fields.extend(tree::xattrs(path));
        fields.retain(|name, _| !name.starts_with(&format!("xattr.{}", self.prefix())));
        fields
    }
}

/// Opens up a directory that locks its owner out, unless we are root. Returns its permissions.
fn unlock(path: PathBuf) -> Option<(PathBuf, fs::Permissions)> {
    let permissions = fs::metadata(&path).unwrap().permissions();
    let is_locked = permissions.mode() & 0o700 != 0o700 && !rustix::process::geteuid().is_root();
    is_locked.then(|| {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        (path, permissions)
    })
}
