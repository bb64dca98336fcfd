//! Sockets in directories that other users cannot write to.

use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Listens on a socket that only this user can connect to. It replaces one that no process listens on any more.
///
/// Only for the start of the program: the mode of the socket comes of the mask of the process.
///
/// # Errors
///
/// A directory that others can write to or replace, a path at which there is something else or another process listens; a system
/// error.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let directory = path.parent().filter(|_| path.is_absolute());
    let directory = directory.ok_or_else(|| invalid("an absolute path is needed"))?;
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let status = fs::metadata(directory)?;
    if status.uid() != geteuid().as_raw() || status.mode() & OTHERS_WRITE != 0 {
        return Err(invalid("its directory belongs to another user, or others can write to it"));
    }
    check_parents(directory)?;
    check_parents(&fs::canonicalize(directory)?)?;
    remove_dead(path)?;
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The bits with which other users can write to a directory.
const OTHERS_WRITE: u32 = 0o022;

/// Of a directory with this bit, only the owner of a name can move it away.
const STICKY: u32 = 0o1000;

/// The owner of what belongs to the root of the machine, in a user namespace.
const UNMAPPED: u32 = 65534;

/// Another user who can write to a directory above could put another directory in the place of this one.
fn check_parents(directory: &Path) -> io::Result<()> {
    for parent in directory.ancestors().skip(1) {
        let status = fs::metadata(parent)?;
        let is_ours = [0, geteuid().as_raw(), UNMAPPED].contains(&status.uid());
        if !is_ours || (status.mode() & OTHERS_WRITE != 0 && status.mode() & STICKY == 0) {
            return Err(invalid(&format!("other users can replace directories in {}", parent.display())));
        }
    }
    Ok(())
}

/// Removes a socket that no process listens on.
fn remove_dead(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(status) if !status.file_type().is_socket() => return Err(invalid("there is a file that is not a socket")),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Whether a peer may use the differ: this user, or root.
pub(crate) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_this_user_can_connect_and_a_dead_socket_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run/differ.sock");
        let listener = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(listen(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        listen(&path).unwrap();
    }

    #[test]
    fn what_is_no_socket_stays_and_a_directory_of_others_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, b"a").unwrap();
        symlink(&file, place.path().join("link")).unwrap();
        for name in ["file", "link"] {
            assert!(listen(&place.path().join(name)).unwrap_err().to_string().contains("not a socket"));
        }
        assert_eq!(fs::read(&file).unwrap(), b"a");
        fs::set_permissions(place.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(listen(&place.path().join("differ.sock")).unwrap_err().to_string().contains("others can write"));
        assert!(listen(Path::new("differ.sock")).is_err());

        let run = place.path().join("run");
        DirBuilder::new().mode(0o700).create(&run).unwrap();
        assert!(listen(&run.join("differ.sock")).unwrap_err().to_string().contains("can replace directories in"));
        fs::set_permissions(place.path(), Permissions::from_mode(0o1777)).unwrap();
        listen(&run.join("differ.sock")).unwrap();
    }
}
