//! Random stacks of layers, as the model shows them.

use super::{DEVICES, USER_DEVICES, USER_XATTRS, XATTRS, compare, model};
use crate::merged::random::{Said, archive, layers, policies};
use layercage::overlay::OverlayFormat;
use proptest::prelude::*;

/// The formats that the caller can make.
fn formats() -> impl Strategy<Value = OverlayFormat> {
    let is_root = rustix::process::geteuid().is_root();
    let all = if is_root { vec![DEVICES, XATTRS, USER_DEVICES, USER_XATTRS] } else { vec![USER_DEVICES, USER_XATTRS] };
    prop::sample::select(all)
}

/// Lower layers are not changed, so a caller who is not root cannot look into a directory whose mode denies that
/// (`a_lower_directory_that_locks_its_owner_out_is_not_opened`).
fn open_to_the_owner(layer: Vec<Said>) -> Vec<Said> {
    let is_root = rustix::process::geteuid().is_root();
    let opened = layer.into_iter().map(|said| match said {
        Said::Dir(name, number) if !is_root && matches!(number / 2 % 6, 0 | 5) => Said::Dir(name, 2 + number % 2),
        other => other,
    });
    opened.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn layers_of_an_overlay_show_the_rootfs_in_every_field(
        layers in layers(9), policy in policies(), format in formats()
    ) {
        let layers: Vec<_> = layers.into_iter().map(|layer| archive(&open_to_the_owner(layer))).collect();
        let differences = compare(&layers, &policy, format, |directories| model::list(directories, format));
        prop_assert!(differences.is_ok(), "{format:?}\n{}", differences.unwrap_err());
    }
}
