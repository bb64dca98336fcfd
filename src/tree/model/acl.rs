//! ACLs as Linux stores them: `chmod` changes them, and the mode of a file is set last.

use crate::words::acl::{ACCESS_ACL, ACL_ENTRY, ACL_VERSION, GROUP_OBJ, MASK, OTHER, USER_OBJ};
use crate::words::{Metadata, Xattr};

/// The extended attributes of a file or directory of this metadata, as a file system has them in the end.
pub(super) fn stored(metadata: &Metadata) -> Vec<Xattr> {
    let stored = metadata.xattrs.iter().filter_map(|xattr| match &*xattr.name {
        ACCESS_ACL => access(&xattr.value, metadata.mode).map(|value| Xattr { name: xattr.name.clone(), value }),
        _ => Some(xattr.clone()),
    });
    let mut stored: Vec<_> = stored.collect();
    stored.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    stored
}

/// An access ACL after `chmod`; `None` if it says no more than the mode.
fn access(acl: &[u8], mode: u32) -> Option<Vec<u8>> {
    let entries = acl.strip_prefix(&ACL_VERSION)?.as_chunks::<ACL_ENTRY>().0;
    let has_mask = entries.iter().any(|&[low, high, ..]| u16::from_le_bytes([low, high]) == MASK);
    if entries.len() <= 3 && !has_mask {
        return None;
    }
    let mut stored = ACL_VERSION.to_vec();
    for &[tag_low, tag_high, permissions, high, ref id @ ..] in entries {
        let tag = u16::from_le_bytes([tag_low, tag_high]);
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
        stored.extend([tag_low, tag_high, permissions, high]);
        stored.extend(id);
    }
    Some(stored)
}
