//! Archives for tests, built block by block, broken where a test wants it.

use std::ops::Range;

/// A header block in the making.
#[derive(Clone)]
pub(crate) struct Raw([u8; 512]);

impl Raw {
    pub(crate) fn posix(flag: u8, name: &[u8]) -> Self {
        let mut block = [0; 512];
        block[156] = flag;
        Self(block)
            .bytes(0, name)
            .bytes(100, b"0000644\0")
            .bytes(108, b"0000000\0")
            .bytes(116, b"0000000\0")
            .size(0)
            .bytes(136, b"00000000000\0")
            .bytes(257, b"ustar\x0000")
    }

    pub(crate) fn gnu(flag: u8, name: &[u8]) -> Self {
        Self::posix(flag, name).bytes(257, b"ustar  \0")
    }

    /// Version 7: no magic.
    pub(crate) fn old(flag: u8, name: &[u8]) -> Self {
        Self::posix(flag, name).bytes(257, &[0; 8])
    }

    pub(crate) fn bytes(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn size(self, size: u64) -> Self {
        self.bytes(124, format!("{size:011o}\0").as_bytes())
    }

    pub(crate) fn target(self, target: &[u8]) -> Self {
        self.bytes(157, target)
    }

    pub(crate) fn prefix(self, prefix: &[u8]) -> Self {
        self.bytes(345, prefix)
    }

    /// The block with its checksum, summed unsigned.
    pub(crate) fn block(&self) -> [u8; 512] {
        self.summed(|byte| byte.into())
    }

    pub(crate) fn block_summed_signed(&self) -> [u8; 512] {
        self.summed(|byte| byte.cast_signed().into())
    }

    fn summed(&self, worth: fn(u8) -> i64) -> [u8; 512] {
        const CHECKSUM: Range<usize> = 148..156;
        let mut block = self.0;
        block[CHECKSUM].fill(b' ');
        let sum: i64 = block.iter().map(|&byte| worth(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }
}

/// An archive in the making.
#[derive(Clone, Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// One header block and no content.
    pub(crate) fn raw(self, header: Raw) -> Self {
        let block = header.block();
        self.bytes(&block)
    }

    /// A header with the size of its content, the content and the padding.
    pub(crate) fn with(self, header: Raw, content: &[u8]) -> Self {
        let padding = content.len().wrapping_neg() % 512;
        self.raw(header.size(content.len() as u64)).bytes(content).bytes(&vec![0; padding])
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.with(Raw::posix(b'0', name.as_bytes()), content)
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.raw(Raw::posix(b'5', name.as_bytes()))
    }

    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.with(Raw::posix(b'x', b"PaxHeaders/0"), &pax_records(records))
    }

    pub(crate) fn global(self, records: &[(&str, &[u8])]) -> Self {
        self.with(Raw::posix(b'g', b"pax_global_header"), &pax_records(records))
    }

    pub(crate) fn long_name(self, content: &[u8]) -> Self {
        self.with(Raw::gnu(b'L', b"././@LongLink"), content)
    }

    pub(crate) fn long_link(self, content: &[u8]) -> Self {
        self.with(Raw::gnu(b'K', b"././@LongLink"), content)
    }

    pub(crate) fn zeros(self, bytes: usize) -> Self {
        self.bytes(&vec![0; bytes])
    }

    /// What was built so far, without an end.
    pub(crate) fn cut(self) -> Vec<u8> {
        self.0
    }

    /// What was built so far and two zero blocks.
    pub(crate) fn end(self) -> Vec<u8> {
        self.zeros(1024).0
    }
}

pub(crate) fn pax_records(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut content = Vec::new();
    for (key, value) in records {
        let body = 3 + key.len() + value.len();
        let length = (body + 1..).find(|length| body + length.to_string().len() == *length).unwrap();
        content.extend_from_slice(format!("{length} {key}=").as_bytes());
        content.extend_from_slice(value);
        content.push(b'\n');
    }
    content
}
