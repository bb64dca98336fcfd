//! Pulls from a real registry on this machine, through a proxy that pauses, cuts and stalls what the registry answers.
//!
//! The registry is Debian's package `docker-registry`, and skopeo fills it. Where one of the two is missing, the tests
//! are skipped; with `LAYERCAGE_NO_SKIP=1` they fail.

mod layout;
mod proxy;
mod server;
#[path = "../../../../tests/it/support/tree.rs"]
#[allow(dead_code, reason = "only a part of it is needed here")]
mod tree;

use cap_std::{ambient_authority, fs::Dir};
use layercage::{Image, Policy, Selected, Selector};
use proxy::{Fate, Proxy};
use rustix::process::{Pid, Signal, kill_process};
use server::Registry;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

const WORLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/images/world");

fn world() -> Selected {
    Image::open_ambient(WORLD, ambient_authority()).unwrap().select(&Selector::host()).unwrap()
}

/// The digests of the layers, from the bottom.
fn layers() -> Vec<String> {
    let digest = |layer: &layercage::image::LayerDescriptor| layer.descriptor().unwrap().digest().to_string();
    world().layers().iter().map(digest).collect()
}

/// The example, about to pull `rootfs` into a directory.
fn pull(address: &str, reference: &str, into: &Path, stall_seconds: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layercage-pull"));
    command.args([&format!("{address}/{reference}"), "rootfs", stall_seconds]);
    command.current_dir(into).env("PLAIN_HTTP", address).env("TERM", "xterm").stdin(Stdio::null());
    for unwanted in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "RUST_BACKTRACE"] {
        command.env_remove(unwanted);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks that a pull failed, and that nothing is left of it; returns its message.
fn failed(output: &Output, place: &Path) -> String {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(fs::read_dir(place).unwrap().count(), 0, "{error}");
    error
}

#[test]
fn a_pulled_image_is_the_image() {
    let Some(registry) = Registry::with_image(WORLD) else { return };
    let place = tempfile::tempdir().unwrap();
    let parent = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
    let report = world().unpack_into(&parent, "expected", &Policy::default()).unwrap();
    let expected = tree::list(&place.path().join("expected"));
    let by_digest = format!("image@{}", world().manifest().unwrap().digest());
    for reference in ["image:latest", &by_digest] {
        let output = pull(registry.address(), reference, place.path(), "30").output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let notes = report.note_count();
        let line = format!("{} entries, {} bytes, {notes} notes\n", report.entries, report.bytes_written);
        assert_eq!(text(&output.stdout), line);
        let pulled = place.path().join("rootfs");
        assert_eq!(tree::differences(&expected, &tree::list(&pulled)), [""; 0], "{reference}");
        tree::unlock(&pulled);
        fs::remove_dir_all(&pulled).unwrap();
    }
    tree::unlock(place.path());
}

#[test]
fn a_bar_shows_the_bytes_of_a_blob_while_it_arrives() {
    let Some(registry) = Registry::with_image(WORLD) else { return };
    let slow = layers().remove(0);
    let fate = move |path: &str| match path.ends_with(&slow) {
        true => Fate::Slow { pauses: 1, bytes: 30_000, pause: Duration::from_secs(1) },
        false => Fate::Whole,
    };
    let proxy = Proxy::start(registry.address(), fate);
    let place = tempfile::tempdir().unwrap();
    let pull = pull(proxy.address(), "image:latest", place.path(), "30");
    // A terminal: on anything else, no bar is drawn.
    let line = [pull.get_program()].into_iter().chain(pull.get_args()).collect::<Vec<_>>().join(" ".as_ref());
    let mut terminal = Command::new("script");
    terminal.args(["-qec".as_ref(), line.as_os_str(), "/dev/null".as_ref()]).current_dir(place.path());
    for (name, value) in pull.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    let output = terminal.stdin(Stdio::null()).output().unwrap();
    let drawn = text(&output.stdout);
    assert!(output.status.success(), "{drawn}");
    let positions: BTreeSet<_> = drawn
        .split(" KiB/55.95 KiB")
        .filter_map(|before| before.rsplit(' ').next()?.parse::<f64>().ok())
        .map(|kib| kib as u64)
        .collect();
    assert!(positions.iter().any(|&kib| (10..=30).contains(&kib)), "{positions:?} in {drawn}");
    tree::unlock(place.path());
}

#[test]
fn two_layers_download_at_once_and_not_three() {
    let Some(registry) = Registry::with_image(WORLD) else { return };
    let layers = layers();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let has = |requests: &[String], layer: &str| requests.iter().any(|path| path.ends_with(layer));
    let (second, third) = (layers[1].clone(), layers[2].clone());
    let (first, seen) = (layers[0].clone(), Arc::clone(&requests));
    let fate = move |path: &str| {
        seen.lock().unwrap().push(path.to_owned());
        if !path.ends_with(&first) {
            return Fate::Whole;
        }
        // The first layer arrives when the second one is asked for, and not before. The third one has to wait.
        let begun = Instant::now();
        while !has(&seen.lock().unwrap(), &second) && begun.elapsed() < Duration::from_secs(20) {
            sleep(Duration::from_millis(10));
        }
        sleep(Duration::from_millis(300));
        let asked = seen.lock().unwrap();
        match has(&asked, &second) && !has(&asked, &third) {
            true => Fate::Whole,
            false => Fate::Cut { after: 0 },
        }
    };
    let proxy = Proxy::start(registry.address(), fate);
    let place = tempfile::tempdir().unwrap();
    let output = pull(proxy.address(), "image:latest", place.path(), "60").output().unwrap();
    assert!(output.status.success(), "{} {:?}", text(&output.stderr), requests.lock().unwrap());
    let requests = requests.lock().unwrap();
    assert!(layers.iter().all(|layer| has(&requests, layer)), "{requests:?}");
    tree::unlock(place.path());
}

#[test]
fn a_flipped_bit_in_any_blob_is_refused_and_leaves_nothing() {
    let Some(registry) = Registry::with_image(WORLD) else { return };
    let world = world();
    let documents = [world.manifest().unwrap().digest().to_string(), world.config().digest().to_string()];
    for digest in documents.into_iter().chain(layers()) {
        let place = tempfile::tempdir().unwrap();
        let blob = registry.blob(&digest);
        let whole = fs::read(&blob).unwrap();
        // A bit of a digit behind the middle: a document stays one, so that the registry serves it.
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        let digit = damaged[middle..].iter().position(u8::is_ascii_digit).unwrap();
        damaged[middle + digit] ^= 1;
        fs::write(&blob, damaged).unwrap();
        let output = pull(registry.address(), "image:latest", place.path(), "30").output().unwrap();
        let error = failed(&output, place.path());
        assert!(error.to_lowercase().contains("digest"), "{digest}: {error}");
        fs::write(&blob, whole).unwrap();
    }
}

/// A fate of the second layer, which is in the middle of the image.
fn of_second_layer(fate: impl Fn() -> Fate + Send + Sync + 'static) -> impl Fn(&str) -> Fate + Send + Sync + 'static {
    let second = layers().remove(1);
    move |path| if path.ends_with(&second) { fate() } else { Fate::Whole }
}

#[test]
fn a_connection_that_is_cut_is_an_error_and_leaves_nothing() {
    let Some(registry) = Registry::with_image(WORLD) else { return };
    let proxy = Proxy::start(registry.address(), of_second_layer(|| Fate::Cut { after: 30_000 }));
    let place = tempfile::tempdir().unwrap();
    let error = failed(&pull(proxy.address(), "image:latest", place.path(), "30").output().unwrap(), place.path());
    assert!(error.contains("layer 2 of 6"), "{error}");
}

/// The second layer stalls after so many bytes of its answer.
fn check_stall(after: u64) {
    let Some(registry) = Registry::with_image(WORLD) else { return };
    let proxy = Proxy::start(registry.address(), of_second_layer(move || Fate::Stall { after }));
    let (place, begun) = (tempfile::tempdir().unwrap(), Instant::now());
    let output = pull(proxy.address(), "image:latest", place.path(), "5").output().unwrap();
    let error = failed(&output, place.path());
    assert!(error.contains("layer 2 of 6") && error.contains("timed out"), "{error}");
    assert!((5..120).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[test]
fn a_connection_that_never_answers_is_an_error_after_the_given_time_and_leaves_nothing() {
    check_stall(0);
}

#[test]
fn a_connection_that_stalls_is_an_error_after_the_given_time_and_leaves_nothing() {
    check_stall(30_000);
}

#[test]
fn a_layer_that_waits_for_the_one_below_it_has_not_stalled() {
    let layout = tempfile::tempdir().unwrap();
    let layers = layout::write(layout.path(), &[1, 32 << 20]);
    let Some(registry) = Registry::with_image(layout.path().to_str().unwrap()) else { return };
    // More than the channel and the sockets hold has to wait for longer than a stall may last.
    let first = layers[0].clone();
    let fate = move |path: &str| match path.ends_with(&first) {
        true => Fate::Slow { pauses: 14, bytes: 100, pause: Duration::from_millis(500) },
        false => Fate::Whole,
    };
    let proxy = Proxy::start(registry.address(), fate);
    let place = tempfile::tempdir().unwrap();
    let output = pull(proxy.address(), "image:latest", place.path(), "5").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::metadata(place.path().join("rootfs/file-2")).unwrap().len(), 32 << 20);
}

#[test]
fn ctrl_c_ends_a_pull_that_waits_and_leaves_nothing() {
    let Some(registry) = Registry::with_image(WORLD) else { return };
    let proxy = Proxy::start(registry.address(), of_second_layer(|| Fate::Stall { after: 30_000 }));
    let place = tempfile::tempdir().unwrap();
    let mut command = pull(proxy.address(), "image:latest", place.path(), "600");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !(proxy.has_stalled() && fs::read_dir(place.path()).unwrap().count() == 1) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the pull did not get to the second layer");
        sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let pressed = Instant::now();
    let error = failed(&child.wait_with_output().unwrap(), place.path());
    assert!(error.contains("cancelled"), "{error}");
    assert!(pressed.elapsed() < Duration::from_secs(30), "{:?}", pressed.elapsed());
}

#[test]
fn the_example_is_under_eighty_lines() {
    let lines = include_str!("../../src/main.rs").lines().count();
    assert!(lines < 80, "{lines} lines");
}
