//! Layers made at random: what is exported of them is what unpacking makes of them.

use super::{check, image, permissive};
use crate::merged::random::{archive, layers};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_exported_is_the_rootfs_in_every_field(layers in layers(9)) {
        let layers: Vec<_> = layers.iter().map(|layer| archive(layer)).collect();
        let (_place, selected) = image(&layers);
        if let Err(error) = check(&selected, &permissive().allow(layercage::rules::QuirkRule::OpaqueBehindOwn)) {
            prop_assert!(error.rule_id().is_some(), "{error}");
        }
    }
}
