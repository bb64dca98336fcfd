//! A containerd of its own, and the differ beside it, below one temporary directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The snapshotters that are tested.
pub(crate) const SNAPSHOTTERS: [&str; 2] = ["overlayfs", "native"];

const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the directory of Debian 13 the root of a mount namespace, and waits. Nothing outside of the namespace is mounted.
/// The work directory has the same path inside and outside: the differ, which is outside, opens what containerd names.
const HOLD: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
for directory in run tmp var/lib/docker; do
  mkdir -p "$ROOT/$directory"
  mount -t tmpfs tmpfs "$ROOT/$directory"
done
mount -t proc proc "$ROOT/proc"
mount --rbind /sys "$ROOT/sys"
mount --rbind /dev "$ROOT/dev"
mkdir -p "$ROOT$WORK" "$ROOT/run/old"
mount --bind "$WORK" "$ROOT$WORK"
cd "$ROOT"
pivot_root . run/old
umount -l /run/old
touch "$WORK/held"
exec sleep infinity
"#;

/// Which differ unpacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpacks {
    Layercage,
    /// containerd's own one.
    Walking,
}

/// Everything that runs ends with it.
pub(crate) struct Engine {
    work: TempDir,
    /// The first process of a process and a mount namespace: all others in them end with it.
    holder: Child,
    differ: Option<Child>,
    /// What runs in the namespaces.
    servers: Vec<Child>,
    policy: String,
}

impl Engine {
    /// Starts containerd, and the differ if it is to unpack. `None`, saying why, where that cannot be done.
    pub(crate) fn start(unpacks: Unpacks) -> Option<Self> {
        Self::with_policy(unpacks, "")
    }

    pub(crate) fn with_policy(unpacks: Unpacks, policy: &str) -> Option<Self> {
        let root = debian()?;
        let work = tempfile::tempdir().unwrap();
        let holder = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", HOLD])
            .env("ROOT", root)
            .env("WORK", work.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut engine = Self { work, holder, differ: None, servers: Vec::new(), policy: policy.to_owned() };
        engine.wait("the namespace is there", |engine| engine.at("held").exists());
        fs::write(engine.at("config.toml"), engine.configuration(unpacks)).unwrap();
        if unpacks == Unpacks::Layercage {
            engine.start_differ();
        }
        engine.start_containerd();
        Some(engine)
    }

    fn start_containerd(&mut self) {
        self.serve("containerd.log", &["containerd", "-c", &self.text("config.toml")]);
        self.wait("containerd serves", |engine| engine.ctr(&["version"]).status.success());
    }

    /// Starts a server in the namespaces. It ends with them.
    pub(crate) fn serve(&mut self, log: &str, arguments: &[&str]) {
        let log = File::create(self.at(log)).unwrap();
        let mut command = self.inside(arguments);
        self.servers.push(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// The configuration of containerd: that which `print-config` prints for its version, with directories of its own.
    fn configuration(&self, unpacks: Unpacks) -> String {
        let own = format!(
            "root = \"{0}/root\"\nstate = \"{0}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = \"{0}/c.sock\"\n[ttrpc]\naddress = \"{0}/c.sock.ttrpc\"\n",
            self.work.path().display()
        );
        // containerd 2 unpacks with the transfer service, whose default knows one snapshotter.
        let snapshotters = SNAPSHOTTERS.iter().flat_map(|snapshotter| ["--snapshotter", snapshotter]);
        let version = self.inside(&["containerd", "--version"]).output().unwrap().stdout;
        let (version, socket) = (String::from_utf8(version).unwrap(), self.text("run/differ.sock"));
        let printed = differ(&["print-config", &version, "--socket", &socket]).args(snapshotters).output().unwrap();
        let printed = String::from_utf8(printed.stdout).unwrap();
        let (format, rest) = printed.split_once('\n').unwrap();
        let rest = match unpacks {
            Unpacks::Layercage => rest.to_owned(),
            Unpacks::Walking => {
                let services = rest.find("[plugins.").unwrap();
                rest[services..]
                    .replace("[\"layercage\", \"walking\"]", "[\"walking\"]")
                    .replace("\"layercage\"", "\"walking\"")
            }
        };
        format!("{format}\n{own}{rest}")
    }

    /// Starts the differ, and waits until it serves.
    pub(crate) fn start_differ(&mut self) {
        fs::write(self.at("differ.toml"), &self.policy).unwrap();
        let mut command = differ(&["serve"]);
        command.arg("--socket").arg(self.at("run/differ.sock")).arg("--containerd").arg(self.at("c.sock"));
        command.arg("--policy").arg(self.at("differ.toml"));
        for snapshotter in SNAPSHOTTERS {
            command.arg("--snapshot-root").arg(self.snapshots(snapshotter));
        }
        let log = File::options().append(true).create(true).open(self.at("differ.log")).unwrap();
        self.differ = Some(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
        self.wait("the differ serves", |engine| {
            differ(&["health", "--socket", &engine.text("run/differ.sock")]).output().unwrap().status.success()
        });
    }

    /// The process of the differ.
    pub(crate) fn differ(&mut self) -> &mut Child {
        self.differ.as_mut().expect("it runs")
    }

    pub(crate) fn kill_differ(&mut self) {
        if let Some(mut differ) = self.differ.take() {
            differ.kill().unwrap();
            differ.wait().unwrap();
        }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.at(name).into_os_string().into_string().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.at("differ.log")).unwrap_or_default()
    }

    /// The directory in which a snapshotter has its snapshots.
    pub(crate) fn snapshots(&self, snapshotter: &str) -> PathBuf {
        self.at("root").join(format!("io.containerd.snapshotter.v1.{snapshotter}/snapshots"))
    }

    /// A command in the namespaces, with Debian 13 as its root.
    pub(crate) fn inside(&self, arguments: &[&str]) -> Command {
        let of = format!("/proc/{}/ns", self.holder.id());
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount={of}/mnt")).arg(format!("--pid={of}/pid_for_children")).arg("--");
        command.args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command
    }

    /// A path as it is seen in the namespaces, mounts included.
    pub(crate) fn seen(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), path.display()))
    }

    pub(crate) fn ctr(&self, arguments: &[&str]) -> Output {
        self.ctr_command(arguments).output().unwrap()
    }

    pub(crate) fn ctr_command(&self, arguments: &[&str]) -> Command {
        self.inside(&[&["ctr", "-a", &self.text("c.sock")], arguments].concat())
    }

    /// Runs a command of `ctr` that must succeed. Returns its output.
    pub(crate) fn ctr_ok(&self, arguments: &[&str]) -> String {
        let output = self.ctr(arguments);
        assert!(output.status.success(), "ctr {arguments:?}: {}\n{}", shown(&output), self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Imports an image from an archive in the work directory.
    pub(crate) fn import(&self, snapshotter: &str, archive: &str, name: &str) -> Output {
        self.ctr(&["images", "import", "--snapshotter", snapshotter, "--index-name", name, &self.text(archive)])
    }

    /// The names of all snapshots, of all snapshotters.
    pub(crate) fn snapshot_keys(&self) -> Vec<String> {
        let lists = SNAPSHOTTERS.map(|snapshotter| self.ctr_ok(&["snapshots", "--snapshotter", snapshotter, "ls"]));
        let lines = lists.iter().flat_map(|list| list.lines().skip(1));
        lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    pub(crate) fn wait(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !holds(self) {
            assert!(self.holder.try_wait().unwrap().is_none(), "the namespace has ended before {what}");
            assert!(since.elapsed() < PATIENCE, "this never came to hold: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for process in [&mut self.holder].into_iter().chain(&mut self.differ).chain(&mut self.servers) {
            let _ = process.kill();
            let _ = process.wait();
        }
        // What was mounted is gone when the last process of the namespace is.
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn differ(arguments: &[&str]) -> Command {
    let program = std::env::var_os("LAYERCAGE_DIFFER").unwrap_or_else(|| env!("CARGO_BIN_EXE_layercage-differ").into());
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// How often something is repeated.
pub(crate) fn times(short: usize, long: usize) -> usize {
    if std::env::var_os("LAYERCAGE_LONG").is_some() { long } else { short }
}

/// The directory with Debian 13.
pub(crate) fn debian() -> Option<PathBuf> {
    let directory = std::env::var_os("LAYERCAGE_CONTAINERD").filter(|directory| !directory.is_empty());
    let why = match directory {
        _ if !rustix::process::geteuid().is_root() => "it needs root",
        None => "LAYERCAGE_CONTAINERD is no directory that tests/make-chroot.sh made",
        Some(directory) => return Some(PathBuf::from(directory)),
    };
    eprintln!("skipped: {why}");
    None
}
