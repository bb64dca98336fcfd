//! ACLs as Linux stores them in extended attributes: a version, and entries of a tag, permissions and an id, in
//! little-endian order; and as tar archives have them, in text.

use super::entry::Xattr;

/// The extended attribute of the ACL that decides about access.
pub(crate) const ACCESS_ACL: &[u8] = b"system.posix_acl_access";
/// That of the ACL which new files in a directory get.
pub(crate) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

pub(crate) const ACL_VERSION: [u8; 4] = [2, 0, 0, 0];
/// Bytes in an entry.
pub(crate) const ACL_ENTRY: usize = 8;

pub(crate) const USER_OBJ: u16 = 0x01;
pub(crate) const USER: u16 = 0x02;
pub(crate) const GROUP_OBJ: u16 = 0x04;
pub(crate) const GROUP: u16 = 0x08;
pub(crate) const MASK: u16 = 0x10;
pub(crate) const OTHER: u16 = 0x20;

/// The PAX keys by which GNU tar, star and bsdtar write and read ACLs, as text. They read none from extended attributes.
const ACCESS_KEY: &[u8] = b"SCHILY.acl.access";
const DEFAULT_KEY: &[u8] = b"SCHILY.acl.default";

/// What an ACL belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AclOf {
    File,
    Directory,
}

/// The PAX record that means the same as an extended attribute: its key and its value. `None` if the attribute is no ACL, or
/// if readers of the text would set something else:
///
/// - They set the mode before the ACL, and others set it after, so both must have the same permissions.
/// - libarchive reads ids only up to 2,147,483,647.
pub(crate) fn record(xattr: &Xattr, (mode, kind): (u32, AclOf)) -> Option<(&'static [u8], Vec<u8>)> {
    let entries =
        || xattr.value.strip_prefix(&ACL_VERSION).map(<[u8]>::as_chunks::<ACL_ENTRY>).filter(|all| all.1.is_empty());
    match (&*xattr.name, kind) {
        (ACCESS_ACL, AclOf::File | AclOf::Directory) if is_of_mode(entries()?.0, mode) => {
            Some((ACCESS_KEY, text(entries()?.0)?))
        }
        (DEFAULT_ACL, AclOf::Directory) => Some((DEFAULT_KEY, text(entries()?.0)?)),
        _ => None,
    }
}

/// An entry: a tag, permissions, and the id of a named user or group.
fn entry(&[tag_low, tag_high, low, high, ref id @ ..]: &[u8; ACL_ENTRY]) -> (u16, u16, u32) {
    let id = id.first_chunk().map_or(u32::MAX, |id| u32::from_le_bytes(*id));
    (u16::from_le_bytes([tag_low, tag_high]), u16::from_le_bytes([low, high]), id)
}

/// Whether the permissions of a mode are those that an ACL gives it: the group bits are those of the mask, if there is one.
fn is_of_mode(entries: &[[u8; ACL_ENTRY]], mode: u32) -> bool {
    let permissions =
        |wanted| entries.iter().map(entry).find(|(tag, ..)| *tag == wanted).map(|(_, bits, _)| u32::from(bits));
    let group = permissions(MASK).or(permissions(GROUP_OBJ));
    let parts = [permissions(USER_OBJ), group, permissions(OTHER)];
    parts == [6, 3, 0].map(|shift| Some(mode >> shift & 7))
}

fn text(entries: &[[u8; ACL_ENTRY]]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(entries.len() * 16);
    for (tag, permissions, id) in entries.iter().map(entry) {
        let name = match tag {
            USER_OBJ | USER => "user",
            GROUP_OBJ | GROUP => "group",
            MASK => "mask",
            OTHER => "other",
            _ => return None,
        };
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        if let USER | GROUP = tag {
            let id = i32::try_from(id).ok()?;
            text.extend_from_slice(id.to_string().as_bytes());
        }
        text.push(b':');
        let bit = |bit: u16, letter| if permissions & bit == 0 { b'-' } else { letter };
        text.extend([bit(4, b'r'), bit(2, b'w'), bit(1, b'x')]);
        if permissions > 7 {
            return None;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut acl = ACL_VERSION.to_vec();
        for (tag, permissions, id) in entries {
            acl.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
            acl.extend(id.to_le_bytes());
        }
        acl
    }

    const NONE: u32 = u32::MAX;
    const NAMED: [(u16, u16, u32); 6] =
        [(1, 6, NONE), (2, 4, 1_000), (4, 0, NONE), (8, 7, 2_147_483_647), (0x10, 5, NONE), (0x20, 1, NONE)];
    const TEXT: &str = "user::rw-,user:1000:r--,group::---,group:2147483647:rwx,mask::r-x,other::--x";

    /// The text of an access ACL and of a default ACL.
    fn texts(value: &[u8], mode: u32, kind: AclOf) -> [Option<String>; 2] {
        [ACCESS_ACL, DEFAULT_ACL].map(|name| {
            let xattr = Xattr { name: name.to_vec(), value: value.to_vec() };
            record(&xattr, (mode, kind)).map(|(_, text)| String::from_utf8(text).unwrap())
        })
    }

    #[test]
    fn the_text_has_all_entries_in_their_order() {
        let text = || Some(TEXT.to_owned());
        assert_eq!(texts(&acl(&NAMED), 0o4651, AclOf::Directory), [text(), text()]);
        assert_eq!(texts(&acl(&NAMED), 0o651, AclOf::File), [text(), None]);
        let minimal = acl(&[(1, 7, NONE), (4, 5, NONE), (0x20, 0, NONE)]);
        assert_eq!(texts(&minimal, 0o750, AclOf::File)[0].as_deref(), Some("user::rwx,group::r-x,other::---"));
    }

    #[test]
    fn there_is_no_text_where_its_readers_would_set_something_else() {
        for mode in [0o751, 0o601, 0o650] {
            assert_eq!(texts(&acl(&NAMED), mode, AclOf::Directory), [None, Some(TEXT.to_owned())], "{mode:o}");
        }
        let large = NAMED.map(|(tag, bits, id)| (tag, bits, if tag == USER { 2_147_483_648 } else { id }));
        assert_eq!(texts(&acl(&large), 0o651, AclOf::Directory), [None, None]);
        for malformed in [&acl(&NAMED)[..20 + 7], &[], &acl(&[(0x40, 7, NONE)]), &acl(&[(1, 8, NONE)])] {
            assert_eq!(texts(malformed, 0o651, AclOf::Directory), [None, None], "{malformed:?}");
        }
    }
}
