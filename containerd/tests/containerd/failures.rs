//! What happens when the differ, or its client, ends at the wrong moment; and many pulls at a time.

use crate::engine::{Engine, Unpacks, differ, shown, times};
use crate::image::{self, Stored};
use crate::layer::Tar;
use crate::trees::{push, start_registry};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// An image of three layers, each of which takes a while.
fn write_slow(engine: &Engine) {
    let layer = |name: &str| {
        let files = (0..1_500).fold(Tar::new().dir(&format!("{name}/"), 0o755), |tar, number| {
            tar.file(&format!("{name}/{number}"), &[u8::try_from(number % 251).unwrap(); 3_000])
        });
        files.build()
    };
    let layers = ["a", "b", "c"].map(|name| (layer(name), Stored::Gzip));
    image::write(&engine.at("image.tar"), &layers);
}

fn remove_images(engine: &Engine) {
    for image in engine.ctr_ok(&["images", "ls", "-q"]).lines() {
        engine.ctr_ok(&["images", "rm", "--sync", image]);
    }
}

/// Imports the image. containerd waits before it connects to a differ again, so a few attempts may fail.
fn import_in_the_end(engine: &Engine) {
    let since = Instant::now();
    loop {
        let output = engine.import("overlayfs", "image.tar", "image");
        if output.status.success() {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{}", shown(&output));
    }
}

#[test]
fn a_differ_that_is_not_there_is_an_error_and_no_other_one_unpacks() {
    let Some(mut engine) = Engine::start(Unpacks::Layercage) else { return };
    write_slow(&engine);
    engine.kill_differ();
    let output = engine.import("overlayfs", "image.tar", "image");
    assert!(!output.status.success());
    assert!(shown(&output).contains("connection refused"), "{}", shown(&output));
    assert_eq!(engine.snapshot_keys(), Vec::<String>::new());
    engine.start_differ();
    import_in_the_end(&engine);
    assert_eq!(engine.snapshot_keys().len(), 3);
}

#[test]
fn a_differ_that_is_killed_at_any_moment_leaves_no_snapshot_that_is_not_whole() {
    let Some(mut engine) = Engine::start(Unpacks::Layercage) else { return };
    write_slow(&engine);
    let since = Instant::now();
    import_in_the_end(&engine);
    let whole = since.elapsed();
    let entries = |engine: &Engine| -> Vec<usize> {
        let snapshots = fs::read_dir(engine.snapshots("overlayfs")).unwrap();
        let below =
            |name: &str, path: &std::path::Path| fs::read_dir(path.join("fs").join(name)).map_or(0, Iterator::count);
        let counts = snapshots.map(|snapshot| {
            let path = snapshot.unwrap().path();
            ["a", "b", "c"].iter().map(|name| below(name, &path)).sum()
        });
        counts.collect()
    };
    assert_eq!(entries(&engine), [1_500; 3]);
    let (mut failed, rounds) = (0, times(8, 100));
    for round in 0..rounds {
        remove_images(&engine);
        let mut import = engine.ctr_command(&["images", "import", "--index-name", "image", &engine.text("image.tar")]);
        let mut import = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From the begin to the end of an import, in an order that no layer has.
        let part = u32::try_from((round * 61) % 100).unwrap();
        std::thread::sleep(whole * part / 100);
        engine.kill_differ();
        failed += usize::from(!import.wait().unwrap().success());
        engine.start_differ();
        assert!(!engine.snapshot_keys().iter().any(|key| key.starts_with("extract-")));
        // An import takes the snapshots that are there for what their names say: each must be whole. Directories of snapshots
        // that are removed may be there for a moment, in part.
        import_in_the_end(&engine);
        let whole = entries(&engine).into_iter().filter(|&count| count == 1_500).count();
        assert!(whole >= 3 && engine.snapshot_keys().len() == 3, "{:?}", entries(&engine));
    }
    assert!(failed > 0, "no import was hit in {rounds} rounds");
}

#[test]
fn a_differ_that_is_restarted_ends_its_layer_first() {
    let Some(mut engine) = Engine::start(Unpacks::Layercage) else { return };
    write_slow(&engine);
    let mut import = engine.ctr_command(&["images", "import", "--index-name", "image", &engine.text("image.tar")]);
    let mut import = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let snapshots = engine.snapshots("overlayfs");
    engine.wait("the first layer is applied", |_| fs::read_dir(&snapshots).is_ok_and(|mut all| all.next().is_some()));
    kill_process(Pid::from_child(engine.differ()), Signal::TERM).unwrap();
    assert_eq!(engine.differ().wait().unwrap().code(), Some(0));
    engine.start_differ();
    import.wait().unwrap();
    assert!(!engine.log().contains("cancelled"), "{}", engine.log());
    import_in_the_end(&engine);
    assert_eq!(engine.snapshot_keys().len(), 3);
}

#[test]
fn a_client_that_is_killed_stops_the_work() {
    let Some(mut engine) = Engine::start(Unpacks::Layercage) else { return };
    write_slow(&engine);
    // A process of the namespaces would outlive the one that entered them, so it is killed by its name there.
    let mut import = engine.ctr_command(&["images", "import", "--index-name", "image", &engine.text("image.tar")]);
    let mut import = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let snapshots = engine.snapshots("overlayfs");
    engine.wait("files are written", |_| {
        let mut all = fs::read_dir(&snapshots).into_iter().flatten();
        all.any(|snapshot| snapshot.is_ok_and(|snapshot| snapshot.path().join("fs/a/0").exists()))
    });
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", import.id())).unwrap();
    for child in children.split_whitespace() {
        kill_process(Pid::from_raw(child.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    }
    let _ = import.kill();
    import.wait().unwrap();
    engine.wait("the work stops", |engine| engine.log().contains("layer cancelled"));
    remove_images(&engine);
    import_in_the_end(&engine);
}

#[test]
fn many_pulls_at_a_time_all_succeed() {
    let Some(mut engine) = Engine::start(Unpacks::Layercage) else { return };
    let address = start_registry(&mut engine);
    image::write_world(&engine.at("world.tar"));
    let reference = push(&engine, &address, "world.tar");
    let pulls = times(12, 50);
    let processes: Vec<_> = (0..pulls)
        .map(|number| {
            let namespace = format!("n{number}");
            let mut pull = engine.ctr_command(&["-n", &namespace, "images", "pull", "--plain-http", &reference]);
            pull.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{}", shown(&output), engine.log());
    }
    for number in 0..pulls {
        let list = engine.ctr_ok(&["-n", &format!("n{number}"), "snapshots", "ls"]);
        assert_eq!(list.lines().skip(1).count(), 6, "{list}");
    }
    assert_eq!(engine.log().matches("layer refused").count() + engine.log().matches("layer failed").count(), 0);
}

#[test]
fn what_containerd_says_about_its_configuration_passes_the_check_only_with_the_differ() {
    for (unpacks, code) in [(Unpacks::Layercage, 0), (Unpacks::Walking, 3)] {
        let Some(engine) = Engine::start(unpacks) else { return };
        let dump =
            engine.inside(&["containerd", "-c", &engine.text("config.toml"), "config", "dump"]).output().unwrap();
        fs::write(engine.at("dump.toml"), &dump.stdout).unwrap();
        let version = engine.inside(&["containerd", "--version"]).output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        let output = differ(&["check-config", &engine.text("dump.toml"), "--containerd-version", &version])
            .args(["--socket", &engine.text("run/differ.sock")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
