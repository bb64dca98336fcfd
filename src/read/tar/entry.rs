//! A header and its extended headers, made one entry.

use super::{extended::Extended, header::Header, oddities::Oddities, sparse::Layout};
use crate::words::{
    DeviceKind, EntryKind, Escaped, Limit, Limits, LinkTarget, Metadata, Quirk, QuirkRule, Timestamp, Violation,
};

/// What a header and its extended headers say together.
pub(crate) struct Composed {
    pub(crate) kind: EntryKind,
    pub(crate) metadata: Metadata,
    /// For a file, the bytes that the archive has of it.
    pub(crate) stored: u64,
    /// For a file with holes, where its map is found.
    pub(crate) sparse: Option<Layout>,
}

/// The type of an entry and its attributes.
///
/// `name` is the final one: writers cut the header's field at 100 bytes, at a slash perhaps.
pub(crate) fn compose(
    header: &Header,
    mut extended: Extended,
    name: &[u8],
    limits: &Limits,
    oddities: &mut Oddities,
) -> Result<Composed, Violation> {
    // A prefix may stand there, but not one that a name in an extended header leaves unread.
    if header.has_stray_map() && !oddities.shows(QuirkRule::GnuPrefix) {
        return Err(Violation::Sparse { format: "old GNU" });
    }
    let target = extended.take_target(oddities);
    let target = || target.unwrap_or_else(|| header.target().to_vec());
    let mut pax = extended.into_pax();
    let mut sparse = std::mem::take(&mut pax.sparse).layout()?;
    let mut size = size(header.size()?, pax.size, oddities);
    let mut kind = match header.flag() {
        b'0' | 0 | b'7' => file(header, name, size, oddities)?,
        b'1' => {
            let target = target();
            // GNU tar, bsdtar and busybox find nothing there, Python writes the file a second time.
            if ends_like_directory(&target) && !is_root(&target) && !is_whiteout(name) {
                oddities.add(Quirk::FileWithSlash);
            }
            EntryKind::HardLink { target }
        }
        b'2' => EntryKind::Symlink { target: LinkTarget::parse(&target())? },
        b'3' => EntryKind::Device(header.device(DeviceKind::Character, oddities)?),
        b'4' => EntryKind::Device(header.device(DeviceKind::Block, oddities)?),
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        b'S' if sparse.is_some() => return Err(Violation::Sparse { format: "old GNU" }),
        b'S' => {
            sparse = Some(Layout::of_old_gnu(header, limits)?);
            oddities.add(Quirk::OldSparseFile);
            file(header, name, size, oddities)?
        }
        flag => return Err(Violation::EntryType { flag: Escaped::new(&[flag]), meaning: meaning(flag) }),
    };
    // Commons Compress asks for the slash alone, whatever the type, and so makes a directory of a link.
    if ends_like_directory(name) && !matches!(kind, EntryKind::File { .. } | EntryKind::Directory) {
        oddities.add(Quirk::FileWithSlash);
    }
    if let Some(layout) = &sparse {
        // Of records beside another type than `0` some readers make a file with holes, others one without; beside GNU
        // magic GNU tar looks for an old map.
        let is_read = header.flag() == b'S' || (header.flag() == b'0' && header.is_posix());
        let (EntryKind::File { size, .. }, true) = (&mut kind, is_read) else {
            return Err(Violation::Sparse { format: "PAX" });
        };
        // Python takes a size that a record states for that of the file and not for what is stored of it. Writers state
        // one where the header cannot.
        let is_restated = pax.size.is_some_and(|size| size <= MOST_OCTAL);
        // With what GNU tar takes for star's times, it takes a map for data.
        let is_of_star = header.flag() != b'S' && header.goes_on_behind_prefix();
        if is_restated || is_of_star {
            return Err(Violation::Sparse { format: if header.flag() == b'S' { "old GNU" } else { "PAX" } });
        }
        *size = layout.size();
    }
    if let EntryKind::File { size, .. } = kind {
        limits.check(Limit::FileBytes, size)?;
    }
    if size > 0 && !matches!(kind, EntryKind::File { .. }) {
        // Go reads what follows as headers, others pass over so many bytes.
        oddities.add(Quirk::SizeWithoutData { size });
        size = 0;
    }
    // A field that a record overrides must be a number all the same.
    let (uid, gid, seconds) = (header.uid()?, header.gid()?, header.mtime(oddities)?);
    let metadata = Metadata {
        mode: header.mode()?,
        uid: pax.uid.unwrap_or(uid),
        gid: pax.gid.unwrap_or(gid),
        mtime: pax.mtime.unwrap_or(Timestamp { seconds, nanoseconds: 0 }),
        xattrs: pax.xattrs,
    };
    Ok(Composed { kind, metadata, stored: size, sparse })
}

/// What a type that is refused stands for, for messages.
fn meaning(flag: u8) -> &'static str {
    match flag {
        b'A' => "a Solaris ACL",
        b'D' => "a directory of a GNU incremental archive",
        b'I' => "an inode without content, by star",
        b'M' => "a part of a GNU multi-volume archive",
        b'N' => "a list of long names, by an old GNU tar",
        b'V' => "a GNU volume label",
        b'X' => "a Solaris extended header",
        _ => "unknown",
    }
}

/// The size: a record's, as in Go. Where the header's eleven digits can say it, both should agree, and where the header
/// says more than these in base-256.
fn size(header: u64, pax: Option<u64>, oddities: &mut Oddities) -> u64 {
    let Some(pax) = pax else { return header };
    if disagree(header, pax) {
        oddities.add(Quirk::SizeDisagrees { header, pax });
    }
    pax
}

fn disagree(header: u64, pax: u64) -> bool {
    pax != header && (pax <= MOST_OCTAL || header > MOST_OCTAL)
}

/// What eleven octal digits can say.
const MOST_OCTAL: u64 = 0o777_7777_7777;

/// The bytes of data behind a header, where that is beyond doubt whatever else is wrong with the entry. `pax` is the size
/// by its records.
pub(crate) fn stored(header: &Header, pax: Option<u64>, name: &[u8]) -> Option<u64> {
    let own = header.size().ok()?;
    let stored = pax.unwrap_or(own);
    let has_data = match header.flag() {
        b'1'..=b'6' => false,
        0 => !name.ends_with(b"/") && !header.own_name().ends_with(b"/"),
        _ => true,
    };
    // An old map may go on in blocks that no size counts.
    let is_sure = header.flag() != b'S' && !disagree(own, stored) && (has_data || stored == 0);
    is_sure.then_some(stored)
}

fn file(header: &Header, name: &[u8], size: u64, oddities: &mut Oddities) -> Result<EntryKind, Violation> {
    let flag = header.flag();
    // Version 7 had no flag for directories. Of any other, GNU tar makes a directory and Go a file.
    let is_directory = flag == 0 && name.ends_with(b"/");
    let is_odd = if is_directory { size > 0 } else { ends_like_directory(name) };
    if is_odd || (flag == 0 && field_disagrees(header.own_name(), name, size)) {
        oddities.add(Quirk::FileWithSlash);
    }
    if is_directory {
        return Ok(EntryKind::Directory);
    }
    if flag == b'7' {
        oddities.add(Quirk::ContiguousFile);
    }
    Ok(EntryKind::File { size, sparse: None })
}

/// Whether the slash of version 7 stands at the end of the header's own field and not of the final name, or the other way
/// round. Python asks the field: of a file it makes a directory, and reads what the file holds as headers.
///
/// A field that was only cut says nothing, but where there is content to be read as headers.
fn field_disagrees(field: &[u8], name: &[u8], size: u64) -> bool {
    // The tar crate cuts no character in two.
    let is_cut = field.len() + 4 > Header::NAME_BYTES && name.starts_with(field);
    field.ends_with(b"/") != name.ends_with(b"/") && (size > 0 || !is_cut)
}

/// Whether a name ends as only that of a directory may: the kernel finds nothing else there, and some readers leave the
/// end out. The root as `.` has a rule of its own.
fn ends_like_directory(name: &[u8]) -> bool {
    name.ends_with(b"/") || (name.ends_with(b"/.") && !is_root(name))
}

fn is_root(name: &[u8]) -> bool {
    parts(name).next().is_none()
}

/// Whether an entry removes something, and so ignores its target.
fn is_whiteout(name: &[u8]) -> bool {
    parts(name).next_back().is_some_and(|last| last.starts_with(b".wh."))
}

/// What stands between slashes and does not vanish.
fn parts(name: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    name.split(|&byte| byte == b'/').filter(|part| !matches!(part, [] | [b'.']))
}
