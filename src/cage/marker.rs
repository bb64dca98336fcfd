//! The marker of a run: a locked directory in the root, and a file in it that says where temporary names are.
//!
//! `temporary.rs` explains what it is for.

use super::claim::{Claim, Purpose};
use super::directory::{Caller, Directory};
use super::failed::{At, Failed};
use super::sys::{self, Origin};
use super::temporary_names::TEMPORARY;
use crate::words::{self, Error, PlaceId};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(super) const RUN: Purpose = Purpose(words::RUN);

/// The name of the file with the path, in the locked directory.
const PLACE: &[u8] = b"place";
/// The number of bytes in it that identify the tree to remove: inode number, and birth time in seconds and nanoseconds.
const ORIGIN_BYTES: u64 = 20;

/// Whether a marker says where the temporary names are.
#[derive(Debug, Default)]
pub(super) enum Marking {
    /// There is no temporary name yet.
    #[default]
    None,
    /// There is no marker: the file system has no sockets, or the root is not writable.
    Unmarked,
    Marked(Marker),
}

/// The locked directory, and the file in it.
#[derive(Debug)]
pub(super) struct Marker {
    pub(super) claim: Claim,
    place: OwnedFd,
    /// The directory whose path is in the file.
    names: Option<PlaceId>,
    /// Whether a temporary name could not be removed, so that the next run needs the marker.
    pub(super) is_needed: bool,
}

impl Marker {
    /// The locked directory.
    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        self.claim.directory.as_fd()
    }

    /// Makes one; `None` if the file system has no sockets, so that the next run would not recognise it.
    pub(super) fn make(root: BorrowedFd<'_>, caller: Caller) -> Result<Option<Self>, Error> {
        let claim = Claim::make(root, RUN, caller)?;
        if !claim.is_marked() {
            return claim.remove(root).map(|()| None);
        }
        match sys::create_file(claim.directory.as_fd(), PLACE).at(PLACE) {
            Ok(place) => Ok(Some(Self { claim, place, names: None, is_needed: false })),
            Err(error) => {
                let _ = remove(root, &claim);
                Err(error)
            }
        }
    }

    /// Records the directory that will be under a temporary name, before the path.
    pub(super) fn condemn(&mut self, Origin { inode, seconds, nanoseconds }: Origin) -> Result<(), Error> {
        let record = [&inode.to_le_bytes()[..], &seconds.to_le_bytes(), &nanoseconds.to_le_bytes()].concat();
        self.write(&record, 0)
    }

    fn write(&self, record: &[u8], offset: u64) -> Result<(), Error> {
        match sys::write_at(self.place.as_fd(), record, offset).at(PLACE)? {
            bytes if bytes == record.len() => Ok(()),
            _ => Err(Error::system("pwrite64", PLACE, Errno::NOSPC)),
        }
    }

    /// Records in which directory the next temporary name will be: the length of its path, then the path.
    pub(super) fn point_at(&mut self, directory: &Directory) -> Result<(), Error> {
        if self.names != Some(directory.id()) {
            let path = directory.path();
            let length = u32::try_from(path.len()).map_err(|_| Error::bug("a path is longer than any limit"))?;
            let record = [&length.to_le_bytes(), path].concat();
            self.write(&record, ORIGIN_BYTES)?;
            self.names = Some(directory.id());
        }
        Ok(())
    }
}

/// The prefix of the temporary names of a run.
pub(super) fn prefix(claim: &Claim) -> Vec<u8> {
    [TEMPORARY, claim.digits(), b"-"].concat()
}

/// The path that a dead run recorded; `None` if it had not recorded one.
pub(super) fn read_place(claim: &Claim) -> Result<Option<(Origin, Vec<u8>)>, Error> {
    let at = claim.directory.as_fd();
    if !matches!(sys::status_at(at, PLACE), Ok(found) if found.kind == FileType::RegularFile && found.links == 1) {
        return Ok(None);
    }
    // No limit allows a longer path.
    let mut record = vec![0; 64 << 10];
    let file = sys::open_file(at, PLACE).at(PLACE)?;
    let length = sys::read(file.as_fd(), &mut record).at(PLACE)?;
    record.truncate(length);
    Ok(parse_place(&record).map(|(condemned, path)| (condemned, path.to_vec())))
}

fn parse_place(record: &[u8]) -> Option<(Origin, &[u8])> {
    let (inode, rest) = record.split_first_chunk()?;
    let (seconds, rest) = rest.split_first_chunk()?;
    let (nanoseconds, rest) = rest.split_first_chunk()?;
    let (length, path) = rest.split_first_chunk()?;
    let condemned = Origin {
        inode: u64::from_le_bytes(*inode),
        seconds: i64::from_le_bytes(*seconds),
        nanoseconds: u32::from_le_bytes(*nanoseconds),
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    Some((condemned, path.get(..length)?))
}

/// Removes the directory of a run, unless it has other content.
pub(super) fn remove(root: BorrowedFd<'_>, claim: &Claim) -> Result<(), Error> {
    match sys::unlink(claim.directory.as_fd(), PLACE) {
        Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => claim.remove(root),
        Err(failed) => Err(failed.at(PLACE)),
    }
}
