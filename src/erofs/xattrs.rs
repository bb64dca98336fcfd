//! Extended attributes: beside an inode, or once for several inodes.

use super::output::Output;
use super::tree::{NodeKind, Tree};
use super::walk::{Slots, Visited, walk};
use crate::words::{Error, Escaped, Misuse, Xattr};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};

/// Bytes in front of the extended attributes of an inode.
const HEADER: usize = 12;
/// Bytes of an extended attribute before its name, and the unit of its size.
const WORD: usize = 4;
/// An inode has at most so many shared attributes: their count has one byte.
const MOST_SHARED: usize = u8::MAX as usize;
/// If an inode has more bytes of attributes of its own, all of them are stored elsewhere.
const MOST_INLINE: usize = 512;

/// The longest name that Linux has, in bytes.
const LONGEST_NAME: usize = 255;

/// The prefixes of names that are stored as a number. Linux shows no other names.
const PREFIXES: &[(&[u8], u8, Rest)] = &[
    (b"user.", 1, Rest::Needed),
    (b"system.posix_acl_access", 2, Rest::None),
    (b"system.posix_acl_default", 3, Rest::None),
    (b"trusted.", 4, Rest::Needed),
    (b"security.", 6, Rest::Needed),
];

/// Whether something follows a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    None,
    Needed,
}

/// The number of a prefix, and the rest of the name.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|&(prefix, number, needs)| {
        let rest = name.strip_prefix(prefix)?;
        (rest.is_empty() == (needs == Rest::None)).then_some((number, rest))
    })
}

/// Whether an image can have an attribute: Linux shows the name, and the size of the value fits into 16 bits.
pub(crate) fn is_possible(xattr: &Xattr) -> bool {
    let is_name = xattr.name.len() <= LONGEST_NAME && !xattr.name.contains(&0);
    is_name && split(&xattr.name).is_some() && u16::try_from(xattr.value.len()).is_ok()
}

/// The attributes that are stored once for all inodes, and where they are: so many words behind the beginning of the area.
#[derive(Debug, Default)]
pub(super) struct Shared<'t> {
    /// Those of every inode.
    common: Vec<u32>,
    /// Those that several inodes have, or an inode with too much.
    places: HashMap<&'t Xattr, u32>,
}

/// The place of an attribute that is not written yet.
const UNPLACED: u32 = u32::MAX;

/// Bytes of memory for each attribute that differs from all others, while a hash table grows.
#[cfg(feature = "image")]
pub(super) const MEMORY: u64 = 60;

impl<'t> Shared<'t> {
    /// Writes the attributes that are shared: those that every inode has, and then others in the order of the tree.
    ///
    /// # Errors
    ///
    /// An attribute that is not [possible](is_possible), or too many of them.
    pub(super) fn write<T: Tree>(
        tree: &'t T,
        common: &[Xattr],
        slots: &mut Slots,
        out: &mut Output<'_>,
    ) -> Result<Self, Error> {
        let mut repeats = Repeats { common, once: HashSet::new(), places: HashMap::new() };
        repeats.check(&[])?;
        walk(tree, |Visited { node, .. }| {
            let is_first = slots.see(tree.inode(node))?;
            // Known before the walk descends: a directory in itself has no end.
            if !is_first && tree.kind(node) == NodeKind::Directory {
                return Err(Misuse::RepeatedDirectory { name: Escaped::new(tree.name(node)) }.into());
            }
            if is_first { repeats.count(tree.attributes(node).xattrs) } else { Ok(()) }
        })?;
        let start = out.position();
        let mut shared = Self { common: Vec::new(), places: repeats.places };
        for xattr in common {
            shared.common.push(write(xattr, start, out)?);
        }
        if shared.places.is_empty() {
            return Ok(shared);
        }
        walk(tree, |Visited { node, .. }| {
            tree.attributes(node).xattrs.iter().try_for_each(|xattr| shared.write_once(xattr, start, out))
        })?;
        Ok(shared)
    }

    fn write_once(&mut self, xattr: &Xattr, start: u64, out: &mut Output<'_>) -> Result<(), Error> {
        match self.places.get_mut(xattr) {
            Some(place) if *place == UNPLACED => {
                *place = write(xattr, start, out)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn place(&self, xattr: &Xattr) -> Option<u32> {
        self.places.get(xattr).copied()
    }

    /// Bytes beside an inode with these attributes.
    pub(super) fn inline_size(&self, xattrs: &[Xattr]) -> usize {
        if xattrs.is_empty() && self.common.is_empty() {
            return 0;
        }
        let sizes = xattrs.iter().map(|xattr| if self.place(xattr).is_some() { WORD } else { size(xattr) });
        HEADER + WORD * self.common.len() + sizes.sum::<usize>()
    }

    /// The bytes beside an inode with these attributes.
    pub(super) fn encode(&self, xattrs: &[Xattr], out: &mut Vec<u8>) {
        if xattrs.is_empty() && self.common.is_empty() {
            return;
        }
        let shared = xattrs.iter().filter_map(|xattr| self.place(xattr));
        let shared: Vec<_> = self.common.iter().copied().chain(shared).collect();
        out.extend([0, 0, 0, 0, shared.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
        shared.iter().for_each(|place| out.extend(place.to_le_bytes()));
        xattrs.iter().filter(|xattr| self.place(xattr).is_none()).for_each(|xattr| encode(xattr, out));
    }
}

/// Writes an attribute to the area that begins at `start`, and returns its place.
fn write(xattr: &Xattr, start: u64, out: &mut Output<'_>) -> Result<u32, Error> {
    let words = u32::try_from((out.position() - start) / WORD as u64).ok().filter(|&words| words != UNPLACED);
    let mut bytes = Vec::with_capacity(size(xattr));
    encode(xattr, &mut bytes);
    out.write(&bytes)?;
    words.ok_or(Misuse::TooManyXattrs { most: MOST_SHARED }.into())
}

/// Finds the attributes that several inodes have.
struct Repeats<'c, 't> {
    common: &'c [Xattr],
    /// A hash of each attribute that came. An image may have a million attributes that only one inode has each: of these,
    /// nothing else is kept. If two hashes are the same by chance or on purpose, an attribute is stored apart that could be
    /// beside its inode. That is not wrong.
    once: HashSet<u64>,
    places: HashMap<&'t Xattr, u32>,
}

impl<'t> Repeats<'_, 't> {
    fn count(&mut self, xattrs: &'t [Xattr]) -> Result<(), Error> {
        self.check(xattrs)?;
        let is_too_much = xattrs.iter().map(size).sum::<usize>() > MOST_INLINE;
        for xattr in xattrs {
            if is_too_much || !self.once.insert(hash(xattr)) {
                self.places.insert(xattr, UNPLACED);
            }
        }
        Ok(())
    }

    fn check(&self, xattrs: &[Xattr]) -> Result<(), Error> {
        if xattrs.len() + self.common.len() > MOST_SHARED {
            return Err(Misuse::TooManyXattrs { most: MOST_SHARED }.into());
        }
        let mut before = Vec::with_capacity(self.common.len() + xattrs.len());
        for xattr in self.common.iter().chain(xattrs) {
            if before.contains(&&xattr.name) || !is_possible(xattr) {
                return Err(Misuse::ImpossibleXattr { name: Escaped::new(&xattr.name) }.into());
            }
            before.push(&xattr.name);
        }
        Ok(())
    }
}

/// The same on every machine, since it decides where an attribute is stored.
fn hash(Xattr { name, value }: &Xattr) -> u64 {
    let digest: [u8; 32] = Sha256::new_with_prefix(name).chain_update([0]).chain_update(value).finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The number that an inode states for so many bytes beside it.
pub(super) fn words(inline_size: usize) -> u16 {
    match inline_size.checked_sub(HEADER) {
        Some(rest) => (rest / WORD + 1) as u16,
        None => 0,
    }
}

/// Bytes of an attribute.
fn size(xattr: &Xattr) -> usize {
    let (_, rest) = split(&xattr.name).unwrap_or_default();
    (WORD + rest.len() + xattr.value.len()).next_multiple_of(WORD)
}

fn encode(xattr: &Xattr, out: &mut Vec<u8>) {
    let (prefix, rest) = split(&xattr.name).unwrap_or_default();
    let end = out.len() + size(xattr);
    let [low, high] = (xattr.value.len() as u16).to_le_bytes();
    out.extend([rest.len() as u8, prefix, low, high]);
    out.extend_from_slice(rest);
    out.extend_from_slice(&xattr.value);
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_shows_the_names_that_are_possible() {
        let possible = |name: &[u8], value: usize| is_possible(&Xattr { name: name.into(), value: vec![0; value] });
        for name in ["user.a", "trusted.overlay.opaque", "security.capability", "system.posix_acl_default"] {
            assert!(possible(name.as_bytes(), 65_535), "{name}");
        }
        for name in ["user.", "system.nfs4_acl", "system.posix_acl_accessory", "btrfs.compression", "user"] {
            assert!(!possible(name.as_bytes(), 0), "{name}");
        }
        assert!(!possible(b"user.a", 65_536) && !possible(b"user.a\0b", 0));
        let long = "n".repeat(255 - "user.".len());
        assert!(possible(format!("user.{long}").as_bytes(), 0) && !possible(format!("user.{long}n").as_bytes(), 0));
    }

    #[test]
    fn an_attribute_is_padded_to_words() {
        let xattr = Xattr { name: b"user.ab".into(), value: b"xyz".into() };
        let mut bytes = Vec::new();
        encode(&xattr, &mut bytes);
        assert_eq!(bytes, b"\x02\x01\x03\0abxyz\0\0\0");
        assert_eq!((words(0), words(HEADER), words(HEADER + 12)), (0, 1, 4));
    }
}
