//! A change as an entry: its headers, and what stands between them and its data.

use super::header::{self, Block, Fields};
use super::holes;
use super::records::Records;
use crate::read::{BLOCK, is_doubtful_start};
use crate::words::acl::{self, AclOf};
use crate::words::{
    Change, ChangeKind, DeviceKind, EntryPath, Metadata, Segment, SparseMap, Timestamp, Violation, Xattr,
};
use std::borrow::Cow;

/// The prefix of the last component of a whiteout.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The name in a header whose real name is in a PAX record.
const STAND_IN: &[u8] = b"PaxHeaders/name";
/// The same of a sparse file. A reader that does not know PAX then extracts its map and data under a name of this kind.
const SPARSE_STAND_IN: &[u8] = b"GNUSparseFile.0/name";
/// The name of all PAX headers.
const PAX_NAME: &[u8] = b"PaxHeaders/pax";

/// Whether an entry is the first of its archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    First,
    Later,
}

/// Where the name of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameIn {
    Header,
    Record,
}

/// A change as an entry.
#[derive(Debug)]
pub(super) struct Member<'c> {
    flag: u8,
    name: Vec<u8>,
    target: Cow<'c, [u8]>,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Timestamp,
    xattrs: Vec<&'c Xattr>,
    device: (u32, u32),
    /// The size of the file, holes included.
    size: u64,
    /// The segments of a file with holes.
    segments: Option<Vec<Segment>>,
}

impl<'c> Member<'c> {
    /// Makes the entry that means this change.
    ///
    /// # Errors
    ///
    /// [`Violation::Unwritable`] if no entry means it to all readers.
    pub(super) fn of(change: &'c Change) -> Result<Self, Violation> {
        let path = &change.path;
        if !matches!(change.kind, ChangeKind::PseudoLink { .. }) {
            check_ordinary(path)?;
        }
        if path.is_root() && !matches!(change.kind, ChangeKind::Directory(_) | ChangeKind::OpaqueWhiteout) {
            return Err(unwritable("the root is a directory"));
        }
        let name = path.as_bytes();
        match &change.kind {
            ChangeKind::Directory(metadata) => {
                let name = if path.is_root() { b"." } else { name };
                Self::new(b'5', [name, b"/"].concat()).with(metadata)
            }
            ChangeKind::File { metadata, size, sparse } => {
                Self::new(b'0', name.to_vec()).with(metadata).map(|member| member.with_content(*size, sparse.as_ref()))
            }
            ChangeKind::PseudoLink { metadata, size, sparse } => {
                path.pseudo_link().ok_or(unwritable("a pseudo-link has another name than AUFS gives it"))?;
                Self::new(b'0', name.to_vec()).with(metadata).map(|member| member.with_content(*size, sparse.as_ref()))
            }
            ChangeKind::HardLink { target, metadata } => {
                if target.pseudo_link().is_none() {
                    check_ordinary(target)?;
                }
                if target.is_root() {
                    return Err(unwritable("the target of a hard link is the root"));
                }
                let member = Self::new(b'1', name.to_vec()).with(metadata)?;
                // Some readers set them on the file that is linked to.
                Ok(Self { target: relative(target.as_bytes()), xattrs: Vec::new(), ..member })
            }
            ChangeKind::Symlink { metadata, target } => {
                let member = Self::new(b'2', name.to_vec()).with(metadata)?;
                // The mode of a symbolic link means nothing, so it is always the same.
                Ok(Self { target: Cow::Borrowed(target.as_bytes()), mode: 0o777, ..member })
            }
            ChangeKind::Fifo(metadata) => Self::new(b'6', name.to_vec()).with(metadata),
            ChangeKind::Device { metadata, device } => {
                if !device.is_possible() || device.is_zero() {
                    return Err(unwritable("Linux has no such device"));
                }
                let flag = if device.kind == DeviceKind::Character { b'3' } else { b'4' };
                let member = Self::new(flag, name.to_vec()).with(metadata)?;
                Ok(Self { device: (device.major, device.minor), ..member })
            }
            ChangeKind::Whiteout => Ok(Self::new(b'0', whiteout(path))),
            ChangeKind::OpaqueWhiteout => Ok(Self::new(b'0', in_directory(name, OPAQUE))),
            ChangeKind::Skipped(_) => Err(unwritable("the policy skips it")),
        }
    }

    fn new(flag: u8, name: Vec<u8>) -> Self {
        Self {
            flag,
            name: relative(&name).into_owned(),
            target: Cow::Borrowed(b""),
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: Vec::new(),
            device: (0, 0),
            size: 0,
            segments: None,
        }
    }

    fn with(self, metadata: &'c Metadata) -> Result<Self, Violation> {
        let Metadata { mode, uid, gid, mtime, .. } = *metadata;
        if mode > 0o7777 {
            return Err(unwritable("its mode has bits that tar does not have"));
        }
        if uid == u32::MAX || gid == u32::MAX {
            return Err(unwritable("4294967295 is the owner of no file"));
        }
        check_time(mtime)?;
        let mut xattrs: Vec<_> = metadata.xattrs.iter().collect();
        xattrs.sort_by(|one, other| one.name.cmp(&other.name));
        xattrs.iter().try_for_each(|xattr| check_xattr(&xattr.name))?;
        let is_twice = |pair: &[&Xattr]| matches!(pair, [one, other] if one.name == other.name);
        if xattrs.windows(2).any(is_twice) {
            return Err(unwritable("an extended attribute occurs twice"));
        }
        Ok(Self { mode, uid, gid, mtime, xattrs, ..self })
    }

    fn with_content(self, size: u64, map: Option<&SparseMap>) -> Self {
        let segments = map.and_then(|map| holes::segments(map, size));
        Self { size, segments, ..self }
    }

    /// The segments of a file with holes.
    pub(super) fn segments(&self) -> Option<&[Segment]> {
        self.segments.as_deref()
    }

    /// The bytes of the file's data in the archive.
    pub(super) fn stored(&self) -> u64 {
        self.segments().map_or(self.size, holes::stored)
    }

    /// The headers, and the map of a file with holes: everything before the data.
    ///
    /// Some readers look at the first block of an archive, and take some for another format. Such a block is not the first
    /// one of an entry that begins the archive.
    pub(super) fn head(&self, position: Position) -> Result<Vec<u8>, Violation> {
        let map = self.segments().map(holes::text).unwrap_or_default();
        let size = self.stored().saturating_add(map.len() as u64);
        let name = match header::split(&self.name) {
            Some(_) if self.segments.is_none() => NameIn::Header,
            _ => NameIn::Record,
        };
        let mut records = self.records(size, name)?;
        let mut block = self.block(size, name);
        if position == Position::First && records.is_empty() && is_doubtful_start(&block) {
            records = self.records(size, NameIn::Record)?;
            block = self.block(size, NameIn::Record);
        }
        let mut head = Vec::with_capacity(4 * BLOCK + map.len());
        if !records.is_empty() {
            let content = records.as_bytes();
            head.extend_from_slice(&header_of_pax(content.len() as u64));
            head.extend_from_slice(content);
            head.resize(head.len().next_multiple_of(BLOCK), 0);
        }
        head.extend_from_slice(&block);
        head.extend_from_slice(&map);
        Ok(head)
    }

    /// What its ACLs belong to, which some readers take from text alone.
    fn acl_of(&self) -> Option<AclOf> {
        match self.flag {
            b'0' => Some(AclOf::File),
            b'5' => Some(AclOf::Directory),
            _ => None,
        }
    }

    /// The header.
    fn block(&self, size: u64, name: NameIn) -> Block {
        let stand_in = if self.segments.is_some() { SPARSE_STAND_IN } else { STAND_IN };
        let split = header::split(&self.name).filter(|_| name == NameIn::Header);
        let (prefix, name) = split.unwrap_or((b"", stand_in));
        header::block(&Fields {
            flag: self.flag,
            prefix,
            name,
            target: if header::has_room_for_target(&self.target) { &self.target } else { STAND_IN },
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size,
            mtime: self.mtime.seconds(),
            device: self.device,
        })
    }

    /// What the header has no room for. A number that is there is in the header too, in base-256.
    fn records(&self, size: u64, name: NameIn) -> Result<Records, Violation> {
        let mut records = Records::default();
        let target = Some(&*self.target).filter(|target| !header::has_room_for_target(target));
        let name = Some(&self.name[..]).filter(|_| name == NameIn::Record);
        // libarchive takes names for UTF-8 otherwise: it composes letters and accents, loses what is not UTF-8, and under
        // LC_ALL=C it takes ASCII alone.
        if name.into_iter().chain(target).any(|text| !text.is_ascii()) {
            records.add(b"hdrcharset", b"BINARY")?;
        }
        if self.segments.is_some() {
            records.add(b"GNU.sparse.major", b"1")?;
            records.add(b"GNU.sparse.minor", b"0")?;
            records.add(b"GNU.sparse.name", &self.name)?;
            records.add_number(b"GNU.sparse.realsize", self.size)?;
        }
        // The keys above are no text of the archive's author.
        let mut others = Records::default();
        if self.segments.is_none() {
            name.map_or(Ok(()), |name| others.add(b"path", name))?;
            // Python takes the size in a record for that of a sparse file with its holes.
            if !header::is_octal_size(size) {
                others.add_number(b"size", size)?;
            }
        }
        target.map_or(Ok(()), |target| others.add(b"linkpath", target))?;
        for (key, id) in [(&b"uid"[..], self.uid), (b"gid", self.gid)] {
            if !header::is_octal_id(id) {
                others.add_number(key, id.into())?;
            }
        }
        if self.mtime.nanoseconds() > 0 || !header::is_octal_time(self.mtime.seconds()) {
            others.add(b"mtime", time(self.mtime).as_bytes())?;
        }
        for (key, text) in self.xattrs.iter().filter_map(|xattr| acl::record(xattr, (self.mode, self.acl_of()?))) {
            others.add(key, &text)?;
        }
        for xattr in &self.xattrs {
            others.add(&[b"SCHILY.xattr.", &xattr.name[..]].concat(), &xattr.value)?;
        }
        let mut name = Records::default();
        name.add(b"name", &self.name)?;
        if self.segments.is_some() && (others.mention_holes() || name.mention_holes()) {
            return Err(unwritable("a sparse file has a name or an attribute that contains a key of a sparse map"));
        }
        records.append(others)?;
        Ok(records)
    }
}

/// The header of an extended header with this number of bytes.
pub(super) fn header_of_pax(size: u64) -> Block {
    header::block(&Fields { flag: b'x', name: PAX_NAME, mode: 0o644, size, ..Fields::default() })
}

fn unwritable(because: &'static str) -> Violation {
    Violation::Unwritable { because }
}

/// Refuses a name that means a whiteout.
fn check_ordinary(path: &EntryPath) -> Result<(), Violation> {
    match path.components().any(|component| component.as_bytes().starts_with(WHITEOUT)) {
        true => Err(unwritable("its name is that of a whiteout")),
        false => Ok(()),
    }
}

/// The first second that Python, in floating point, takes for one that does not fit into 64 bits.
const TOO_LATE: i64 = i64::MAX - 511;

/// libarchive adds the fraction of a time before 1970 to its seconds, and others subtract it. So there is no such time that
/// all read alike.
fn check_time(time: Timestamp) -> Result<(), Violation> {
    match (time.seconds(), time.nanoseconds()) {
        (i64::MIN | TOO_LATE.., _) => Err(unwritable("its time is out of range")),
        (..0, 1..) => Err(unwritable("its time is before 1970, and not a whole second")),
        _ => Ok(()),
    }
}

/// The key of a record ends at its first `=`, and GNU tar decodes `%3D` and `%25`, which others do not.
fn check_xattr(name: &[u8]) -> Result<(), Violation> {
    let is_escape = |bytes: &[u8]| matches!(bytes, b"%3D" | b"%25");
    if name.is_empty() || name.len() > 255 || name.contains(&0) {
        return Err(unwritable("the name of an extended attribute is empty, too long, or has a NUL byte"));
    }
    if name.contains(&b'=') || name.windows(3).any(is_escape) {
        return Err(unwritable("the name of an extended attribute contains `=`, `%3D` or `%25`"));
    }
    Ok(())
}

/// A time as a decimal number: whole seconds, or all nine digits behind the point. mkfs.erofs takes a shorter fraction for
/// a number of nanoseconds.
fn time(time: Timestamp) -> String {
    match time.nanoseconds() {
        0 => time.seconds().to_string(),
        _ => time.to_string(),
    }
}

/// A name that all readers take for one below the directory of the archive. bsdtar removes the start of what Windows takes
/// for an absolute path: `C:` and backslashes. `C:/x` and `x` would be one file.
fn relative(name: &[u8]) -> Cow<'_, [u8]> {
    match name {
        [b'\\', ..] => Cow::Owned([b"./", name].concat()),
        [letter, b':', ..] if letter.is_ascii_alphabetic() => Cow::Owned([b"./", name].concat()),
        _ => Cow::Borrowed(name),
    }
}

/// The name of the whiteout of a path.
fn whiteout(path: &EntryPath) -> Vec<u8> {
    let (directory, name) =
        path.split_last().map_or((&b""[..], &b""[..]), |(directory, name)| (directory, name.as_bytes()));
    in_directory(directory, &[WHITEOUT, name].concat())
}

fn in_directory(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
