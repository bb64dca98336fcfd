//! The real image that lies in the repository.

use crate::support::open;
use crate::support::tree::{self, Listing};
use layercage::merged::Hiding;
use layercage::{Image, Policy, Selected, Selector, Unpacker};
use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

fn images() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images")
}

pub(crate) fn selected() -> Selected {
    let image = Image::open(&open(&images().join("world"))).unwrap();
    image.select(&Selector::host().with_reference("latest")).unwrap()
}

pub(crate) fn listed() -> Listing {
    tree::parse(&fs::read_to_string(images().join("world.list")).unwrap())
}

#[test]
fn every_field_but_content_is_as_real_tools_listed_it_with_any_privileges() {
    let mut expected = listed();
    expected.values_mut().for_each(|fields| drop(fields.remove("sha256")));
    for threads in [1, 3] {
        let unpacker = Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(threads).unwrap());
        let tree = unpacker.session().merge(&selected()).unwrap();
        let differences = tree::differences(&expected, &tree::list_merged(&tree));
        assert!(differences.is_empty(), "\n{}", differences.join("\n"));
        super::check_orders(&tree);
    }
}

#[test]
fn the_layers_of_the_image_hide_something_in_each_way_but_one() {
    let selected = selected();
    let tree = selected.merge(&Policy::default()).unwrap();
    assert_eq!(tree.layer_count(), selected.layers().len());
    let diff_ids: Vec<_> = selected.layers().iter().map(|layer| Some(*layer.diff_id())).collect();
    assert_eq!(tree.diff_ids().collect::<Vec<_>>(), diff_ids);
    let ways: BTreeSet<_> = tree.hidden().map(|hidden| hidden.how()).collect();
    assert!(ways.is_superset(&[Hiding::Replaced, Hiding::WhitedOut, Hiding::Opaque].into()), "{ways:?}");
    for hidden in tree.hidden() {
        assert!(hidden.layer() <= hidden.hidden_by(), "{}", hidden.path());
    }
}
