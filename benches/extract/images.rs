//! The images: made here, the same ones every time.

use super::layer::{Attributes, LayerBuilder};
use super::layout::Stored;

/// An image: its layers from the bottom, and how they are stored.
pub(crate) struct Picture {
    pub(crate) layers: Vec<Vec<Item>>,
    stored: Stored,
}

/// An entry.
pub(crate) struct Item {
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: u32,
    pub(crate) xattrs: Vec<(&'static str, &'static [u8])>,
}

/// What an entry is.
pub(crate) enum Kind {
    /// A file of so many bytes.
    File(usize),
    Directory,
    Symlink(String),
    HardLink(String),
    Fifo,
    Device(u32, u32),
}

impl Picture {
    /// The layers as archives, and what to call their compression.
    pub(crate) fn build(&self) -> (Vec<(Vec<u8>, Stored)>, &'static str) {
        let name = match self.stored {
            Stored::Plain => "plain",
            Stored::Gzip => "gzip",
            Stored::Zstd | Stored::ZstdWindow(_) => "zstd",
        };
        (
            self.layers
                .iter()
                .map(|layer| (layer.iter().fold(LayerBuilder::new(), add).build(), self.stored))
                .collect(),
            name,
        )
    }
}

fn add(builder: LayerBuilder, item: &Item) -> LayerBuilder {
    let (flag, target, content) = match &item.kind {
        Kind::File(size) => (b'0', "", content(&item.path, *size)),
        Kind::Directory => (b'5', "", Vec::new()),
        Kind::Symlink(target) => (b'2', target.as_str(), Vec::new()),
        Kind::HardLink(target) => (b'1', target.as_str(), Vec::new()),
        Kind::Fifo => (b'6', "", Vec::new()),
        Kind::Device(major, minor) => return builder.device(&item.path, *major, *minor),
    };
    let (uid, gid) = item.owner;
    let attributes = Attributes { mode: item.mode, uid, gid, mtime: item.mtime.into(), xattrs: item.xattrs.clone() };
    builder.entry(flag, item.path.as_bytes(), target.as_bytes(), &content, &attributes)
}

/// Bytes that come from the name, and that gzip makes about a third of: words of a small alphabet among noise.
pub(crate) fn content(path: &str, size: usize) -> Vec<u8> {
    let mut state = path
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: Vec<[u8; 8]> = (0..64).map(|_| next().to_le_bytes()).collect();
    let mut bytes = Vec::with_capacity(size + 16);
    while bytes.len() < size {
        let random = next();
        match random % 8 {
            0 => bytes.extend_from_slice(&random.to_le_bytes()),
            1 => bytes.extend_from_slice(&words[(random >> 8) as usize % 64][..5]),
            _ => bytes.extend_from_slice(&words[(random >> 8) as usize % 64]),
        }
    }
    bytes.truncate(size);
    bytes
}

/// Every image, so many times as large.
pub(crate) fn all(scale: u64) -> Vec<(&'static str, Picture)> {
    let scale = scale as usize;
    vec![
        ("many small files", many(20_000 * scale)),
        ("few large files", few(3 * scale)),
        ("deep", deep(200 * scale)),
        ("whiteouts", whiteouts(100 * scale)),
        ("long names", long_names(10_000 * scale)),
        ("every kind", every_kind(500 * scale)),
        ("many small files", Picture { stored: Stored::Plain, ..many(20_000 * scale) }),
    ]
}

fn item(path: String, kind: Kind) -> Item {
    let (mode, owner) = match kind {
        Kind::Directory => (0o755, (0, 0)),
        Kind::Symlink(_) => (0o777, (0, 0)),
        _ => (0o644, (0, 0)),
    };
    Item { path, kind, mode, owner, mtime: 1_000_000_000, xattrs: Vec::new() }
}

fn directory(path: String) -> Item {
    item(path, Kind::Directory)
}

fn file(path: String, size: usize) -> Item {
    item(path, Kind::File(size))
}

/// Files of a few KiB, a hundred in each directory, as a package manager of scripts makes them.
fn many(files: usize) -> Picture {
    let mut layer = vec![directory("lib".into())];
    for number in 0..files {
        if number % 100 == 0 {
            layer.push(directory(format!("lib/package-{}", number / 100)));
        }
        layer.push(file(format!("lib/package-{}/module-{number}.js", number / 100), 200 + number * 37 % 5_000));
    }
    Picture { layers: vec![layer], stored: Stored::Gzip }
}

fn few(files: usize) -> Picture {
    let layers = (0..files).map(|number| vec![file(format!("data-{number}.bin"), 24 << 20)]).collect();
    Picture { layers, stored: Stored::Gzip }
}

/// Chains of directories, forty deep, with files on every level; some parents no entry lists.
fn deep(chains: usize) -> Picture {
    let mut layer = Vec::new();
    for chain in 0..chains {
        let mut path = format!("chain-{chain}");
        for level in 0..40 {
            path = format!("{path}/l{level}");
            if level % 4 != 3 {
                layer.push(directory(path.clone()));
            }
            layer.push(file(format!("{path}/file"), 300));
        }
    }
    Picture { layers: vec![layer], stored: Stored::Gzip }
}

/// Three layers: directories of files; half of these removed again, whole directories too; new ones behind an opaque
/// marker.
fn whiteouts(directories: usize) -> Picture {
    let each = 100;
    let name = |number: usize| format!("d{number}");
    let mut lower = Vec::new();
    for number in 0..directories {
        lower.push(directory(name(number)));
        lower.extend((0..each).map(|at| file(format!("d{number}/f{at}"), 500)));
    }
    let mut middle = Vec::new();
    for number in 0..directories {
        match number % 4 {
            0 => middle.push(file(format!(".wh.d{number}"), 0)),
            1 => middle.extend((0..each).map(|at| file(format!("d{number}/.wh.f{at}"), 0))),
            _ => (),
        }
    }
    let mut upper = Vec::new();
    for number in (0..directories).filter(|number| number % 4 == 2) {
        upper.push(directory(name(number)));
        upper.push(file(format!("d{number}/.wh..wh..opq"), 0));
        upper.extend((0..each / 2).map(|at| file(format!("d{number}/new{at}"), 500)));
    }
    Picture { layers: vec![lower, middle, upper], stored: Stored::Gzip }
}

/// Paths of about 300 bytes, each with an extended header.
fn long_names(files: usize) -> Picture {
    let mut layer = Vec::new();
    for number in 0..files {
        let parent = format!("{}/{}-{}", "p".repeat(100), "q".repeat(100), number / 100);
        if number % 100 == 0 {
            layer.push(directory(parent.clone()));
        }
        layer.push(file(format!("{parent}/{}-{number}", "r".repeat(90)), 200));
    }
    Picture { layers: vec![layer], stored: Stored::Gzip }
}

/// Links of both kinds, FIFOs, devices, owners, setuid bits, attributes.
fn every_kind(sets: usize) -> Picture {
    let is_root = rustix::process::geteuid().is_root();
    let mut layer = Vec::new();
    for set in 0..sets {
        let name = |what: &str| format!("set-{set}/{what}");
        layer.push(Item { mode: 0o1777, ..directory(format!("set-{set}")) });
        layer.push(file(name("tool"), 2_000));
        layer.push(item(name("tool-1.0"), Kind::HardLink(name("tool"))));
        layer.push(item(name("link"), Kind::Symlink("tool".into())));
        layer.push(item(name("fifo"), Kind::Fifo));
        if is_root {
            layer.push(item(name("null"), Kind::Device(1, 3)));
            layer.push(Item { mode: 0o4755, ..file(name("su"), 1_000) });
        }
        layer.push(Item { owner: (1000, 1000), ..file(name("home"), 1_000) });
        layer.push(Item { xattrs: vec![("user.note", b"kept")], ..file(name("noted"), 1_000) });
    }
    Picture { layers: vec![layer], stored: Stored::Gzip }
}
