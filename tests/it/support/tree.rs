//! A directory tree as text: one line a path, everything that an inode carries.

use layercage::MergedTree;
use layercage::merged::{Kind, Node};
use layercage::tar::DeviceKind;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// A path, its attributes by their names.
pub(crate) type Listing = BTreeMap<Vec<u8>, BTreeMap<String, String>>;

/// Lists a tree: `type`, `mode`, `uid`, `gid`, `size`, `sha256`, `target`, `hardlink`, `xattr.NAME`, `mtime`,
/// each where it means something.
pub(crate) fn list(root: &Path) -> Listing {
    let (mut listing, mut groups) = (Listing::new(), Groups::new());
    add(root, Path::new(""), &mut listing, &mut groups);
    name_groups(&mut listing, groups);
    listing
}

/// States which names lead to one file.
pub(crate) fn name_groups(listing: &mut Listing, groups: Groups) {
    for mut names in groups.into_values().filter(|names| names.len() > 1) {
        names.sort();
        for name in &names {
            listing.get_mut(name).unwrap().insert("hardlink".into(), escape(&names[0]));
        }
    }
}

/// Lists a merged tree like a tree on disk, without `sha256`: it has no content.
pub(crate) fn list_merged(tree: &MergedTree) -> Listing {
    let paths = tree.iter().map(|node| (named(node), describe_merged(node)));
    paths.collect()
}

/// The path of a node as a listing has it.
fn named(node: Node<'_>) -> Vec<u8> {
    let path = node.path();
    if path.is_root() { b".".to_vec() } else { path.as_bytes().to_vec() }
}

fn describe_merged(node: Node<'_>) -> BTreeMap<String, String> {
    let (mut fields, metadata) = (BTreeMap::new(), node.metadata());
    let mut set = |name: &str, value: String| assert!(fields.insert(name.to_owned(), value).is_none());
    set("uid", metadata.uid.to_string());
    set("gid", metadata.gid.to_string());
    set("mtime", format!("{}.{:09}", metadata.mtime.seconds(), metadata.mtime.nanoseconds()));
    for xattr in &metadata.xattrs {
        set(&format!("xattr.{}", escape(&xattr.name)), hex(&xattr.value));
    }
    let kind = match node.kind() {
        Kind::Directory => "dir",
        Kind::File { size } => {
            set("size", size.to_string());
            "file"
        }
        Kind::Symlink { target } => {
            set("target", escape(target));
            "symlink"
        }
        Kind::Fifo => "fifo",
        Kind::Device(device) => {
            set("rdev", format!("{}:{}", device.major, device.minor));
            if device.kind == DeviceKind::Character { "char" } else { "block" }
        }
    };
    set("type", kind.into());
    if kind != "symlink" {
        set("mode", format!("{:04o}", metadata.mode));
    }
    if node.link_count() > 1 {
        set("hardlink", escape(&node.links().map(named).chain([named(node)]).min().unwrap()));
    }
    fields
}

/// What a merged tree cannot say of a tree on disk, and what only root can set, is taken out of both listings.
pub(crate) fn comparable(mut listing: Listing) -> Listing {
    let is_root = rustix::process::geteuid().is_root();
    for fields in listing.values_mut() {
        fields.remove("sha256");
        if !is_root {
            fields.retain(|name, _| !["uid", "gid", "xattr.security.capability"].contains(&name.as_str()));
            // The lister opens up a directory that it may not enter, and its ACL goes along with the mode.
            if fields.get("type").is_some_and(|kind| kind == "dir") {
                fields.remove("xattr.system.posix_acl_access");
            }
            if let Some(mode) = fields.get_mut("mode") {
                *mode = format!("{:04o}", u32::from_str_radix(mode, 8).unwrap() & 0o1777);
            }
        }
    }
    listing
}

/// The names of each inode that has several.
pub(crate) type Groups = BTreeMap<(u64, u64), Vec<Vec<u8>>>;

fn add(root: &Path, inside: &Path, listing: &mut Listing, groups: &mut Groups) {
    let path = if inside.as_os_str().is_empty() { root.to_owned() } else { root.join(inside) };
    let name = if inside.as_os_str().is_empty() { b".".to_vec() } else { inside.as_os_str().as_bytes().to_vec() };
    let metadata = fs::symlink_metadata(&path).unwrap();
    let mut fields = describe(&path, &metadata);
    if metadata.is_dir() {
        // Whoever is not root sees into a directory that is his own only when its mode lets him.
        let locked = metadata.mode() & 0o700 != 0o700 && !rustix::process::geteuid().is_root();
        if locked {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        fields.extend(xattrs(&path));
        for entry in fs::read_dir(&path).unwrap() {
            add(root, &inside.join(entry.unwrap().file_name()), listing, groups);
        }
        if locked {
            fs::set_permissions(&path, metadata.permissions()).unwrap();
        }
    } else if metadata.nlink() > 1 {
        groups.entry((metadata.dev(), metadata.ino())).or_default().push(name.clone());
    }
    listing.insert(name, fields);
}

/// Opens up the directories of a tree, so that whoever is not root can remove it.
pub(crate) fn unlock(root: &Path) {
    let metadata = fs::symlink_metadata(root).unwrap();
    if metadata.is_dir() {
        fs::set_permissions(root, fs::Permissions::from_mode(0o700)).unwrap();
        fs::read_dir(root).unwrap().for_each(|entry| unlock(&entry.unwrap().path()));
    }
}

pub(crate) fn describe(path: &Path, metadata: &fs::Metadata) -> BTreeMap<String, String> {
    let kind = metadata.file_type();
    let mut fields = BTreeMap::new();
    let mut set = |name: &str, value: String| fields.insert(name.to_owned(), value);
    set("uid", metadata.uid().to_string());
    set("gid", metadata.gid().to_string());
    set("mtime", format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec()));
    if !kind.is_symlink() {
        set("mode", format!("{:04o}", metadata.mode() & 0o7777));
    }
    if kind.is_dir() {
        set("type", "dir".into());
    } else if kind.is_symlink() {
        set("type", "symlink".into());
        set("target", escape(fs::read_link(path).unwrap().as_os_str().as_bytes()));
    } else if kind.is_file() {
        let readable = metadata.mode() & 0o400 != 0 || rustix::process::geteuid().is_root();
        if !readable {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        set("type", "file".into());
        set("size", metadata.size().to_string());
        set("sha256", hex(&Sha256::digest(fs::read(path).unwrap())));
        fields.extend(xattrs(path));
        if !readable {
            fs::set_permissions(path, metadata.permissions()).unwrap();
        }
    } else if kind.is_fifo() {
        set("type", "fifo".into());
    } else {
        let (kind, rdev) = (if kind.is_char_device() { "char" } else { "block" }, metadata.rdev());
        set("type", kind.into());
        set("rdev", format!("{}:{}", rustix::fs::major(rdev), rustix::fs::minor(rdev)));
    }
    fields
}

/// All extended attributes but those that a host's security module puts on everything.
pub(crate) fn xattrs(path: &Path) -> Vec<(String, String)> {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .filter(|name| *name != b"security.selinux")
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).unwrap();
            (format!("xattr.{}", escape(name)), hex(&value[..length]))
        })
        .collect()
}

/// Printable ASCII but the backslash stands for itself, any other byte is `\xNN`.
pub(crate) fn escape(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        match byte {
            b'!'..=b'~' if byte != b'\\' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
        text
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a listing: a path, then `name=value`, separated by spaces; lines with `#` are for people.
pub(crate) fn parse(text: &str) -> Listing {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let path = unescape(words.next().unwrap());
            let fields = words.map(|word| word.split_once('=').unwrap());
            (path, fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        })
        .collect()
}

pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        if let (b'\\', [b'x', high, low, after @ ..]) = (first, more) {
            bytes.push(u8::from_str_radix(&format!("{}{}", char::from(*high), char::from(*low)), 16).unwrap());
            rest = after;
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    bytes
}

/// What two listings differ in, a line for each; none when they are the same.
pub(crate) fn differences(expected: &Listing, got: &Listing) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, fields) in expected {
        match got.get(path) {
            None => lines.push(format!("{}: is missing", escape(path))),
            Some(other) if other != fields => {
                lines.push(format!("{}: expected {fields:?}\n    got {other:?}", escape(path)))
            }
            Some(_) => (),
        }
    }
    lines.extend(
        got.keys().filter(|path| !expected.contains_key(*path)).map(|path| format!("{}: is new", escape(path))),
    );
    lines
}
