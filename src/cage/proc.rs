//! Sets the mode and the label of the file of an `O_PATH` handle through `/proc`. This is the only use of an absolute path.
//!
//! A `/proc` that is not the kernel's could redirect the call to any file. So its handle is checked: type of the file
//! system and inode number. The directories below it are opened one component at a time, and none may be on another
//! mount. Landlock allows all this, because `O_PATH` handles are exempt.

use super::failed::{At, Failed, is_one_of};
use super::sys;
use crate::words::Error;
use rustix::fs::{FileType, FsWord, PROC_SUPER_MAGIC};
use rustix::io::Errno;
use rustix::path::DecInt;
use rustix::thread::{Pid, gettid};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const PROC: &[u8] = b"/proc";

/// The inode number of the root of every procfs. No other file in a procfs has it.
const ROOT_INODE: u64 = 1;

thread_local! {
    static KEPT: Cell<Option<Own>> = const { Cell::new(None) };
}

/// The directory of a thread's handles. After a `fork`, the child has a copy that still shows the handles of its
/// parent.
struct Own {
    thread: Pid,
    handles: OwnedFd,
}

/// Sets the mode of the file of an `O_PATH` handle, by the number of the handle below `/proc`.
///
/// `fchmodat2` (Linux 6.6) would not need `/proc`, but there is no safe wrapper for it yet.
pub(super) fn set_mode(handle: BorrowedFd<'_>, mode: u32, name: &[u8]) -> Result<(), Error> {
    let thread = gettid();
    let own = match KEPT.try_with(Cell::take) {
        Ok(Some(own)) if own.thread == thread => own,
        _ => Own { thread, handles: own_handles(PROC)? },
    };
    let number = DecInt::from_fd(handle);
    let set = sys::set_mode_at(own.handles.as_fd(), number.as_c_str(), mode);
    // Fails in a thread that is about to end.
    let _ = KEPT.try_with(|kept| kept.set(Some(own)));
    set.at(name)
}

/// Sets an extended attribute of the file of an `O_PATH` handle. A symbolic link is not followed: the name below `/proc` leads
/// to the link itself.
///
/// `setxattrat` (Linux 6.13) would not need `/proc`, but there is no safe wrapper for it yet, and other calls take a path.
/// Only a process that may mount over `/proc` could exchange it after it was found to be the kernel's own.
pub(super) fn set_xattr(handle: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<Result<(), Failed>, Error> {
    own_handles(PROC)?;
    let number = DecInt::from_fd(handle);
    let path = [PROC, b"/thread-self/fd/", number.as_bytes()].concat();
    Ok(sys::set_xattr_at(&path, name, value))
}

/// Opens the directory of the calling thread's handles.
///
/// If `/proc` is missing or not the kernel's own, the error says what it is needed for: a bare chroot and some
/// sandboxes have none.
fn own_handles(proc: &[u8]) -> Result<OwnedFd, Error> {
    // Mounting `/proc` does not fix other errors, such as too many open files.
    let missing = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::INVAL, Errno::NOTSUP];
    handles_below(proc).map_err(|error| match is_one_of(&error, &missing) {
        true => error.with_advice(
            "the modes of FIFOs, devices and closed directories are set through `/proc`: mount procfs there and run again",
        ),
        false => error,
    })
}

fn handles_below(proc: &[u8]) -> Result<OwnedFd, Error> {
    let root = open_real(proc)?;
    let mount = sys::status(root.as_fd()).at(proc)?.mount;
    // `thread-self` and not `self`: a thread may have a descriptor table of its own.
    let own = sys::read_link(root.as_fd(), b"thread-self").at(b"/proc/thread-self")?;
    own.split(|&byte| byte == b'/').chain([&b"fd"[..]]).try_fold(root, |parent, component| {
        if matches!(component, b"" | b"." | b"..") {
            return Err(unreal(component));
        }
        let opened = sys::open_directory_handle(parent.as_fd(), component).at(component)?;
        match sys::status(opened.as_fd()).at(component)?.mount {
            same if same == mount => Ok(opened),
            _ => Err(unreal(component)),
        }
    })
}

/// Opens the root of the kernel's procfs, and of nothing else.
fn open_real(proc: &[u8]) -> Result<OwnedFd, Error> {
    let root = sys::open_directory_handle(rustix::fs::CWD, proc).at(proc)?;
    let file_system = sys::file_system_type(root.as_fd()).at(proc)?;
    let status = sys::status(root.as_fd()).at(proc)?;
    let is_real = file_system == FsWord::from(PROC_SUPER_MAGIC)
        && status.kind == FileType::Directory
        && status.identity.1 == ROOT_INODE;
    if is_real { Ok(root) } else { Err(unreal(proc)) }
}

fn unreal(name: &[u8]) -> Error {
    Error::system("openat", name, Errno::NOTSUP).about("which is not the kernel's own")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn the_mode_is_that_of_what_the_handle_names_whatever_has_its_name_by_now() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        let directory = std::fs::File::open(place.path()).unwrap();
        let handle = sys::open_handle(directory.as_fd(), b"file").unwrap();
        std::fs::rename(at("file"), at("moved")).unwrap();
        std::fs::write(at("other"), "").unwrap();
        symlink("other", at("file")).unwrap();
        let other = mode(&at("other"));
        for wanted in [0o4711, 0o640] {
            set_mode(handle.as_fd(), wanted, b"file").unwrap();
            assert_eq!((mode(&at("moved")), mode(&at("other"))), (wanted, other));
            std::thread::scope(|scope| scope.spawn(|| set_mode(handle.as_fd(), 0o4700, b"file")).join().unwrap())
                .unwrap();
            assert_eq!((mode(&at("moved")), mode(&at("other"))), (0o4700, other));
        }
        // A link has no mode, and what it points at is not what the handle names.
        let link = sys::open_handle(directory.as_fd(), b"file").unwrap();
        let refused = set_mode(link.as_fd(), 0o777, b"link").unwrap_err().to_string();
        assert!(refused.starts_with(r#"fchmodat("link")"#), "{refused}");
        assert_eq!(mode(&at("other")), other);
    }

    #[test]
    fn nothing_but_the_root_of_a_real_procfs_will_do() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        // All that would lead elsewhere, were it believed.
        std::fs::create_dir_all(at("fake/1/task/1/fd")).unwrap();
        symlink("1/task/1", at("fake/thread-self")).unwrap();
        symlink("/proc", at("link")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        let error_at = |path: &Path| own_handles(path.as_os_str().as_bytes()).unwrap_err();
        let refused = |path: &Path| format!("{:#}", error_at(path));
        assert!(refused(&at("fake")).contains("which is not the kernel's own"));
        assert!(refused(Path::new("/proc/self/task")).contains("which is not the kernel's own"));
        assert!(refused(&at("link")).contains("Not a directory"), "{}", refused(&at("link")));
        assert!(refused(&at("file")).contains("Not a directory"));
        assert!(refused(&at("missing")).contains("No such file"));
        own_handles(PROC).unwrap();
        for path in ["fake", "link", "file", "missing"] {
            let advice = error_at(&at(path)).advice().unwrap_or_default();
            assert!(advice.contains("mount procfs"), "{path}: {advice}");
        }
        // Do not suggest a mount for an error that a mount does not fix.
        let long = error_at(Path::new(&"x".repeat(300)));
        assert_eq!((long.blame(), long.advice()), (crate::words::Blame::System, None));
    }
}
