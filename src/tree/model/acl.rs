//! ACLs as Linux stores them: `chmod` changes them, and the mode of a file is set last.

use crate::words::{Metadata, Xattr};

const ACCESS: &[u8] = b"system.posix_acl_access";
/// The ACL of new files in a directory.
pub(super) const DEFAULT: &[u8] = b"system.posix_acl_default";
/// The version, in front of the entries.
const VERSION: usize = 4;
/// A tag, permissions, an id.
const ENTRY: usize = 8;

const USER_OBJ: u8 = 0x01;
const GROUP_OBJ: u8 = 0x04;
const MASK: u8 = 0x10;
const OTHER: u8 = 0x20;

/// The extended attributes of a file or directory of this metadata, as a file system has them in the end.
pub(super) fn stored(metadata: &Metadata) -> Vec<Xattr> {
    let stored = metadata.xattrs.iter().filter_map(|xattr| match &*xattr.name {
        ACCESS => access(&xattr.value, metadata.mode).map(|value| Xattr { name: xattr.name.clone(), value }),
        _ => Some(xattr.clone()),
    });
    let mut stored: Vec<_> = stored.collect();
    stored.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    stored
}

/// An access ACL after `chmod`; `None` if it says no more than the mode.
fn access(acl: &[u8], mode: u32) -> Option<Vec<u8>> {
    let entries = acl.get(VERSION..).unwrap_or_default().as_chunks::<ENTRY>().0;
    let has_mask = entries.iter().any(|entry| entry.first() == Some(&MASK));
    if entries.len() <= 3 && !has_mask {
        return None;
    }
    let mut stored = acl.get(..VERSION)?.to_vec();
    for &[tag, tag_high, permissions, high, ref id @ ..] in entries {
        let shift = match tag {
            USER_OBJ => Some(6),
            MASK => Some(3),
            GROUP_OBJ if !has_mask => Some(3),
            OTHER => Some(0),
            _ => None,
        };
        let permissions = shift.map_or(permissions, |shift| (mode >> shift & 7) as u8);
        // Only named users and groups have an id.
        let id = if shift.is_some() || tag == GROUP_OBJ { [0xff; 4] } else { *id };
        stored.extend([tag, tag_high, permissions, high]);
        stored.extend(id);
    }
    Some(stored)
}
