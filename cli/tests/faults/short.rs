//! Calls that do less than they were asked for: reads that bring a byte, calls that a signal interrupts again and again,
//! writes that take a part.

use crate::job::Job;
use crate::layers::layer_of_root;
use crate::{COMMAND, RETRIED, calls, file_systems, has_strace, strace, tree};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tar::EntryType::Regular;

/// Runs the command with these bytes on its standard input, of which no read brings more than `most`: each piece is a
/// packet.
fn fed(place: &Path, arguments: &[&str], bytes: &[u8], most: usize) -> Output {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::DIRECT).unwrap();
    let mut command = Command::new(COMMAND);
    command.args(arguments).current_dir(place).stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    // Its end of the pipe is the only one.
    drop(command);
    let mut writer = File::from(writer);
    for piece in bytes.chunks(most) {
        if writer.write_all(piece).is_err() {
            break;
        }
    }
    drop(writer);
    child.wait_with_output().unwrap()
}

#[test]
fn a_layer_that_comes_a_byte_at_a_time_is_the_same_layer() {
    let expected = Job::Apply.expected();
    for jobs in ["1", "2", "3"] {
        for known in [&[][..], &["--size", "SIZE"]] {
            let place = Job::Apply.place();
            let bytes = fs::read(place.path().join("layer")).unwrap();
            let size = bytes.len().to_string();
            let known = known.iter().map(|word| if *word == "SIZE" { &*size } else { word });
            let arguments: Vec<_> = ["apply", "--jobs", jobs].into_iter().chain(known).chain(["-", "root"]).collect();
            let output = fed(place.path(), &arguments, &bytes, 1);
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            let differences = tree::differences(&expected, &tree::list(&Job::Apply.root(place.path())));
            assert!(differences.is_empty(), "{arguments:?}: {differences:?}");
            assert!(Job::Apply.litter(place.path()).is_empty());
            Job::Apply.unlock(place.path());
        }
    }
}

#[test]
fn an_image_that_comes_in_small_pieces_is_the_same_image() {
    if !rustix::process::geteuid().is_root() {
        // The twin is the test above.
        eprintln!("skipped: what is in the image can only be compared by root");
        return;
    }
    let expected = Job::Unpack.expected();
    let place = tempfile::tempdir().unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
    archive.append_dir_all("", fs::canonicalize(world).unwrap()).unwrap();
    let archive = archive.into_inner().unwrap();
    let output = fed(place.path(), &["unpack", "/dev/stdin", "rootfs"], &archive, 61);
    assert!(output.status.success(), "{output:?}");
    let differences = tree::differences(&expected, &tree::list(&place.path().join("rootfs")));
    assert!(differences.is_empty(), "{differences:?}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn calls_that_a_signal_interrupts_every_other_time_do_all_the_same() {
    if !has_strace() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped, since it needs strace and root");
        return;
    }
    for job in [Job::Apply, Job::Unpack] {
        let expected = job.expected();
        for (call, (_, before)) in calls(&job, "1").into_iter().filter(|(call, _)| RETRIED.contains(&call.as_str())) {
            let place = job.place();
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EINTR:when={}+2", before + 1));
            let options = ["-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let output = strace(&options, &job, "1", place.path());
            assert!(output.status.success(), "{}, {call}: {output:?}", job.name());
            let differences = tree::differences(&expected, &tree::list(&job.root(place.path())));
            assert!(differences.is_empty(), "{}, {call}: {differences:?}", job.name());
        }
    }
}

/// What a `write` of a trace was asked for, and how it ended.
fn write_of(line: &str) -> Option<(usize, Result<usize, &str>)> {
    let (arguments, result) = line.split_once(" write(")?.1.rsplit_once("= ")?;
    let (_, asked) = arguments.trim_end().strip_suffix(')')?.rsplit_once(", ")?;
    Some((asked.parse().ok()?, result.parse().map_err(|_| result)))
}

#[test]
fn a_write_that_takes_a_part_is_continued_where_it_stopped() {
    if !has_strace() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("small")).unwrap();
    let content: String = (0..60_000).map(|number| format!("{number:05}\n")).collect();
    fs::write(place.path().join("layer"), layer_of_root(&[(Regular, "file", &content, 0o644)])).unwrap();
    // 1 MiB, of which more than the half is taken.
    let filled = "mount -t tmpfs -o size=1m tmpfs small || exit 77; head -c 800000 /dev/zero > small/filler";
    let traced = "-f -qq -s 0 -o trace -e trace=write";
    let script = format!("{filled}; exec strace {traced} \"$0\" apply --jobs 1 layer small");
    let Some(full) = file_systems::mounted(place.path(), &script) else { return };
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    let trace = fs::read_to_string(place.path().join("trace")).unwrap();
    let writes: Vec<_> = trace.lines().filter_map(write_of).collect();
    let short = writes.iter().position(|(asked, took)| took.as_ref().is_ok_and(|took| took < asked));
    let short = short.unwrap_or_else(|| panic!("no write took a part: {trace}"));
    assert!(writes[short + 1].1.is_err(), "there is room again: {trace}");

    // The same again, but for the room that there is after that write: the process is stopped there, and goes on.
    let script = format!(
        "{filled}; rm trace
        strace {traced} -e inject=write:signal=STOP:when={} \"$0\" apply --jobs 1 layer small & child=$!
        for moment in $(seq 600); do grep -q 'stopped by SIGSTOP' trace && break; sleep 0.1; done
        rm small/filler
        kill -CONT $(grep 'stopped by SIGSTOP' trace | cut -d ' ' -f 1)
        wait $child; code=$?
        cp small/file file
        exit $code",
        short + 1
    );
    let done = file_systems::mounted(place.path(), &script).unwrap();
    let trace = fs::read_to_string(place.path().join("trace")).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}: {trace}");
    let writes: Vec<_> = trace.lines().filter_map(write_of).collect();
    assert!(writes[short].1.as_ref().is_ok_and(|took| *took < writes[short].0), "it took all: {trace}");
    assert!(fs::read_to_string(place.path().join("file")).unwrap() == content);
}
