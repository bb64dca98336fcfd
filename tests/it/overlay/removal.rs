//! Images are removed from a store with the layers that no other image needs.

use super::world::{World, layer, there, three};
use layercage::Policy;
use layercage::error::Misuse;
use layercage::overlay::OverlayStore;
use layercage::policy::Devices;
use std::fs;
use std::os::unix::fs::DirBuilderExt;

#[test]
fn removing_an_image_removes_the_layers_that_no_other_needs() {
    let world = World::new();
    let [one, two, three] = three();
    let first = world.image("first", &[one.clone(), two.clone(), three]);
    let second = world.image("second", &[one, two]);
    let (mut store, digest) = (world.store(), OverlayStore::digest_of);
    world.unpack(&first);
    let kept = world.unpack(&second);
    assert_eq!(store.remove(&digest(&first)).unwrap(), Some(1));
    assert_eq!(there(&world.unpack(&second)), [true, true]);
    assert_eq!(store.remove(&digest(&first)).unwrap(), None);
    assert_eq!(world.directories(&kept).len(), 2);
    world.assert_tidy();
    assert_eq!(store.remove(&digest(&second)).unwrap(), Some(2));
    assert_eq!(world.names(), [".", "images", "layers", "layers/sha256"]);
}

#[test]
fn nothing_is_removed_if_a_list_is_not_understood() {
    let world = World::new();
    let image = world.image("image", &three());
    world.unpack(&image);
    let name = format!("images/sha256:{}", "0".repeat(64));
    let other = world.path().join(&name);
    let refused = |list: &str| {
        let error = world.store().remove(&OverlayStore::digest_of(&image)).unwrap_err();
        assert!(matches!(error.misuse(), Some(Misuse::DamagedStore { .. })), "{error}");
        assert!(error.to_string().contains(&name), "{list:?}: {error}");
        assert_eq!(there(&world.unpack(&image)), [true; 3]);
    };
    fs::DirBuilder::new().mode(0o700).create(&other).unwrap();
    refused("no list");
    fs::write(other.join("lower"), "").unwrap();
    refused("only the list of the last run");
    let layer = world.unpack(&image).layers()[0].path().to_owned();
    for list in ["layers/sha256/../../etc/diff\nend\n", "/etc\nend\n", "layers/sha256/abc/diff\nend\n", "\nend\n", "\n"]
    {
        fs::write(other.join("lower.0123456789abcdef"), list).unwrap();
        refused(list);
    }
    let list = format!("{layer}\nend\n");
    for end in 0..list.len() {
        fs::write(other.join("lower.0123456789abcdef"), &list[..end]).unwrap();
        refused(&list[..end]);
    }
    fs::write(other.join("lower.0123456789abcdef"), list).unwrap();
    assert_eq!(world.store().remove(&OverlayStore::digest_of(&image)).unwrap(), Some(2));
}

#[test]
fn an_image_under_two_policies_keeps_both_sets_of_layers_until_it_is_removed() {
    let world = World::new();
    let image = world.image("image", &three());
    let other = world.image("other", &[layer().file("z", b"")]);
    let policy = Policy::default().with_epoch(layercage::tar::Timestamp::new(7, 0).unwrap());
    world.unpack(&image);
    let last = image.unpack_overlay(&world.store(), &policy).unwrap();
    world.unpack(&other);
    assert_eq!(world.store().remove(&OverlayStore::digest_of(&other)).unwrap(), Some(1));
    assert_eq!(there(&world.unpack(&image)), [true; 3]);
    assert_eq!(there(&image.unpack_overlay(&world.store(), &policy).unwrap()), [true; 3]);
    let list = world.path().join(format!("images/{}/lower", OverlayStore::digest_of(&image)));
    let paths: Vec<_> = last.layers().iter().map(|layer| layer.path().to_owned()).collect();
    assert_eq!(fs::read_to_string(list).unwrap().lines().collect::<Vec<_>>(), paths);
    world.assert_tidy();
    assert_eq!(world.store().remove(&OverlayStore::digest_of(&image)).unwrap(), Some(6));
    assert_eq!(world.names(), [".", "images", "layers", "layers/sha256"]);
}

#[test]
fn a_layer_is_found_again_when_that_of_the_first_policy_is_gone() {
    let world = World::new();
    let [one, two, three] = three();
    let first = world.image("first", &[one.clone(), two.clone(), three]);
    let second = world.image("second", &[one, two]);
    let policy = Policy::default().with_devices(Devices::Skip);
    world.unpack(&first);
    second.unpack_overlay(&world.store(), &policy).unwrap();
    assert_eq!(world.store().remove(&OverlayStore::digest_of(&first)).unwrap(), Some(3));
    assert_eq!(there(&second.unpack_overlay(&world.store(), &policy).unwrap()), [true; 2]);
}

#[test]
fn layers_of_a_failed_run_are_removed_by_any_removal() {
    let world = World::new();
    let image = world.image("image", &[layer().file("a", b""), layer().file("../x", b"")]);
    image.unpack_overlay(&world.store(), &Policy::default()).unwrap_err();
    assert_eq!(world.store().remove(&OverlayStore::digest_of(&image)).unwrap(), Some(1));
    assert_eq!(world.store().remove(&OverlayStore::digest_of(&image)).unwrap(), None);
    assert_eq!(world.names(), [".", "layers", "layers/sha256"]);
}

#[test]
fn removal_leaves_names_that_the_store_does_not_give_and_checks_all_before_the_first_goes() {
    let world = World::new();
    let image = world.image("image", &three());
    world.unpack(&image);
    let foreign = ["layers/file", "layers/sha256/file", "images/file", "images/.file"];
    foreign.iter().for_each(|name| fs::write(world.path().join(name), "").unwrap());
    fs::create_dir(world.path().join("layers/directory")).unwrap();
    fs::create_dir(world.path().join("images/directory")).unwrap();
    // The name of a layer, but no directory.
    let odd = world.path().join(format!("layers/sha256/{}", "0".repeat(64)));
    fs::write(&odd, "").unwrap();
    world.store().remove(&OverlayStore::digest_of(&image)).unwrap_err();
    assert_eq!(there(&world.unpack(&image)), [true; 3]);
    assert!(world.path().join(format!("images/{}", OverlayStore::digest_of(&image))).exists());
    fs::remove_file(&odd).unwrap();
    assert_eq!(world.store().remove(&OverlayStore::digest_of(&image)).unwrap(), Some(3));
    assert!(foreign.iter().all(|name| world.path().join(name).exists()));
}
