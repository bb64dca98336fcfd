//! Extended attributes: beside an inode, or once for several inodes.

use super::output::Output;
use super::tree::{NodeKind, Tree};
use super::walk::{Slots, Visited, walk};
use crate::words::{Error, Escaped, Misuse, Xattr};
use std::collections::HashMap;

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

/// An attribute, as it identifies itself.
type Key<'t> = (&'t [u8], &'t [u8]);

/// The attributes that more than one inode has, and where they are.
#[derive(Debug, Default)]
pub(super) struct Shared<'t>(HashMap<Key<'t>, Place>);

/// Where an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// One inode has it.
    Once,
    /// Several inodes have it, or one inode has too much. It is not written yet.
    Wanted,
    /// So many words behind the beginning of the area.
    At(u32),
}

impl<'t> Shared<'t> {
    /// Writes the attributes that are shared, in the order of the tree.
    ///
    /// # Errors
    ///
    /// An attribute that is not [possible](is_possible), or too many of them.
    pub(super) fn write<T: Tree>(tree: &'t T, slots: &mut Slots, out: &mut Output<'_>) -> Result<Self, Error> {
        let mut shared = Self::default();
        walk(tree, |Visited { node, .. }| {
            let is_first = slots.see(tree.inode(node))?;
            // Known before the walk descends: a directory in itself has no end.
            if !is_first && tree.kind(node) == NodeKind::Directory {
                return Err(Misuse::RepeatedDirectory { name: Escaped::new(tree.name(node)) }.into());
            }
            if is_first { shared.count(tree.attributes(node).xattrs) } else { Ok(()) }
        })?;
        if shared.0.is_empty() {
            return Ok(shared);
        }
        let start = out.position();
        walk(tree, |Visited { node, .. }| {
            tree.attributes(node).xattrs.iter().try_for_each(|xattr| shared.write_once(xattr, start, out))
        })?;
        Ok(shared)
    }

    fn count(&mut self, xattrs: &'t [Xattr]) -> Result<(), Error> {
        if xattrs.len() > MOST_SHARED {
            return Err(Misuse::TooManyXattrs { most: MOST_SHARED }.into());
        }
        let mut inline = 0;
        for (at, xattr) in xattrs.iter().enumerate() {
            let is_twin = xattrs.iter().take(at).any(|other| other.name == xattr.name);
            if is_twin || !is_possible(xattr) {
                return Err(Misuse::ImpossibleXattr { name: Escaped::new(&xattr.name) }.into());
            }
            inline += size(xattr);
        }
        for xattr in xattrs {
            let first = if inline > MOST_INLINE { Place::Wanted } else { Place::Once };
            let place = self.0.entry((&xattr.name, &xattr.value));
            place.and_modify(|place| *place = Place::Wanted).or_insert(first);
        }
        Ok(())
    }

    fn write_once(&mut self, xattr: &'t Xattr, start: u64, out: &mut Output<'_>) -> Result<(), Error> {
        let Some(place) = self.0.get_mut(&(&*xattr.name, &*xattr.value)) else { return Ok(()) };
        if *place == Place::Wanted {
            let words = (out.position() - start) / WORD as u64;
            *place = Place::At(u32::try_from(words).map_err(|_| Misuse::TooManyXattrs { most: MOST_SHARED })?);
            let mut bytes = Vec::with_capacity(size(xattr));
            encode(xattr, &mut bytes);
            out.write(&bytes)?;
        }
        Ok(())
    }

    fn place(&self, xattr: &'t Xattr) -> Option<u32> {
        match self.0.get(&(&*xattr.name, &*xattr.value)) {
            Some(&Place::At(words)) => Some(words),
            _ => None,
        }
    }

    /// Bytes beside an inode with these attributes.
    pub(super) fn inline_size(&self, xattrs: &'t [Xattr]) -> usize {
        if xattrs.is_empty() {
            return 0;
        }
        let sizes = xattrs.iter().map(|xattr| if self.place(xattr).is_some() { WORD } else { size(xattr) });
        HEADER + sizes.sum::<usize>()
    }

    /// The bytes beside an inode with these attributes.
    pub(super) fn encode(&self, xattrs: &'t [Xattr], out: &mut Vec<u8>) {
        if xattrs.is_empty() {
            return;
        }
        let shared: Vec<_> = xattrs.iter().filter_map(|xattr| self.place(xattr)).collect();
        out.extend([0, 0, 0, 0, shared.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
        shared.iter().for_each(|place| out.extend(place.to_le_bytes()));
        xattrs.iter().filter(|xattr| self.place(xattr).is_none()).for_each(|xattr| encode(xattr, out));
    }
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
