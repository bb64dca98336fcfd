//! Tests to which owners files of the tree can be given.
//!
//! In a user namespace (`unshare -Ur`, rootless containers) a caller may have every capability but only a few ids.
//! `chown` to any other id fails with `EINVAL`, and on an id-mapped mount with `EOVERFLOW`. `/proc/self/uid_map` lists
//! the ids, but Landlock forbids to read it, and it does not cover mounts. So we try `chown` on an unnamed file.

use super::failed::Failed;
use super::{Cage, sys};
use crate::words::Ownership;
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

/// The number of cached answers. A layer may use a new id with each entry.
const KEPT: usize = 1 << 12;

/// The ids that files can be given to, as far as tested.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// The last requested pair of ids, and its replacement.
    last: Option<[(u32, u32); 2]>,
    known: HashMap<Id, bool>,
    /// The unnamed file for the tests; `None` if it could not be created.
    probe: Option<Option<OwnedFd>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Id {
    User(u32),
    Group(u32),
}

impl Cage {
    /// Returns the owner for a user id and group id of a layer: these ids, or the caller's if they cannot be set.
    ///
    /// With `Ownership::Possible`, each id that the user namespace does not map is replaced by the caller's.
    pub(super) fn owner_for(&mut self, uid: u32, gid: u32) -> (u32, u32) {
        let caller = self.caller();
        match self.ownership {
            _ if !self.keeps_owners() => caller,
            Ownership::Possible if (uid, gid) != caller => self.possible_owner((uid, gid), caller),
            _ => (uid, gid),
        }
    }

    fn possible_owner(&mut self, asked: (u32, u32), caller: (u32, u32)) -> (u32, u32) {
        if let Some([last, owner]) = self.grants.last
            && last == asked
        {
            return owner;
        }
        let uid = if asked.0 == caller.0 || self.can_give(Id::User(asked.0)) { asked.0 } else { caller.0 };
        let gid = if asked.1 == caller.1 || self.can_give(Id::Group(asked.1)) { asked.1 } else { caller.1 };
        self.grants.last = Some([asked, (uid, gid)]);
        (uid, gid)
    }

    fn can_give(&mut self, id: Id) -> bool {
        let root = self.root.as_fd();
        let Grants { known, probe, .. } = &mut self.grants;
        if let Some(&known) = known.get(&id) {
            return known;
        }
        // If the tree's file system has no unnamed files, a file in memory has the same user namespace.
        let probe = probe.get_or_insert_with(|| sys::create_nameless(root).or_else(|_| sys::create_in_memory()).ok());
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
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(id, can);
        can
    }
}
