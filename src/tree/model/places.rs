//! Where the content of files is stored, outside of the tree.

use super::chunks::Chunks;

/// The content of the file is not stored.
const NOWHERE: u64 = u64::MAX;

/// A number for the content of each file, by inode. It takes no memory while there is none, and then eight bytes for each
/// inode.
#[derive(Debug, Default)]
pub(super) struct Places(Chunks<u64>);

impl Places {
    pub(super) fn get(&self, inode: u32) -> Option<u64> {
        self.0.get(inode).copied().filter(|&place| place != NOWHERE)
    }

    /// Sets the place of an inode, which exists.
    pub(super) fn set(&mut self, inode: u32, place: u64) {
        self.0.set(inode, place, NOWHERE);
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_that_of_its_inode_and_others_have_none() {
        let mut places = Places::default();
        assert_eq!((places.get(0), places.bytes()), (None, 0));
        places.set(5_000, 7);
        places.set(3, 0);
        let known: Vec<_> = (0..6_000).filter_map(|inode| Some((inode, places.get(inode)?))).collect();
        assert_eq!(known, [(3, 0), (5_000, 7)]);
        assert!((5_001 * 8..6_200 * 8).contains(&places.bytes()), "{}", places.bytes());
    }
}
