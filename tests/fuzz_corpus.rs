//! What fuzzers found and what they start from, run through the laws of the fuzz targets.

#![allow(clippy::disallowed_methods, reason = "reads the corpora")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken law should end the test")]

#[path = "../fuzz/src/lib.rs"]
mod laws;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// Runs all inputs of one target, and says which of them breaks a law.
fn replay(target: &str) {
    let (_, body) = laws::TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect();
    assert!(!inputs.is_empty(), "{target} has no corpus");
    inputs.push(("nothing at all".to_owned(), Vec::new()));
    inputs.extend(laws::seeds::of(target).into_iter().map(|(name, seed)| (name.to_owned(), seed)));
    inputs.extend((0..64).map(|number| (format!("made up, {number}"), made_up(number))));
    let broken = inputs.iter().filter(|(_, input)| catch_unwind(|| body(input)).is_err());
    let broken: Vec<_> = broken.map(|(name, _)| name.as_str()).collect();
    assert!(broken.is_empty(), "{target}: {broken:?}");
}

/// Bytes without a meaning, the same in every run.
fn made_up(number: u64) -> Vec<u8> {
    let mut state = number;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    };
    (0..16 + 4 * number).map(|_| next()).collect()
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )*

        #[test]
        fn every_target_is_replayed_and_has_a_file() {
            let replayed: &[&str] = &[$(stringify!($target)),*];
            let all: Vec<_> = laws::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(replayed, all);
            for target in all {
                let file = format!("fuzz/fuzz_targets/{target}.rs");
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).exists(), "{file}");
            }
        }
    };
}

targets! { header extended sparse archive compression manifest apply canonical erofs }

#[test]
fn seeds_begin_with_what_their_target_reads_first() {
    assert!(laws::seeds::prefix_fits());
}
