//! The targets of symbolic links.

/// The targets of symbolic links in one buffer. Each follows its length and a hash of the link's owner.
#[derive(Debug, Default)]
pub(super) struct Targets {
    buffer: Vec<u8>,
    /// There was no room for a target.
    overflown: bool,
}

const OWNER: usize = size_of::<u32>();
const HEAD: usize = OWNER + size_of::<u16>();

impl Targets {
    /// Adds a target and returns its index.
    pub(super) fn push(&mut self, target: &[u8], owner: u32) -> u32 {
        let (Ok(index), Ok(length)) = (u32::try_from(self.buffer.len()), u16::try_from(target.len())) else {
            self.overflown = true;
            return u32::MAX;
        };
        self.buffer.extend_from_slice(&owner.to_le_bytes());
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(target);
        index
    }

    /// The target at an index.
    pub(super) fn target(&self, index: u32) -> Option<&[u8]> {
        let (head, rest) = self.buffer.get(index as usize..)?.split_at_checked(HEAD)?;
        let length = u16::from_le_bytes(*head.last_chunk()?);
        rest.get(..usize::from(length))
    }

    /// The hash of the owner of the link at an index.
    pub(super) fn owner(&self, index: u32) -> Option<u32> {
        Some(u32::from_le_bytes(*self.buffer.get(index as usize..)?.first_chunk::<OWNER>()?))
    }

    /// Bytes of memory; `None` if there was no room for a target. Pages that were never written do not count.
    pub(super) fn bytes(&self) -> Option<u64> {
        (!self.overflown).then_some(self.buffer.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_back_by_their_numbers() {
        let mut targets = Targets::default();
        let long = vec![b'x'; 4095];
        let numbers = [&b"a"[..], &long, b"../b"].map(|target| targets.push(target, target.len() as u32));
        for (number, target) in numbers.iter().zip([&b"a"[..], &long, b"../b"]) {
            assert_eq!(targets.target(*number), Some(target));
            assert_eq!(targets.owner(*number), Some(target.len() as u32));
        }
        assert_eq!(targets.bytes(), Some(3 * HEAD as u64 + 1 + 4095 + 4));
        assert_eq!((targets.target(u32::MAX), targets.owner(u32::MAX)), (None, None));
    }
}
