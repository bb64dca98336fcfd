//! The owner and mode that files get: the one that a layer asks for, or the caller's.

use super::Cage;
use crate::tree::{Granted, SetIdBits};
use crate::words::{Metadata, Ownership};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

impl Cage {
    /// Whether owners are set as asked for. Otherwise the caller owns all files.
    pub(super) fn keeps_owners(&self) -> bool {
        match self.ownership {
            Ownership::Possible => self.me.chowns,
            Ownership::Required => true,
            Ownership::Caller | Ownership::Recorded => false,
        }
    }

    /// The uid and gid of the caller.
    pub(super) fn caller(&self) -> (u32, u32) {
        (self.me.uid, self.me.gid)
    }

    /// The owner that is set for metadata which [`Cage::grant`] has adjusted.
    pub(super) fn owner_of(&self, metadata: &Metadata) -> (u32, u32) {
        if self.keeps_owners() { (metadata.uid, metadata.gid) } else { self.caller() }
    }

    /// The owner and mode that a file with this metadata gets.
    ///
    /// If the caller becomes the owner, a setuid bit must not stay: the program would run as the caller.
    pub(super) fn grant(&mut self, metadata: &Metadata, bits: SetIdBits) -> Granted {
        let (uid, gid) = self.owner_for(metadata.uid, metadata.gid);
        let mut mode = metadata.mode;
        // The kernel takes a setgid bit off without an error.
        if self.keeps_owners() && !self.keeps_setgid(gid) {
            mode &= !SETGID;
        }
        if bits == SetIdBits::Program {
            mode &= if metadata.uid == uid { !0 } else { !SETUID };
            mode &= if metadata.gid == gid { !0 } else { !SETGID };
        }
        Granted { uid, gid, mode }
    }

    /// Whether a setgid bit stays on what is given to this group.
    fn keeps_setgid(&self, gid: u32) -> bool {
        self.me.sets_any_gid || gid == self.me.gid
    }
}
