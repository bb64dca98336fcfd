//! The memory of an audit: compact tables that count the memory they occupy, not only their content.

use super::names::{Key, Node};
use std::collections::HashMap;
use std::sync::Arc;

/// How many tables the names are spread over. While a hash table grows, its old and new memory exist together. One
/// table of a million names would need 60 MiB for a moment. Of many small tables, only one grows at a time.
const TABLES: usize = 64;

/// What stands at each name.
#[derive(Debug)]
pub(super) struct Table {
    tables: Vec<HashMap<Key, Node>>,
    bytes: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self { tables: (0..TABLES).map(|_| HashMap::new()).collect(), bytes: 0 }
    }
}

impl Table {
    pub(super) fn get(&self, key: Key) -> Option<Node> {
        self.tables.get(table_of(key))?.get(&key).copied()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Node> {
        self.tables.get_mut(table_of(key))?.get_mut(&key)
    }

    pub(super) fn insert(&mut self, key: Key, node: Node) -> Option<Node> {
        let table = self.tables.get_mut(table_of(key))?;
        let before = table.capacity();
        let old = table.insert(key, node);
        if table.capacity() != before {
            self.bytes += bytes_of(table.capacity()) - bytes_of(before);
        }
        old
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(table) = self.tables.get_mut(table_of(key)) {
            table.remove(&key);
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn table_of(key: Key) -> usize {
    // The tables hash the key again, so any bits can select the table.
    key.0 as usize % TABLES
}

/// The memory of a standard hash table with this capacity: a power of two of slots, one in eight of them free, and one
/// control byte for each.
fn bytes_of(capacity: usize) -> u64 {
    match capacity {
        0 => 0,
        few @ 1..8 => (few + 1).next_power_of_two() as u64 * SLOT,
        many => (many as u64 * 8 / 7).next_power_of_two() * SLOT,
    }
}

const SLOT: u64 = size_of::<(Key, Node)>() as u64 + 1;

/// The targets of symbolic links in one buffer. Each follows its length and a hash of the link's owner.
#[derive(Debug, Default)]
pub(super) struct Targets(Vec<u8>);

const OWNER: usize = size_of::<u32>();
const HEAD: usize = OWNER + size_of::<u16>();

impl Targets {
    /// Adds a target and returns its index; `None` if there is no room.
    pub(super) fn push(&mut self, target: &[u8], owner: u32) -> Option<u32> {
        let number = u32::try_from(self.0.len()).ok()?;
        let length = u16::try_from(target.len()).ok()?;
        self.0.extend_from_slice(&owner.to_le_bytes());
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(target);
        Some(number)
    }

    /// The target at an index.
    pub(super) fn target(&self, number: u32) -> Option<Arc<[u8]>> {
        let (head, rest) = self.0.get(number as usize..)?.split_at_checked(HEAD)?;
        let length = u16::from_le_bytes(*head.last_chunk()?);
        rest.get(..usize::from(length)).map(Arc::from)
    }

    /// The hash of the owner of the link at an index.
    pub(super) fn owner(&self, number: u32) -> Option<u32> {
        Some(u32::from_le_bytes(*self.0.get(number as usize..)?.first_chunk::<OWNER>()?))
    }

    /// Bytes of memory: pages that were never written do not count.
    pub(super) fn bytes(&self) -> u64 {
        self.0.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::Kind;
    use super::*;

    #[test]
    fn targets_come_back_by_their_numbers() {
        let mut targets = Targets::default();
        let long = vec![b'x'; 4095];
        let numbers = [&b"a"[..], &long, b"../b"].map(|target| targets.push(target, target.len() as u32).unwrap());
        for (number, target) in numbers.iter().zip([&b"a"[..], &long, b"../b"]) {
            assert_eq!(targets.target(*number).as_deref(), Some(target));
            assert_eq!(targets.owner(*number), Some(target.len() as u32));
        }
        assert_eq!(targets.bytes(), 3 * HEAD as u64 + 1 + 4095 + 4);
        assert_eq!((targets.target(u32::MAX), targets.owner(u32::MAX)), (None, None));
    }

    #[test]
    fn a_name_is_counted_as_what_it_takes() {
        assert_eq!(SLOT, 25);
        let mut table = Table::default();
        let node = Node::of(Kind::Directory { number: 1 });
        for number in 0..100_000_u64 {
            table.insert(Key(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)), node);
        }
        let slots: u64 = table.tables.iter().map(|table| bytes_of(table.capacity()) / SLOT).sum();
        assert_eq!(table.bytes(), slots * SLOT);
        assert!(slots.is_power_of_two() && (100_000 * 8 / 7..400_000).contains(&slots), "{slots}");
    }
}
