//! The names of a tree in memory: a compact table that counts the memory it occupies, not only its content.

use crate::words::{PlaceId, Skippable};
use std::collections::HashMap;

/// A name in a directory: its place, and the number of the directory. A directory that replaces another has the same
/// place and another number, and nothing of the other one's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

impl Key {
    pub(super) fn new(directory: u32, place: PlaceId) -> Self {
        // An odd factor makes the keys of one place differ. Those of different places are random.
        Self(place.0.wrapping_add(u64::from(directory).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// What is at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A directory, by its number.
    Directory { number: u32 },
    /// A symbolic link, by the index of its target.
    Link { index: u32 },
    /// Anything else, with a hash of its owner and mode.
    Other { attributes: u32, skippable: Option<Skippable> },
    /// What a hard link leads to in lower layers that are not known. It is nothing if that was skipped.
    Unseen,
    /// Nothing: what a lower layer that is not known may have there was removed.
    Nothing,
}

impl Kind {
    /// Whether something is there for certain.
    pub(super) fn is_something(self) -> bool {
        !matches!(self, Self::Unseen | Self::Nothing)
    }
}

/// What is at a name, and the last layer that brought it or passed through it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) layer: u32,
}

/// How many tables the names are spread over. While a hash table grows, its old and new memory exist together. One
/// table of a million names would need 60 MiB for a moment. Of many small tables, only one grows at a time.
const TABLES: usize = 64;

/// What stands at each name.
#[derive(Debug)]
pub(super) struct Table {
    tables: Vec<HashMap<Key, Entry>>,
    bytes: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self { tables: (0..TABLES).map(|_| HashMap::new()).collect(), bytes: 0 }
    }
}

impl Table {
    pub(super) fn get(&self, key: Key) -> Option<Entry> {
        self.tables.get(table_of(key))?.get(&key).copied()
    }

    pub(super) fn insert(&mut self, key: Key, entry: Entry) -> Option<Entry> {
        let table = self.tables.get_mut(table_of(key))?;
        let before = table.capacity();
        let old = table.insert(key, entry);
        if table.capacity() != before {
            self.bytes += bytes_of(table.capacity()) - bytes_of(before);
        }
        old
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Entry> {
        self.tables.get_mut(table_of(key))?.remove(&key)
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

const SLOT: u64 = size_of::<(Key, Entry)>() as u64 + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_counted_as_what_it_takes() {
        assert_eq!(SLOT, 25);
        let mut table = Table::default();
        let entry = Entry { kind: Kind::Directory { number: 1 }, layer: 1 };
        for number in 0..100_000_u64 {
            table.insert(Key::new(1, PlaceId(number.wrapping_mul(0x517c_c1b7_2722_0a95))), entry);
        }
        let slots: u64 = table.tables.iter().map(|table| bytes_of(table.capacity()) / SLOT).sum();
        assert_eq!(table.bytes(), slots * SLOT);
        assert!(slots.is_power_of_two() && (100_000 * 8 / 7..400_000).contains(&slots), "{slots}");
    }
}
