//! Files with holes as GNU tar and bsdtar write them: all four formats are taken as they come from their writers.

use crate::skip::skip;
use crate::support::open;
use layercage::{Layer, Policy, Rootfs, Unpacker};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

const LARGE: u64 = 1 << 20;

/// A file, its size, and where it has 4,096 bytes of data.
const FILES: &[(&str, u64, &[u64])] = &[
    ("hole-behind", LARGE, &[0, 65_536]),
    ("hole-in-front", LARGE, &[LARGE - 4_096]),
    ("ragged", LARGE + 100, &[65_536]),
    ("all-hole", LARGE, &[]),
    ("empty", 0, &[]),
    ("no-hole", 4_096, &[0]),
    // More than the header and one block of an old map hold.
    (
        "many-holes",
        4 * LARGE,
        &[
            0, 131_072, 262_144, 393_216, 524_288, 655_360, 786_432, 917_504, 1_048_576, 1_179_648, 1_310_720,
            1_441_792, 1_572_864, 1_703_936, 1_835_008, 1_966_080, 2_097_152, 2_228_224, 2_359_296, 2_490_368,
            2_621_440, 2_752_512, 2_883_584, 3_014_656, 3_145_728, 3_276_800, 3_407_872, 3_538_944,
        ],
    ),
];

/// A writer, what it is told, and the only quirk that its archives may show.
const WRITERS: &[(&str, &[&str], Option<&str>)] = &[
    ("tar", &["--sparse", "--format=gnu"], Some("old-sparse-file")),
    ("tar", &["--sparse", "--format=posix", "--sparse-version=0.0"], None),
    ("tar", &["--sparse", "--format=posix", "--sparse-version=0.1"], None),
    ("tar", &["--sparse", "--format=posix", "--sparse-version=1.0"], None),
    ("bsdtar", &["--format=pax", "--no-xattrs"], None),
];

/// What depends on who runs the test.
const OF_THE_CALLER: &str = "owner-to-caller";

#[test]
fn every_format_is_taken_from_the_writers_that_there_are() {
    let place = tempfile::tempdir().unwrap();
    for (name, size, data) in FILES {
        let file = File::create(place.path().join(name)).unwrap();
        file.set_len(*size).unwrap();
        data.iter().for_each(|at| file.write_all_at(&[b'x'; 4_096], *at).unwrap());
    }
    for (program, arguments, quirk) in WRITERS {
        let names = FILES.iter().map(|(name, ..)| name);
        let written =
            Command::new(program).args(*arguments).args(["-cf", "-"]).args(names).current_dir(&place).output();
        let Ok(written) = written else {
            skip(&format!("{program} is not installed"));
            continue;
        };
        let what = format!("{program} {}", arguments.join(" "));
        assert!(written.status.success(), "{what}: {}", String::from_utf8_lossy(&written.stderr));
        let tree = tempfile::tempdir().unwrap();
        let mut rootfs = Rootfs::over(&open(tree.path())).unwrap();
        let applied = Unpacker::new(Policy::default()).apply(Layer::new(&written.stdout[..]), &mut rootfs);
        let applied = applied.unwrap_or_else(|error| panic!("{what}: {error}"));
        let noted: Vec<_> = applied.report().counts().map(|(id, _)| id).filter(|id| *id != OF_THE_CALLER).collect();
        assert!(noted.iter().all(|id| Some(*id) == *quirk), "{what}: {noted:?}");
        for (name, ..) in FILES {
            let content = |root: &Path| fs::read(root.join(name)).unwrap();
            assert!(content(place.path()) == content(tree.path()), "{what}: {name}");
        }
    }
}
