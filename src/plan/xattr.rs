//! The extended attributes that a layer may set, and the form of their values.

use crate::words::acl::{
    ACCESS_ACL, ACL_ENTRY, ACL_VERSION, DEFAULT_ACL, GROUP, GROUP_OBJ, MASK, OTHER, USER, USER_OBJ,
};
use crate::words::{Escaped, Violation, Xattr, Xattrs};

/// The attribute in which containers/storage records the owner of a file: `UID:GID:MODE:TYPE`, with the mode in octal.
pub(super) const OVERRIDE_STAT: &[u8] = b"user.containers.override_stat";

/// How an attribute is handled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// It is set, with this value.
    Set(Vec<u8>),
    /// It is dropped: it belongs to a storage driver or to the host, or is unknown.
    Drop,
}

/// Judges one attribute.
///
/// # Errors
///
/// [`Violation::XattrValue`] for a malformed capability or ACL (capabilities(7), acl(5)), and for a value that is too long
/// for Linux: the error of the system call would blame the system.
pub(super) fn judge(xattr: &Xattr, choice: Xattrs) -> Result<Allowed, Violation> {
    let malformed = || Violation::XattrValue { name: Escaped::new(&xattr.name) };
    let is_short = xattr.value.len() <= LONGEST_VALUE;
    let value = match (Kind::of(&xattr.name), choice) {
        (Kind::Capability, _) => Capability::read(&xattr.value).ok_or_else(malformed)?.write(),
        (Kind::Acl, _) if is_short && is_acl(&xattr.value) => xattr.value.clone(),
        (Kind::Impossible, _) => return Ok(Allowed::Drop),
        (Kind::Control, _) if choice != Xattrs::All => return Ok(Allowed::Drop),
        (Kind::Control | Kind::Free, _) if is_short => xattr.value.clone(),
        _ => return Err(malformed()),
    };
    Ok(if choice == Xattrs::None { Allowed::Drop } else { Allowed::Set(value) })
}

/// Maps the ids in the value of an attribute that was judged.
pub(super) fn map_ids<E>(xattr: &mut Xattr, mut map: impl FnMut(IdKind, u32) -> Result<u32, E>) -> Result<(), E> {
    match Kind::of(&xattr.name) {
        Kind::Capability => {
            if let Some(mut capability) = Capability::read(&xattr.value) {
                capability.root = map(IdKind::Root, capability.root)?;
                xattr.value = capability.write();
            }
            Ok(())
        }
        Kind::Acl => map_acl(&mut xattr.value, map),
        Kind::Free | Kind::Control | Kind::Impossible => Ok(()),
    }
}

/// The kind of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdKind {
    /// The root of the user namespace in which a capability is valid.
    Root,
    /// A user, in an ACL.
    User,
    /// A group, in an ACL.
    Group,
}

/// The kind of an attribute, by its name.
enum Kind {
    /// Every layer may set it.
    Free,
    Capability,
    Acl,
    /// Only a storage driver may set it, because it marks whiteouts or owners. Or only the host may set it, or it is
    /// unknown.
    Control,
    /// Linux does not accept the name: it has an unknown namespace, or nothing after it.
    Impossible,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        let namespaces: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system."];
        let in_namespace = |space: &&[u8]| name.len() > space.len() && name.starts_with(space);
        match name {
            b"security.capability" => Self::Capability,
            ACCESS_ACL | DEFAULT_ACL => Self::Acl,
            OVERRIDE_STAT | b"user.rootlesscontainers" => Self::Control,
            _ if !namespaces.iter().any(in_namespace) => Self::Impossible,
            _ if name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") => Self::Free,
            _ => Self::Control,
        }
    }
}

/// The longest value that Linux accepts (`XATTR_SIZE_MAX`).
const LONGEST_VALUE: usize = 1 << 16;

const REVISION: u32 = 0xff00_0000;
const REVISION_1: u32 = 0x0100_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;
const EFFECTIVE: u32 = 1;

/// A file capability of any revision (capabilities(7), "File capability extended attribute versioning").
struct Capability {
    effective: u32,
    sets: [[u8; 4]; 4],
    /// The root of the user namespace in which it is valid; 0 for that of the host.
    root: u32,
}

impl Capability {
    fn read(value: &[u8]) -> Option<Self> {
        let (words, []) = value.as_chunks::<4>() else { return None };
        let (&magic, sets) = words.split_first()?;
        let magic = u32::from_le_bytes(magic);
        if magic & !(REVISION | EFFECTIVE) != 0 {
            return None;
        }
        let zero = [0; 4];
        let (sets, root) = match (magic & REVISION, sets) {
            (REVISION_1, &[permitted, inheritable]) => ([permitted, inheritable, zero, zero], 0),
            (REVISION_2, &[a, b, c, d]) => ([a, b, c, d], 0),
            (REVISION_3, &[a, b, c, d, root]) => ([a, b, c, d], u32::from_le_bytes(root)),
            _ => return None,
        };
        Some(Self { effective: magic & EFFECTIVE, sets, root })
    }

    /// Writes revision 2 if it is valid for the host's root, otherwise 3. Current kernels do not accept revision 1.
    fn write(&self) -> Vec<u8> {
        let (revision, root) = match self.root {
            0 => (REVISION_2, None),
            root => (REVISION_3, Some(root.to_le_bytes())),
        };
        let magic = (revision | self.effective).to_le_bytes();
        [magic].into_iter().chain(self.sets).chain(root).flatten().collect()
    }
}

/// Whether this is an ACL as Linux stores it: its entries are in order, the three base entries occur once, and there is a
/// mask if one is needed.
fn is_acl(value: &[u8]) -> bool {
    let Some(entries) = value.strip_prefix(&ACL_VERSION) else { return false };
    let (entries, []) = entries.as_chunks::<ACL_ENTRY>() else { return false };
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

/// Maps the ids in an ACL, and sorts its entries by the new ids.
fn map_acl<E>(value: &mut Vec<u8>, mut map: impl FnMut(IdKind, u32) -> Result<u32, E>) -> Result<(), E> {
    let Some((entries, _)) = value.strip_prefix(&ACL_VERSION).map(<[u8]>::as_chunks::<ACL_ENTRY>) else {
        return Ok(());
    };
    let mut mapped = Vec::with_capacity(entries.len());
    for &[t0, t1, p0, p1, i0, i1, i2, i3] in entries {
        let id = u32::from_le_bytes([i0, i1, i2, i3]);
        let tag = u16::from_le_bytes([t0, t1]);
        let id = match tag {
            USER => map(IdKind::User, id)?,
            GROUP => map(IdKind::Group, id)?,
            _ => id,
        };
        mapped.push((tag, id, [p0, p1]));
    }
    mapped.sort_by_key(|&(tag, id, _)| (tag, id));
    mapped.dedup_by_key(|&mut (tag, id, _)| (tag, id));
    let bytes = |(tag, id, [p0, p1]): (u16, u32, [u8; 2])| {
        let ([t0, t1], [i0, i1, i2, i3]) = (tag.to_le_bytes(), id.to_le_bytes());
        [t0, t1, p0, p1, i0, i1, i2, i3]
    };
    *value = ACL_VERSION.into_iter().chain(mapped.into_iter().flat_map(bytes)).collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, value: &[u8]) -> Result<Allowed, Violation> {
        judge(&Xattr { name: name.into(), value: value.into() }, Xattrs::Safe)
    }

    fn mapped(name: &str, value: &[u8], by: u32) -> Vec<u8> {
        let mut xattr = Xattr { name: name.into(), value: value.into() };
        map_ids(&mut xattr, |kind, id| match kind {
            IdKind::Group => Ok::<_, ()>(id + 2 * by),
            IdKind::Root | IdKind::User => Ok(id + by),
        })
        .unwrap();
        xattr.value
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
    fn all_is_all_that_a_kernel_may_take_and_none_is_still_looked_at() {
        let judged =
            |name: &str, value: &[u8], choice| judge(&Xattr { name: name.into(), value: value.into() }, choice);
        for name in ["user.overlay.origin", "trusted.overlay.opaque", "security.selinux", "user.rootlesscontainers"] {
            assert_eq!(judged(name, b"1", Xattrs::All), Ok(Allowed::Set(b"1".to_vec())), "{name}");
            assert!(judged(name, &vec![0; LONGEST_VALUE + 1], Xattrs::All).is_err(), "{name}");
        }
        for name in ["user.", "other", "other.x"] {
            assert_eq!(judged(name, b"1", Xattrs::All), Ok(Allowed::Drop), "{name}");
        }
        assert_eq!(judged("user.a", b"1", Xattrs::None), Ok(Allowed::Drop));
        for choice in [Xattrs::All, Xattrs::None] {
            assert!(judged("security.capability", b"1", choice).is_err());
            assert!(judged("system.posix_acl_access", b"1", choice).is_err());
        }
    }

    #[test]
    fn capabilities_of_every_revision_are_read_and_mapped() {
        let name = "security.capability";
        let sets = [1, 2, 3, 4].map(u32::to_le_bytes).concat();
        let v2 = [&[1, 0, 0, 2][..], &sets].concat();
        assert_eq!(judged(name, &v2), Ok(Allowed::Set(v2.clone())));
        let v3 = [&[1, 0, 0, 3][..], &sets, &[0, 0, 1, 0]].concat();
        assert_eq!(judged(name, &v3), Ok(Allowed::Set(v3.clone())));
        let v1 = [&[0, 0, 0, 1][..], &sets[..8]].concat();
        let as_v2 = [&[0, 0, 0, 2][..], &sets[..8], &[0; 8]].concat();
        assert_eq!(judged(name, &v1), Ok(Allowed::Set(as_v2)));
        for wrong in [&b""[..], &v3[..20], &v3[..23], &[0, 0, 0, 2], &[9; 20]] {
            assert!(judged(name, wrong).is_err());
        }
        // The capability must have no effect on the host: it is valid for the root id to which the image's root is mapped.
        assert_eq!(mapped(name, &v2, 0x0201), [&[1, 0, 0, 3][..], &sets, &[1, 2, 0, 0]].concat());
        assert_eq!(mapped(name, &v3, 1), [&[1, 0, 0, 3][..], &sets, &[1, 0, 1, 0]].concat());
        assert_eq!(mapped(name, &v2, 0), v2);
    }

    #[test]
    fn ids_in_acls_are_mapped_and_nothing_else_of_them() {
        let none = u32::MAX;
        let before =
            [(USER_OBJ, 6, none), (USER, 7, 5), (GROUP_OBJ, 4, none), (GROUP, 1, 7), (MASK, 7, none), (OTHER, 4, none)];
        let after = before.map(|(tag, permissions, id)| match tag {
            USER => (tag, permissions, id + 100),
            GROUP => (tag, permissions, id + 200),
            _ => (tag, permissions, id),
        });
        assert_eq!(mapped("system.posix_acl_access", &acl(&before), 100), acl(&after));
        let mut two = Xattr { name: b"system.posix_acl_default".to_vec(), value: acl(&[(USER, 1, 5), (USER, 2, 6)]) };
        map_ids(&mut two, |_, id| Ok::<_, ()>(10 - id)).unwrap();
        assert_eq!(two.value, acl(&[(USER, 2, 4), (USER, 1, 5)]));
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
