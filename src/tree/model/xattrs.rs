//! Extended attributes, each set kept once.

use crate::words::{PlaceKey, Xattr};
use std::collections::HashMap;

/// The number of a set of extended attributes. 0 is the empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct XattrSet(u32);

#[cfg(feature = "image")]
impl XattrSet {
    /// The number, which identifies the set in its tree.
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

/// All sets of extended attributes.
#[derive(Debug, Default)]
pub(super) struct XattrSets {
    /// From 1 on.
    sets: Vec<Box<[Xattr]>>,
    by_hash: HashMap<u64, u32>,
    bytes: u64,
}

/// Bytes that a set takes beside its attributes, in the list and in the table, while these grow too.
const OVERHEAD: u64 = 128;

impl XattrSets {
    /// The number of a set, which is kept if it is new.
    pub(super) fn intern(&mut self, key: &PlaceKey, xattrs: &[Xattr]) -> XattrSet {
        if xattrs.is_empty() {
            return XattrSet::default();
        }
        let parts: Vec<_> = xattrs.iter().map(|Xattr { name, value }| (name, value)).collect();
        let hash = key.hash(&parts);
        if let Some(&known) = self.by_hash.get(&hash)
            && self.get(XattrSet(known)) == xattrs
        {
            return XattrSet(known);
        }
        let lengths = xattrs.iter().map(|Xattr { name, value }| size_of::<Xattr>() + name.len() + value.len() + 32);
        self.bytes += OVERHEAD + lengths.sum::<usize>() as u64;
        self.sets.push(xattrs.into());
        // A set takes more than 160 bytes: other limits come long before there are too many.
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.by_hash.insert(hash, number);
        XattrSet(number)
    }

    pub(super) fn get(&self, XattrSet(number): XattrSet) -> &[Xattr] {
        let index = (number as usize).checked_sub(1);
        index.and_then(|index| self.sets.get(index)).map_or(&[], |set| set)
    }

    /// The attributes of all sets.
    #[cfg(feature = "image")]
    pub(super) fn count(&self) -> u64 {
        self.sets.iter().map(|set| set.len() as u64).sum()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_kept_once_and_comes_back() {
        let (mut sets, key) = (XattrSets::default(), PlaceKey::default());
        let set = |name: &str, value: &str| vec![Xattr { name: name.into(), value: value.into() }];
        let empty = sets.intern(&key, &[]);
        assert_eq!(sets.get(empty), []);
        let (a, b) = (sets.intern(&key, &set("user.a", "1")), sets.intern(&key, &set("user.a1", "")));
        assert!(a != b);
        let bytes = sets.bytes();
        assert_eq!(sets.intern(&key, &set("user.a", "1")), a);
        assert_eq!((sets.get(a), sets.get(b)), (&set("user.a", "1")[..], &set("user.a1", "")[..]));
        assert_eq!(sets.bytes(), bytes);
    }
}
