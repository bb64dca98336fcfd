//! The system calls of the cage, each wrapped once: EINTR is tried again, a failure keeps its name.
//!
//! Every call takes a directory handle and one component, or an open handle alone. The one exception is `proc.rs`.

use crate::words::{Device, DeviceKind, Fault, Timestamp};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, StatxFlags, Timespec, Timestamps};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};
use std::os::fd::{BorrowedFd, OwnedFd};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// `mode` of files and FIFOs until their owner is final.
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
const PRIVATE_DIRECTORY: Mode = Mode::RWXU;

const FIXED: fs::StatxAttributes = fs::StatxAttributes::IMMUTABLE.union(fs::StatxAttributes::APPEND);

/// What the cage needs to know of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    /// Device and inode number: names an inode for as long as it exists.
    pub(super) identity: (u64, u64),
    /// The mount, or the device on kernels before 5.8.
    pub(super) mount: u64,
    pub(super) mtime: Timestamp,
    pub(super) device: (u32, u32),
    /// Whether a flag keeps even root from changing or removing it (immutable, append-only).
    pub(super) is_fixed: bool,
}

/// Names the call of a failure.
pub(super) fn fault<'a>(call: &'static str, name: &'a [u8]) -> impl Fn(Errno) -> Fault + 'a {
    move |errno| Fault::system(call, name, errno)
}

pub(super) fn open_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| fs::openat(at, name, DIRECTORY, Mode::empty()))
}

/// A handle that only names an inode, of any type: opening it runs no driver and waits for nobody.
pub(super) fn open_handle(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| fs::openat(at, name, HANDLE, Mode::empty()))
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
pub(super) fn origin(handle: BorrowedFd<'_>) -> Result<Origin, Errno> {
    origin_of(handle, b"", AtFlags::EMPTY_PATH)
}

/// The origin of the file at `name`. A link is not followed.
pub(super) fn origin_at(at: BorrowedFd<'_>, name: &[u8]) -> Result<Origin, Errno> {
    origin_of(at, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn origin_of(at: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> Result<Origin, Errno> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    let found = retry_on_intr(|| fs::statx(at, name, flags | AtFlags::NO_AUTOMOUNT, wanted))?;
    let is_kept = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let (seconds, nanoseconds) = if is_kept { (found.stx_btime.tv_sec, found.stx_btime.tv_nsec) } else { (0, 0) };
    Ok(Origin { inode: found.stx_ino, seconds, nanoseconds })
}

/// Whether a call failed because the process, or the machine, may open no more files.
pub(super) fn lacks_descriptors(fault: &Fault) -> bool {
    let code = fault.io_error().and_then(|error| error.raw_os_error());
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// A second descriptor for the file of a handle.
pub(super) fn duplicate(handle: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(handle, 0)
}

/// How many files the process may have open; `None` where there is no limit.
pub(super) fn most_open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

pub(super) fn create_file(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| fs::openat(at, name, NEW_FILE, PRIVATE_FILE))
}

/// Opens a file to read it. Whoever swapped it for a FIFO does not have us wait.
pub(super) fn open_file(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    retry_on_intr(|| fs::openat(at, name, flags, Mode::empty()))
}

/// A file without a name, on the file system of `at`, that goes when its handle does.
pub(super) fn create_nameless(at: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| fs::openat(at, ".", OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, PRIVATE_FILE))
}

/// An unnamed file in memory, on no visible file system.
pub(super) fn create_in_memory() -> Result<OwnedFd, Errno> {
    retry_on_intr(|| fs::memfd_create("layercage", fs::MemfdFlags::CLOEXEC))
}

/// A file to write and then read again.
pub(super) fn create_spool(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = NEW_FILE.difference(OFlags::WRONLY).union(OFlags::RDWR);
    retry_on_intr(|| fs::openat(at, name, flags, PRIVATE_FILE))
}

pub(super) fn create_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::mkdirat(at, name, PRIVATE_DIRECTORY))
}

pub(super) fn create_symlink(at: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::symlinkat(target, at, name))
}

pub(super) fn create_fifo(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::mknodat(at, name, FileType::Fifo, PRIVATE_FILE, 0))
}

pub(super) fn create_socket(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::mknodat(at, name, FileType::Socket, PRIVATE_FILE, 0))
}

pub(super) fn create_device(at: BorrowedFd<'_>, name: &[u8], device: Device) -> Result<(), Errno> {
    retry_on_intr(|| fs::mknodat(at, name, device_type(device), PRIVATE_FILE, fs::makedev(device.major, device.minor)))
}

pub(super) fn device_type(device: Device) -> FileType {
    match device.kind {
        DeviceKind::Character => FileType::CharacterDevice,
        DeviceKind::Block => FileType::BlockDevice,
    }
}

/// One more name for what is at `from`, which is not followed.
pub(super) fn link(from: BorrowedFd<'_>, name: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::linkat(from, name, to, new, AtFlags::empty()))
}

pub(super) fn unlink(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::unlinkat(at, name, AtFlags::empty()))
}

pub(super) fn remove_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::unlinkat(at, name, AtFlags::REMOVEDIR))
}

pub(super) fn rename(from: BorrowedFd<'_>, old: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::renameat(from, old, to, new))
}

pub(super) fn rename_with(at: BorrowedFd<'_>, old: &[u8], new: &[u8], flags: RenameFlags) -> Result<(), Errno> {
    retry_on_intr(|| fs::renameat_with(at, old, at, new, flags))
}

/// Whether a name is that of an inode, at this moment.
pub(super) fn names(at: BorrowedFd<'_>, name: &[u8], identity: (u64, u64)) -> bool {
    status_at(at, name).is_ok_and(|there| there.identity == identity)
}

/// Moves what is at a name in one directory to a name in another, where nothing is.
pub(super) fn carry(from: (BorrowedFd<'_>, &[u8]), to: (BorrowedFd<'_>, &[u8])) -> Result<(), Errno> {
    retry_on_intr(|| fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE))
}

/// Whether we may make and remove names in a directory, as far as its mode and ACL say.
pub(super) fn may_change(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    let wanted = fs::Access::WRITE_OK | fs::Access::EXEC_OK;
    retry_on_intr(|| fs::accessat(directory, ".", wanted, AtFlags::EACCESS))
}

/// What a symbolic link points at; `EINVAL` for anything else.
pub(super) fn read_link(at: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    retry_on_intr(|| fs::readlinkat(at, name, Vec::new())).map(std::ffi::CString::into_bytes)
}

pub(super) fn status(handle: BorrowedFd<'_>) -> Result<Status, Errno> {
    statx(handle, b"", AtFlags::EMPTY_PATH)
}

/// What is at `name`, which is not followed.
pub(super) fn status_at(at: BorrowedFd<'_>, name: &[u8]) -> Result<Status, Errno> {
    statx(at, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn statx(at: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> Result<Status, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let found = retry_on_intr(|| fs::statx(at, name, flags | AtFlags::NO_AUTOMOUNT, wanted))?;
    let device = fs::makedev(found.stx_dev_major, found.stx_dev_minor);
    let has_mount = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok(Status {
        kind: FileType::from_raw_mode(found.stx_mode.into()),
        mode: u32::from(found.stx_mode) & 0o7777,
        uid: found.stx_uid,
        gid: found.stx_gid,
        links: found.stx_nlink,
        identity: (device, found.stx_ino),
        mount: if has_mount { found.stx_mnt_id } else { device },
        mtime: Timestamp { seconds: found.stx_mtime.tv_sec, nanoseconds: found.stx_mtime.tv_nsec },
        device: (found.stx_rdev_major, found.stx_rdev_minor),
        is_fixed: found.stx_attributes.intersects(FIXED),
    })
}

/// Sets the owner of what `handle` names, without following; `O_PATH` handles will do.
pub(super) fn set_owner(handle: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
    let (uid, gid) = (uid.map(fs::Uid::from_raw), gid.map(fs::Gid::from_raw));
    retry_on_intr(|| fs::chownat(handle, "", uid, gid, AtFlags::EMPTY_PATH))
}

pub(super) fn set_mode(handle: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    retry_on_intr(|| fs::fchmod(handle, Mode::from_raw_mode(mode)))
}

/// Sets the time of last modification of what `handle` names; `O_PATH` handles will do (Linux 5.8).
pub(super) fn set_mtime(handle: BorrowedFd<'_>, mtime: Timestamp, is_path: bool) -> Result<(), Errno> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() },
    };
    match is_path {
        true => retry_on_intr(|| fs::utimensat(handle, "", &times, AtFlags::EMPTY_PATH)),
        false => retry_on_intr(|| fs::futimens(handle, &times)),
    }
}

pub(super) fn set_xattr(handle: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::fsetxattr(handle, name, value, fs::XattrFlags::empty()))
}

pub(super) fn remove_xattr(handle: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    retry_on_intr(|| fs::fremovexattr(handle, name))
}

pub(super) fn has_xattr(handle: BorrowedFd<'_>, name: &[u8]) -> bool {
    retry_on_intr(|| fs::fgetxattr(handle, name, &mut [0_u8; 0][..])).is_ok()
}

/// The names of all extended attributes.
pub(super) fn list_xattrs(handle: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut list = vec![0; 64 << 10]; // XATTR_LIST_MAX
    let length = match retry_on_intr(|| fs::flistxattr(handle, list.as_mut_slice())) {
        Err(Errno::NOTSUP) => 0,
        other => other?,
    };
    let names = list.get(..length).unwrap_or_default().split(|&byte| byte == 0);
    Ok(names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

pub(super) fn write_at(file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::pwrite(file, bytes, offset))
}

pub(super) fn set_size(file: BorrowedFd<'_>, size: u64) -> Result<(), Errno> {
    retry_on_intr(|| fs::ftruncate(file, size))
}

pub(super) fn write(file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::write(file, bytes))
}

pub(super) fn read(file: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<usize, Errno> {
    retry_on_intr(|| rustix::io::read(file, &mut *bytes))
}

/// Goes on reading a directory at a position that it gave.
pub(super) fn seek(directory: BorrowedFd<'_>, position: u64) -> Result<(), Errno> {
    fs::seek(directory, fs::SeekFrom::Start(position)).map(drop)
}

/// Writes all of the file system of `handle` to the disk.
pub(super) fn sync_file_system(handle: BorrowedFd<'_>) -> Result<(), Errno> {
    retry_on_intr(|| fs::syncfs(handle))
}

pub(super) fn sync(handle: BorrowedFd<'_>) -> Result<(), Errno> {
    retry_on_intr(|| fs::fsync(handle))
}
