//! Times and memory, beside the differ that containerd has.
//!
//! `LAYERCAGE_IMAGES=DIR LAYERCAGE_DIFFER=target/release/layercage-differ cargo test --test containerd times -- --nocapture`.
//! DIR has `medium/oci.tar` and `manyfiles/oci.tar`.

use crate::engine::{Engine, Unpacks, shown};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;

/// Images of Debian have device nodes.
const POLICY: &str = "devices = \"create\"\n";

fn images() -> Option<PathBuf> {
    let images = std::env::var_os("LAYERCAGE_IMAGES").map(PathBuf::from);
    let released = std::env::var_os("LAYERCAGE_DIFFER").is_some();
    if images.is_none() || !released {
        eprintln!("skipped: LAYERCAGE_IMAGES and LAYERCAGE_DIFFER are not set");
        return None;
    }
    images
}

fn import(engine: &Engine, archive: &str) -> Duration {
    let since = Instant::now();
    let output = engine.import("overlayfs", archive, "image");
    let took = since.elapsed();
    assert!(output.status.success(), "{}", shown(&output));
    for image in engine.ctr_ok(&["images", "ls", "-q"]).lines() {
        engine.ctr_ok(&["images", "rm", "--sync", image]);
    }
    took
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

#[test]
fn an_import_takes_at_most_85_percent_of_what_it_takes_with_the_built_in_differ() {
    let Some(images) = images() else { return };
    let Some(ours) = Engine::with_policy(Unpacks::Layercage, POLICY) else { return };
    let Some(walking) = Engine::start(Unpacks::Walking) else { return };
    for name in ["medium", "manyfiles"] {
        for engine in [&ours, &walking] {
            fs::copy(images.join(name).join("oci.tar"), engine.at("image.tar")).unwrap();
        }
        let rounds: Vec<_> = (0..ROUNDS).map(|_| [&ours, &walking].map(|engine| import(engine, "image.tar"))).collect();
        let [ours, walking] = [0, 1].map(|which| median(rounds.iter().map(|round| round[which]).collect()));
        eprintln!("{name}: {ours:.2} s, built-in {walking:.2} s, ratio {:.2}", ours / walking);
        assert!(ours / walking <= 0.85, "{name}: {rounds:?}");
    }
}

#[test]
fn three_layers_at_once_take_less_than_48_mebibytes() {
    let Some(images) = images() else { return };
    for name in ["medium", "manyfiles"] {
        let Some(mut engine) = Engine::with_policy(Unpacks::Layercage, POLICY) else { return };
        fs::copy(images.join(name).join("oci.tar"), engine.at("image.tar")).unwrap();
        let imports: Vec<_> = (0..3)
            .map(|number| {
                let namespace = format!("n{number}");
                let archive = engine.text("image.tar");
                let mut import = engine.ctr_command(&["-n", &namespace, "images", "import", &archive]);
                import.stdout(Stdio::null()).spawn().unwrap()
            })
            .collect();
        for mut import in imports {
            assert!(import.wait().unwrap().success());
        }
        let status = fs::read_to_string(format!("/proc/{}/status", engine.differ().id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
        eprintln!("{name}: {peak} with three layers at once");
        assert!(peak.strip_suffix(" kB").unwrap().parse::<u32>().unwrap() < 48 << 10, "{name}: {peak}");
    }
}
