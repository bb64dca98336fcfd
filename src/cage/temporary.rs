//! Temporary names, and their cleanup if we are killed.
//!
//! A tree that is staged goes as a whole. In one that stays, whoever makes the first temporary name puts a locked
//! directory into the root, and in it a file that says in which directory a temporary name is now: there is
//! one at a time. The next run finds the lock free, removes that name, and then the rest. Files that are not in the
//! tree (`apart.rs`) lie in the locked directory, too.
//!
//! The owner of the recorded directory can rename any file in it to such a name. So a directory tree is removed only if
//! the file identifies it. The owner could also have removed a file or an empty directory.

use super::apart::APART;
use super::claim::{self, Claim, Purpose};
use super::failed::{At, Failed, is_one_of};
use super::sys::{self, Origin};
use super::{Cage, Directory, Exposure, remove::Names};
use crate::words::{self, Fault, PlaceId};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What all temporary names begin with.
const TEMPORARY: &[u8] = b".lc-";

const RUN: Purpose = Purpose(words::RUN);

/// In the locked directory: the file with the path.
const PLACE: &[u8] = b"place";
/// The number of bytes in it that identify the tree to remove: inode number, and birth time in seconds and nanoseconds.
const ORIGIN_BYTES: u64 = 20;

/// What is known of temporary names.
#[derive(Debug, Default)]
pub(super) enum Temporaries {
    /// There was none yet.
    #[default]
    None,
    /// Nothing says where they are.
    Unmarked,
    Marked(Marker),
}

/// The directory in the root, locked, and the file in it.
#[derive(Debug)]
pub(super) struct Marker {
    claim: Claim,
    place: OwnedFd,
    /// The directory that it names.
    names: Option<PlaceId>,
    /// Whether a temporary name is left behind, for the next run to remove.
    is_needed: bool,
}

impl Cage {
    /// A name in a directory for something that is not there yet, or on its way out.
    pub(super) fn temporary(&mut self, directory: &Directory) -> Result<Vec<u8>, Fault> {
        if self.exposure == Exposure::Visible {
            self.mark()?;
        }
        let name = self.temporary_name();
        let Temporaries::Marked(marker) = &mut self.temporaries else { return Ok(name) };
        marker.point_at(directory)?;
        Ok([&prefix(&marker.claim), name.strip_prefix(TEMPORARY).unwrap_or(&name)].concat())
    }

    /// Puts the locked directory into the root, unless it is there.
    pub(super) fn mark(&mut self) -> Result<(), Fault> {
        if let Temporaries::None = &self.temporaries {
            self.root.touch();
            self.temporaries = match Marker::make(self.root.as_fd(), self.me) {
                Ok(Some(marker)) => Temporaries::Marked(marker),
                // A file system without sockets.
                Ok(None) => Temporaries::Unmarked,
                // Whoever may not write to the root may be allowed to somewhere below it.
                Err(fault) if is_one_of(&fault, &[Errno::ACCESS, Errno::PERM, Errno::ROFS]) => Temporaries::Unmarked,
                Err(fault) => return Err(fault),
            };
        }
        Ok(())
    }

    /// Records a directory that will be removed under a temporary name, or that is created under it and is not empty.
    pub(super) fn condemn(&mut self, at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Fault> {
        let Temporaries::Marked(marker) = &mut self.temporaries else { return Ok(()) };
        match sys::origin_at(at, name) {
            Err(Failed { errno: Errno::NOENT, .. }) => Ok(()),
            origin => marker.condemn(origin.at(name)?),
        }
    }

    /// A temporary name could not be removed: the next run is to try again.
    pub(super) fn leave_for_next_run(&mut self) {
        if let Temporaries::Marked(marker) = &mut self.temporaries {
            marker.is_needed = true;
        }
    }

    /// Whether a name in a directory is that of our own directory in the root, or of another run that is alive.
    ///
    /// A layer may bring any name, and a local user may lock any directory that is readable for that user. So ours is
    /// identified by its inode, and that of another run also by its mark.
    pub(super) fn is_marker(&self, directory: &Directory, name: &[u8]) -> bool {
        if directory.id() != self.root.id() {
            return false;
        }
        match &self.temporaries {
            Temporaries::Marked(marker) if marker.claim.name == name => marker.claim.is_at(directory.as_fd()),
            _ if self.is_apart(directory.as_fd(), name) => true,
            _ => claim::is_alive(directory.as_fd(), RUN, name, self.me),
        }
    }

    /// No temporary name is there any more.
    pub(super) fn settle_temporaries(&mut self) -> Result<(), Fault> {
        match std::mem::take(&mut self.temporaries) {
            Temporaries::Marked(marker) if !marker.is_needed => {
                self.root.touch();
                remove(self.root.as_fd(), &marker.claim)
            }
            _ => Ok(()),
        }
    }

    /// Removes what dead runs left in a tree.
    pub(super) fn remove_dead_temporaries(&mut self) -> Result<(), Fault> {
        let root = self.root_directory();
        let any_guards = claim::each_dead(root.as_fd(), RUN, self.me, |claim| {
            // What cannot be removed is left for whoever can: it is not what this layer is about.
            let apart = self.remove_tree(claim.directory.as_fd(), APART);
            if self.remove_named(&claim).is_ok() && apart.is_ok() {
                root.touch();
                let _ = remove(root.as_fd(), &claim);
            }
        })?;
        if any_guards {
            root.touch();
        }
        Ok(())
    }

    /// Removes the temporary names that a dead run left.
    fn remove_named(&mut self, claim: &Claim) -> Result<(), Fault> {
        let Some((condemned, path)) = read_place(claim)? else { return Ok(()) };
        let Some(directory) = self.reopen(&path)? else { return Ok(()) };
        let prefix = prefix(claim);
        let mut names = Names::of(directory.as_fd(), directory.path())?;
        while let Some((name, _)) = names.next()? {
            if name.starts_with(&prefix) {
                directory.touch();
                self.remove_condemned(directory.as_fd(), &name, condemned)?;
            }
        }
        Ok(())
    }
}

impl Marker {
    /// The locked directory.
    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        self.claim.directory.as_fd()
    }

    /// `None` where it would tell the next run nothing.
    fn make(root: BorrowedFd<'_>, me: super::directory::Me) -> Result<Option<Self>, Fault> {
        let claim = Claim::make(root, RUN, me)?;
        if !claim.is_marked() {
            return claim.remove(root).map(|()| None);
        }
        match sys::create_file(claim.directory.as_fd(), PLACE).at(PLACE) {
            Ok(place) => Ok(Some(Self { claim, place, names: None, is_needed: false })),
            Err(fault) => {
                let _ = remove(root, &claim);
                Err(fault)
            }
        }
    }

    /// Writes, before the path, which directory will be under a temporary name.
    fn condemn(&mut self, Origin { inode, seconds, nanoseconds }: Origin) -> Result<(), Fault> {
        let record = [&inode.to_le_bytes()[..], &seconds.to_le_bytes(), &nanoseconds.to_le_bytes()].concat();
        self.write(&record, 0)
    }

    fn write(&self, record: &[u8], offset: u64) -> Result<(), Fault> {
        match sys::write_at(self.place.as_fd(), record, offset).at(PLACE)? {
            bytes if bytes == record.len() => Ok(()),
            _ => Err(Fault::system("pwrite64", PLACE, Errno::NOSPC)),
        }
    }

    /// Says in which directory the next temporary name will be: its length, then its path.
    fn point_at(&mut self, directory: &Directory) -> Result<(), Fault> {
        if self.names != Some(directory.id()) {
            let path = directory.path();
            let length = u32::try_from(path.len()).map_err(|_| Fault::bug("a path is longer than any limit"))?;
            let record = [&length.to_le_bytes(), path].concat();
            self.write(&record, ORIGIN_BYTES)?;
            self.names = Some(directory.id());
        }
        Ok(())
    }
}

/// What the temporary names of a run begin with.
fn prefix(claim: &Claim) -> Vec<u8> {
    [TEMPORARY, claim.digits(), b"-"].concat()
}

/// The path that a dead run recorded; `None` if it had not recorded one.
fn read_place(claim: &Claim) -> Result<Option<(Origin, Vec<u8>)>, Fault> {
    let at = claim.directory.as_fd();
    if !matches!(sys::status_at(at, PLACE), Ok(found) if found.kind == FileType::RegularFile && found.links == 1) {
        return Ok(None);
    }
    // A longer path is none that a limit lets through.
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
fn remove(root: BorrowedFd<'_>, claim: &Claim) -> Result<(), Fault> {
    match sys::unlink(claim.directory.as_fd(), PLACE) {
        Ok(()) | Err(Failed { errno: Errno::NOENT, .. }) => claim.remove(root),
        Err(failed) => Err(failed.at(PLACE)),
    }
}
