//! Names and the targets of links, end to end in memory.

/// Bytes that are allocated at a time.
const CHUNK: usize = 1 << 16;

/// A text: where it begins, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Text {
    at: u32,
    length: u16,
}

/// All texts. Each lies in one chunk, and none is longer than the target of a link.
#[derive(Debug, Default)]
pub(super) struct Texts {
    chunks: Vec<Vec<u8>>,
    /// A text was not kept: it would begin where an offset of four bytes does not reach.
    overflown: bool,
}

impl Texts {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Text {
        if self.chunks.last().is_none_or(|last| CHUNK - last.len() < bytes.len()) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = self.chunks.len().saturating_sub(1) * CHUNK;
        let at = self.chunks.last().and_then(|last| u32::try_from(before + last.len()).ok());
        let (Some(at), Ok(length), Some(last)) = (at, u16::try_from(bytes.len()), self.chunks.last_mut()) else {
            self.overflown = true;
            return Text::default();
        };
        last.extend_from_slice(bytes);
        Text { at, length }
    }

    pub(super) fn get(&self, Text { at, length }: Text) -> &[u8] {
        let (chunk, at) = (at as usize / CHUNK, at as usize % CHUNK);
        self.chunks.get(chunk).and_then(|chunk| chunk.get(at..at + usize::from(length))).unwrap_or_default()
    }

    /// Bytes of memory; `None` if there were too many texts.
    pub(super) fn bytes(&self) -> Option<u64> {
        let bytes = self.chunks.len() * CHUNK + self.chunks.capacity() * size_of::<Vec<u8>>();
        (!self.overflown).then_some(bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_wherever_a_chunk_ends() {
        let mut texts = Texts::default();
        let text = |number: usize| vec![number as u8; 1 + number * 37 % 4095];
        let kept: Vec<_> = (0..200).map(|number| texts.push(&text(number))).collect();
        for (number, kept) in kept.into_iter().enumerate() {
            assert_eq!(texts.get(kept), text(number), "{number}");
        }
        assert!(texts.chunks.len() > 4 && texts.chunks.iter().all(|chunk| chunk.capacity() == CHUNK));
    }
}
