//! Layers that get in each other's way: few names, so that links, whiteouts and changes of type meet.

use super::bytes::Bytes;
use super::support::layer::{Attributes, LayerBuilder};

/// Components of names; ordinary ones more often.
const COMPONENTS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "a",
    "b",
    "c",
    "l",
    "l",
    ".wh.a",
    ".wh.b",
    ".wh.l",
    ".wh..wh..opq",
    ".wh..wh.plnk",
    ".wh.",
    "..",
    ".",
    "",
    ".lc-image",
    "\u{e9}\n",
];

/// What links point at: here, around in circles, above the root, at the canaries.
const TARGETS: &[&str] = &[
    "a",
    "b",
    "a/b",
    "/a",
    "/a/b",
    "l",
    "l/l",
    ".",
    "..",
    "/",
    "../a",
    "../..",
    "b/../../a",
    "../out",
    "../out/file",
    "../../out",
    "../../../out/dir",
    "/../out",
    "../passwd",
    "OUT",
    "OUT/file",
    "OUT/dir/inner",
    "ROOT",
    "missing/x",
    "",
];

const MODES: &[u32] = &[0o644, 0o755, 0o600, 0o000, 0o555, 0o4755, 0o2755, 0o1777, 0o7777, 0o222];

const XATTRS: &[(&str, &[u8])] = &[
    ("user.a", b"1"),
    ("user.b", b""),
    ("user.overlay.opaque", b"y"),
    ("trusted.overlay.opaque", b"y"),
    // No capability; version 2, version 3 with a root, and one that is cut short.
    ("security.capability", b"\0\0\0\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    ("security.capability", b"\0\0\0\x03\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    ("security.capability", b"\x01\0\0\x02"),
    (
        "system.posix_acl_access",
        b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x04\0\x04\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff",
    ),
    (
        "system.posix_acl_default",
        b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x05\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff",
    ),
    ("system.posix_acl_access", b"\x02\0\0\0\x01\0"),
    ("system.nfs4_acl", b"x"),
];

/// One layer as plain tar; `out` is where the canaries are.
pub(crate) fn layer(bytes: &mut Bytes<'_>, out: &str) -> Vec<u8> {
    let mut layer = LayerBuilder::new();
    for _ in 0..bytes.below(12) {
        layer = entry(layer, bytes, out);
    }
    let mut archive = layer.build();
    match bytes.byte() {
        250 => archive.truncate(archive.len() - 1024),
        251 => archive.truncate(archive.len().saturating_sub(1300)),
        252 => archive.extend([b'x'; 512]),
        _ => (),
    }
    archive
}

fn entry(layer: LayerBuilder, bytes: &mut Bytes<'_>, out: &str) -> LayerBuilder {
    let name = name(bytes);
    let attributes = attributes(bytes);
    let layer = match bytes.byte() {
        0..=200 => layer,
        201..=220 => layer.record("mtime", b"-1.5"),
        _ => layer.record("mtime", b"1000000000.123456789"),
    };
    let kind = bytes.below(16);
    let target = match kind {
        5..=10 => bytes.pick(TARGETS).replace("OUT", out).replace("ROOT", out.trim_end_matches("out")),
        _ => String::new(),
    };
    let entry = |layer: LayerBuilder, flag: u8, content: &[u8]| {
        layer.entry(flag, name.as_bytes(), target.as_bytes(), content, &attributes)
    };
    match kind {
        0 | 1 => entry(layer, b'5', b""),
        2 => entry(layer, b'0', bytes.some(64)),
        3 => entry(layer, b'0', b"x"),
        4 => entry(layer, b'0', b""),
        5..=7 => entry(layer, b'2', b""),
        8..=10 => entry(layer, b'1', b""),
        11 => entry(layer, b'6', b""),
        12 if name.len() <= 100 => layer.node(bytes.pick(b"34"), &name, bytes.pick(&[0, 1, 5]), bytes.pick(&[0, 3, 1])),
        13 => {
            let layer = layer.record("GNU.sparse.major", b"1").record("GNU.sparse.minor", b"0");
            let layer = layer.record("GNU.sparse.name", name.as_bytes()).record("GNU.sparse.realsize", b"9000");
            let mut content = b"2\n4096\n3\n9000\n0\n".to_vec();
            content.resize(512, 0);
            entry(layer, b'0', &[&content[..], b"abc"].concat())
        }
        // An empty one, whatever it is that it marks.
        14 => entry(layer, b'0', b""),
        _ => entry(layer, bytes.pick(b"0257x"), bytes.some(20)),
    }
}

fn name(bytes: &mut Bytes<'_>) -> String {
    let shape = bytes.byte();
    let mut name = match shape >> 5 {
        0..=4 => String::new(),
        5 => "./".to_owned(),
        6 => "/".to_owned(),
        _ => "l/".to_owned(),
    };
    for index in 0..1 + usize::from(shape) % 3 {
        if index > 0 {
            name.push('/');
        }
        match bytes.byte() {
            255 => name.push_str(&"n".repeat(255)),
            byte => name.push_str(COMPONENTS[usize::from(byte) % COMPONENTS.len()]),
        }
    }
    name
}

fn attributes(bytes: &mut Bytes<'_>) -> Attributes<'static> {
    let choice = bytes.byte();
    let plain = Attributes { mode: if choice & 1 == 0 { 0o755 } else { 0o644 }, ..Attributes::default() };
    if choice < 128 {
        return plain;
    }
    let id = |bytes: &mut Bytes<'_>| bytes.pick(&[0, 0, 1000, 65534, 2_000_000]);
    let xattrs = (0..bytes.below(16).saturating_sub(13)).map(|_| bytes.pick(XATTRS)).collect::<Vec<_>>();
    let twice = xattrs.len() == 2 && xattrs[0].0 == xattrs[1].0;
    Attributes {
        mode: bytes.pick(MODES),
        uid: id(bytes),
        gid: id(bytes),
        mtime: bytes.pick(&[0, 1, 1_000_000_000, 4_000_000_000]),
        xattrs: if twice { Vec::new() } else { xattrs },
    }
}
