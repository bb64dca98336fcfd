//! Choices, read off the bytes that a fuzzer makes up.

/// Bytes that decide. When they are used up, every choice is the first one: short inputs are simple ones.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number below `end`, which is 256 at most.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// As many of the next bytes as there are, `most` at most.
    pub(crate) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A length and then so many bytes.
    pub(crate) fn some(&mut self, end: usize) -> &'a [u8] {
        let length = self.below(end);
        self.take(length)
    }

    /// A number of any size, small ones and those beside powers of two more often than others.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=127 => small.into(),
            power @ 128..=191 => (1 << (power - 128)) - u64::from(power & 1),
            bytes => self.take(usize::from(bytes % 8) + 1).iter().fold(0, |value, &byte| value << 8 | u64::from(byte)),
        }
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
