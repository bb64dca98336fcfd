//! Finding paths, and trees that are deep or large.

use super::merge;
use crate::support::layer::{Attributes, LayerBuilder};
use layercage::merged::{Kind, Merger};
use layercage::rules::Limit;
use layercage::{Expected, Layer, Limits, Policy, Sink, Unpacker};

fn path(tree: &layercage::MergedTree, path: &str) -> Option<String> {
    tree.get(path).map(|node| String::from_utf8(node.path().as_bytes().to_vec()).unwrap())
}

#[test]
fn a_path_is_found_as_a_process_in_a_container_finds_it() {
    let tree = merge(&[LayerBuilder::new()
        .file("usr/bin/sh", b"#!")
        .symlink("bin", "usr/bin")
        .symlink("usr/lib", "/lib")
        .file("lib/ld.so", b"")
        .symlink("etc/alternatives/sh", "/../../bin/./sh")
        .symlink("dangling", "nowhere")
        .symlink("loop", "loop")
        .symlink("to-root", "..")
        .symlink("slash", "usr/")]);
    for (asked, found) in [
        ("usr/bin/sh", Some("usr/bin/sh")),
        ("/bin/sh", Some("usr/bin/sh")),
        ("//bin//./sh", Some("usr/bin/sh")),
        ("bin/../../../lib", Some("lib")),
        ("usr/lib/ld.so", Some("lib/ld.so")),
        ("etc/alternatives/sh", Some("usr/bin/sh")),
        ("to-root/etc/..", Some("")),
        ("slash", Some("usr")),
        ("bin", Some("usr/bin")),
        ("bin/", Some("usr/bin")),
        ("", Some("")),
        ("/", Some("")),
        ("..", Some("")),
        ("dangling", None),
        ("loop", None),
        ("loop/x", None),
        ("usr/bin/sh/", None),
        ("usr/bin/sh/.", None),
        ("usr/bin/sh/..", None),
        ("usr/bin/nothing/..", None),
        ("usr/bin/sh\0", None),
        ("us", None),
    ] {
        assert_eq!(path(&tree, asked), found.map(str::to_owned), "{asked}");
    }
    for (asked, target) in [("bin", Some(&b"usr/bin"[..])), ("dangling", Some(b"nowhere")), ("usr/lib", Some(b"/lib"))]
    {
        let kind = tree.get_nofollow(asked).map(|node| node.kind());
        assert_eq!(kind, target.map(|target| Kind::Symlink { target }), "{asked}");
    }
    assert!(tree.get_nofollow("bin/").is_some_and(|node| node.is_directory()), "a slash asks for a directory");
    assert!(tree.get_nofollow("bin/sh").is_some_and(|node| node.is_file()));
}

#[test]
fn forty_links_are_followed_and_not_one_more() {
    let chain = (0..42).fold(LayerBuilder::new().file("l42", b""), |layer, number| {
        layer.symlink(&format!("l{number}"), &format!("l{}", number + 1))
    });
    let tree = merge(&[chain]);
    assert_eq!(path(&tree, "l2").as_deref(), Some("l42"));
    assert_eq!(path(&tree, "l1"), None);
}

#[test]
fn metadata_is_what_the_layer_says() {
    let with = Attributes { mode: 0o6755, uid: 7, gid: 8, mtime: 9, xattrs: vec![("user.b", b"2"), ("user.a", b"1")] };
    let tree = merge(&[LayerBuilder::new()
        .record("mtime", b"9.25")
        .file_with("bin/su", b"12345", &with)
        .hard_link("bin/sudo", "bin/su")]);
    let node = tree.get("bin/sudo").unwrap();
    assert!(node.is_setuid() && node.is_setgid() && !node.is_sticky() && node.is_file());
    assert_eq!((node.mode(), node.uid(), node.gid(), node.size(), node.link_count()), (0o6755, 7, 8, 5, 2));
    assert_eq!(node.mtime().to_string(), "9.250000000");
    assert_eq!((node.xattr("user.a"), node.xattr("user.c")), (Some(&b"1"[..]), None));
    assert_eq!(node.metadata().xattrs, node.xattrs());
    assert_eq!((node.layer(), node.entry(), node.content_entry(), node.offset()), (1, Some(2), Some(1), Some(2048)));
    assert_eq!(node.links().map(|other| other.path().to_string()).collect::<Vec<_>>(), ["\"bin/su\""]);
    let bin = tree.get("bin").unwrap();
    assert!(bin.is_implied() && bin.mode() == 0o755 && bin.entry() == Some(1));
    assert_eq!((tree.root().entry(), tree.root().layer(), tree.root().is_implied()), (None, 1, true));
}

#[test]
fn a_deep_tree_takes_no_stack() {
    let limits = Limits::default().with(Limit::PathDepth, Limit::OFF).with(Limit::PathBytes, Limit::OFF);
    let unpacker = Unpacker::new(Policy::default()).with_limits(limits.with(Limit::ImpliedDirectories, Limit::OFF));
    let deep = "d/".repeat(8_000) + "f";
    let layers = [
        LayerBuilder::new().file(&deep, b""),
        LayerBuilder::new().file("d/d/own", b"").opaque("d"),
        LayerBuilder::new().file("d", b"").file(&("e".to_owned() + &deep), b""),
    ];
    let at_once = std::thread::Builder::new().stack_size(256 << 10);
    let merge = move || {
        let mut merger = Merger::new();
        for layer in layers {
            unpacker.apply(Layer::new(&layer.build()[..]), &mut merger).unwrap();
        }
        let tree = merger.into_tree().unwrap();
        assert!(tree.get("e".to_owned() + &deep).is_some_and(|node| node.is_file()));
        assert_eq!((tree.iter().count(), tree.iter_by_layer().count()), (8_003, 8_003));
        assert_eq!(tree.hidden().count(), 8_002);
        let lowest = tree.hidden().find(|hidden| hidden.kind() != Kind::Directory).unwrap();
        assert_eq!(lowest.path().as_bytes(), deep.as_bytes());
    };
    at_once.spawn(merge).unwrap().join().unwrap();
}

#[test]
fn a_tree_beyond_its_limit_is_refused_by_name_and_no_tree_is_made() {
    let layer = (0..5_000).fold(LayerBuilder::new(), |layer, number| layer.file(&format!("f{number}"), b"")).build();
    let limits = Limits::default().with(Limit::TreeBytes, 600_000);
    let unpacker = Unpacker::new(Policy::default()).with_limits(limits);
    let mut merger = Merger::new();
    let error = unpacker.apply(Layer::new(&layer[..]), &mut merger).unwrap_err();
    assert!(error.to_string().contains("tree-bytes"), "{error}");
    assert!(error.position().entry.is_some_and(|entry| (3_000..5_000).contains(&entry)), "{error}");
    assert_eq!(error.effect(), layercage::error::Effect::None);
    let mut next = unpacker.session();
    assert!(next.apply(Layer::new(&b""[..]), &mut merger as &mut dyn Sink).unwrap_err().misuse().is_some());
    assert!(merger.into_tree().unwrap_err().misuse().is_some());
    let mut merger = Merger::new();
    Unpacker::new(Policy::default()).apply(Layer::new(&layer[..]), &mut merger).unwrap();
    assert_eq!(merger.into_tree().unwrap().iter().count(), 5_001);
}

#[test]
fn a_path_takes_at_most_140_bytes_beside_its_name() {
    for files in [10_000_u64, 70_000, 100_000] {
        let layer = (0..files).fold(LayerBuilder::new(), |layer, number| layer.file(&format!("{number:06}"), b""));
        let bytes = merge(&[layer]).memory_bytes();
        // What is allocated at a time counts as a whole: two chunks of texts, one of names and one of inodes.
        let beside = bytes - files * 6 - (2 << 16) - (1 << 17);
        assert!(beside <= 140 * files, "{} bytes for each of {files}", beside / files);
    }
}

#[test]
fn layers_of_nothing_are_a_root() {
    let tree = merge(&[LayerBuilder::new(), LayerBuilder::new()]);
    assert_eq!(tree.iter().map(|node| (node.path().is_root(), node.mode())).collect::<Vec<_>>(), [(true, 0o755)]);
    assert_eq!((tree.layer_count(), tree.hidden().count()), (2, 0));
    assert!(tree.get("") == Some(tree.root()) && tree.root().children().next().is_none());
}

#[test]
fn content_is_read_from_layers_that_the_caller_opens_and_compared_with_what_is_expected() {
    let archives =
        [LayerBuilder::new().file("a", b"lower").file("b", b"1").build(), LayerBuilder::new().file("b", b"2").build()];
    let (mut session, mut merger) = (Unpacker::new(Policy::default()).session(), Merger::new());
    let expected = Expected::unchecked().compute_diff_id(layercage::blob::Algorithm::Sha256);
    for archive in &archives {
        session.apply(Layer::new(&archive[..]).expecting(expected), &mut merger).unwrap();
    }
    let tree = merger.into_tree().unwrap();
    let diff_ids: Vec<_> =
        tree.diff_ids().map(|diff_id| Expected::unchecked().with_diff_id(diff_id.unwrap())).collect();
    let (mut opened, mut contents) = (Vec::new(), Vec::new());
    let open = |number: usize| {
        opened.push(number);
        Ok(Layer::new(&archives[number - 1][..]).expecting(diff_ids[number - 1]))
    };
    session
        .read_files_from(
            &tree,
            open,
            |node| node.file_name() == b"b",
            |_, data| Ok(data.read_to_end(&mut contents).map(drop)?),
        )
        .unwrap();
    assert_eq!((opened, &contents[..]), (vec![2], &b"2"[..]));
    let open = |number: usize| Ok(Layer::new(&archives[number - 1][..]).expecting(diff_ids[number - 1]));
    session.read_hidden_from(&tree, open, |_| true, |_, data| Ok(data.read_to_end(&mut contents).map(drop)?)).unwrap();
    assert_eq!((&contents[..], session.report().entries), (&b"21"[..], 3));
    let swapped = |number: usize| Ok(Layer::new(&archives[2 - number][..]).expecting(diff_ids[number - 1]));
    let error = session.read_files_from(&tree, swapped, |_| true, |_, _| Ok(())).unwrap_err();
    assert!(error.rule_id() == Some("diff-id-mismatch") || error.misuse().is_some(), "{error}");
}
