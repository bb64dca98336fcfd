//! The sandbox: what gets past all of our own code is stopped by the kernel.

use crate::child;
use crate::skip::skip;
use crate::support::layer::{Attributes, LayerBuilder, mode};
use crate::support::{open, tree};
use landlock::{AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
use layercage::policy::{Devices, Owners, Xattrs};
use layercage::sandbox::{Forbidden, Sandbox};
use layercage::{Layer, Policy, Rootfs, Unpacker};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether the kernel has a Landlock that lets names move between directories, asked without our own code.
fn has_landlock() -> bool {
    let hard = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    hard.handle_access(AccessFs::Refer).and_then(Ruleset::create).is_ok()
}

/// A directory that may be written, one that may be read, one in which directories may be removed, and the rest.
struct Around(PathBuf);

impl Around {
    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn make(&self) {
        for directory in ["inside", "image", "around", "around/empty", "outside", "outside/empty", "outside/other"] {
            fs::create_dir(self.at(directory)).unwrap();
        }
        for file in ["inside/file", "inside/movable", "image/file", "image/removal", "around/removal", "outside/file"] {
            fs::write(self.at(file), file).unwrap();
        }
        for file in ["outside/removal", "outside/movable"] {
            fs::write(self.at(file), file).unwrap();
        }
    }
}

type Attempt = (&'static str, fn(&Around) -> io::Result<()>);

/// Calls that must not get through; each is made before the sandbox too, where it must.
const OUTSIDE: &[Attempt] = &[
    ("open for reading", |a| File::open(a.at("outside/file")).map(drop)),
    ("open for writing", |a| File::options().write(true).open(a.at("outside/file")).map(drop)),
    ("truncate", |a| File::options().write(true).truncate(true).open(a.at("outside/file")).map(drop)),
    ("list", |a| fs::read_dir(a.at("outside")).map(drop)),
    ("create", |a| File::create_new(a.at("outside/new")).map(drop)),
    ("mkdir", |a| fs::create_dir(a.at("outside/directory"))),
    ("symlink", |a| symlink("file", a.at("outside/symlink"))),
    ("mknod of a FIFO", |a| mknod(&a.at("outside/fifo"), FileType::Fifo)),
    ("mknod of a socket", |a| mknod(&a.at("outside/socket"), FileType::Socket)),
    ("link within", |a| fs::hard_link(a.at("outside/file"), a.at("outside/link"))),
    ("link in", |a| fs::hard_link(a.at("outside/file"), a.at("inside/link-in"))),
    ("link out", |a| fs::hard_link(a.at("inside/file"), a.at("outside/link-out"))),
    ("link from the image", |a| fs::hard_link(a.at("image/file"), a.at("inside/link-of-image"))),
    ("rename within", |a| fs::rename(a.at("outside/other"), a.at("outside/renamed"))),
    ("rename in", |a| fs::rename(a.at("outside/movable"), a.at("inside/renamed-in"))),
    ("rename out", |a| fs::rename(a.at("inside/movable"), a.at("outside/renamed-out"))),
    ("unlink", |a| fs::remove_file(a.at("outside/removal"))),
    ("rmdir", |a| fs::remove_dir(a.at("outside/empty"))),
    ("write to the image", |a| File::options().write(true).open(a.at("image/file")).map(drop)),
    ("create in the image", |a| File::create_new(a.at("image/new")).map(drop)),
    ("unlink in the image", |a| fs::remove_file(a.at("image/removal"))),
    ("list where directories may be removed", |a| fs::read_dir(a.at("around")).map(drop)),
    ("create there", |a| File::create_new(a.at("around/new")).map(drop)),
    ("mkdir there", |a| fs::create_dir(a.at("around/directory"))),
    ("unlink there", |a| fs::remove_file(a.at("around/removal"))),
    ("execute", |_| Command::new("/bin/true").status().map(drop)),
    ("open /proc", |_| fs::read("/proc/self/status").map(drop)),
];

/// Calls that get through before and after.
const INSIDE: &[Attempt] = &[
    ("open for reading", |a| File::open(a.at("inside/file")).map(drop)),
    ("read the image", |a| fs::read(a.at("image/file")).map(drop)),
    ("list the image", |a| fs::read_dir(a.at("image")).map(drop)),
    ("truncate", |a| File::options().write(true).truncate(true).open(a.at("inside/file")).map(drop)),
    ("mkdir", |a| fs::create_dir(a.at("inside/directory"))),
    ("create", |a| File::create_new(a.at("inside/new")).map(drop)),
    ("link", |a| fs::hard_link(a.at("inside/new"), a.at("inside/directory/link"))),
    ("rename", |a| fs::rename(a.at("inside/new"), a.at("inside/directory/renamed"))),
    ("symlink", |a| symlink("file", a.at("inside/directory/symlink"))),
    ("mknod of a FIFO", |a| mknod(&a.at("inside/directory/fifo"), FileType::Fifo)),
    ("mknod of a socket", |a| mknod(&a.at("inside/directory/socket"), FileType::Socket)),
    ("remove an empty directory", |a| fs::remove_dir(a.at("around/empty"))),
    ("remove", |a| fs::remove_dir_all(a.at("inside/directory"))),
];

fn mknod(path: &Path, kind: FileType) -> io::Result<()> {
    Ok(mknodat(CWD, path, kind, Mode::RUSR, rustix::fs::makedev(1, 3))?)
}

#[test]
fn the_kernel_stops_every_call_that_leads_outside() {
    if !has_landlock() {
        skip("this kernel has no Landlock, or one before Linux 5.19");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("layercage-{}", place.path().display());
    let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
    let _listening = UnixListener::bind_addr(&abstract_name).unwrap();
    let port = tcp.local_addr().unwrap().port().to_string();
    let pid = std::process::id().to_string();
    let variables = [("PLACE", place.path().as_os_str()), ("PORT", port.as_ref()), ("SOCKET", name.as_ref())];
    let test =
        child::command("sandbox::runs_into_the_sandbox", &[&variables[..], &[("PARENT", pid.as_ref())]].concat());
    child::expect_success(test);
}

/// Runs in a process of its own, since what is given up does not come back.
#[test]
#[ignore = "started by the test above"]
fn runs_into_the_sandbox() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    let (before, after) = (Around(Path::new(&place).join("before")), Around(Path::new(&place).join("after")));
    for around in [&before, &after] {
        fs::create_dir(&around.0).unwrap();
        around.make();
    }
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    let parent = rustix::process::Pid::from_raw(std::env::var("PARENT").unwrap().parse().unwrap()).unwrap();
    let socket = SocketAddr::from_abstract_name(std::env::var("SOCKET").unwrap()).unwrap();
    let tcp = || TcpStream::connect(("127.0.0.1", port)).map(drop);
    let listen = || TcpListener::bind("127.0.0.1:0").map(drop);
    let connect = || UnixStream::connect_addr(&socket).map(drop);
    let signal = || Ok(rustix::process::test_kill_process(parent)?);

    for (name, attempt) in OUTSIDE.iter().chain(INSIDE) {
        attempt(&before).unwrap_or_else(|error| panic!("{name} before the sandbox: {error}"));
    }
    tcp().and_then(|()| listen()).and_then(|()| connect()).and_then(|()| signal()).unwrap();

    let [inside, image, around] = ["inside", "image", "around"].map(|name| open(&after.at(name)));
    let sandbox = Sandbox::for_policy(&Policy::default()).read(&image).write(&inside).remove_directories(&around);
    let restrictions = sandbox.enter().unwrap();
    let forbids = |what| restrictions.forbidden.contains(&what);
    assert!(forbids(Forbidden::Files));

    // A thread that is started afterwards is in the sandbox as well.
    std::thread::scope(|scope| {
        scope.spawn(|| stopped(&after));
    });
    stopped(&after);
    for (name, attempt) in INSIDE {
        attempt(&after).unwrap_or_else(|error| panic!("{name} inside: {error}"));
    }
    let others: [(_, &dyn Fn() -> io::Result<()>); 4] = [
        (Forbidden::Tcp, &tcp),
        (Forbidden::Tcp, &listen),
        (Forbidden::AbstractSockets, &connect),
        (Forbidden::Signals, &signal),
    ];
    for (what, attempt) in others {
        match forbids(what) {
            true => assert_denied(what.name(), &attempt()),
            false => skip(&format!("this kernel's Landlock does not know it: {what}")),
        }
    }
    assert!(rustix::thread::no_new_privs().unwrap());
    assert!(mknod(&after.at("inside/device"), FileType::CharacterDevice).is_err(), "a device, which nobody asked for");
}

fn stopped(around: &Around) {
    OUTSIDE.iter().for_each(|(name, attempt)| assert_denied(name, &attempt(around)));
}

fn assert_denied(name: &str, result: &io::Result<()>) {
    let error = result.as_ref().expect_err(name);
    // A link or rename that would give a file other rights is one "between file systems".
    let denied = [rustix::io::Errno::ACCESS, rustix::io::Errno::PERM, rustix::io::Errno::XDEV];
    assert!(denied.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())), "{name}: {error}");
}

/// Layers that need every privilege that whoever is root keeps: owners, modes that keep one out, setgid bits of others'
/// groups, file capabilities, devices, attributes of storage drivers.
fn privileged() -> [LayerBuilder; 2] {
    let owner = |uid, gid, mode| Attributes { mode, uid, gid, ..Attributes::default() };
    let with = |xattrs: &[(&'static str, &'static [u8])], uid| Attributes {
        xattrs: xattrs.to_vec(),
        ..owner(uid, uid, 0o700)
    };
    let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let lower = LayerBuilder::new()
        .dir(".")
        .dir_with("theirs", &owner(1000, 1000, 0o000))
        .dir_with("theirs/deep", &owner(1001, 1001, 0o2700))
        .file_with("theirs/deep/file", b"1", &owner(1000, 1000, 0o2711))
        .file_with("theirs/secret", b"2", &owner(1002, 1002, 0o000))
        .fifo("theirs/fifo")
        .file_with("ping", b"3", &with(&[("security.capability", capability), ("user.a", b"1")], 7))
        .dir_with("driver", &with(&[("trusted.overlay.opaque", b"y")], 8))
        .device("null", 1, 3)
        .node(b'4', "disk", 7, 0)
        .dir_with("sticky", &owner(1000, 1000, 0o1777))
        .file_with("sticky/file", b"4", &owner(1001, 1001, 0o600));
    let upper = LayerBuilder::new()
        .file_with("theirs/deep/file", b"5", &owner(1003, 1003, 0o6755))
        .hard_link("linked", "theirs/secret")
        .file_with(".wh..wh.plnk/1", b"7", &owner(1004, 1004, 0o4755))
        .hard_link("theirs/deep/data", ".wh..wh.plnk/1")
        .hard_link("data", ".wh..wh.plnk/1")
        .whiteout("sticky/file")
        .whiteout("theirs/deep/none")
        .dir_with("theirs", &with(&[("user.b", b"2")], 1004))
        .file("ping", b"6");
    [lower, upper]
}

fn unpack(root: &Path, policy: &Policy, layers: &[LayerBuilder]) {
    let mut rootfs = Rootfs::over(&open(root)).unwrap();
    for layer in layers {
        Unpacker::new(policy.clone()).apply(Layer::new(&layer.clone().build()[..]), &mut rootfs).unwrap();
    }
}

#[test]
fn in_the_sandbox_trees_become_what_they_become_without_it() {
    let place = tempfile::tempdir().unwrap();
    let privileged = rustix::process::geteuid().is_root();
    if !privileged {
        eprintln!("skipped as far as it needs root: owners, file capabilities and devices");
    }
    let kinds: &[&str] = if privileged { &["mine", "privileged"] } else { &["mine"] };
    for kind in kinds {
        let root = place.path().join(kind);
        fs::create_dir(&root).unwrap();
        let (policy, layers) = job(kind);
        unpack(&root, &policy, &layers);
        let sandboxed = place.path().join(format!("{kind}-sandboxed"));
        fs::create_dir(&sandboxed).unwrap();
        let variables = [("PLACE", sandboxed.as_os_str()), ("KIND", kind.as_ref())];
        child::expect_success(child::command("sandbox::unpacks_in_the_sandbox", &variables));
        let differences = tree::differences(&tree::list(&root), &tree::list(&sandboxed));
        assert!(differences.is_empty(), "{kind}\n{}", differences.join("\n"));
        tree::unlock(&root);
        tree::unlock(&sandboxed);
    }
}

fn job(kind: &str) -> (Policy, Vec<LayerBuilder>) {
    match kind {
        "privileged" => {
            let policy =
                Policy::default().with_devices(Devices::Create).with_xattrs(Xattrs::All).with_owners(Owners::Keep);
            (policy, privileged().into())
        }
        _ => {
            let layer = LayerBuilder::new()
                .dir(".")
                .dir_with("locked", &mode(0o000))
                .file("locked/deep/file", b"1")
                .fifo("locked/fifo")
                .symlink("link", "locked")
                .file_with("through", b"2", &mode(0o000))
                .hard_link("link/through", "through");
            (Policy::default().with_owners(Owners::Caller), vec![layer, LayerBuilder::new().file("link/fifo", b"3")])
        }
    }
}

/// Runs in a process of its own.
#[test]
#[ignore = "started by the test above"]
fn unpacks_in_the_sandbox() {
    let Some(place) = std::env::var_os("PLACE") else { return };
    let (policy, layers) = job(&std::env::var("KIND").unwrap());
    let directory = open(Path::new(&place));
    let restrictions = Sandbox::for_policy(&policy).write(&directory).enter().unwrap();
    assert_eq!(restrictions.forbidden.contains(&Forbidden::Files), has_landlock());
    let mut rootfs = Rootfs::over(&directory).unwrap();
    for layer in layers {
        Unpacker::new(policy.clone()).apply(Layer::new(&layer.build()[..]), &mut rootfs).unwrap();
    }
}

#[test]
fn only_the_privileges_stay_that_the_policy_needs() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped, since it needs root: giving up privileges");
        return;
    }
    for kind in ["default", "least", "most", "reading"] {
        child::expect_success(child::command("sandbox::gives_up_privileges", &[("KIND", kind.as_ref())]));
    }
}

/// Runs in a process of its own.
#[test]
#[ignore = "started by the test above"]
fn gives_up_privileges() {
    let Ok(kind) = std::env::var("KIND") else { return };
    let before = rustix::thread::capabilities(None).unwrap().permitted;
    let (sandbox, expected): (_, &[&str]) = match kind.as_str() {
        "default" => {
            (Sandbox::for_policy(&Policy::default()), &["chown", "dac_override", "fowner", "fsetid", "setfcap"])
        }
        "least" => (
            Sandbox::for_policy(&Policy::default().with_owners(Owners::Caller).with_xattrs(Xattrs::None)),
            &["dac_override", "fowner", "fsetid"],
        ),
        "most" => (
            Sandbox::for_policy(&Policy::default().with_devices(Devices::Create).with_xattrs(Xattrs::All)),
            &["chown", "dac_override", "fowner", "fsetid", "sys_admin", "mknod", "setfcap"],
        ),
        _ => (Sandbox::for_reading(), &["dac_override", "dac_read_search"]),
    };
    let restrictions = sandbox.enter().unwrap();
    let sets = rustix::thread::capabilities(None).unwrap();
    assert!(before.contains(sets.permitted) && sets.permitted.contains(sets.effective));
    assert!(restrictions.capabilities.iter().all(|name| expected.contains(name)), "{restrictions:?}");
    if before.bits().count_ones() > 30 {
        assert_eq!(restrictions.capabilities, expected);
    }
    assert_eq!(sets.permitted.bits().count_ones() as usize, restrictions.capabilities.len());
    assert!(sets.inheritable.is_empty());
}
