//! Names lead where the kernel says that they lead: in a chroot, and to `openat2` with `RESOLVE_IN_ROOT`.

use crate::child;
use crate::random::cases;
use crate::support::is_root;
use crate::support::layer::LayerBuilder;
use crate::support::world::World;
use layercage::Policy;
use proptest::prelude::*;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// What the kernel says: the inode of a directory, or why there is none.
type Answer = Result<u64, Errno>;

/// A process that goes into a chroot for each question, and out of it again.
struct Chroot {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Chroot {
    fn start() -> Self {
        let mut command = child::command("answers_from_a_chroot", &[("LAYERCAGE_ANSWERS", OsStr::new("1"))]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, questions, answers: BufReader::new(answers) }
    }

    fn ask(&mut self, root: &Path, path: &str) -> Answer {
        writeln!(self.questions, "{}\t{path}", root.display()).unwrap();
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the child is gone");
            // The test harness talks on the same line.
            let Some((_, answer)) = line.trim_end().split_once('@') else { continue };
            let (word, number) = answer.split_once(' ').unwrap();
            return match word {
                "inode" => Ok(number.parse().unwrap()),
                _ => Err(Errno::from_raw_os_error(number.parse().unwrap())),
            };
        }
    }
}

impl Drop for Chroot {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs in a process of its own, since the root is the process's.
#[test]
#[ignore = "started by the tests below"]
fn answers_from_a_chroot() {
    if std::env::var_os("LAYERCAGE_ANSWERS").is_none() {
        return;
    }
    let outside = fs::File::open("/").unwrap();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (root, path) = line.split_once('\t').unwrap();
        rustix::process::chroot(root).unwrap();
        rustix::process::chdir("/").unwrap();
        let answer = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .and_then(|found| rustix::fs::fstat(&found));
        rustix::process::fchdir(&outside).unwrap();
        rustix::process::chroot(".").unwrap();
        match answer {
            Ok(status) => println!("@inode {}", status.st_ino),
            Err(errno) => println!("@errno {}", errno.raw_os_error()),
        }
    }
}

/// What `openat2` finds; `None` on kernels without it, or where a sandbox forbids it.
fn openat2(root: &Path, path: &str) -> Option<Answer> {
    let root = fs::File::open(root).unwrap();
    loop {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::NOSYS | Errno::PERM) => return None,
            // Something was renamed somewhere on the machine while it resolved `..`.
            Err(Errno::AGAIN) => (),
            other => return Some(other.map(|found| rustix::fs::fstat(&found).unwrap().st_ino)),
        }
    }
}

/// Where in the tree a file of this name is: the inode of its directory.
fn directory_of(root: &Path, name: &OsStr) -> Option<u64> {
    let mut to_do = vec![root.to_path_buf()];
    while let Some(path) = to_do.pop() {
        for entry in fs::read_dir(&path).unwrap().map(Result::unwrap) {
            if entry.file_name() == name {
                return Some(fs::metadata(&path).unwrap().ino());
            }
            if entry.file_type().unwrap().is_dir() {
                to_do.push(entry.path());
            }
        }
    }
    None
}

/// Puts a file at `path` and compares where it went with where the kernel looks for its directory.
fn compare(world: &World, chroot: Option<&mut Chroot>, path: &str, number: usize) -> Result<(), String> {
    let root = world.root();
    let mut kernels = vec![];
    let mut chroot = chroot;
    let mut ask = || {
        kernels = openat2(&root, path).into_iter().collect::<Vec<_>>();
        kernels.extend(chroot.as_mut().map(|chroot| chroot.ask(&root, path)));
        kernels.clone()
    };
    let before = ask();
    let name = format!("probe-{number}");
    let layer = LayerBuilder::new().file(&format!("{path}/{name}"), b"!");
    let ours = world.apply(&[layer], &Policy::compatible()).map_err(|error| error.rule_id().map(str::to_owned));
    let found = directory_of(&root, name.as_ref());
    if ours.is_ok() != found.is_some() {
        return Err(format!("{path}: {ours:?}, but it is there: {found:?}"));
    }
    for kernel in before {
        let agrees = match (&kernel, &ours) {
            (Ok(inode), Ok(_)) => found == Some(*inode),
            (Err(Errno::LOOP), Err(Some(rule))) => rule == "link-loop",
            (Err(Errno::NOTDIR), Err(Some(rule))) => rule == "parent-not-directory",
            // What was missing has been created, where the kernel finds it now. Or what stands behind it refused.
            (Err(Errno::NOENT), Ok(_)) => ask().into_iter().all(|kernel| kernel.ok() == found),
            (Err(Errno::NOENT), Err(Some(rule))) => ["link-loop", "parent-not-directory"].contains(&rule.as_str()),
            _ => false,
        };
        if !agrees {
            return Err(format!("{path}: the kernel says {kernel:?}, we say {ours:?} and have it in {found:?}"));
        }
    }
    Ok(())
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d"])
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..=5).prop_map(|parts| parts.join("/"))
}

/// A link's target: up, down, across, absolute or not, with or without slashes at the end.
fn target() -> impl Strategy<Value = String> {
    let part = prop_oneof![5 => name(), 4 => Just(".."), 1 => Just("."), 1 => Just("")];
    (any::<bool>(), prop::collection::vec(part, 1..=5), any::<bool>()).prop_map(|(absolute, parts, slash)| {
        let target = format!("{}{}{}", if absolute { "/" } else { "" }, parts.join("/"), if slash { "/" } else { "" });
        if target.is_empty() { ".".to_owned() } else { target }
    })
}

/// Directories, links and a few files, in the order in which they are tried to be made.
fn tree() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    let node = prop_oneof![
        3 => path().prop_map(|path| (path, None)),
        4 => (path(), target()).prop_map(|(path, target)| (path, Some(target))),
        1 => path().prop_map(|path| (path, Some(String::new()))),
    ];
    prop::collection::vec(node, 1..16)
}

/// Makes what can be made without following anything; what is in the way of it stays.
fn plant(root: &Path, nodes: &[(String, Option<String>)]) {
    'nodes: for (path, target) in nodes {
        let mut at = root.to_path_buf();
        let (parents, last) = path.rsplit_once('/').unwrap_or(("", path));
        for part in parents.split('/').filter(|part| !part.is_empty()) {
            at.push(part);
            match fs::symlink_metadata(&at) {
                Ok(metadata) if metadata.is_dir() => (),
                Ok(_) => continue 'nodes,
                Err(_) => fs::create_dir(&at).unwrap(),
            }
        }
        let at = at.join(last);
        if fs::symlink_metadata(&at).is_ok() {
            continue;
        }
        match target.as_deref() {
            None => fs::create_dir(at).unwrap(),
            Some("") => fs::write(at, b"").unwrap(),
            Some(target) => symlink(OsStr::from_bytes(target.as_bytes()), at).unwrap(),
        }
    }
}

#[test]
fn names_lead_where_the_kernel_says() {
    let mut chroot = is_root("a chroot (openat2 is asked all the same)").then(Chroot::start);
    let mut runner = proptest::test_runner::TestRunner::new(cases(250));
    let chroot = std::cell::RefCell::new(&mut chroot);
    let strategy = (tree(), prop::collection::vec(path(), 1..8));
    let result = runner.run(&strategy, |(nodes, probes)| {
        let world = World::new();
        plant(&world.root(), &nodes);
        for (number, probe) in probes.iter().enumerate() {
            compare(&world, chroot.borrow_mut().as_mut(), probe, number).map_err(TestCaseError::fail)?;
        }
        world.assert_untouched("random trees");
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn chains_of_links_end_where_the_kernel_ends_them() {
    let mut chroot = is_root("a chroot (openat2 is asked all the same)").then(Chroot::start);
    for links in [1, 2, 39, 40, 41, 42, 80] {
        let world = World::new();
        fs::create_dir_all(world.root().join("end/a")).unwrap();
        for link in 0..links {
            let next = if link + 1 == links { "end".to_owned() } else { format!("{}", link + 1) };
            symlink(next, world.root().join(link.to_string())).unwrap();
        }
        compare(&world, chroot.as_mut(), "0/a", 0).unwrap();
        // Links that are met one after another count together.
        let world = World::new();
        for link in 0..links {
            symlink(".", world.root().join(format!("l{link}"))).unwrap();
        }
        let path = (0..links).map(|link| format!("l{link}")).collect::<Vec<_>>().join("/");
        compare(&world, chroot.as_mut(), &path, 0).unwrap();
    }
}

#[test]
fn links_far_up_and_down_a_deep_tree_lead_where_the_kernel_says() {
    let mut chroot = is_root("a chroot (openat2 is asked all the same)").then(Chroot::start);
    let world = World::new();
    let deep = "a/".repeat(200);
    fs::create_dir_all(world.root().join(&deep)).unwrap();
    for (number, up) in [1, 31, 32, 33, 34, 65, 150, 199, 200].into_iter().enumerate() {
        fs::create_dir_all(world.root().join("a/".repeat(200 - up)).join("b/c")).unwrap();
        let target = format!("{}b/../{}../b/c", "../".repeat(up), if up > 1 { "a/" } else { "b/" });
        symlink(target, world.root().join(format!("{deep}l{up}"))).unwrap();
        compare(&world, chroot.as_mut(), &format!("{deep}l{up}"), number).unwrap();
    }
}

/// The steps of a link's target are not counted, so they must be cheap: this took half a minute.
#[test]
fn a_link_that_goes_up_and_down_a_thousand_times_costs_a_walk_and_not_a_thousand() {
    let deep = "a/".repeat(2000);
    let world = World::new();
    let links = LayerBuilder::new()
        .dir(&format!("{deep}x"))
        .symlink(&format!("{deep}l"), &"x/../".repeat(800))
        .symlink(&format!("{deep}m"), &format!("{}{}", "../".repeat(600), "a/".repeat(600)))
        .symlink("s", &deep);
    world.apply(&[links], &Policy::default()).unwrap();
    let start = std::time::Instant::now();
    world.apply(&[LayerBuilder::new().file("s/l/l/l/m/f", b"")], &Policy::default()).unwrap();
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}
