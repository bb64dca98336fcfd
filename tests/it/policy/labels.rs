//! The SELinux label of what is created.

use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::{open, tree};
use cap_std::fs::Dir;
use layercage::overlay::{Overlay, OverlayFormat};
use layercage::policy::Devices;
use layercage::{Layer, Policy, Staged, Unpacker};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// The label of a file, without following it.
fn label_of(path: &Path) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    let length = rustix::fs::lgetxattr(path, "security.selinux", &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}

#[test]
fn everything_that_is_created_has_the_label_and_nothing_has_that_of_the_image() {
    let text = "system_u:object_r:container_file_t:s0:c1,c2";
    let policy = Policy::default().with_devices(Devices::Skip).with_selinux_label(text.parse().unwrap());
    let own = Attributes { xattrs: vec![("security.selinux", b"bad")], ..mode(0o644) };
    let layer = LayerBuilder::new()
        .file_with("implied/file", &[1; 300_000], &own)
        .file("implied/small", b"1")
        .dir_with("dir", &Attributes { xattrs: own.xattrs.clone(), ..mode(0o555) })
        .symlink("link", "nowhere")
        .fifo("fifo")
        .hard_link("second", "implied/small")
        .file("twice", b"")
        .dir("twice");
    let upper = LayerBuilder::new().whiteout("fifo").hard_link("third", "implied/small").file("implied/new", b"");
    let place = tempfile::tempdir().unwrap();
    let mut staged = Staged::beside(open(place.path()), "rootfs").unwrap();
    let mut session = Unpacker::new(policy.clone()).session();
    let bytes = layer.clone().build();
    let applied = session.apply(Layer::new(&bytes[..]), staged.rootfs());
    // Without an LSM that owns it, some file systems let the owner of a file set the attribute.
    if !rustix::process::geteuid().is_root()
        && let Err(error) = &applied
    {
        assert!(error.to_string().contains("security.selinux"), "{error}");
        assert_eq!(error.position().entry, None, "before the first entry");
        eprintln!("skipped in part, since it needs root: labels");
        return;
    }
    applied.unwrap();
    session.apply(Layer::new(&upper.clone().build()[..]), staged.rootfs()).unwrap();
    staged.commit_unproven().unwrap();
    let [low, high] = ["low", "high"].map(|name| place.path().join(name));
    [&low, &high].iter().for_each(|directory| fs::create_dir(directory).unwrap());
    let format = OverlayFormat::possible(open(place.path())).unwrap();
    let mut overlay = Overlay::over(open(&low), Vec::<Dir>::new(), format).unwrap();
    Unpacker::new(policy.clone()).apply(Layer::new(&bytes[..]), &mut overlay).unwrap();
    let mut overlay = overlay.next(open(&high)).unwrap();
    Unpacker::new(policy).apply(Layer::new(&upper.build()[..]), &mut overlay).unwrap();
    let expected = [text.as_bytes(), b"\0"].concat();
    for (root, paths) in [(place.path().join("rootfs"), 10), (low, 9), (high, 7)] {
        let listing = tree::list(&root);
        assert_eq!(listing.len(), paths, "{:?}", listing.keys());
        for path in listing.keys() {
            let path = root.join(OsStr::new(std::str::from_utf8(path).unwrap()));
            assert_eq!(label_of(&path).as_deref(), Some(&expected[..]), "{path:?}");
        }
    }
}
