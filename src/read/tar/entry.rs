//! An entry from its header and extended headers.

use super::{extended::Extended, header::Header, pax::Pax, quirk_set::QuirkSet, sparse::Layout};
use crate::words::acl::{self, AclOf};
use crate::words::{
    DeviceKind, EntryKind, Escaped, Limit, Limits, LinkTarget, Metadata, Quirk, QuirkRule, Timestamp, UnsupportedType,
    Violation,
};

/// An entry without its name.
pub(crate) struct Composed {
    pub(crate) kind: EntryKind,
    pub(crate) metadata: Metadata,
    /// For a file, the number of its bytes in the archive.
    pub(crate) stored: u64,
    /// For a sparse file, the location of its map.
    pub(crate) sparse: Option<Layout>,
}

/// Returns the type of an entry and its attributes.
///
/// `name` is the final name. Writers cut the field of the header at 100 bytes, which may be after a slash.
pub(crate) fn compose(
    header: &Header,
    mut extended: Extended,
    name: &[u8],
    limits: &Limits,
    quirks: &mut QuirkSet,
) -> Result<Composed, Violation> {
    // The bytes may be a prefix, but not if the name is in an extended header: then no reader uses the prefix.
    if header.has_stray_map() && !quirks.contains(QuirkRule::GnuPrefix) {
        return Err(Violation::Sparse { format: "old GNU" });
    }
    let target = extended.take_target(quirks);
    let target = || target.unwrap_or_else(|| header.target().to_vec());
    let mut pax = extended.into_pax();
    let mut sparse = std::mem::take(&mut pax.sparse).layout()?;
    let mut size = size(header.size()?, pax.size, quirks);
    let mut kind = match header.flag() {
        b'0' | 0 | b'7' => file(header, name, size, quirks)?,
        b'1' => {
            let target = target();
            // GNU tar, bsdtar and busybox find no such target. Python writes the file a second time.
            if ends_like_directory(&target) && !is_root(&target) && !is_whiteout(name) {
                quirks.add(Quirk::FileWithSlash);
            }
            EntryKind::HardLink { target }
        }
        b'2' => EntryKind::Symlink { target: LinkTarget::parse(&target())? },
        b'3' => EntryKind::Device(header.device(DeviceKind::Character, quirks)?),
        b'4' => EntryKind::Device(header.device(DeviceKind::Block, quirks)?),
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        b'S' if sparse.is_some() => return Err(Violation::Sparse { format: "old GNU" }),
        b'S' => {
            sparse = Some(Layout::of_old_gnu(header, limits)?);
            quirks.add(Quirk::OldSparseFile);
            file(header, name, size, quirks)?
        }
        flag => return Err(Violation::EntryType { flag: Escaped::new(&[flag]), meaning: UnsupportedType::of(flag) }),
    };
    // Commons Compress creates a directory for every name with a slash at its end, even for a link.
    if ends_like_directory(name) && !matches!(kind, EntryKind::File { .. } | EntryKind::Directory) {
        quirks.add(Quirk::FileWithSlash);
    }
    if let Some(layout) = &sparse {
        // With another type than `0`, some readers apply the records and others do not. With GNU magic, GNU tar looks for
        // a map in the header.
        let is_read = header.flag() == b'S' || (header.flag() == b'0' && header.is_posix());
        let (EntryKind::File { size, .. }, true) = (&mut kind, is_read) else {
            return Err(Violation::Sparse { format: "PAX" });
        };
        // Python interprets the size in a record as the size of the whole file, not as the number of stored bytes. Writers
        // use such a record only if the field of the header is too small.
        let is_restated = pax.size.is_some_and(|size| size <= MOST_OCTAL);
        // If GNU tar takes the header for one of star, it reads the map as data.
        let is_of_star = header.flag() != b'S' && header.has_bytes_after_prefix();
        if is_restated || is_of_star {
            return Err(Violation::Sparse { format: if header.flag() == b'S' { "old GNU" } else { "PAX" } });
        }
        *size = layout.size();
    }
    if let EntryKind::File { size, .. } = kind {
        limits.check(Limit::FileBytes, size)?;
    }
    if size > 0 && !matches!(kind, EntryKind::File { .. }) {
        // Go reads the following bytes as headers. Others skip them.
        quirks.add(Quirk::SizeWithoutData { size });
        size = 0;
    }
    // A field must be a valid number even if a record overrides it.
    let (uid, gid, seconds) = (header.uid()?, header.gid()?, header.mtime(quirks)?);
    let mode = header.mode()?;
    check_acls(&pax, mode, &kind, quirks);
    let metadata = Metadata {
        mode,
        uid: pax.uid.unwrap_or(uid),
        gid: pax.gid.unwrap_or(gid),
        mtime: pax.mtime.unwrap_or(Timestamp::of_seconds(seconds)),
        xattrs: pax.xattrs,
    };
    Ok(Composed { kind, metadata, stored: size, sparse })
}

/// Notes the first ACL in text form that no extended attribute of the entry repeats: it is dropped. GNU tar, star and bsdtar
/// read ACLs as text alone, and others as attributes alone, so archives for all of them have both.
fn check_acls(pax: &Pax, mode: u32, kind: &EntryKind, quirks: &mut QuirkSet) {
    let of = match kind {
        EntryKind::File { .. } => Some(AclOf::File),
        EntryKind::Directory => Some(AclOf::Directory),
        EntryKind::HardLink { .. } | EntryKind::Symlink { .. } | EntryKind::Fifo | EntryKind::Device(_) => None,
    };
    let twins: Vec<_> = if pax.acls.is_empty() {
        Vec::new()
    } else {
        pax.xattrs.iter().filter_map(|xattr| acl::record(xattr, (mode, of?))).collect()
    };
    let is_twin = |(key, value): &(Vec<u8>, Vec<u8>)| twins.iter().any(|twin| (twin.0, &twin.1) == (key, value));
    if let Some((key, _)) = pax.acls.iter().find(|acl| !is_twin(acl)) {
        quirks.add(Quirk::AclDropped { key: Escaped::new(key) });
    }
}

/// Returns the size: that of the record, as in Go. Both should be equal if eleven octal digits can hold the size of the
/// record, or if the header has a larger number in base-256.
fn size(header: u64, pax: Option<u64>, quirks: &mut QuirkSet) -> u64 {
    let Some(pax) = pax else { return header };
    if disagree(header, pax) {
        quirks.add(Quirk::SizeDisagrees { header, pax });
    }
    pax
}

fn disagree(header: u64, pax: u64) -> bool {
    pax != header && (pax <= MOST_OCTAL || header > MOST_OCTAL)
}

/// The largest number in eleven octal digits.
const MOST_OCTAL: u64 = 0o777_7777_7777;

/// Returns the number of data bytes after a header, if it is certain although the entry is refused. `pax` is the size in
/// its records.
pub(crate) fn stored(header: &Header, pax: Option<u64>, name: &[u8]) -> Option<u64> {
    let own = header.size().ok()?;
    let stored = pax.unwrap_or(own);
    let has_data = match header.flag() {
        b'1'..=b'6' => false,
        0 => !name.ends_with(b"/") && !header.own_name().ends_with(b"/"),
        _ => true,
    };
    // An old GNU map may continue in blocks that are not part of the size.
    let is_sure = header.flag() != b'S' && !disagree(own, stored) && (has_data || stored == 0);
    is_sure.then_some(stored)
}

fn file(header: &Header, name: &[u8], size: u64, quirks: &mut QuirkSet) -> Result<EntryKind, Violation> {
    let flag = header.flag();
    // Version 7 had no type for directories. For other file types, GNU tar creates a directory and Go a file.
    let is_directory = flag == 0 && name.ends_with(b"/");
    let is_odd = if is_directory { size > 0 } else { ends_like_directory(name) };
    if is_odd || (flag == 0 && field_disagrees(header.own_name(), name, size)) {
        quirks.add(Quirk::FileWithSlash);
    }
    if is_directory {
        return Ok(EntryKind::Directory);
    }
    if flag == b'7' {
        quirks.add(Quirk::ContiguousFile);
    }
    Ok(EntryKind::File { size, sparse: None })
}

/// Whether only one of the header's name field and the final name ends with the slash of a directory in version 7. Python
/// checks the field: it then creates a directory instead of a file, and reads the content of the file as headers.
///
/// If the field was merely cut, this matters only if there is content.
fn field_disagrees(field: &[u8], name: &[u8], size: u64) -> bool {
    // The tar crate cuts between characters, so its field may be up to three bytes shorter.
    let is_cut = field.len() + 4 > Header::NAME_BYTES && name.starts_with(field);
    field.ends_with(b"/") != name.ends_with(b"/") && (size > 0 || !is_cut)
}

/// Whether a name has an ending that only directories may have. The kernel finds only directories by such a name, and some
/// readers remove the ending. Another rule is about the root.
fn ends_like_directory(name: &[u8]) -> bool {
    name.ends_with(b"/") || (name.ends_with(b"/.") && !is_root(name))
}

fn is_root(name: &[u8]) -> bool {
    parts(name).next().is_none()
}

/// Whether an entry is a whiteout, whose target is ignored.
fn is_whiteout(name: &[u8]) -> bool {
    parts(name).next_back().is_some_and(|last| last.starts_with(b".wh."))
}

/// The components of a name, without empty ones and `.`.
fn parts(name: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    name.split(|&byte| byte == b'/').filter(|part| !matches!(part, [] | [b'.']))
}
