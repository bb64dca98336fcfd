//! Lists that grow without a copy, so that the memory they occupy is what they hold.

/// How many items are allocated at a time.
const CHUNK: usize = 1 << 10;

/// A list in chunks. A `Vec` of a million items needs twice its memory while it grows, and keeps up to half of it unused.
#[derive(Debug)]
pub(crate) struct Chunks<T>(Vec<Vec<T>>);

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Chunks<T> {
    /// How many items it has.
    pub(crate) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        self.0.get(number / CHUNK)?.get(number % CHUNK)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let number = number as usize;
        self.0.get_mut(number / CHUNK)?.get_mut(number % CHUNK)
    }

    pub(crate) fn push(&mut self, item: T) {
        match self.0.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(item),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                self.0.push(chunk);
            }
        }
    }

    /// Sets an item. A list that is too short is filled up to it with `gap`.
    pub(crate) fn set(&mut self, number: u32, item: T, gap: T)
    where
        T: Copy,
    {
        while self.len() <= number as usize {
            self.push(gap);
        }
        if let Some(there) = self.get_mut(number) {
            *there = item;
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        (self.0.len() * CHUNK * size_of::<T>() + self.0.capacity() * size_of::<Vec<T>>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_found_by_its_number_and_costs_its_size() {
        let mut chunks = Chunks::default();
        let numbers = 0..3 * CHUNK as u32 + 5;
        numbers.clone().for_each(|number| chunks.push(number));
        assert_eq!(chunks.len(), 3 * CHUNK + 5);
        assert!(numbers.clone().all(|number| chunks.get(number) == Some(&number)));
        assert!(chunks.get(numbers.end).is_none() && chunks.get_mut(u32::MAX).is_none());
        assert!((4 * CHUNK as u64 * 4..4 * CHUNK as u64 * 4 + 200).contains(&chunks.bytes()));
    }
}
