//! ACLs as Linux stores them in extended attributes: a version, and entries of a tag, permissions and an id, in
//! little-endian order.

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
