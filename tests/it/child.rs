//! Tests in a process of their own: for what is the process's (limits, umask, root), and not a thread's.

use crate::skip::skip;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// The test binary itself, about to run one ignored test.
pub(crate) fn command(test: &str, variables: &[(&str, &OsStr)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.envs(variables.iter().copied());
    command
}

/// Runs it, and says whether it passed.
pub(crate) fn run(test: &str, variables: &[(&str, &OsStr)]) -> bool {
    let output = command(test, variables).stdin(Stdio::null()).output().unwrap();
    if !output.status.success() {
        eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

/// The same as somebody who is not root; `None`, saying so, where that cannot be had.
pub(crate) fn unprivileged(test: &str, variables: &[(&str, &OsStr)]) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        return Some(command(test, variables));
    }
    within(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"], test, variables)
}

/// Runs an ignored test to its good end as somebody who is not root, with a directory of his own for temporary files.
pub(crate) fn expect_success_without_privilege(test: &str) {
    let place = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.path(), Some(65534), Some(65534)).unwrap();
    }
    let variables = [("LAYERCAGE_CHILD", "1".as_ref()), ("TMPDIR", place.path().as_os_str())];
    if let Some(command) = unprivileged(test, &variables) {
        expect_success(command);
    }
}

/// Whether an ignored test was started by another test.
pub(crate) fn is_child() -> bool {
    std::env::var_os("LAYERCAGE_CHILD").is_some()
}

/// The same where it may mount things that nobody else sees; `None`, saying so, where that cannot be had.
pub(crate) fn mounting(test: &str, variables: &[(&str, &OsStr)]) -> Option<Command> {
    match rustix::process::geteuid().is_root() {
        true => within(&["unshare", "--mount", "--"], test, variables),
        false => within(&["unshare", "--user", "--map-root-user", "--mount", "--"], test, variables),
    }
}

/// The same as root of a user namespace that has no id but the caller's; `None`, saying so, where that cannot be had.
pub(crate) fn mounting_as_user(test: &str, variables: &[(&str, &OsStr)]) -> Option<Command> {
    within(&["unshare", "--user", "--map-root-user", "--mount", "--"], test, variables)
}

/// The same as root with no other capabilities than these, written as `setpriv` wants them; `None` where we are not root.
pub(crate) fn with_capabilities(capabilities: &str, test: &str, variables: &[(&str, &OsStr)]) -> Option<Command> {
    let bounds = format!("--bounding-set=-all,{capabilities}");
    let wrapper = ["setpriv", &bounds, "--inh-caps=-all", "--"];
    rustix::process::geteuid().is_root().then(|| within(&wrapper, test, variables)).flatten()
}

/// The same in a user namespace that has no id but the caller's, as its root or as who he is outside, who is not root then;
/// with every capability. `None`, saying so, where that cannot be had.
pub(crate) fn alone(as_root: bool, test: &str, variables: &[(&str, &OsStr)]) -> Option<Command> {
    const AS_ROOT: &[&str] = &["unshare", "--user", "--map-root-user", "--"];
    const AS_OTHER: &[&str] = &["unshare", "--user", "--map-current-user", "--keep-caps", "--"];
    const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let wrapper = match (as_root, rustix::process::geteuid().is_root()) {
        (true, _) => AS_ROOT.to_vec(),
        (false, false) => AS_OTHER.to_vec(),
        (false, true) => [NOBODY, AS_OTHER].concat(),
    };
    within(&wrapper, test, variables)
}

/// The same as root of a user namespace that has the ids below 1000 and no others; `None` where we are not root.
pub(crate) fn among_a_thousand(test: &str, variables: &[(&str, &OsStr)]) -> Option<Command> {
    // Whoever may write the map is outside: the namespace is somebody else's, and entered when it has its map.
    const ENTER: &str = r#"
        unshare --user sleep 600 &
        while [ "$(readlink /proc/$!/ns/user)" = "$(readlink /proc/$$/ns/user)" ]; do sleep 0.01; done
        trap "kill $!" EXIT
        echo 0 0 1000 >/proc/$!/uid_map && echo 0 0 1000 >/proc/$!/gid_map || exit 1
        nsenter --user=/proc/$!/ns/user -S 0 -G 0 -- "$0" "$@""#;
    rustix::process::geteuid().is_root().then(|| within(&["sh", "-c", ENTER], test, variables)).flatten()
}

/// The same where no file may be larger than 4 KiB, which is an error there and no signal.
pub(crate) fn with_small_files(test: &str, variables: &[(&str, &OsStr)]) -> Option<Command> {
    within(&["sh", "-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""], test, variables)
}

fn within(wrapper: &[&str], test: &str, variables: &[(&str, &OsStr)]) -> Option<Command> {
    let inner = command(test, variables);
    let wrapped = |program: &OsStr| {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(program);
        command
    };
    // It also takes that the test binary can be reached.
    let works = wrapped(inner.get_program()).arg("--list").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        skip(&format!("it needs `{}`: {test}", wrapper.join(" ")));
        return None;
    }
    let mut command = wrapped(inner.get_program());
    command.args(inner.get_args()).envs(variables.iter().copied());
    Some(command)
}

/// Runs one of these to its end, which is to be a good one.
pub(crate) fn expect_success(mut command: Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
    assert!(said[0].contains("1 passed"), "{}{}", said[0], said[1]);
}
