//! How the program is operated: policies, signals, sockets, metrics, probes.

use crate::containerd::Ends;
use crate::layer::{Tar, gzip, sha256};
use crate::world::{Setup, World, bind};
use layercage_differ::proto::services::diff::v1::ApplyRequest;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tar::EntryType;

fn signal(world: &World, signal: Signal) {
    kill_process(Pid::from_child(&world.differ), signal).unwrap();
}

fn fifo() -> Vec<u8> {
    Tar::new().entry(EntryType::Fifo, "pipe", "", b"", 0o600).file("f", b"12345").build()
}

#[test]
fn a_client_that_goes_away_stops_the_work_and_nothing_writes_on() {
    let mut world = World::new();
    let layer = gzip(&(0..300).fold(Tar::new(), |tar, number| tar.file(&format!("{number}"), &noise(number))).build());
    let snapshot = world.snapshot("1");
    let diff = Some(world.blob("default", &layer, Ends::Never));
    let request = ApplyRequest { diff, mounts: vec![bind(&snapshot)], ..ApplyRequest::default() };
    let first = snapshot.join("0");
    world.apply_until(request, "the first file is there", |_| first.exists());
    world.wait("it is cancelled", |world| world.log().iter().any(|line| line["message"] == "layer cancelled"));
    let names = || fs::read_dir(&snapshot).unwrap().count();
    let before = names();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(names(), before);
    assert!(before < 300);
    let metrics = world.metrics();
    assert!(metrics.contains("layercage_layers_in_flight 0\n"), "{metrics}");
    assert!(metrics.contains("layercage_layers_total{result=\"cancelled\",rule=\"\"} 1\n"), "{metrics}");
}

#[test]
fn a_client_that_goes_away_stops_the_removal_of_a_large_tree() {
    let mut world = World::new();
    let snapshot = world.snapshot("1");
    let big = snapshot.join("big");
    fs::create_dir(&big).unwrap();
    let files = 60_000;
    (0..files).for_each(|number| fs::write(big.join(format!("{number}")), b"").unwrap());
    let request = world.request(&Tar::new().file(".wh.big", b"").build(), bind(&snapshot));
    let left = |world: &World| fs::read_dir(world.at("snapshots/1/fs/big")).map_or(0, Iterator::count);
    world.apply_until(request, "the removal has begun", |world| left(world) < files);
    world.wait("it is cancelled", |world| world.log().iter().any(|line| line["message"] == "layer cancelled"));
    assert!(left(&world) > 0);
}

/// Bytes that do not compress well, so that a layer has many messages.
fn noise(seed: usize) -> Vec<u8> {
    (0..2_000).map(|at| u8::try_from((at * at * 31 + at * seed * 7) % 251).unwrap()).collect()
}

#[test]
fn each_layer_is_one_line_of_the_log_and_counted() {
    let world = World::with(&Setup { policy: "fifos = \"skip\"", ..Setup::default() });
    let layer = fifo();
    world.apply("default", world.request(&layer, bind(&world.snapshot("1")))).unwrap();
    let climbs = Tar::new().file("../f", b"").build();
    world.apply("k8s.io", world.request(&climbs, bind(&world.snapshot("2")))).unwrap_err();
    world.blob("k8s.io", &climbs, Ends::AtItsEnd);
    world.apply("k8s.io", world.request(&climbs, bind(&world.snapshot("2")))).unwrap_err();
    let log = world.log();
    let applied = log.iter().find(|line| line["message"] == "layer applied").unwrap();
    for (key, value) in [
        ("namespace", json!("default")),
        ("digest", json!(sha256(&layer))),
        ("diff_id", json!(sha256(&layer))),
        ("size", json!(layer.len())),
        ("unpacked_bytes", json!(layer.len())),
        ("entries", json!(2)),
        ("written_bytes", json!(5)),
        ("notes", json!("fifo=1")),
    ] {
        assert_eq!(applied[key], value, "{applied}");
    }
    assert!(applied["seconds"].as_f64().unwrap() > 0.0);
    let refused = log.iter().find(|line| line["message"] == "layer refused").unwrap();
    assert_eq!((&refused["namespace"], &refused["rule"]), (&json!("k8s.io"), &json!("name-climbs")));
    let metrics = world.metrics();
    for line in [
        "layercage_layers_total{result=\"applied\",rule=\"\"} 1",
        "layercage_layers_total{result=\"refused\",rule=\"name-climbs\"} 1",
        "layercage_layers_total{result=\"failed\",rule=\"\"} 1",
        "layercage_written_bytes_total 5",
        "layercage_layer_seconds_count 3",
    ] {
        assert!(metrics.lines().any(|there| there == line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn a_hangup_reads_the_policy_file_again_and_one_that_is_wrong_changes_nothing() {
    let mut world = World::new();
    let apply = |world: &World| world.apply("default", world.request(&fifo(), bind(&world.snapshot("1"))));
    let reload = |world: &mut World, policy: &str, message: &str| {
        let said = |world: &World| world.log().iter().filter(|line| line["message"] == message).count();
        let before = said(world);
        fs::write(world.at("differ.toml"), policy).unwrap();
        signal(world, Signal::HUP);
        world.wait(message, |world| said(world) > before);
    };
    apply(&world).unwrap();
    reload(&mut world, "fifos = \"refuse\"", "the policy file was read again");
    assert!(apply(&world).unwrap_err().message().contains("[fifo]"));
    reload(&mut world, "fifos = \"create\"\nfifo = 1", "the policies stay as they were");
    assert!(apply(&world).is_err());
    reload(&mut world, "devices = \"create\"", "the policies stay as they were");
    assert!(apply(&world).is_err());
}

#[test]
fn a_hangup_without_a_policy_file_or_with_another_directory_keeps_the_policy() {
    let mut world = World::with(&Setup { policy: "fifos = \"refuse\"", ..Setup::default() });
    let refused = |world: &World| {
        let status = world.apply("default", world.request(&fifo(), bind(&world.snapshot("1")))).unwrap_err();
        assert!(status.message().contains("[fifo]"), "{status}");
    };
    refused(&world);
    fs::rename(world.at("differ.toml"), world.at("away")).unwrap();
    signal(&world, Signal::HUP);
    let kept =
        |world: &mut World| world.log().into_iter().find(|line| line["message"] == "the policies stay as they were");
    world.wait("the missing file is reported", |world| kept(world).is_some());
    let reason = kept(&mut world).unwrap()["reason"].to_string();
    assert!(reason.contains("differ.toml: No such file"), "{reason}");
    refused(&world);
    // A rename within the directory is how editors write, and works.
    fs::rename(world.at("away"), world.at("differ.toml")).unwrap();
    signal(&world, Signal::HUP);
    world.wait("the file is read", |world| {
        world.log().iter().any(|line| line["message"] == "the policy file was read again")
    });
    refused(&world);
}

#[test]
fn a_containerd_that_does_not_answer_is_named_by_its_socket() {
    let world = World::new();
    // The program connects when it first needs to.
    fs::remove_file(world.at("containerd.sock")).unwrap();
    let status = world.apply("", world.request(&fifo(), bind(&world.snapshot("1")))).unwrap_err();
    assert!(status.message().contains("containerd.sock: No such file"), "{status}");
}

#[test]
fn the_log_names_what_is_served_and_what_is_restricted() {
    let world = World::new();
    let log = world.log();
    let line = |message: &str| log.iter().find(|line| line["message"] == message).unwrap();
    let serving = line("serving");
    for (key, name) in [
        ("socket", "run/differ.sock"),
        ("containerd", "containerd.sock"),
        ("policy", "differ.toml"),
        ("snapshot_roots", "snapshots"),
    ] {
        assert_eq!(serving[key], json!(world.at(name)), "{serving}");
    }
    assert_eq!(serving["version"], json!(env!("CARGO_PKG_VERSION")));
    let restricted = line("restricted");
    for key in ["forbidden", "capabilities"] {
        let words = restricted[key].as_str().unwrap();
        assert!(words.chars().all(|char| char.is_ascii_lowercase() || "_-,".contains(char)), "{restricted}");
    }
}

#[test]
fn a_policy_file_is_checked_without_a_running_program() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("differ.toml");
    let check = || World::command(&["check-policy", file.to_str().unwrap()]);
    let (code, _, error) = check();
    assert!(code == 1 && error.contains("No such file"), "{error}");
    fs::write(&file, "fifos = \"skip\"").unwrap();
    let (code, text, error) = check();
    assert!(code == 0 && text.ends_with("differ.toml is valid\n"), "{text}{error}");
    fs::write(&file, "fifos = \"drop\"").unwrap();
    let (code, text, error) = check();
    assert!(code == 2 && text.is_empty() && error.contains("differ.toml: `fifos`: "), "{text}{error}");
}

#[test]
fn a_path_that_is_wrong_is_named_with_what_it_is_for_and_only_snapshot_roots_are_created() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("file"), "").unwrap();
    let [file, missing, socket, roots] = ["file", "missing", "run/differ.sock", "snapshots"].map(at);
    let serve = |option: &str, value: &str| {
        let mut arguments = vec!["serve", "--socket", &socket, "--snapshot-root", &roots, "--policy", &file];
        match arguments.iter().position(|argument| *argument == option) {
            Some(index) => arguments[index + 1] = value,
            None => arguments.extend([option, value]),
        }
        let (code, _, error) = World::command(&arguments);
        (code, error)
    };
    for (option, value, said) in [
        ("--snapshot-root", &file, "snapshot root /"),
        ("--content-root", &missing, "content root /"),
        ("--metrics", &file, "socket /"),
        ("--policy", &missing, "policy file /"),
    ] {
        let (code, error) = serve(option, value);
        assert!(code == 1 && error.contains(said), "{option}: {error}");
    }
    assert!(!place.path().join("missing").exists());
    for (option, value) in [("--content-root", "content"), ("--policy", "differ.toml"), ("--layers", "70000")] {
        let (code, error) = serve(option, value);
        assert!(code == 2 && error.contains(option), "{option}: {error}");
    }
}

#[test]
fn a_policy_file_that_is_wrong_or_missing_keeps_the_program_from_starting() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("differ.toml");
    let socket = place.path().join("run/differ.sock");
    let snapshots = place.path().join("snapshots");
    let serve = || {
        let [file, socket, snapshots] = [&file, &socket, &snapshots].map(|path| path.to_str().unwrap());
        World::command(&["serve", "--policy", file, "--socket", socket, "--snapshot-root", snapshots])
    };
    let (code, _, error) = serve();
    assert!(code == 1 && error.contains("differ.toml"), "{error}");
    fs::write(&file, "device = \"skip\"").unwrap();
    let (code, _, error) = serve();
    assert!(code == 1 && error.contains("`device`"), "{error}");
    assert!(!socket.exists());
}

#[test]
fn only_this_user_can_connect_and_a_probe_says_whether_the_program_serves() {
    let mut world = World::new();
    let socket = world.at("run/differ.sock");
    let health = || World::command(&["health", "--socket", socket.to_str().unwrap()]);
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
    assert_eq!(health().0, 0);
    signal(&world, Signal::TERM);
    assert_eq!(world.differ.wait().unwrap().code(), Some(0));
    // The sandbox keeps the program from removing its socket. The next one replaces it.
    let (code, _, error) = health();
    assert!(code == 1 && error.contains("differ.sock"), "{error}");
}

#[test]
fn layers_that_do_not_end_are_cancelled_when_the_program_ends() {
    let mut world = World::with(&Setup { arguments: &["--grace", "0"], ..Setup::default() });
    let diff = Some(world.blob("default", &Tar::new().file("f", &[1; 90_000]).build(), Ends::Never));
    let snapshot = world.snapshot("1");
    let request = ApplyRequest { diff, mounts: vec![bind(&snapshot)], ..ApplyRequest::default() };
    let file = snapshot.join("f");
    world.apply_until(request, "the file is there, and SIGTERM was sent", |world| {
        let is_there = file.exists();
        if is_there {
            signal(world, Signal::TERM);
        }
        is_there
    });
    world.wait("the program has ended", |world| world.differ.try_wait().unwrap().is_some());
    assert!(world.log().iter().any(|line| line["message"] == "layer cancelled"));
}

#[test]
fn the_configuration_that_is_printed_for_a_version_passes_the_check_and_an_old_version_does_not() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("config.toml");
    let check =
        |version: &str| World::command(&["check-config", file.to_str().unwrap(), "--containerd-version", version]);
    for version in ["1.7.24", "2.3.4"] {
        let (code, text, error) = World::command(&["print-config", version]);
        assert_eq!(code, 0, "{error}");
        fs::write(&file, &text).unwrap();
        let (code, text, _) = check(version);
        assert_eq!(code, 0, "{text}");
        assert_eq!((text.matches("ok: ").count(), text.matches("note: ").count()), (2, 1), "{text}");
    }
    let (code, text, _) = check("1.6.20");
    assert!(code == 3 && text.contains("problem: containerd 1.6.20 cannot load a differ"), "{text}");
    assert_eq!(World::command(&["print-config", "1.6.20"]).0, 2);
    fs::write(&file, "version = 2").unwrap();
    let (code, text, error) = check("1.7.24");
    assert!(code == 3 && text.matches("problem: ").count() == 3, "{text}");
    assert!(error.contains("not every layer"), "{error}");
}

#[test]
fn a_blob_that_never_ends_and_a_connection_that_says_nothing_do_not_delay_the_end_beyond_the_grace() {
    let mut world = World::with(&Setup { arguments: &["--grace", "1"], ..Setup::default() });
    let silent = UnixStream::connect(world.at("run/differ.sock")).unwrap();
    let layer = gzip(&(0..300).fold(Tar::new(), |tar, number| tar.file(&format!("{number}"), &noise(number))).build());
    let snapshot = world.snapshot("1");
    let diff = Some(world.blob("default", &layer, Ends::Never));
    let request = ApplyRequest { diff, mounts: vec![bind(&snapshot)], ..ApplyRequest::default() };
    let call = world.start_to_apply(request);
    world.wait("the first file is there", |_| snapshot.join("0").exists());
    signal(&world, Signal::TERM);
    world.wait("it ends", |world| world.differ.try_wait().unwrap().is_some_and(|status| status.success()));
    drop((silent, call));
}

#[test]
fn a_log_that_cannot_be_written_harms_no_layer() {
    let mut world = World::with(&Setup { log_is_lost: true, ..Setup::default() });
    let layer = Tar::new().file("f", b"1").build();
    for name in ["1", "2"] {
        world.apply("default", world.request(&layer, bind(&world.snapshot(name)))).unwrap();
    }
    signal(&world, Signal::TERM);
    world.wait("it ends", |world| world.differ.try_wait().unwrap().is_some_and(|status| status.success()));
}

#[test]
fn annotations_of_megabytes_are_no_error_and_no_message_has_as_many() {
    let world = World::new();
    let layer = Tar::new().file("f", b"1").build();
    let mut request = world.request(&layer, bind(&world.snapshot("1")));
    request.diff.as_mut().unwrap().annotations.insert("a".to_owned(), "b".repeat(5 << 20));
    world.apply("default", request).unwrap();
    let mut request = world.request(&layer, bind(&world.snapshot("2")));
    request.diff.as_mut().unwrap().media_type.push_str(&"x".repeat(1 << 20));
    let status = world.apply("default", request).unwrap_err();
    assert!(status.message().len() < 5000, "{}", status.message().len());
}

#[test]
fn the_program_may_open_as_many_files_as_the_system_allows_it() {
    let world = World::new();
    let limits = fs::read_to_string(format!("/proc/{}/limits", world.differ.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<_> =
        line.split_whitespace().filter(|word| word.chars().all(|char| char.is_ascii_digit())).collect();
    assert_eq!(numbers[0], numbers[1], "{line}");
}

#[test]
fn a_program_without_file_handles_waits_for_them_and_says_so_once() {
    let mut world = World::new();
    let pid = Pid::from_child(&world.differ);
    let limit = Rlimit { current: Some(40), maximum: Some(40) };
    prlimit(Some(pid), Resource::Nofile, limit).unwrap();
    let socket = world.at("run/differ.sock");
    let silent: Vec<_> = (0..60).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let lines = |world: &World| {
        let said = |line: &serde_json::Value| line["message"] == "no connection can be accepted at this moment";
        world.log().into_iter().filter(said).count()
    };
    world.wait("it is logged", |world| lines(world) > 0);
    let used = processor_ticks(&world);
    std::thread::sleep(Duration::from_secs(1));
    assert!(processor_ticks(&world) - used < 20, "of 100 ticks");
    assert_eq!(lines(&world), 1);
    drop(silent);
    world.apply("default", world.request(&Tar::new().file("f", b"1").build(), bind(&world.snapshot("1")))).unwrap();
}

/// The time that the differ has used, in hundredths of a second.
fn processor_ticks(world: &World) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", world.differ.id())).unwrap();
    let fields: Vec<_> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_blob_of_which_no_byte_arrives_fails_and_gives_its_turn_to_another_layer() {
    let arguments = ["--layers", "1", "--blob-timeout", "1"];
    let world = World::with(&Setup { arguments: &arguments, ..Setup::default() });
    let layer = Tar::new().file("f", &[1; 9_000]).build();
    for (name, ends) in [("1", Ends::Never), ("2", Ends::WithNothing)] {
        let diff = Some(world.blob("default", &layer, ends));
        let request = ApplyRequest { diff, mounts: vec![bind(&world.snapshot(name))], ..ApplyRequest::default() };
        let status = world.apply("default", request).unwrap_err();
        assert!(status.message().contains("no byte arrived for 1 s (`--blob-timeout`)"), "{status}");
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    }
    world.apply("default", world.request(&layer, bind(&world.snapshot("3")))).unwrap();
    assert!(world.metrics().contains("layercage_layers_total{result=\"failed\",rule=\"\"} 2\n"));
}

#[test]
fn a_call_whose_client_goes_away_before_its_turn_is_logged_and_counted() {
    let mut world = World::with(&Setup { arguments: &["--layers", "1"], ..Setup::default() });
    let layer = Tar::new().file("f", &[1; 90_000]).build();
    let snapshot = world.snapshot("1");
    let diff = Some(world.blob("default", &layer, Ends::Never));
    let first = ApplyRequest { diff, mounts: vec![bind(&snapshot)], ..ApplyRequest::default() };
    let first = world.start_to_apply(first);
    world.wait("the first layer has the only turn", |_| snapshot.join("f").exists());
    let second = world.request(&Tar::new().file("g", b"1").build(), bind(&world.snapshot("2")));
    world.apply_until(second, "the second one waits", |world| {
        world.metrics().contains("layercage_layers_in_flight 2\n")
    });
    world.wait("it is logged", |world| world.log().iter().any(|line| line["message"] == "layer cancelled"));
    assert!(world.metrics().contains("layercage_layers_total{result=\"cancelled\",rule=\"\"} 1\n"));
    first.abort();
}
