//! The system calls of the cage. Each is wrapped once: it is retried after `EINTR`, and a failure knows its name.
//!
//! Every call takes a directory handle and one component, or an open handle alone. The only exceptions are in `proc.rs`, and files
//! of `/proc` that `store/root.rs` reads.

use super::failed::Failed;
use crate::words::{Device, DeviceKind, Timestamp};
use rustix::fs::{
    self, AtFlags, Dir, DirEntry, FileType, FlockOperation, FsWord, Mode, OFlags, RenameFlags, StatxFlags, Timespec,
    Timestamps,
};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};
use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The mode of files and FIFOs until their owner is final.
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
const PUBLIC_FILE: Mode = PRIVATE_FILE.union(Mode::RGRP).union(Mode::WGRP).union(Mode::ROTH).union(Mode::WOTH);
const PRIVATE_DIRECTORY: Mode = Mode::RWXU;

const FIXED: fs::StatxAttributes = fs::StatxAttributes::IMMUTABLE.union(fs::StatxAttributes::APPEND);

/// The attributes of an inode that the cage uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    pub(super) size: u64,
    /// Device and inode number. They identify an inode as long as it exists.
    pub(super) identity: (u64, u64),
    /// The id of the mount, or the device number on kernels before 5.8.
    pub(super) mount: u64,
    pub(super) mtime: Timestamp,
    pub(super) device: (u32, u32),
    /// Whether a flag (immutable, append-only) prevents even root from changing or removing it.
    pub(super) is_fixed: bool,
}

/// Makes a system call, again if a signal interrupted it. A failure carries the name of the call.
fn call<T>(name: &'static str, call: impl FnMut() -> rustix::io::Result<T>) -> Result<T, Failed> {
    retry_on_intr(call).map_err(|errno| Failed { call: name, errno })
}

pub(super) fn open_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Failed> {
    call("openat", || fs::openat(at, name, DIRECTORY, Mode::empty()))
}

/// An `O_PATH` handle of a directory. It can only be used to open names in it.
pub(super) fn open_directory_handle(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Failed> {
    call("openat", || fs::openat(at, name, HANDLE | OFlags::DIRECTORY, Mode::empty()))
}

/// An `O_PATH` handle of a file of any type. Opening it runs no driver and does not block on a FIFO.
pub(super) fn open_handle(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Failed> {
    call("openat", || fs::openat(at, name, HANDLE, Mode::empty()))
}

/// Identifies an inode of a file system. If the file system stores birth times, this also excludes earlier and later
/// inodes with the same number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) inode: u64,
    /// The birth time; zero if the file system does not store it.
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

/// The origin of the file at `handle`.
pub(super) fn origin(handle: BorrowedFd<'_>) -> Result<Origin, Failed> {
    origin_of(handle, b"", AtFlags::EMPTY_PATH)
}

/// The origin of the file at `name`. A link is not followed.
pub(super) fn origin_at(at: BorrowedFd<'_>, name: &[u8]) -> Result<Origin, Failed> {
    origin_of(at, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn origin_of(at: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> Result<Origin, Failed> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    let found = call("statx", || fs::statx(at, name, flags | AtFlags::NO_AUTOMOUNT, wanted))?;
    let is_kept = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let (seconds, nanoseconds) = if is_kept { (found.stx_btime.tv_sec, found.stx_btime.tv_nsec) } else { (0, 0) };
    Ok(Origin { inode: found.stx_ino, seconds, nanoseconds })
}

/// A second descriptor for the file of a handle.
pub(super) fn duplicate(handle: BorrowedFd<'_>) -> Result<OwnedFd, Failed> {
    call("fcntl", || rustix::io::fcntl_dupfd_cloexec(handle, 0))
}

/// The number of files that the process may have open; `None` if there is no limit.
pub(crate) fn most_open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The largest size of a file that this process may write, in bytes; `None` without such a limit.
pub(super) fn largest_file() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// The free space of a file system for unprivileged processes, in bytes.
pub(super) fn free_bytes(file: BorrowedFd<'_>) -> std::io::Result<u64> {
    let status = fs::fstatvfs(file)?;
    // A tmpfs without a limit has no blocks.
    Ok(if status.f_blocks == 0 { u64::MAX } else { status.f_bavail.saturating_mul(status.f_frsize) })
}

/// Frees a part of a file, which reads as zeros then.
#[cfg(feature = "image")]
pub(super) fn punch_hole(file: BorrowedFd<'_>, offset: u64, bytes: u64) -> std::io::Result<()> {
    Ok(fs::fallocate(file, fs::FallocateFlags::PUNCH_HOLE | fs::FallocateFlags::KEEP_SIZE, offset, bytes)?)
}

pub(super) fn create_file(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Failed> {
    call("openat", || fs::openat(at, name, NEW_FILE, PRIVATE_FILE))
}

/// A file that other users may read, as far as the process's umask lets them. It can be read again.
pub(super) fn create_public_file(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Failed> {
    call("openat", || fs::openat(at, name, NEW_FILE.difference(OFlags::WRONLY) | OFlags::RDWR, PUBLIC_FILE))
}

/// Opens a file of ours, or creates it if it does not exist.
#[cfg(feature = "image")]
pub(super) fn open_or_create_file(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Failed> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    call("openat", || fs::openat(at, name, flags, PRIVATE_FILE))
}

/// Opens a file for reading. If another process has replaced it by a FIFO, the call does not block.
pub(super) fn open_file(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Failed> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    call("openat", || fs::openat(at, name, flags, Mode::empty()))
}

/// A file without a name, on the file system of `at`. It is removed when it is closed.
pub(super) fn create_nameless(at: BorrowedFd<'_>) -> Result<OwnedFd, Failed> {
    call("openat", || fs::openat(at, ".", OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, PRIVATE_FILE))
}

/// An unnamed file in memory, on no visible file system.
pub(super) fn create_in_memory() -> Result<OwnedFd, Failed> {
    call("memfd_create", || fs::memfd_create("layercage", fs::MemfdFlags::CLOEXEC))
}

/// A file to write and then read again.
pub(super) fn create_spool(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Failed> {
    let flags = NEW_FILE.difference(OFlags::WRONLY).union(OFlags::RDWR);
    call("openat", || fs::openat(at, name, flags, PRIVATE_FILE))
}

pub(super) fn create_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Failed> {
    call("mkdirat", || fs::mkdirat(at, name, PRIVATE_DIRECTORY))
}

pub(super) fn create_symlink(at: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> Result<(), Failed> {
    call("symlinkat", || fs::symlinkat(target, at, name))
}

pub(super) fn create_fifo(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Failed> {
    call("mknodat", || fs::mknodat(at, name, FileType::Fifo, PRIVATE_FILE, 0))
}

pub(super) fn create_socket(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Failed> {
    call("mknodat", || fs::mknodat(at, name, FileType::Socket, PRIVATE_FILE, 0))
}

pub(super) fn create_device(at: BorrowedFd<'_>, name: &[u8], device: Device) -> Result<(), Failed> {
    call("mknodat", || {
        fs::mknodat(at, name, device_type(device), PRIVATE_FILE, fs::makedev(device.major, device.minor))
    })
}

pub(super) fn device_type(device: Device) -> FileType {
    match device.kind {
        DeviceKind::Character => FileType::CharacterDevice,
        DeviceKind::Block => FileType::BlockDevice,
    }
}

/// A hard link to `name`. A symbolic link is not followed.
pub(super) fn link(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> Result<(), Failed> {
    call("linkat", || fs::linkat(from, name, to, new, AtFlags::empty()))
}

pub(super) fn unlink(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Failed> {
    call("unlinkat", || fs::unlinkat(at, name, AtFlags::empty()))
}

pub(super) fn remove_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Failed> {
    call("rmdir", || fs::unlinkat(at, name, AtFlags::REMOVEDIR))
}

pub(super) fn rename(from: BorrowedFd<'_>, old: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> Result<(), Failed> {
    call("renameat", || fs::renameat(from, old, to, new))
}

pub(super) fn rename_with(at: BorrowedFd<'_>, old: &[u8], new: &[u8], flags: RenameFlags) -> Result<(), Failed> {
    call("renameat2", || fs::renameat_with(at, old, at, new, flags))
}

/// Whether a name belongs to an inode at this moment.
pub(super) fn names(at: BorrowedFd<'_>, name: &[u8], identity: (u64, u64)) -> bool {
    status_at(at, name).is_ok_and(|there| there.identity == identity)
}

/// Renames to a name that must be free.
pub(super) fn rename_noreplace(from: (BorrowedFd<'_>, &[u8]), to: (BorrowedFd<'_>, &[u8])) -> Result<(), Failed> {
    call("renameat2", || fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE))
}

/// Checks that the mode and ACL of a directory let us add and remove names.
pub(super) fn may_change(directory: BorrowedFd<'_>) -> Result<(), Failed> {
    let wanted = fs::Access::WRITE_OK | fs::Access::EXEC_OK;
    call("faccessat2", || fs::accessat(directory, ".", wanted, AtFlags::EACCESS))
}

/// The target of a symbolic link; `EINVAL` for any other file.
pub(super) fn read_link(at: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Failed> {
    call("readlinkat", || fs::readlinkat(at, name, Vec::new())).map(CString::into_bytes)
}

pub(super) fn status(handle: BorrowedFd<'_>) -> Result<Status, Failed> {
    statx(handle, b"", AtFlags::EMPTY_PATH)
}

/// The status of `name`. A symbolic link is not followed.
pub(super) fn status_at(at: BorrowedFd<'_>, name: &[u8]) -> Result<Status, Failed> {
    statx(at, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn statx(at: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> Result<Status, Failed> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let found = call("statx", || fs::statx(at, name, flags | AtFlags::NO_AUTOMOUNT, wanted))?;
    let device = fs::makedev(found.stx_dev_major, found.stx_dev_minor);
    let has_mount = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok(Status {
        kind: FileType::from_raw_mode(found.stx_mode.into()),
        mode: u32::from(found.stx_mode) & 0o7777,
        uid: found.stx_uid,
        gid: found.stx_gid,
        links: found.stx_nlink,
        size: found.stx_size,
        identity: (device, found.stx_ino),
        mount: if has_mount { found.stx_mnt_id } else { device },
        mtime: Timestamp::known(found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
        device: (found.stx_rdev_major, found.stx_rdev_minor),
        is_fixed: found.stx_attributes.intersects(FIXED),
    })
}

/// Sets the owner of the file of a handle, which may be `O_PATH`.
pub(super) fn set_owner(handle: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<(), Failed> {
    let (uid, gid) = (uid.map(fs::Uid::from_raw), gid.map(fs::Gid::from_raw));
    call("fchownat", || fs::chownat(handle, "", uid, gid, AtFlags::EMPTY_PATH))
}

pub(super) fn set_mode(handle: BorrowedFd<'_>, mode: u32) -> Result<(), Failed> {
    call("fchmod", || fs::fchmod(handle, Mode::from_raw_mode(mode)))
}

/// Sets the mode of a file, following links: only `proc.rs` may do that.
pub(super) fn set_mode_at(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<(), Failed> {
    call("fchmodat", || fs::chmodat(at, name, Mode::from_raw_mode(mode), AtFlags::empty()))
}

/// What a handle can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandleKind {
    /// The file is open.
    Open,
    /// The handle only names the file (`O_PATH`).
    NameOnly,
}

/// Sets the time of last modification. A handle that only names a file needs Linux 5.8.
pub(super) fn set_mtime(handle: BorrowedFd<'_>, mtime: Timestamp, kind: HandleKind) -> Result<(), Failed> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds(), tv_nsec: mtime.nanoseconds().into() },
    };
    match kind {
        HandleKind::Open => call("futimens", || fs::futimens(handle, &times)),
        HandleKind::NameOnly => call("utimensat", || fs::utimensat(handle, "", &times, AtFlags::EMPTY_PATH)),
    }
}

pub(super) fn set_xattr(handle: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<(), Failed> {
    call("fsetxattr", || fs::fsetxattr(handle, name, value, fs::XattrFlags::empty()))
}

/// Sets an extended attribute of the file at a path, following magic links: only `proc.rs` may do that.
pub(super) fn set_xattr_at(path: &[u8], name: &[u8], value: &[u8]) -> Result<(), Failed> {
    call("setxattr", || fs::setxattr(path, name, value, fs::XattrFlags::empty()))
}

pub(super) fn remove_xattr(handle: BorrowedFd<'_>, name: &[u8]) -> Result<(), Failed> {
    call("fremovexattr", || fs::fremovexattr(handle, name))
}

pub(super) fn has_xattr(handle: BorrowedFd<'_>, name: &[u8]) -> bool {
    call("fgetxattr", || fs::fgetxattr(handle, name, &mut [0_u8; 0][..])).is_ok()
}

/// Whether a file has an extended attribute with this short value.
pub(super) fn xattr_is(handle: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<bool, Failed> {
    let mut found = [0; 16];
    match call("fgetxattr", || fs::fgetxattr(handle, name, &mut found[..])) {
        Ok(length) => Ok(found.get(..length) == Some(value)),
        // A longer value, no value, or none that the caller may read.
        Err(Failed { errno: Errno::RANGE | Errno::NODATA | Errno::NOTSUP | Errno::ACCESS, .. }) => Ok(false),
        Err(failed) => Err(failed),
    }
}

/// The value of an extended attribute; `None` if the file, or its file system, does not have it.
pub(super) fn get_xattr(handle: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Vec<u8>>, Failed> {
    let mut value = vec![0; 64 << 10]; // XATTR_SIZE_MAX
    match call("fgetxattr", || fs::fgetxattr(handle, name, value.as_mut_slice())) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Failed { errno: Errno::NODATA | Errno::NOTSUP, .. }) => Ok(None),
        Err(failed) => Err(failed),
    }
}

/// The names of all extended attributes.
pub(super) fn list_xattrs(handle: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Failed> {
    let mut list = vec![0; 64 << 10]; // XATTR_LIST_MAX
    let length = match call("flistxattr", || fs::flistxattr(handle, list.as_mut_slice())) {
        Err(Failed { errno: Errno::NOTSUP, .. }) => 0,
        other => other?,
    };
    let names = list.get(..length).unwrap_or_default().split(|&byte| byte == 0);
    Ok(names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

/// Writes at an offset. A full file system may write nothing and report no error: that is ENOSPC, too.
pub(super) fn write_at(file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<usize, Failed> {
    some("pwrite64", call("pwrite64", || rustix::io::pwrite(file, bytes, offset))?)
}

pub(super) fn set_size(file: BorrowedFd<'_>, size: u64) -> Result<(), Failed> {
    call("ftruncate", || fs::ftruncate(file, size))
}

pub(super) fn write(file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Failed> {
    some("write", call("write", || rustix::io::write(file, bytes))?)
}

/// The number of bytes written; an error if it is zero.
fn some(call: &'static str, written: usize) -> Result<usize, Failed> {
    if written == 0 { Err(Failed { call, errno: Errno::NOSPC }) } else { Ok(written) }
}

/// The first data at or after an offset, up to the next hole; `None` if there is no more data.
pub(super) fn next_data(file: BorrowedFd<'_>, offset: u64) -> Result<Option<(u64, u64)>, Failed> {
    match call("lseek", || fs::seek(file, fs::SeekFrom::Data(offset))) {
        Ok(start) => Ok(Some((start, call("lseek", || fs::seek(file, fs::SeekFrom::Hole(start)))?))),
        Err(Failed { errno: Errno::NXIO, .. }) => Ok(None),
        Err(failed) => Err(failed),
    }
}

pub(super) fn read_at(file: BorrowedFd<'_>, bytes: &mut [u8], offset: u64) -> Result<usize, Failed> {
    call("pread64", || rustix::io::pread(file, &mut *bytes, offset))
}

pub(super) fn read(file: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<usize, Failed> {
    call("read", || rustix::io::read(file, &mut *bytes))
}

/// Reads a directory through a descriptor of its own, from the first name on.
pub(super) fn list(directory: BorrowedFd<'_>) -> Result<Dir, Failed> {
    call("openat", || Dir::read_from(directory))
}

/// Reads a directory through its own descriptor.
pub(super) fn into_list(directory: OwnedFd) -> Result<Dir, Failed> {
    Dir::new(directory).map_err(|errno| Failed { call: "fdopendir", errno })
}

pub(super) fn next_name(list: &mut Dir) -> Result<Option<DirEntry>, Failed> {
    list.read().transpose().map_err(|errno| Failed { call: "getdents64", errno })
}

/// The descriptor of a directory that is read.
pub(super) fn list_fd(list: &Dir) -> Result<BorrowedFd<'_>, Failed> {
    list.fd().map_err(|errno| Failed { call: "dirfd", errno })
}

/// Continues to read a directory at a position that it returned.
pub(super) fn seek(directory: BorrowedFd<'_>, position: u64) -> Result<(), Failed> {
    call("lseek", || fs::seek(directory, fs::SeekFrom::Start(position))).map(drop)
}

/// Takes a lock. Returns whether it was free.
pub(super) fn lock(file: BorrowedFd<'_>, how: FlockOperation) -> Result<bool, Failed> {
    match call("flock", || fs::flock(file, how)) {
        Err(Failed { errno: Errno::WOULDBLOCK, .. }) => Ok(false),
        other => other.map(|()| true),
    }
}

/// The type of the file system of a handle, as a magic number.
pub(super) fn file_system_type(handle: BorrowedFd<'_>) -> Result<FsWord, Failed> {
    call("fstatfs", || fs::fstatfs(handle)).map(|found| found.f_type)
}

/// Writes the whole file system of `handle` to the disk.
pub(super) fn sync_file_system(handle: BorrowedFd<'_>) -> Result<(), Failed> {
    call("syncfs", || fs::syncfs(handle))
}

pub(super) fn sync(handle: BorrowedFd<'_>) -> Result<(), Failed> {
    call("fsync", || fs::fsync(handle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_failed_call_knows_its_name_and_the_caller_adds_the_path() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("full"), "").unwrap();
        let directory: OwnedFd = std::fs::File::open(place.path()).unwrap().into();
        let at = directory.as_fd();
        // A handle that only names takes no content, no mode and no lock.
        let handle = open_handle(at, b"full").unwrap();
        let file = handle.as_fd();
        let (none, full) = (&b"none"[..], &b"full"[..]);
        let failures = [
            ("openat", open_directory(at, none).map(drop)),
            ("openat", create_file(at, full).map(drop)),
            ("statx", status_at(at, none).map(drop)),
            ("mkdirat", create_directory(at, full)),
            ("symlinkat", create_symlink(at, full, b"target")),
            ("mknodat", create_fifo(at, full)),
            ("linkat", link(at, none, at, b"new")),
            ("unlinkat", unlink(at, none)),
            ("rmdir", remove_directory(at, none)),
            ("renameat", rename(at, none, at, b"new")),
            ("renameat2", rename_with(at, none, full, RenameFlags::EXCHANGE)),
            ("renameat2", rename_noreplace((at, none), (at, b"new"))),
            ("readlinkat", read_link(at, full).map(drop)),
            ("fchmod", set_mode(file, 0o600)),
            ("fsetxattr", set_xattr(file, b"user.x", b"")),
            ("write", write(file, b"x").map(drop)),
            ("pwrite64", write_at(file, b"x", 0).map(drop)),
            ("ftruncate", set_size(file, 1)),
            ("read", read(file, &mut [0]).map(drop)),
            ("flock", lock(file, FlockOperation::NonBlockingLockShared).map(drop)),
            ("fsync", sync(file)),
        ];
        for (call, failure) in failures {
            let failed = failure.expect_err(call);
            assert_eq!(failed.call, call);
            assert_eq!(failed.at(b"a/b").to_string(), format!(r#"{call}("a/b")"#));
        }
    }
}
