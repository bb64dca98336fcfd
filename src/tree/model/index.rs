//! Finds names by their hashes: a table of numbers, four bytes each.

/// How many numbers the smallest table has room for.
const SMALLEST: usize = 1 << 10;

/// A number that is not used.
const NOTHING: u32 = u32::MAX;

/// A hash table with open addresses. A slot holds the number of a name; the hash is with the name.
///
/// A standard hash table would take 17 bytes a slot, and needs its old and new memory together while it grows.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: Vec<u32>,
    used: usize,
}

impl Index {
    /// The number for which `is_it` says so, among those of this hash.
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            match *self.slots.get(at)? {
                NOTHING => return None,
                number if is_it(number) => return Some(number),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Adds a number, which is not there yet. `hash_of` gives the hash of any number in the table.
    pub(super) fn insert(&mut self, number: u32, hash: u32, hash_of: impl Fn(u32) -> u32) {
        // A quarter of the slots stays free, so that no search is long.
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let slots = vec![NOTHING; (self.slots.len() * 2).max(SMALLEST)];
            let old = std::mem::replace(&mut self.slots, slots);
            old.into_iter().filter(|&old| old != NOTHING).for_each(|old| self.put(old, hash_of(old)));
        }
        self.put(number, hash);
        self.used += 1;
    }

    fn put(&mut self, number: u32, hash: u32) {
        let Some(mask) = self.slots.len().checked_sub(1) else { return };
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if *slot == NOTHING {
                *slot = number;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// Removes a number of this hash.
    pub(super) fn remove(&mut self, number: u32, hash: u32, hash_of: impl Fn(u32) -> u32) {
        let Some(mask) = self.slots.len().checked_sub(1) else { return };
        let mut free = hash as usize & mask;
        while self.slots.get(free).is_some_and(|&there| there != number) {
            if self.slots.get(free) == Some(&NOTHING) {
                return;
            }
            free = (free + 1) & mask;
        }
        self.used -= 1;
        // What comes behind moves up, so that no search ends at the free slot. A number may not move in front of the slot
        // that its hash asks for.
        let mut at = free;
        loop {
            at = (at + 1) & mask;
            let Some(&next) = self.slots.get(at).filter(|&&next| next != NOTHING) else { break };
            let wanted = hash_of(next) as usize & mask;
            if at.wrapping_sub(wanted) & mask >= at.wrapping_sub(free) & mask {
                self.set(free, next);
                free = at;
            }
        }
        self.set(free, NOTHING);
    }

    fn set(&mut self, at: usize, number: u32) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = number;
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        (self.slots.capacity() * size_of::<u32>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Few different hashes, at the end of the table too, so that runs of slots are long and wrap around.
    fn hash_of(number: u32) -> u32 {
        number % 7 * 1_000 + number % 3
    }

    #[test]
    fn what_was_added_and_not_removed_is_found_and_nothing_else() {
        let (mut index, mut kept) = (Index::default(), BTreeSet::new());
        let mut random = 1_u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (random >> 16) % 1_500;
            if kept.insert(number) {
                index.insert(number, hash_of(number), hash_of);
            } else {
                kept.remove(&number);
                index.remove(number, hash_of(number), hash_of);
            }
        }
        assert_eq!(index.used, kept.len());
        for number in 0..1_500 {
            let found = index.find(hash_of(number), |other| other == number);
            assert_eq!(found.is_some(), kept.contains(&number), "{number}");
        }
    }

    #[test]
    fn a_number_costs_at_most_eleven_bytes() {
        let mut index = Index::default();
        for number in 0..100_000 {
            index.insert(number, number.wrapping_mul(0x9e37_79b9), |number| number.wrapping_mul(0x9e37_79b9));
            assert!(index.used < SMALLEST || index.bytes() <= 11 * index.used as u64, "{number}");
        }
    }
}
