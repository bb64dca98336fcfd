//! Signals: the command cleans up, and ends as they would have ended it.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "../../corpus/build.rs"]
mod build;
#[path = "../../tests/it/skip.rs"]
mod skip;

use build::{Archive, tar};
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};
use skip::skip;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

const ENDING: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

fn start(program: &[&str], place: &Path) -> Child {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).current_dir(place);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// How it ended, and what it said.
fn end(mut child: Child) -> (ExitStatus, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A bit mask of signals of the child, the first bit for number 1.
fn mask(child: &Child, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix(name));
    mask.map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).unwrap())
}

fn catches(child: &Child, signal: Signal) -> bool {
    mask(child, "SigCgt:") >> (signal.as_raw() - 1) & 1 == 1
}

/// A layer of files, the first of them `a`.
fn layer(files: usize) -> Vec<u8> {
    let name = |number| if number == 0 { "a".to_owned() } else { format!("d/{}/{number}", number % 100) };
    (0..files).fold(tar(), |archive, number| archive.file(name(number), [b'x'; 600])).end()
}

fn names(place: &Path) -> Vec<String> {
    fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// An image with one layer that takes a while.
fn image(place: &Path) {
    image_of(&layer(20_000), place);
}

fn image_of(layer: &[u8], place: &Path) {
    let blobs = place.join("image/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let store = |bytes: &[u8]| {
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&digest), bytes).unwrap();
        format!(r#""digest":"sha256:{digest}","size":{}"#, bytes.len())
    };
    let layer = store(layer);
    let diff_id = &layer["\"digest\":".len()..layer.find(',').unwrap()];
    let config = store(
        format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{diff_id}]}}}}"#)
            .as_bytes(),
    );
    let oci = "application/vnd.oci.image";
    let manifest = store(
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{oci}.manifest.v1+json","config":{{"mediaType":"{oci}.config.v1+json",{config}}},"layers":[{{"mediaType":"{oci}.layer.v1.tar",{layer}}}]}}"#
        )
        .as_bytes(),
    );
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{oci}.manifest.v1+json",{manifest}}}]}}"#);
    fs::write(place.join("image/index.json"), index).unwrap();
    fs::write(place.join("image/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// Starts to unpack the image, and waits until there is something of it.
fn unpacking(place: &Path, jobs: &str) -> Child {
    let child = start(&[COMMAND, "unpack", "--jobs", jobs, "image", "rootfs"], place);
    wait_until("the staging directory to fill", || {
        let names = names(place);
        let staged = names.iter().find(|name| name.starts_with(".layercage-"));
        staged.is_some_and(|name| place.join(name).join("rootfs/d").exists())
    });
    child
}

/// Whether whoever started the tests has them ignore a signal, which is handed on to what they start.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

/// The signals that end the command here.
fn heeded() -> Vec<Signal> {
    ENDING.into_iter().filter(|&signal| !is_ignored(signal)).collect()
}

#[test]
fn a_signal_ends_an_unpacking_and_nothing_is_left() {
    let place = tempfile::tempdir().unwrap();
    image(place.path());
    for (signal, jobs) in ENDING.into_iter().zip(["1", "2", "3"]) {
        if is_ignored(signal) {
            skip(&format!("{signal:?} is ignored here, as under nohup, and so by the command"));
            continue;
        }
        let child = unpacking(place.path(), jobs);
        send(&child, signal);
        let (status, said) = end(child);
        assert_eq!(status.signal(), Some(signal.as_raw()), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("layercage: ended by SIG"), "{said}");
        assert!(said.ends_with("; nothing was written to rootfs\n"), "{said}");
        assert_eq!(names(place.path()), ["image"]);
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_next_run_cleans_up() {
    let place = tempfile::tempdir().unwrap();
    image(place.path());
    let [first, second, ..] = heeded()[..] else {
        skip(&format!("two of {ENDING:?} are ignored here, and so by the command"));
        return;
    };
    let child = unpacking(place.path(), "2");
    // Both are there when it goes on, in whichever order.
    [Signal::STOP, first, second, Signal::CONT].iter().for_each(|&signal| send(&child, signal));
    let (status, said) = end(child);
    let by = [first, second].map(|signal| Some(signal.as_raw()));
    assert!(by.contains(&status.signal()) && said.is_empty(), "{status}: {said}");
    assert_eq!(names(place.path()).len(), 2, "the staging directory is still there");
    let (status, said) = end(start(&[COMMAND, "unpack", "image", "rootfs"], place.path()));
    assert!(status.success(), "{said}");
    let mut names = names(place.path());
    names.sort();
    assert_eq!(names, ["image", "rootfs"]);
}

#[test]
fn a_signal_ends_an_application_that_waits_for_its_layer() {
    let bytes = layer(2);
    for jobs in ["1", "2", "3"] {
        let place = tempfile::tempdir().unwrap();
        let mut child = start(&[COMMAND, "apply", "--jobs", jobs, "-", "."], place.path());
        let mut pipe = child.stdin.take().unwrap();
        // All of the first entry, and the beginning of the second.
        pipe.write_all(&bytes[..2_100]).unwrap();
        if jobs == "1" {
            wait_until("the first file", || place.path().join("a").exists());
        } else {
            // Other threads hand on whole buffers.
            wait_until("its handlers", || catches(&child, Signal::TERM));
        }
        send(&child, Signal::TERM);
        let (status, said) = end(child);
        assert_eq!(status.signal(), Some(15), "{said}");
        assert!(said.contains("ended by SIGTERM"), "{said}");
        let left = names(place.path());
        assert!(left.iter().all(|name| ["a", "d"].contains(&name.as_str())), "{left:?}");
        assert!(!left.is_empty() || said.contains("; nothing was changed in ."), "{said}");
        assert!(left.is_empty() || said.contains("; what was applied before that stays in ."), "{said}");
    }
}

#[test]
fn a_refusal_is_told_while_whoever_writes_the_layer_is_still_there() {
    let name = |name: &[u8]| tar().file(name, "").cut();
    let short = [name(b"a"), name(b"../climbs")].concat();
    // More than other threads hand on at a time.
    let long = [&layer(2_000)[..2_000 * 3 * 512], &name(b"../climbs")].concat();
    for (bytes, jobs) in [&short, &long].into_iter().flat_map(|bytes| ["1", "2", "3"].map(|jobs| (bytes, jobs))) {
        let place = tempfile::tempdir().unwrap();
        let mut child = start(&[COMMAND, "apply", "--jobs", jobs, "-", "."], place.path());
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(bytes).unwrap();
        // The pipe is open until it has ended.
        wait_until("its end", || child.try_wait().unwrap().is_some());
        let (status, said) = end(child);
        drop(pipe);
        assert_eq!(status.code(), Some(3), "{jobs}: {said}");
        assert!(said.contains("[name-climbs]") && said.contains("What was applied before that stays"), "{said}");
        assert!(place.path().join("a").exists());
    }
}

#[test]
fn a_signal_ends_the_verification_of_a_layer_that_never_comes() {
    let place = tempfile::tempdir().unwrap();
    let digest = format!("sha256:{}", "0".repeat(64));
    let [signal, ..] = heeded()[..] else {
        skip(&format!("all of {ENDING:?} are ignored here, and so by the command"));
        return;
    };
    let child = start(&[COMMAND, "apply", "--digest", &digest, "-", "."], place.path());
    wait_until("its handlers", || catches(&child, signal));
    send(&child, signal);
    let (status, said) = end(child);
    assert_eq!(status.signal(), Some(signal.as_raw()), "{said}");
    assert!(said.contains("; nothing was changed in ."), "{said}");
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn the_json_of_an_end_by_a_signal_has_the_code_that_a_shell_sees() {
    let place = tempfile::tempdir().unwrap();
    let child = start(&[COMMAND, "apply", "--json", "-", "."], place.path());
    wait_until("its handlers", || catches(&child, Signal::TERM));
    send(&child, Signal::TERM);
    let (status, said) = end(child);
    assert_eq!(status.signal(), Some(15), "{said}");
    let object: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&object["exit_code"], &object["message"]), (&143.into(), &"ended by SIGTERM".into()));
}

#[test]
fn what_was_ignored_stays_ignored() {
    let place = tempfile::tempdir().unwrap();
    let bytes = layer(2);
    let nohup = "trap '' HUP; exec \"$0\" apply --jobs 1 - .";
    let mut child = start(&["sh", "-c", nohup, COMMAND], place.path());
    wait_until("its handlers", || catches(&child, Signal::TERM));
    assert!(!catches(&child, Signal::HUP));
    send(&child, Signal::HUP);
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let (status, said) = end(child);
    assert!(status.success(), "{said}");
    assert!(place.path().join("a").exists());
}

/// A layer of small files with one of so many bytes between them.
fn layer_around(large: usize) -> Vec<u8> {
    let add = |archive: Archive, number| match number {
        200 => archive.file("d/large", vec![b'x'; large]),
        _ => archive.file(format!("d/{number}"), [b'x'; 600]),
    };
    (0..1_000).fold(tar(), add).end()
}

#[test]
fn a_file_that_is_larger_than_the_shell_allows_is_an_error_that_names_it_and_nothing_is_left() {
    for large in [20_000, 1 << 20] {
        let place = tempfile::tempdir().unwrap();
        image_of(&layer_around(large), place.path());
        for jobs in ["1", "2", "3"] {
            let few = "ulimit -f 8; exec \"$0\" unpack --jobs \"$1\" image rootfs";
            let (status, said) = end(start(&["sh", "-c", few, COMMAND, jobs], place.path()));
            assert_eq!(status.code(), Some(1), "{status}: {said}");
            assert!(said.contains("File too large") && said.contains("; nothing was written to rootfs"), "{said}");
            // Where others write it, another entry's turn may have come by then: that one is not to blame.
            let (place_of_it, call) = said.split_once("write(").unwrap();
            assert!(call.starts_with("\"large\"") || call.starts_with("\"d/large\""), "{said}");
            assert!(place_of_it.contains("\"d/large\"") || !place_of_it.contains("entry"), "{said}");
            assert_eq!(names(place.path()), ["image"]);
        }
    }
}
