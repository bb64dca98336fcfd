//! Where fuzzing starts: the corpus of hostile layers, in the form that the targets take.

use super::bytes::Bytes;
use super::corpus;
use super::reading::Setup;

/// Inputs for one target, each with a name.
pub fn of(target: &str) -> Vec<(&'static str, Vec<u8>)> {
    let all = corpus::all().into_iter();
    match target {
        // Read in pieces of several sizes, under the default limits, with its checksums as they are.
        "archive" => all.map(|case| (case.name, [&[0, 2, 0, 0, 1, 9, 200][..], &[0], &case.layer].concat())).collect(),
        // Its devices are skipped.
        "canonical" => all.map(|case| (case.name, [&[0][..], &case.layer].concat())).collect(),
        "compression" => all
            .filter(|case| case.topic == "compression")
            .map(|case| (case.name, [&[0, 1, 9, 200, 0][..], &case.layer].concat()))
            .collect(),
        _ => Vec::new(),
    }
}

/// What a target reads before the archive has the length that seeds give it.
pub fn prefix_fits() -> bool {
    let mut bytes = Bytes::new(&[0, 2, 0, 0, 1, 9, 200, 0, b'!']);
    Setup::choose(&mut bytes);
    bytes.byte();
    bytes.rest() == b"!"
}
