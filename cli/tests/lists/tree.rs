//! The tree of an image in which paths come, go and come back.

use super::build::{Archive, Header, tar};
use super::{layout, listed};
use serde_json::json;

/// A layer: names that end in `/` are directories, `NAME=TARGET` is a hard link, and others are files of so many bytes.
fn layer(entries: &[(&str, u64)]) -> Vec<u8> {
    let add = |archive: Archive, (name, size): &(&str, u64)| match name.split_once('=') {
        Some((name, target)) => archive.header(Header::posix(b'1', name).mode(0o755).target(target)),
        None if name.ends_with('/') => archive.directory(name),
        None => archive.with(Header::posix(b'0', name).mode(0o755), vec![b'x'; *size as usize]),
    };
    entries.iter().fold(tar(), add).end()
}

/// Layers, and their tree.
type Case = (&'static str, &'static [&'static [(&'static str, u64)]], &'static str);

const CASES: &[Case] = &[
    (
        "what was there last is shown of a path that is gone",
        &[&[("a/f", 1)], &[("a/.wh.f", 0)], &[("a/f", 3)], &[(".wh.a", 0)]],
        "\
~      0       ./
-      0         a/
-      3     4     f
",
    ),
    (
        "a path that came back is added",
        &[&[("f", 1), ("g", 1)], &[(".wh.f", 0)], &[("f", 3)]],
        "\
~      4       ./
+      3     3   f
       1     1   g
",
    ),
    (
        "a file in place of a directory, and a directory in place of a file",
        &[&[("a/b/c", 5), ("f", 2)], &[("a", 1), ("f/", 0), ("f/g", 7)]],
        "\
~      8       ./
+      1     2   a
-      0           b/
-      5     2       c
+      7         f/
+      7     2     g
",
    ),
    (
        "a directory that is emptied and one that is removed",
        &[&[("kept/f", 5), ("gone/", 0), ("gone/f", 2)], &[("kept/.wh..wh..opq", 0), (".wh.gone", 0)]],
        "\
~      0       ./
-      0         gone/
-      2     2     f
~      0         kept/
-      5     2     f
",
    ),
    (
        "hard links count once, at the first path",
        &[&[("b/f", 100), ("a/l=b/f", 0)], &[("c=b/f", 0)]],
        "\
~    100       ./
     100         a/
     100     1     l
       0         b/
     100     1     f
+    100     2   c
",
    ),
    (
        "what a layer brings twice was never there",
        &[&[("d/f", 1), ("d/f", 2)], &[("x/y", 1), ("x/", 0), ("d", 4)]],
        "\
~      5       ./
+      4     2   d
-      2     2     f
+      1         x/
+      1     2     y
",
    ),
];

#[test]
fn paths_that_come_and_go_are_marked() {
    for (name, layers, tree) in CASES {
        let place = tempfile::tempdir().unwrap();
        let layers: Vec<_> = layers.iter().map(|entries| layer(entries)).collect();
        let config = json!({"os": "linux", "architecture": "any"});
        layout::write(&place.path().join("image"), config, &layers);
        let shown = listed(&["--tree", "--platform", "linux/any", "image"], place.path());
        assert_eq!(shown.split_once('\n').unwrap().1, *tree, "{name}");
    }
}
