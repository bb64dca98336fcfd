//! Which extended attributes a layer may set, and what their values must look like.

use crate::words::{Escaped, Violation, Xattr};

/// What becomes of an attribute.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// It is set, with this value.
    Set(Vec<u8>),
    /// It is left out: a storage driver's, the host's or an unknown one.
    Drop,
}

/// Judges one attribute.
///
/// # Errors
///
/// [`Violation::XattrValue`] for a capability or ACL that is malformed (capabilities(7), acl(5)), and for a value
/// that no file system takes: what the system would say of it blames the system.
pub(super) fn judge(xattr: &Xattr) -> Result<Allowed, Violation> {
    let malformed = || Violation::XattrValue { name: Escaped::new(&xattr.name) };
    match xattr.name.as_slice() {
        // Only a storage driver may write these: to the next one they say what is a whiteout and who owns what.
        b"user.containers.override_stat" | b"user.rootlesscontainers" => Ok(Allowed::Drop),
        name if name.starts_with(b"user.overlay.") => Ok(Allowed::Drop),
        name if name.starts_with(b"user.") && name.len() > b"user.".len() => match xattr.value.len() {
            ..=LONGEST_VALUE => Ok(Allowed::Set(xattr.value.clone())),
            _ => Err(malformed()),
        },
        b"security.capability" => capability(&xattr.value).map(Allowed::Set).ok_or_else(malformed),
        b"system.posix_acl_access" | b"system.posix_acl_default"
            if xattr.value.len() <= LONGEST_VALUE && is_acl(&xattr.value) =>
        {
            Ok(Allowed::Set(xattr.value.clone()))
        }
        b"system.posix_acl_access" | b"system.posix_acl_default" => Err(malformed()),
        _ => Ok(Allowed::Drop),
    }
}

/// The longest value that Linux takes (`XATTR_SIZE_MAX`).
const LONGEST_VALUE: usize = 1 << 16;

const REVISION: u32 = 0xff00_0000;
const EFFECTIVE: u32 = 1;

/// Reads a file capability of any revision, and writes it as revision 2.
///
/// Revision 1 is one that kernels take no longer; revision 3 has a root id of somebody's user namespace.
fn capability(value: &[u8]) -> Option<Vec<u8>> {
    let (words, []) = value.as_chunks::<4>() else { return None };
    let (&magic, sets) = words.split_first()?;
    let magic = u32::from_le_bytes(magic);
    if magic & !(REVISION | EFFECTIVE) != 0 {
        return None;
    }
    let zero = [0; 4];
    let sets = match (magic & REVISION, sets) {
        (0x0100_0000, &[permitted, inheritable]) => [permitted, inheritable, zero, zero],
        (0x0200_0000, &[a, b, c, d]) | (0x0300_0000, &[a, b, c, d, _]) => [a, b, c, d],
        _ => return None,
    };
    let magic = 0x0200_0000 | magic & EFFECTIVE;
    Some([magic.to_le_bytes()].into_iter().chain(sets).flatten().collect())
}

const ACL_VERSION: [u8; 4] = [2, 0, 0, 0];
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// Whether this is an ACL as Linux stores it: entries in order, the three base ones once each, a mask where
/// it is needed.
fn is_acl(value: &[u8]) -> bool {
    let Some(entries) = value.strip_prefix(&ACL_VERSION) else { return false };
    let (entries, []) = entries.as_chunks::<8>() else { return false };
    let mut last = (0, None);
    let mut seen = 0;
    for &[t0, t1, p0, p1, i0, i1, i2, i3] in entries {
        let tag = u16::from_le_bytes([t0, t1]);
        let id = u32::from_le_bytes([i0, i1, i2, i3]);
        let named = matches!(tag, USER | GROUP);
        let known = matches!(tag, USER_OBJ | USER | GROUP_OBJ | GROUP | MASK | OTHER);
        let this = (tag, named.then_some(id));
        if !known || u16::from_le_bytes([p0, p1]) > 7 || this <= last || (named && id == u32::MAX) {
            return false;
        }
        last = this;
        seen |= tag;
    }
    let base = USER_OBJ | GROUP_OBJ | OTHER;
    seen & base == base && (seen & (USER | GROUP) == 0 || seen & MASK != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, value: &[u8]) -> Result<Allowed, Violation> {
        judge(&Xattr { name: name.into(), value: value.into() })
    }

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = ACL_VERSION.to_vec();
        for (tag, permissions, id) in entries {
            value.extend(tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(id.to_le_bytes()));
        }
        value
    }

    #[test]
    fn what_speaks_to_storage_drivers_or_to_the_host_is_dropped() {
        for name in [
            "user.overlay.origin",
            "user.containers.override_stat",
            "user.rootlesscontainers",
            "trusted.x",
            "security.selinux",
            "security.ima",
            "system.nfs4_acl",
            "user.",
            "other",
        ] {
            assert_eq!(judged(name, b""), Ok(Allowed::Drop), "{name}");
        }
        assert_eq!(judged("user.a", b""), Ok(Allowed::Set(vec![])));
        assert_eq!(judged("user.overlayed", b"1"), Ok(Allowed::Set(b"1".to_vec())));
    }

    #[test]
    fn capabilities_of_every_revision_become_revision_2() {
        let sets = [1, 2, 3, 4].map(u32::to_le_bytes).concat();
        let v2 = [&[1, 0, 0, 2][..], &sets].concat();
        assert_eq!(judged("security.capability", &v2), Ok(Allowed::Set(v2.clone())));
        let v3 = [&[1, 0, 0, 3][..], &sets, &[0, 0, 1, 0]].concat();
        assert_eq!(judged("security.capability", &v3), Ok(Allowed::Set(v2)));
        let v1 = [&[0, 0, 0, 1][..], &sets[..8]].concat();
        let as_v2 = [&[0, 0, 0, 2][..], &sets[..8], &[0; 8]].concat();
        assert_eq!(judged("security.capability", &v1), Ok(Allowed::Set(as_v2)));
        for wrong in [&b""[..], &v3[..20], &v3[..23], &[0, 0, 0, 2], &[9; 20]] {
            assert!(judged("security.capability", wrong).is_err());
        }
    }

    #[test]
    fn acls_are_those_that_linux_would_store() {
        let none = u32::MAX;
        let minimal = [(USER_OBJ, 6, none), (GROUP_OBJ, 4, none), (OTHER, 4, none)];
        let named = [(USER_OBJ, 6, none), (USER, 7, 1000), (GROUP_OBJ, 4, none), (MASK, 7, none), (OTHER, 4, none)];
        for right in [&minimal[..], &named] {
            assert!(is_acl(&acl(right)));
        }
        let without_mask = [named[0], named[1], named[2], named[4]];
        let out_of_order = [minimal[1], minimal[0], minimal[2]];
        let twice = [minimal[0], minimal[0], minimal[1], minimal[2]];
        let too_many_permissions = [(USER_OBJ, 8, none), minimal[1], minimal[2]];
        for wrong in [&without_mask[..], &out_of_order, &twice, &too_many_permissions, &minimal[..2], &[]] {
            assert!(!is_acl(&acl(wrong)), "{wrong:?}");
        }
        assert!(!is_acl(b"") && !is_acl(&acl(&minimal)[..27]));
    }
}
