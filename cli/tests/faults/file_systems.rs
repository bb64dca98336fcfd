//! File systems that are full, read-only, or lack something. They are mounted where nobody else sees them.

use crate::build::tar;
use crate::layers::{attributed, layer_of_root};
use crate::skip::skip;
use crate::{COMMAND, tree};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tar::EntryType::{Fifo, Regular as File};

/// Runs a shell script in a mount namespace of its own, as root there; `None`, saying so, where that cannot be had, or
/// where its `mount` fails, which it says by the code 77, or by 78 when it takes a kernel that few machines have.
pub(crate) fn mounted(place: &Path, script: &str) -> Option<Output> {
    let options: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["--mount"],
        false => &["--user", "--map-root-user", "--mount"],
    };
    let mut command = Command::new("unshare");
    command.args(options).args(["--", "sh", "-c", script, COMMAND]).current_dir(place).stdin(Stdio::null());
    let output = command.output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(78) {
        eprintln!("skipped, since this kernel cannot mount it: {}", said.trim());
        return None;
    }
    if output.status.code() == Some(77) || said.starts_with("unshare:") {
        skip(&format!("it cannot be mounted: {}", said.trim()));
        return None;
    }
    Some(output)
}

fn ended(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A layer with a file of so many bytes behind a small one.
fn large(bytes: usize) -> Vec<u8> {
    layer_of_root(&[(File, "small", "s", 0o644), (File, "large", &"l".repeat(bytes), 0o644)])
}

#[test]
fn a_file_system_that_fills_up_is_a_failure_of_the_system_and_keeps_what_it_had() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("small")).unwrap();
    fs::write(place.path().join("layer"), large(12 << 20)).unwrap();
    let script = "mount -t tmpfs -o size=8m tmpfs small || exit 77
        echo old > small/large
        \"$0\" apply layer small; code=$?
        test \"$(cat small/large)\" = old || exit 50
        test \"$(ls -A small | tr '\\n' ' ')\" = 'large small ' || { ls -A small >&2; exit 51; }
        exit $code";
    let Some(output) = mounted(place.path(), script) else { return };
    let (code, said) = ended(&output);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("\"large\"") && said.contains("No space left on device"), "{said}");
}

#[test]
fn an_image_does_not_fit_and_nothing_of_it_is_left() {
    if !rustix::process::geteuid().is_root() {
        // The twin is the test above.
        eprintln!("skipped: the image has owners that a user namespace of one id lacks");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
    std::os::unix::fs::symlink(fs::canonicalize(world).unwrap(), place.path().join("image")).unwrap();
    fs::create_dir(place.path().join("small")).unwrap();
    let script = "mount -t tmpfs -o size=64k tmpfs small || exit 77
        \"$0\" unpack image small/rootfs; code=$?
        test -z \"$(ls -A small)\" || { ls -A small >&2; exit 51; }
        exit $code";
    let Some(output) = mounted(place.path(), script) else { return };
    let (code, said) = ended(&output);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("No space left on device") && said.contains("Nothing was written to small/rootfs"), "{said}");
}

#[test]
fn a_read_only_file_system_is_named_and_not_touched() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    fs::write(place.path().join("layer"), layer_of_root(&[(File, "small", "s", 0o644)])).unwrap();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/world");
    std::os::unix::fs::symlink(fs::canonicalize(world).unwrap(), place.path().join("image")).unwrap();
    for what in ["apply layer root", "unpack image root/rootfs"] {
        let script = format!(
            "mount --bind root root && mount -o remount,bind,ro root || exit 77
            exec \"$0\" {what}"
        );
        let Some(output) = mounted(place.path(), &script) else { return };
        let (code, said) = ended(&output);
        assert_eq!(code, Some(1), "{what}: {said}");
        assert!(said.contains("Read-only file system"), "{what}: {said}");
    }
    assert_eq!(tree::list(&place.path().join("root")).len(), 1);
}

#[test]
fn attributes_that_a_file_system_does_not_take_are_noted_or_refused_as_policy_has_it() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    fs::write(place.path().join("layer"), attributed()).unwrap();
    // One that has none for users: ext2 by its option, or a ramfs, which has none at all.
    for (options, expected) in [("", 0), ("--xattrs require", 3)] {
        let script = format!("mount -t ramfs ramfs root || exit 77\nexec \"$0\" apply {options} layer root");
        let Some(output) = mounted(place.path(), &script) else { return };
        let (code, said) = ended(&output);
        assert_eq!(code, Some(expected), "{options}: {said}");
        assert!(said.contains("[xattr-unsupported]"), "{options}: {said}");
    }
}

/// A layer of one file with an attribute of so many bytes.
fn with_attribute(bytes: usize) -> Vec<u8> {
    tar().pax(&[("SCHILY.xattr.user.large", "x".repeat(bytes).as_bytes())]).file("attributed", "").end()
}

/// Applies a layer with a large attribute on a file system, where there is no room for it; without attributes there is.
fn assert_has_no_room(mount: &str, bytes: usize) -> bool {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    fs::write(place.path().join("layer"), with_attribute(bytes)).unwrap();
    for (options, expected) in [("", 1), ("--xattrs none", 0)] {
        let script = format!("{mount} || exit 77\n\"$0\" apply {options} layer root");
        let Some(output) = mounted(place.path(), &script) else { return false };
        let (code, said) = ended(&output);
        if said.contains("[xattr-unsupported]") {
            skip(&format!("this file system takes no such attribute: {mount}"));
            return false;
        }
        assert_eq!(code, Some(expected), "{mount}: {said}");
        let help = "layercage: help: the file system has no room for this extended attribute";
        let helps =
            said.contains(help) && said.contains("`--xattrs none`") && said.contains("fsetxattr(\"user.large\")");
        assert_eq!(helps, expected == 1, "{mount}: {said}");
    }
    true
}

#[test]
fn an_attribute_that_ext4_has_no_room_for_is_told_as_that() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: a loop device needs root (its twin is the test below)");
        return;
    }
    // Without `ea_inode`, which not all kernels and tools have, attributes share one block of 4 KiB.
    let mount = "truncate -s 8m disk && mkfs.ext4 -q -b 4096 -O ^ea_inode,^has_journal disk && mount -o loop disk root";
    assert_has_no_room(mount, 6000);
}

#[test]
fn an_attribute_that_a_full_file_system_has_no_room_for_is_told_as_that() {
    // A tmpfs (Linux 6.6) counts attributes like inodes of 1 KiB.
    assert_has_no_room("mount -t tmpfs -o nr_inodes=20 tmpfs root", 60_000);
}

#[test]
fn names_that_differ_in_case_alone_are_one_where_the_file_system_says_so() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    let names = layer_of_root(&[(File, "name", "name", 0o644), (File, "NAME", "NAME", 0o644)]);
    fs::write(place.path().join("layer"), names).unwrap();
    // Linux 6.13, with CONFIG_UNICODE.
    let script = "mount -t tmpfs -o casefold tmpfs root || exit 78
        chattr +F root || exit 78
        \"$0\" apply layer root; code=$?
        test \"$(ls -A root | wc -l)\" = 1 || exit 51
        exit $code";
    let Some(output) = mounted(place.path(), script) else { return };
    let (code, said) = ended(&output);
    assert_eq!(code, Some(0), "the later one takes the place of the one before: {said}");
}

#[test]
fn a_proc_that_is_missing_or_not_the_kernels_is_named_and_not_believed() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    fs::write(place.path().join("layer"), layer_of_root(&[(Fifo, "fifo", "", 0o640)])).unwrap();
    for (mount, says) in [
        // Nothing is there, something else, part of the real one, the real one with something over its handles.
        ("mount -t tmpfs tmpfs /proc", "\"/proc\", which is not the kernel's own"),
        (
            "mount -t tmpfs tmpfs /proc && mkdir -p /proc/1/fd && ln -s 1 /proc/thread-self",
            "which is not the kernel's own",
        ),
        ("mount --bind /proc/self/task /proc", "\"/proc\", which is not the kernel's own"),
        ("mount -t tmpfs tmpfs /proc/$$/task/$$/fd", "\"fd\", which is not the kernel's own"),
    ] {
        let script = format!(
            "{mount} || exit 77
            exec \"$0\" apply layer root"
        );
        let Some(output) = mounted(place.path(), &script) else { continue };
        let (code, said) = ended(&output);
        assert_eq!(code, Some(1), "{mount}: {said}");
        assert!(said.contains(says) && said.contains("fifo"), "{mount}: {said}");
        assert!(said.contains("layercage: help: ") && said.contains("mount procfs there"), "{mount}: {said}");
        assert_eq!(tree::list(&place.path().join("root")).len(), 1, "{mount}");
    }
    let done = Command::new(COMMAND).args(["apply", "layer", "root"]).current_dir(&place).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(tree::list(&place.path().join("root"))["./fifo"].starts_with("10640 "));
}
