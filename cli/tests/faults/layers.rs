//! Layers that whoever unpacks them may make all of.

use crate::build::{Archive, Header, tar};
use tar::EntryType;

/// Type, name, content or what a link points at, mode.
pub(crate) type Entry<'a> = (EntryType, &'a str, &'a str, u32);

/// Without root it is all the caller's.
pub(crate) fn layer(entries: &[Entry<'_>]) -> Vec<u8> {
    layer_of((rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()), entries)
}

/// What belongs to root, as whoever mounts something is one in his namespace, where there is nobody else.
pub(crate) fn layer_of_root(entries: &[Entry<'_>]) -> Vec<u8> {
    layer_of((0, 0), entries)
}

fn layer_of(owner: (u32, u32), entries: &[Entry<'_>]) -> Vec<u8> {
    entries.iter().fold(tar(), |archive, entry| add(archive, owner, entry)).end()
}

/// A file of root with an attribute.
pub(crate) fn attributed() -> Vec<u8> {
    let archive = tar().pax(&[("SCHILY.xattr.user.a", b"1")]);
    add(archive, (0, 0), &(EntryType::Regular, "file", "", 0o644)).end()
}

fn add(archive: Archive, (uid, gid): (u32, u32), &(kind, name, data, mode): &Entry<'_>) -> Archive {
    let header = Header::posix(kind.as_byte(), name).mode(mode).mtime(1_000_000_000).owner(uid, gid);
    match kind {
        EntryType::Regular => archive.with(header, data),
        _ => archive.header(header.target(data)),
    }
}
