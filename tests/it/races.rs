//! Somebody changes the tree while layers are applied: they may fail, but nothing outside is touched.

use crate::support::layer::{LayerBuilder, mode};
use crate::support::world::World;
use layercage::Policy;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Every kind of change below, and of, directories that become links: one a layer, since a layer that fails
/// does nothing more, or many in one, since handles are held while it is applied.
fn busy(round: u32) -> LayerBuilder {
    let changes: &[fn(LayerBuilder) -> LayerBuilder] = &[
        |l| l.file_with("d/file", b"!", &mode(0o777)),
        |l| l.dir_with("d/dir", &mode(0o777)),
        |l| l.file("d/dir/inner/file", b"!"),
        |l| l.fifo("d/fifo"),
        |l| l.symlink("d/link", "x"),
        |l| l.file("d/file", b"!").hard_link("d/second-name", "d/file"),
        |l| l.whiteout("d/dir"),
        |l| l.whiteout("d/file"),
        |l| l.whiteout("d/dir/inner"),
        |l| l.dir("d/deep/er").opaque("d"),
        |l| l.opaque("d/dir"),
        |l| l.file("d/dir/inner", b"!"),
        |l| l.dir_with("d", &mode(0o777)),
    ];
    let change = |layer, number: u32| changes[number as usize % changes.len()](layer);
    match round % 8 {
        0 => (0..200).fold(LayerBuilder::new(), |layer, number| change(layer, number * 5 + round)),
        _ => change(LayerBuilder::new(), round),
    }
}

#[test]
fn a_directory_that_becomes_a_link_and_back_leads_nowhere() {
    for (target, seconds) in [("../out", 1), ("out", 1)] {
        let world = World::new();
        let root = world.root();
        let target = if target == "out" { world.out().into_os_string() } else { target.into() };
        fs::create_dir_all(root.join("d/dir/inner")).unwrap();
        for name in ["d/file", "d/dir/file", "d/dir/inner/file"] {
            fs::write(root.join(name), b"").unwrap();
        }
        symlink(&target, root.join("other")).unwrap();
        symlink("../../out/dir", root.join("d/other")).unwrap();
        let (stop, exchanges) = (AtomicBool::new(false), AtomicU32::new(0));
        let (mut done, mut failed) = (0_u32, 0_u32);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let exchange = |one: &str, other: &str| {
                    let (one, other) = (root.join(one), root.join(other));
                    if renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok() {
                        exchanges.fetch_add(1, Ordering::Relaxed);
                    }
                };
                while !stop.load(Ordering::Relaxed) {
                    exchange("d", "other");
                    // Through whichever of the two is the directory now.
                    let real = if root.join("d").is_symlink() { "other" } else { "d" };
                    if !root.join(real).is_symlink() {
                        exchange(&format!("{real}/dir"), &format!("{real}/other"));
                    }
                }
            });
            let end = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < end {
                match world.apply(&[busy(done + failed)], &Policy::compatible()) {
                    Ok(_) => done += 1,
                    Err(_) => failed += 1,
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        eprintln!("{done} applied, {failed} failed, {} exchanges", exchanges.load(Ordering::Relaxed));
        world.assert_untouched("a race");
        assert!(done + failed > 0 && exchanges.load(Ordering::Relaxed) > 0);
    }
}

#[test]
fn a_file_that_is_put_into_the_target_during_the_commit_is_never_lost() {
    use crate::support::open;
    use layercage::Staged;
    use layercage::error::{Misuse, Occupant};
    use rustix::fs::{Mode, OFlags, openat};
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("rootfs");
    let (mut replaced, mut kept) = (0_u32, 0_u32);
    let end = Instant::now() + Duration::from_secs(2);
    let mut round = 0;
    while Instant::now() < end || (replaced == 0 || kept == 0) && round < 20_000 {
        round += 1;
        fs::create_dir(&root).unwrap();
        let directory = fs::File::open(&root).unwrap();
        let staged = Staged::beside(&open(place.path()), "rootfs").unwrap();
        let go = AtomicBool::new(false);
        let (put, committed) = std::thread::scope(|scope| {
            // Through a handle on the old directory: it is not the new tree that takes the file.
            let putting = scope.spawn(|| {
                while !go.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                (0..round % 100 * 50).for_each(|_| std::hint::spin_loop());
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                openat(&directory, "precious", flags, Mode::RUSR).is_ok()
            });
            go.store(true, Ordering::Release);
            let committed = staged.commit(vec![]);
            (putting.join().unwrap(), committed)
        });
        // The file may also be put there after the commit, which leaves no directory to put it into.
        assert_eq!(put, committed.is_err(), "round {round}: a file was lost, or refused for nothing");
        assert_eq!(root.join("precious").exists(), put, "round {round}");
        match committed {
            Ok(()) => replaced += 1,
            Err(error) => {
                let occupant = Occupant::FullDirectory;
                let expected = Misuse::TargetExists { name: layercage::error::Escaped::new(b"rootfs"), occupant };
                assert_eq!(error.misuse(), Some(&expected));
                assert_eq!(error.blame(), layercage::error::Blame::Caller);
                kept += 1;
            }
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "round {round}");
        fs::remove_dir_all(&root).unwrap();
    }
    eprintln!("{replaced} replaced, {kept} kept with a file in them");
    assert!(replaced > 0 && kept > 0, "{replaced} replaced, {kept} kept");
}

#[test]
fn a_directory_that_takes_the_place_of_a_new_stage_loses_nothing() {
    use crate::support::open;
    use layercage::{Layer, Staged, Unpacker};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let place = tempfile::tempdir().unwrap();
    let beside = |name: &str| place.path().join(name);
    // A directory of ours whose content another user could not remove, though he may rename it.
    let bits = [0o755, 0o700, 0o500, 0o1777];
    let precious: Vec<_> = (0..bits.len()).map(|number| beside(&format!("precious{number}"))).collect();
    for (path, bits) in precious.iter().zip(bits) {
        fs::create_dir_all(path.join("rootfs/inside")).unwrap();
        fs::write(path.join("file"), "precious").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
    }
    let layer = LayerBuilder::new().file("inside/file", b"").build();
    let (stop, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    let (mut done, mut met) = (0_u32, 0_u32);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                for entry in fs::read_dir(place.path()).unwrap().flatten() {
                    let name = entry.file_name().into_string().unwrap();
                    let digits = name.strip_prefix(".layercage-").filter(|digits| digits.len() == 16);
                    if digits.is_none() {
                        continue;
                    }
                    number += 1;
                    let precious = &precious[number % precious.len()];
                    // In its place for a moment, then back where it was.
                    if renameat_with(CWD, entry.path(), CWD, precious, RenameFlags::EXCHANGE).is_ok() {
                        swaps.fetch_add(1, Ordering::Relaxed);
                        if number % 3 == 0 {
                            std::thread::sleep(Duration::from_micros(200));
                        }
                        let _ = renameat_with(CWD, precious, CWD, entry.path(), RenameFlags::EXCHANGE);
                        // Whatever of the two went meanwhile: the precious one is called so again.
                        if !precious.exists() {
                            let _ = fs::rename(entry.path(), precious);
                        }
                    }
                }
            }
        });
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            match Staged::beside(&open(place.path()), "next") {
                Ok(mut staged) => {
                    let _ = Unpacker::new(Policy::default()).apply(Layer::new(&layer[..]), staged.rootfs());
                    done += 1;
                }
                Err(error) => met += u32::from(error.to_string().contains("is not the directory that was made")),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let swaps = swaps.load(Ordering::Relaxed);
    eprintln!("{done} staged, {met} met another directory, {swaps} swaps");
    assert!(done + met > 0 && swaps > 0);
    // Whatever their names are by now, they are all there, and nothing of them has changed.
    let mut found: Vec<_> = fs::read_dir(place.path())
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let content = fs::read_to_string(path.join("file")).ok()?;
            assert_eq!((content.as_str(), path.join("rootfs/inside").exists()), ("precious", true));
            assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
            Some(fs::metadata(path).unwrap().mode() & 0o7777)
        })
        .collect();
    found.sort();
    let mut expected = bits.to_vec();
    expected.sort();
    assert_eq!(found, expected);
}
