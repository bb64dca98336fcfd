//! The owner and mode that files get: those that a layer asks for, or the caller's.
//!
//! In a user namespace (`unshare -Ur`, rootless containers) a caller may have every capability but only a few ids.
//! `chown` to any other id fails with `EINVAL`, and on an id-mapped mount with `EOVERFLOW`. `/proc/self/uid_map` lists
//! the ids, but Landlock forbids to read it, and it does not cover mounts. So we try `chown` on an unnamed file.

use super::attributes::PendingOwner;
use super::directory::{Caller, Directory};
use super::failed::{At, Failed};
use super::sys;
use crate::tree::{Granted, SetIdBits};
use crate::words::{Error, Metadata, Ownership};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// The number of cached answers. A layer may use a new id with each entry.
const CACHED: usize = 1 << 12;

/// Decides on the owners of files, and caches what the file system allows.
#[derive(Debug)]
pub(super) struct Owners {
    caller: Caller,
    ownership: Ownership,
    /// The last requested pair of ids, and its replacement.
    last: Option<[(u32, u32); 2]>,
    /// The ids that were tested, and whether files can be given to them.
    tested: HashMap<Id, bool>,
    /// The unnamed file for the tests; `None` if it could not be created.
    probe: Option<Option<OwnedFd>>,
    /// Whether a new file belongs to the caller and its group: in directories of that group, and in others. Mounts with
    /// `grpid` give new files the group of the directory. Tested once each.
    new_is_callers: [Option<bool>; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Id {
    User(u32),
    Group(u32),
}

impl Owners {
    pub(super) fn new(caller: Caller, ownership: Ownership) -> Self {
        let tested = HashMap::new();
        Self { caller, ownership, last: None, tested, probe: None, new_is_callers: [None; 2] }
    }

    /// Sets the choice of policy.
    pub(super) fn set_ownership(&mut self, ownership: Ownership) {
        self.ownership = ownership;
    }

    /// Whether owners are set as asked for. Otherwise the caller owns all files.
    pub(super) fn are_kept(&self) -> bool {
        match self.ownership {
            Ownership::Possible => self.caller.chowns,
            Ownership::Required => true,
            Ownership::Caller | Ownership::Recorded => false,
        }
    }

    /// The owner that is set for metadata which [`Owners::grant`] has adjusted.
    pub(super) fn of(&self, metadata: &Metadata) -> (u32, u32) {
        if self.are_kept() { (metadata.uid, metadata.gid) } else { self.caller.ids() }
    }

    /// The owner that is still to be set on a file which belongs to `now`; `None` if it is the right one.
    pub(super) fn pending(&self, now: Option<(u32, u32)>, metadata: &Metadata) -> Option<PendingOwner> {
        let to = self.of(metadata);
        let is_asked_for = self.caller.chowns || self.are_kept();
        (now != Some(to)).then_some(PendingOwner { to, is_asked_for })
    }

    /// The owner and mode that a file with this metadata gets in a tree.
    ///
    /// If the caller becomes the owner, a setuid bit must not stay: the program would run as the caller.
    pub(super) fn grant(&mut self, tree: BorrowedFd<'_>, metadata: &Metadata, bits: SetIdBits) -> Granted {
        let (uid, gid) = self.possible(tree, metadata.uid, metadata.gid);
        let mut mode = metadata.mode;
        // The kernel clears a setgid bit without an error if the caller is not in that group.
        if self.are_kept() && !self.keeps_setgid(gid) {
            mode &= !SETGID;
        }
        if bits == SetIdBits::Program {
            mode &= if metadata.uid == uid { !0 } else { !SETUID };
            mode &= if metadata.gid == gid { !0 } else { !SETGID };
        }
        Granted { uid, gid, mode }
    }

    /// Whether a setgid bit stays on a file of this group.
    fn keeps_setgid(&self, gid: u32) -> bool {
        self.caller.sets_any_gid || gid == self.caller.gid
    }

    /// The owner for a user id and group id of a layer: these ids, or the caller's if they cannot be set.
    ///
    /// With `Ownership::Possible`, each id that the user namespace does not map is replaced by the caller's.
    pub(super) fn possible(&mut self, tree: BorrowedFd<'_>, uid: u32, gid: u32) -> (u32, u32) {
        let caller = self.caller.ids();
        match self.ownership {
            _ if !self.are_kept() => caller,
            Ownership::Possible if (uid, gid) != caller => self.tested_owner(tree, (uid, gid), caller),
            _ => (uid, gid),
        }
    }

    fn tested_owner(&mut self, tree: BorrowedFd<'_>, asked: (u32, u32), caller: (u32, u32)) -> (u32, u32) {
        if let Some([last, owner]) = self.last
            && last == asked
        {
            return owner;
        }
        let uid = if asked.0 == caller.0 || self.can_give(tree, Id::User(asked.0)) { asked.0 } else { caller.0 };
        let gid = if asked.1 == caller.1 || self.can_give(tree, Id::Group(asked.1)) { asked.1 } else { caller.1 };
        self.last = Some([asked, (uid, gid)]);
        (uid, gid)
    }

    fn can_give(&mut self, tree: BorrowedFd<'_>, id: Id) -> bool {
        let Self { tested, probe, .. } = self;
        if let Some(&known) = tested.get(&id) {
            return known;
        }
        // If the tree's file system has no unnamed files, a file in memory has the same user namespace.
        let probe = probe.get_or_insert_with(|| sys::create_nameless(tree).or_else(|_| sys::create_in_memory()).ok());
        let Some(probe) = probe else { return true };
        let (uid, gid) = match id {
            Id::User(uid) => (Some(uid), None),
            Id::Group(gid) => (None, Some(gid)),
        };
        // Any other failure (a quota, for example) is reported later, for the real file.
        let can = !matches!(
            sys::set_owner(probe.as_fd(), uid, gid),
            Err(Failed { errno: Errno::INVAL | Errno::OVERFLOW, .. })
        );
        if tested.len() >= CACHED {
            tested.clear();
        }
        tested.insert(id, can);
        can
    }

    /// The owner of a new file in a directory; `None` if it may be any.
    pub(super) fn of_new(&mut self, file: BorrowedFd<'_>, parent: &Directory) -> Result<Option<(u32, u32)>, Error> {
        let caller = self.caller.ids();
        if parent.leaks() {
            return Ok(None);
        }
        let [same, other] = &mut self.new_is_callers;
        let known = if parent.owner().1 == caller.1 { same } else { other };
        let is_callers = match known {
            Some(known) => *known,
            None => {
                let status = sys::status(file).at(b"")?;
                *known.insert((status.uid, status.gid) == caller)
            }
        };
        Ok(is_callers.then_some(caller))
    }
}
