//! Opens regular files and directories of an image for reading, and nothing else.

use super::failed::{At, Failed};
use super::sys;
use crate::words::{Component, EntryPath, Error};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Why a file was not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// The name, or a directory on the way, is not there.
    Missing,
    /// The name leads to, or through, something else: a link, a FIFO, a device, a directory.
    NotRegular,
    /// A symbolic link on the way leads out of the directory. This is its target.
    LeadsOut(Vec<u8>),
    /// The way leads through too many symbolic links, or their targets have too many components.
    Loop,
    /// A system call failed.
    System(Error),
}

/// Opens a regular file below `directory` for reading: one component at a time, no link followed.
///
/// # Errors
///
/// [`NotOpened`]; nothing but a regular file is ever opened, so that no FIFO blocks and no driver runs.
pub(crate) fn open_regular(directory: BorrowedFd<'_>, path: &EntryPath) -> Result<File, NotOpened> {
    let Some((_, name)) = path.split_last() else { return Err(NotOpened::NotRegular) };
    let steps = path.components().count().saturating_sub(1);
    let mut parent: Option<OwnedFd> = None;
    for step in path.components().take(steps) {
        let here = parent.as_ref().map_or(directory, AsFd::as_fd);
        parent = Some(open_at(here, step, sys::open_directory_handle)?);
    }
    let here = parent.as_ref().map_or(directory, AsFd::as_fd);

    // An `O_PATH` handle shows the type before the file is opened for reading.
    require_regular(&open_at(here, name, sys::open_handle)?, name)?;
    open_file(here, name)
}

/// Opens a file that was a regular file a moment ago. Another process may have replaced it: so it is checked again, and
/// opened with `O_NONBLOCK`, because it may be a FIFO by now.
fn open_file(directory: BorrowedFd<'_>, name: Component<'_>) -> Result<File, NotOpened> {
    let file = open_at(directory, name, sys::open_file)?;
    require_regular(&file, name)?;
    Ok(File::from(file))
}

/// The largest number of components of one walk. Each may hold a handle, and a link of 4,095 bytes has 2,048
/// components. Without a limit, a few links of a hostile directory would use all descriptors. Real walks have fewer
/// than ten.
const MOST_STEPS: usize = 256;

/// Opens a regular file below `directory` for reading, through symbolic links that stay inside `directory`.
///
/// The kernel follows no link here. The text of a link is read and walked like the name itself, one component at a
/// time: `..` goes back to the handle that the walk came from, and is never opened. So a directory that is moved
/// meanwhile cannot lead the walk out. A magic link (`/proc/self/fd/3`) is no exception, since only its text counts. An
/// absolute target leads out, even where it names something inside: the same image elsewhere would have another file.
///
/// # Errors
///
/// [`NotOpened`]; nothing but a regular file is ever opened for reading.
pub(crate) fn open_inside(directory: BorrowedFd<'_>, path: &EntryPath, most_links: u64) -> Result<File, NotOpened> {
    let mut above: Vec<OwnedFd> = Vec::new();
    // The components that remain, the next one last.
    let mut to_do: Vec<Vec<u8>> = Vec::new();
    push(&mut to_do, path.as_bytes());
    let (mut links, mut steps) = (0, 0);
    let mut last_target = Vec::new();
    while let Some(name) = to_do.pop() {
        steps += 1;
        if steps > MOST_STEPS {
            return Err(NotOpened::Loop);
        }
        match &*name {
            b"" | b"." => continue,
            b".." if above.pop().is_some() => continue,
            b".." => return Err(NotOpened::LeadsOut(last_target)),
            _ => {}
        }
        let here = above.last().map_or(directory, AsFd::as_fd);
        // The target of a link was not parsed before.
        let name = Component::parse(&name).map_err(|_| NotOpened::Missing)?;
        // An `O_PATH` handle: no FIFO blocks, and no driver runs.
        let handle = open_at(here, name, sys::open_handle)?;
        match kind_of(&handle, name)? {
            FileType::Directory => above.push(handle),
            FileType::Symlink => {
                links += 1;
                if links > most_links {
                    return Err(NotOpened::Loop);
                }
                // Read through the handle: another file may have the name by now.
                let target = sys::read_link(handle.as_fd(), b"").at(name.as_bytes());
                last_target = target.map_err(NotOpened::System)?;
                if last_target.starts_with(b"/") {
                    return Err(NotOpened::LeadsOut(last_target));
                }
                push(&mut to_do, &last_target);
            }
            FileType::RegularFile if to_do.is_empty() => return open_file(here, name),
            _ => return Err(NotOpened::NotRegular),
        }
    }
    // The walk ends at a directory.
    Err(NotOpened::NotRegular)
}

/// Adds the components of a name in front of those that remain.
fn push(to_do: &mut Vec<Vec<u8>>, name: &[u8]) {
    // At most one more than the walk allows, so that a long target needs no more memory.
    let parts: Vec<_> = name.split(|&byte| byte == b'/').take(MOST_STEPS + 1).map(<[u8]>::to_vec).collect();
    to_do.extend(parts.into_iter().rev());
}

/// Opens a directory below `directory`, in the same way as [`open_regular`].
///
/// # Errors
///
/// System errors; `ENOTDIR` if a component is a symbolic link.
pub(crate) fn open_directory(directory: BorrowedFd<'_>, path: &EntryPath) -> Result<File, Error> {
    let mut here: Option<OwnedFd> = None;
    for step in path.components() {
        let parent = here.as_ref().map_or(directory, AsFd::as_fd);
        here = Some(sys::open_directory(parent, step.as_bytes()).at(step.as_bytes())?);
    }
    here.map(File::from).ok_or(Error::bug("a path without components was to be opened"))
}

/// Opens one component with a function of `sys.rs`. These functions never follow a link.
fn open_at(
    directory: BorrowedFd<'_>,
    name: Component<'_>,
    open: fn(BorrowedFd<'_>, &[u8]) -> Result<OwnedFd, Failed>,
) -> Result<OwnedFd, NotOpened> {
    open(directory, name.as_bytes()).map_err(|failed| match failed.errno {
        Errno::NOENT => NotOpened::Missing,
        Errno::NOTDIR | Errno::LOOP => NotOpened::NotRegular,
        _ => NotOpened::System(failed.at(name.as_bytes())),
    })
}

fn require_regular(file: &OwnedFd, name: Component<'_>) -> Result<(), NotOpened> {
    match kind_of(file, name)? {
        FileType::RegularFile => Ok(()),
        _ => Err(NotOpened::NotRegular),
    }
}

fn kind_of(file: &OwnedFd, name: Component<'_>) -> Result<FileType, NotOpened> {
    sys::status(file.as_fd()).at(name.as_bytes()).map(|found| found.kind).map_err(NotOpened::System)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Limits;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn open(world: &std::path::Path, name: &str) -> Result<File, NotOpened> {
        let directory = File::open(world).unwrap();
        open_regular(directory.as_fd(), &EntryPath::parse(name.as_bytes(), &Limits::default()).unwrap())
    }

    #[test]
    fn only_regular_files_behind_real_directories_are_opened() {
        let world = tempfile::tempdir().unwrap();
        let at = |name: &str| world.path().join(name);
        std::fs::create_dir_all(at("blobs/sha256")).unwrap();
        std::fs::write(at("blobs/sha256/file"), "content").unwrap();
        symlink("file", at("blobs/sha256/link")).unwrap();
        symlink("missing", at("blobs/sha256/dangling")).unwrap();
        symlink("blobs", at("linked")).unwrap();
        symlink("sha256", at("blobs/linked")).unwrap();
        mkfifoat(CWD, at("blobs/sha256/fifo"), Mode::RUSR).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(at("blobs/sha256/socket")).unwrap();

        let mut content = String::new();
        open(world.path(), "blobs/sha256/file").unwrap().read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
        for missing in ["blobs/sha256/none", "none/file", "none"] {
            assert!(matches!(open(world.path(), missing), Err(NotOpened::Missing)), "{missing}");
        }
        for other in [
            "",
            "blobs",
            "blobs/sha256/link",
            "blobs/sha256/dangling",
            "blobs/sha256/fifo",
            "blobs/sha256/socket",
            "blobs/sha256/file/below",
            "linked/sha256/file",
            "blobs/linked/file",
        ] {
            assert!(matches!(open(world.path(), other), Err(NotOpened::NotRegular)), "{other}");
        }
        drop(socket);
        let device = open(std::path::Path::new("/dev"), "null");
        assert!(matches!(device, Err(NotOpened::NotRegular)));
    }

    #[test]
    fn links_are_followed_as_long_as_they_stay_inside() {
        let place = tempfile::tempdir().unwrap();
        let world = place.path().join("layout");
        let at = |name: &str| world.join(name);
        std::fs::create_dir_all(at("blobs/sha256")).unwrap();
        std::fs::create_dir_all(at("data/deep")).unwrap();
        std::fs::write(at("data/deep/file"), "content").unwrap();
        std::fs::write(place.path().join("secret"), "secret").unwrap();
        mkfifoat(CWD, at("data/fifo"), Mode::RUSR).unwrap();
        let inside = [
            ("blobs/sha256/plain", "../../data/deep/file"),
            ("blobs/sha256/twice", "plain"),
            ("blobs/sha256/odd", ".././/sha256/../../data/./deep//file"),
            ("blobs/sha256/through", "../../linked/file"),
            ("linked", "data/deep"),
            ("other", "blobs"),
        ];
        inside.iter().for_each(|(name, target)| symlink(target, at(name)).unwrap());
        let opened = |name: &str, links: u64| {
            let directory = File::open(&world).unwrap();
            open_inside(directory.as_fd(), &EntryPath::parse(name.as_bytes(), &Limits::default()).unwrap(), links)
        };
        for (name, links) in [
            ("data/deep/file", 0),
            ("blobs/sha256/plain", 1),
            ("blobs/sha256/twice", 2),
            ("blobs/sha256/odd", 1),
            ("blobs/sha256/through", 2),
            ("linked/file", 1),
            ("other/sha256/twice", 3),
        ] {
            let mut content = String::new();
            opened(name, links).unwrap().read_to_string(&mut content).unwrap();
            assert_eq!(content, "content", "{name}");
            if let Some(fewer) = links.checked_sub(1) {
                assert!(matches!(opened(name, fewer), Err(NotOpened::Loop)), "{name}");
            }
        }

        let [absolute, long] =
            [at("data/deep/file").to_str().unwrap().to_owned(), "../sha256/".repeat(130) + "../../data/deep/file"];
        for (target, expected) in [
            ("../../../secret", "leads out"),
            ("../../../layout/data/deep/file", "leads out"),
            (&absolute, "leads out"),
            ("/etc/hostname", "leads out"),
            ("/proc/self/fd/0", "leads out"),
            ("..//../..", "leads out"),
            ("self", "loop"),
            (&long, "loop"),
            ("none", "missing"),
            ("../../data/deep/file/", "not regular"),
            ("../../data/deep/file/..", "not regular"),
            ("../../data", "not regular"),
            ("../../data/fifo", "not regular"),
            ("../..", "not regular"),
        ] {
            symlink(target, at("blobs/sha256/self")).unwrap();
            let got = match opened("blobs/sha256/self", 40) {
                Ok(_) => "opened",
                Err(NotOpened::LeadsOut(said)) => {
                    assert_eq!(said, target.as_bytes());
                    "leads out"
                }
                Err(NotOpened::Loop) => "loop",
                Err(NotOpened::Missing) => "missing",
                Err(NotOpened::NotRegular) => "not regular",
                Err(NotOpened::System(error)) => panic!("{target}: {error}"),
            };
            assert_eq!(got, expected, "{target}");
            std::fs::remove_file(at("blobs/sha256/self")).unwrap();
        }
    }

    #[test]
    fn a_magic_link_is_only_its_text() {
        // The kernel would open the file behind `/proc/self/exe`, wherever its text leads.
        let directory = File::open("/proc/self").unwrap();
        let path = EntryPath::parse(b"exe", &Limits::default()).unwrap();
        assert!(matches!(open_inside(directory.as_fd(), &path, 40), Err(NotOpened::LeadsOut(_))));
    }

    #[test]
    fn a_failing_system_is_not_the_images_fault() {
        let world = tempfile::tempdir().unwrap();
        let file = world.path().join("file");
        std::fs::write(&file, "").unwrap();
        let not_a_directory = File::open(&file).unwrap();
        let path = EntryPath::parse(b"x", &Limits::default()).unwrap();
        assert!(matches!(open_regular(not_a_directory.as_fd(), &path), Err(NotOpened::NotRegular)));
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: root may read every file");
            return;
        }
        rustix::fs::chmod(&file, Mode::empty()).unwrap();
        assert!(matches!(open(world.path(), "file"), Err(NotOpened::System(_))));
    }
}
