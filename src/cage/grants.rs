//! To whom files of the tree can be given, found out by trying.
//!
//! In a user namespace (`unshare -Ur`, rootless containers) a caller may have every capability and few ids: giving a
//! file to another is `EINVAL`, and on a mount that maps ids `EOVERFLOW`. `/proc/self/uid_map` says which ids there
//! are, but it cannot be read behind Landlock and knows nothing of mounts. A file without a name does not lie.

use super::{Cage, sys};
use crate::words::Ownership;
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

/// How many answers are kept: a layer may name a new id with each entry.
const KEPT: usize = 1 << 12;

/// What is known of the ids that files can be given to.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// The pair that was asked for last, and what stands for it.
    last: Option<[(u32, u32); 2]>,
    known: HashMap<Id, bool>,
    /// The file that is given away to try; `None` where none could be made.
    probe: Option<Option<OwnedFd>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Id {
    User(u32),
    Group(u32),
}

impl Cage {
    /// Who is to own what a layer gives to a user and a group: these, or the caller where that cannot be.
    ///
    /// Where owners are set as far as possible, each of the two is the caller's where the user namespace lacks it.
    pub(crate) fn owner_for(&mut self, uid: u32, gid: u32) -> (u32, u32) {
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
        // Where the tree's file system makes no files without a name, one in memory has the same user namespace.
        let probe = probe.get_or_insert_with(|| sys::create_nameless(root).or_else(|_| sys::create_in_memory()).ok());
        let Some(probe) = probe else { return true };
        let (uid, gid) = match id {
            Id::User(uid) => (Some(uid), None),
            Id::Group(gid) => (None, Some(gid)),
        };
        // Any other failure (a quota, say) is that of the file that it happens to, and tells more there.
        let can = !matches!(sys::set_owner(probe.as_fd(), uid, gid), Err(Errno::INVAL | Errno::OVERFLOW));
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(id, can);
        can
    }
}
