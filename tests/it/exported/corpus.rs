//! The corpus of odd and hostile layers: what is taken of it is exported as it is unpacked.

#[path = "../../../corpus/mod.rs"]
#[allow(dead_code, unused_imports, reason = "only the layers are used")]
#[allow(
    clippy::duplicate_mod,
    clippy::module_inception,
    reason = "the builder of layers is that of the other tests, too"
)]
mod corpus;

use super::{check, of_bytes, permissive};
use layercage::blob::LayerStream;
use layercage::{Expected, Limits};
use std::io::Read;

/// The plain tar of a layer; `None` where the compression is broken.
fn plain(layer: &[u8]) -> Option<Vec<u8>> {
    let mut stream = LayerStream::open(layer, Expected::unchecked(), &Limits::default()).ok()?;
    let mut archive = Vec::new();
    stream.read_to_end(&mut archive).ok()?;
    stream.finish().ok()?;
    Some(archive)
}

#[test]
fn each_case_that_is_taken_is_exported_as_it_is_unpacked() {
    // Trees are listed by recursion, and some are as deep as the limit allows.
    let exporting = std::thread::Builder::new().stack_size(64 << 20).spawn(export_all);
    exporting.unwrap().join().unwrap();
}

fn export_all() {
    let (mut exported, mut unwritable) = (0, Vec::new());
    for case in corpus::all() {
        let Some(layer) = plain(&case.layer) else { continue };
        let layers: Vec<_> = case.lower.iter().cloned().chain([layer]).collect();
        let (_place, selected) = of_bytes(&layers);
        // Refused layers say so when they are merged.
        let Ok(tree) = selected.merge(&permissive()) else { continue };
        // A hole of any size and a chain of directories cost the lister time.
        if tree.iter().any(|node| node.size() > 1 << 24) || tree.iter().count() > 5_000 {
            continue;
        }
        match check(&selected, &permissive()) {
            Ok(_) => exported += 1,
            Err(error) => {
                assert_eq!(error.rule_id(), Some("unwritable"), "{}: {error}", case.name);
                unwritable.push(case.name);
            }
        }
    }
    assert!(exported > 100, "{exported} of the corpus were exported");
    assert!(unwritable.len() < 12, "{unwritable:?}");
}
